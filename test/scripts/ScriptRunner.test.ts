import { existsSync, readFileSync } from "node:fs"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Environment from "../../src/scripts/Environment.ts"
import * as ScriptRunner from "../../src/scripts/ScriptRunner.ts"
import { makeEvent } from "../../src/testing.ts"
import { collectLogs } from "../support/Logs.ts"
import { poll } from "../support/Poll.ts"
import { makeScripts } from "../support/Scripts.ts"

const event = makeEvent()
const bounds = ScriptRunner.defaultBounds
const base = Environment.base({ own: { PATH: process.env["PATH"] }, user: { name: "u", home: "/", shell: "/bin/sh" } })

/** Runs a script's text for the event: the outcome, and what was logged. `$0` is in a directory of its own. */
const run = (text: string, other: Partial<ScriptRunner.Bounds> = {}) =>
  Effect.gen(function* () {
    const directory = yield* makeScripts({ script: text })
    const logs = collectLogs()
    const outcome = yield* Effect.flatMap(ScriptRunner.ScriptRunner, (runner) =>
      runner.run({
        script: `${directory}/script`,
        event,
        environment: Environment.make(event, base),
        bounds: { ...bounds, ...other }
      })
    ).pipe(Effect.provide(Layer.provideMerge(ScriptRunner.layer, logs.layer)))
    const lines = logs.lines.map((line) => line.replaceAll(`${directory}/`, ""))
    return { outcome, lines, directory }
  })

const isAlive = (pid: string): boolean => existsSync(`/proc/${pid.trim()}`) && !isZombie(pid.trim())

/** Who no longer runs, but was not yet waited for by its parent. */
const isZombie = (pid: string): boolean => {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
  return stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z")
}

const test = (name: string, body: () => Effect.Effect<void, unknown, NodeContext.NodeContext | Scope.Scope>) =>
  it.scopedLive(name, () => Effect.provide(body(), NodeContext.layer))

describe("the outcome of a script", () => {
  test("it exits with a code, and its last line on stderr is the message", () =>
    Effect.gen(function* () {
      const { outcome } = yield* run("#!/bin/sh\necho first >&2\necho last >&2\nexit 7\n")
      assert.deepStrictEqual(outcome, ScriptRunner.Outcome.Exited({ code: 7, message: "last" }))
    }))

  test("a signal ends it", () =>
    Effect.gen(function* () {
      const { outcome } = yield* run("#!/bin/sh\nkill -SEGV $$\n")
      assert.deepStrictEqual(outcome, ScriptRunner.Outcome.Killed({ signal: "SIGSEGV", message: "" }))
    }))

  test("it cannot be started: no interpreter, no file, no permission, no program", () =>
    Effect.gen(function* () {
      const started = yield* run("#!/no/such/interpreter\n")
      assert.strictEqual(started.outcome._tag, "NotStarted")
      const directory = yield* makeScripts({ "a-directory": null })
      const runner = yield* Effect.provide(ScriptRunner.ScriptRunner, ScriptRunner.layer)
      for (const name of ["absent", "a-directory"]) {
        const outcome = yield* runner.run({ script: `${directory}/${name}`, event, environment: base, bounds })
        assert.strictEqual(outcome._tag, "NotStarted", name)
      }
    }))

  test("an error that Node throws at the start of a process is an outcome, too", () =>
    Effect.gen(function* () {
      const directory = yield* makeScripts({ script: "#!/bin/sh\n" })
      const runner = yield* Effect.provide(ScriptRunner.ScriptRunner, ScriptRunner.layer)
      const environment = { ...base, HUGE: "x".repeat(3_000_000) }
      const outcome = yield* runner.run({ script: `${directory}/script`, event, environment, bounds })
      assert.strictEqual(outcome._tag, "NotStarted")
      assert.include(outcome.message, "E2BIG")
    }))

  test("without #! it runs under /bin/sh", () =>
    Effect.gen(function* () {
      const { lines, outcome } = yield* run('echo "from $0"\n')
      assert.strictEqual(outcome._tag, "Exited")
      assert.include(lines, "INFO from script")
    }))
})

describe("what a script gets", () => {
  test("its environment and nothing beside it, no arguments, and a process group of its own", () =>
    Effect.gen(function* () {
      process.env["DES_TEST_SECRET"] = "s"
      const { lines } = yield* run("#!/bin/bash\nenv\necho args=$#\n[ $(ps -o pgid= -p $$) = $$ ] && echo own group\n")
      const variables = lines.map((line) => line.replace("INFO ", ""))
      const own = ["PWD", "SHLVL", "_"]
      const names = variables.filter((line) => line.includes("=")).map((line) => line.split("=")[0] ?? "")
      assert.sameMembers(
        names.filter((name) => !own.includes(name)),
        [...Object.keys(Environment.make(event, base)), "args"]
      )
      assert.include(variables, "args=0")
      assert.include(variables, "own group")
    }))

  test("the record on stdin as one line, and then its end", () =>
    Effect.gen(function* () {
      const { lines } = yield* run("#!/bin/sh\ncat > $0.in\nwc -l < $0.in\ncat $0.in\n")
      assert.deepStrictEqual(lines, ["INFO 1", `INFO ${event.record}`])
    }))

  test("it need not read a record, however long", () =>
    Effect.gen(function* () {
      const directory = yield* makeScripts({ script: "#!/bin/sh\nexec <&-\necho closed\n" })
      const runner = yield* Effect.provide(ScriptRunner.ScriptRunner, ScriptRunner.layer)
      const long = makeEvent({ attributes: { long: "x".repeat(5_000_000) } })
      const outcome = yield* runner.run({ script: `${directory}/script`, event: long, environment: base, bounds })
      assert.deepStrictEqual(outcome, ScriptRunner.Outcome.Exited({ code: 0, message: "" }))
    }))
})

describe("output", () => {
  test("is logged line by line, of both streams, with the script's name", () =>
    Effect.gen(function* () {
      const { lines } = yield* run("#!/bin/sh\nprintf 'one\\ntwo\\r\\n\\nno end'\n")
      assert.deepStrictEqual(
        lines,
        ["one", "two", "", "no end"].map((line) => `INFO ${line}`)
      )
    }))

  test("of more than the limit is drained, counted and not logged", () =>
    Effect.gen(function* () {
      const { lines, outcome } = yield* run("#!/bin/sh\nyes | head -c 20000000\necho done >&2\n")
      assert.strictEqual(outcome._tag, "Exited")
      const logged = lines.filter((line) => line === "INFO y").length
      // A line counts as what it is in the log: itself, and a head of 64 bytes.
      assert.strictEqual(logged, Math.ceil(1_048_576 / 65))
      assert.match(lines.at(-1) ?? "", /^WARN script: 199\d{5} bytes of its output were not logged$/)
    }))

  test("that a child in the background holds open does not hold the run", () =>
    Effect.gen(function* () {
      const { directory, lines, outcome } = yield* run("#!/bin/sh\nsleep 600 & echo $! > $0.pid\necho parent ends\n")
      const pid = readFileSync(`${directory}/script.pid`, "utf8")
      assert.isTrue(isAlive(pid), "a child that a successful script leaves is the script's own business")
      process.kill(Number(pid))
      assert.deepStrictEqual(outcome, ScriptRunner.Outcome.Exited({ code: 0, message: "" }))
      assert.deepStrictEqual(lines, ["INFO parent ends"])
    }))
})

describe("a bound", () => {
  test("ends a script after its timeout, and all its children", () =>
    Effect.gen(function* () {
      const { directory, outcome } = yield* run(
        "#!/bin/sh\necho working >&2\nsleep 600 & echo $! > $0.pid\nsh -c 'sleep 600 & wait' & \nwait\n",
        { timeout: "500 millis" }
      )
      assert.deepStrictEqual(
        outcome,
        ScriptRunner.Outcome.TimedOut({ after: Duration.millis(500), message: "working" })
      )
      assert.isFalse(isAlive(readFileSync(`${directory}/script.pid`, "utf8")))
    }))

  test("kills a script that ignores SIGTERM, after the grace", () =>
    Effect.gen(function* () {
      const { directory, outcome } = yield* run(
        "#!/bin/sh\ntrap 'echo asked >&2' TERM\necho $$ > $0.pid\nwhile :; do sleep 0.05; done\n",
        { timeout: "500 millis", grace: "500 millis" }
      )
      assert.deepStrictEqual(outcome, ScriptRunner.Outcome.TimedOut({ after: Duration.millis(500), message: "asked" }))
      assert.isFalse(isAlive(readFileSync(`${directory}/script.pid`, "utf8")))
    }))

  test("kills a child that ignores SIGTERM if the script itself does not", () =>
    Effect.gen(function* () {
      const { directory } = yield* run(
        "#!/bin/sh\nsh -c 'trap : TERM; echo $$ > '$0.pid'; while :; do sleep 0.05; done' &\nwait\n",
        { timeout: "500 millis", grace: "300 millis" }
      )
      assert.isFalse(isAlive(readFileSync(`${directory}/script.pid`, "utf8")))
    }))

  test("ends a script that was stopped", () =>
    Effect.gen(function* () {
      const { directory, outcome } = yield* run("#!/bin/sh\necho $$ > $0.pid\nkill -STOP $$\n", {
        timeout: "500 millis",
        grace: "200 millis"
      })
      assert.strictEqual(outcome._tag, "TimedOut")
      assert.isFalse(isAlive(readFileSync(`${directory}/script.pid`, "utf8")))
    }))

  test("is not needed if the script closes its output and goes on", () =>
    Effect.gen(function* () {
      const { outcome } = yield* run("#!/bin/sh\nexec >&- 2>&-\nsleep 0.2\nexit 3\n")
      assert.deepStrictEqual(outcome, ScriptRunner.Outcome.Exited({ code: 3, message: "" }))
    }))
})

describe("interrupting a run", () => {
  test("ends the script and its children before it returns", () =>
    Effect.gen(function* () {
      const directory = yield* makeScripts({
        script: "#!/bin/sh\nsleep 600 & echo $! $$ > $0.new; mv $0.new $0.pid\nwait\n"
      })
      const runner = yield* Effect.provide(ScriptRunner.ScriptRunner, ScriptRunner.layer)
      const fiber = yield* Effect.fork(runner.run({ script: `${directory}/script`, event, environment: base, bounds }))
      const pids = Effect.sync(() => existsSync(`${directory}/script.pid`))
      assert.isTrue(yield* poll(pids, 10_000))
      yield* Fiber.interrupt(fiber)
      for (const pid of readFileSync(`${directory}/script.pid`, "utf8").trim().split(" ")) {
        assert.isFalse(isAlive(pid), pid)
      }
    }))
})
