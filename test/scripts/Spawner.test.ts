/** What holds for every script that is started, whichever way the host has to start it. */

import { execFileSync, spawn } from "node:child_process"
import * as Fs from "node:fs"
import type * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Descriptors from "../../src/scripts/Descriptors.ts"
import * as NodeSpawner from "../../src/scripts/NodeSpawner.ts"
import * as PosixSpawner from "../../src/scripts/PosixSpawner.ts"
import * as ScriptRunner from "../../src/scripts/ScriptRunner.ts"
import { Spawner } from "../../src/scripts/Spawner.ts"
import { makeEvent } from "../../src/testing.ts"
import { collectLogs } from "../support/Logs.ts"
import { poll } from "../support/Poll.ts"
import { makeScripts } from "../support/Scripts.ts"

const event = makeEvent()
const bounds = ScriptRunner.defaultBounds
const environment = { PATH: process.env["PATH"] ?? "" }

const descriptors = () => Fs.readdirSync("/proc/self/fd").length

/** Scripts in a directory of their own, and how to run them. */
const prepare = (files: Readonly<Record<string, string | null>>) =>
  Effect.gen(function* () {
    const directory = yield* makeScripts(files)
    const runner = yield* ScriptRunner.ScriptRunner
    const run = (name: string, other: Partial<ScriptRunner.ScriptRun> = {}) => {
      const logs = collectLogs()
      return runner.run({ script: `${directory}/${name}`, event, environment, bounds, ...other }).pipe(
        Effect.map((outcome) => ({
          outcome,
          lines: logs.lines.map((line) => line.replace(/^INFO /, ""))
        })),
        Effect.provide(logs.layer)
      )
    }
    /** Starts a script that goes on until the test is over, and waits for its process. */
    const start = (name: string) =>
      Effect.gen(function* () {
        const started = yield* Deferred.make<number>()
        const observer = { started: (pid: number) => Effect.asVoid(Deferred.succeed(started, pid)), line: () => {} }
        yield* Effect.forkScoped(run(name, { observer, bounds: { ...bounds, grace: 0 } }))
        return yield* Deferred.await(started)
      })
    return { directory, run, start }
  })

const messageOf = (outcome: ScriptRunner.Outcome): string =>
  outcome._tag === "NotStarted" ? outcome.message : `it was started: ${JSON.stringify(outcome)}`

const waitUntil = (what: string, check: () => boolean) =>
  Effect.map(poll(Effect.sync(check), 10_000), (holds) => assert.isTrue(holds, what))

/** Sets how many descriptors this process may have, by another one: with too few it could not start one to raise it again. */
const limiter = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => spawn("sh", { stdio: ["pipe", "pipe", "inherit"] })),
    (shell) => Effect.sync(() => shell.kill())
  ),
  (shell) => (count: number) =>
    Effect.async<void>((resume) => {
      shell.stdout.once("data", () => resume(Effect.void))
      shell.stdin.write(`prlimit --pid ${process.pid} --nofile=${count}:; echo done\n`)
    })
)

/** What Node would hand on is hidden by an empty file, where posix_spawn closes it. */
const hidden = Descriptors.inheritable().map(() => "/dev/null")

const tests = (
  name: string,
  spawner: Layer.Layer<Spawner, unknown>,
  { inherited, manyFailures }: { readonly inherited: ReadonlyArray<string>; readonly manyFailures: number }
) => {
  const layer = Layer.provide(ScriptRunner.layerWithSpawner, spawner)
  const test = (
    title: string,
    body: () => Effect.Effect<void, unknown, ScriptRunner.ScriptRunner | FileSystem.FileSystem | Scope.Scope>
  ) => it.scopedLive(title, () => Effect.provide(body(), Layer.merge(layer, NodeFileSystem.layer)), 60_000)

  describe(`a script that ${name} starts`, () => {
    test("can open its stdin, stdout and stderr again", () =>
      Effect.gen(function* () {
        const { run } = yield* prepare({
          script: "#!/bin/sh\ncat /dev/stdin\necho out >/dev/stdout\necho err >/dev/stderr\n"
        })
        const { lines, outcome } = yield* run("script")
        assert.deepStrictEqual(outcome, ScriptRunner.Outcome.Exited({ code: 0, message: "err" }))
        assert.sameMembers(lines, [event.record, "out", "err"])
      }))

    test("has its whole record in a file before it runs", () =>
      Effect.gen(function* () {
        const { run } = yield* prepare({ script: "#!/bin/sh\n[ -f /dev/stdin ] && stat -L -c %s /dev/stdin\nwc -c\n" })
        const long = makeEvent({ attributes: { long: "x".repeat(3_000_000) } })
        const { lines } = yield* run("script", { event: long })
        assert.deepStrictEqual(lines, [String(long.record.length + 1), String(long.record.length + 1)])
      }))

    test("has the descriptors 0, 1 and 2 and no others, whatever des has open", () =>
      Effect.gen(function* () {
        const { directory, run, start } = yield* prepare({
          another: "#!/bin/sh\nexec sleep 600\n",
          script: "#!/bin/sh\nexec sleep 600\n"
        })
        yield* start("another")
        const open = Fs.openSync(directory, "r")
        const pid = yield* start("script")
        yield* waitUntil("it runs", () => Fs.readFileSync(`/proc/${pid}/comm`, "utf8") === "sleep\n")
        const others = () =>
          Fs.readdirSync(`/proc/${pid}/fd`)
            .filter((fd) => !["0", "1", "2"].includes(fd))
            .map((fd) => Fs.readlinkSync(`/proc/${pid}/fd/${fd}`))
        // While it starts, a program has its libraries open for a moment.
        yield* waitUntil(`others than ${inherited} are closed`, () => {
          try {
            return others().length <= inherited.length
          } catch {
            return false
          }
        })
        assert.deepStrictEqual(others(), inherited)
        Fs.closeSync(open)
        assert.isFunction(run)
      }))

    test("leads a session of its own without a terminal", () =>
      Effect.gen(function* () {
        const { start } = yield* prepare({ script: "#!/bin/sh\nexec sleep 600\n" })
        const pid = yield* start("script")
        const [group, session, terminal] = Fs.readFileSync(`/proc/${pid}/stat`, "utf8")
          .replace(/^.*\) /, "")
          .split(" ")
          .slice(2, 5)
        assert.deepStrictEqual([group, session, terminal], [String(pid), String(pid), "0"])
      }))

    test("has every signal at its default, and none blocked", () =>
      Effect.gen(function* () {
        const { run } = yield* prepare({ script: "#!/bin/sh\nexec cat /proc/self/status\n" })
        const { lines } = yield* run("script")
        const masks = lines.flatMap((line) => /^Sig(?:Blk|Ign|Cgt):\s*(\w+)$/.exec(line)?.slice(1) ?? [])
        // Signals 32 and 33 are the C library's own.
        assert.deepStrictEqual(
          masks.map((mask) => BigInt(`0x${mask}`) & ~0x180000000n),
          [0n, 0n, 0n]
        )
      }))

    if (process.getuid?.() === 0) {
      test("as another user has all files of its own, and leaves none of them to a later run", () =>
        Effect.gen(function* () {
          const { directory, run } = yield* prepare({
            script: "#!/bin/sh\nid -u\ncat /dev/stdin\necho out >/dev/stdout\necho err >/dev/stderr\n",
            owner: "#!/bin/sh\nfor file in /dev/stdin /dev/stdout /dev/stderr; do stat -L -c %u $file; done\n"
          })
          Fs.chmodSync(directory, 0o755)
          const user = { name: "x", uid: 54_321, gid: 54_322, home: "/", launcher: "/usr/bin/setpriv" }
          // Nobody is in the groups of a user without an entry, so setpriv could not look them up.
          const launcher = `${directory}/as`
          Fs.writeFileSync(launcher, '#!/bin/sh\nexec setpriv "$1" "$2" --clear-groups -- "$5"\n', { mode: 0o755 })
          const { lines, outcome } = yield* run("script", { user: { ...user, launcher } })
          assert.deepStrictEqual(outcome, ScriptRunner.Outcome.Exited({ code: 0, message: "err" }))
          assert.sameMembers(lines, ["54321", event.record, "out", "err"])
          assert.deepStrictEqual((yield* run("owner", { user: { ...user, launcher } })).lines, [
            "54321",
            "54321",
            "54321"
          ])
          for (let at = 0; at < 5; at++) assert.deepStrictEqual((yield* run("owner")).lines, ["0", "0", "0"])
        }))
    }

    test("gives only its own output, even if many run at the same time", () =>
      Effect.gen(function* () {
        const { run } = yield* prepare({ script: '#!/bin/sh\necho "$MINE"\nsleep 0.05\necho "$MINE" >&2\n' })
        const runs = yield* Effect.forEach(
          Array.from({ length: 60 }, (_, at) => String(at)),
          (mine) =>
            Effect.map(run("script", { environment: { ...environment, MINE: mine } }), ({ lines }) =>
              lines.every((line) => line === mine) ? lines.length : 0
            ),
          { concurrency: 20 }
        )
        assert.deepStrictEqual(
          runs,
          runs.map(() => 2)
        )
      }))

    test("does not find what a child of an earlier run writes", () =>
      Effect.gen(function* () {
        const { directory, run } = yield* prepare({
          first:
            "#!/bin/sh\ntrap '' PIPE\n(while [ ! -e $0.stop ]; do sleep 0.01; done; echo late; echo late >&2; touch $0.wrote) &\n",
          second: "#!/bin/sh\ntouch ${0%second}first.stop\nwhile [ ! -e ${0%second}first.wrote ]; do sleep 0.01; done\n"
        })
        yield* run("first")
        const { lines } = yield* run("second", { bounds: { timeout: "2 seconds", grace: 0 } })
        assert.deepStrictEqual(lines, [])
        assert.isTrue(Fs.existsSync(`${directory}/first.stop`))
      }))

    test("leaves no descriptor open in des, also if a child of it goes on", () =>
      Effect.gen(function* () {
        const { directory, run } = yield* prepare({
          short: "#!/bin/sh\necho short\n",
          long: "#!/bin/sh\nsleep 0.03; echo long >&2\n",
          leaves: "#!/bin/sh\nsleep 600 & echo $! >> $0.pids\n"
        })
        const all = Effect.forEach(["short", "long"], (script) => run(script), { discard: true })
        const leave = Effect.ensuring(
          run("leaves"),
          Effect.sync(() => {
            execFileSync("xargs", ["-a", `${directory}/leaves.pids`, "kill"])
            Fs.rmSync(`${directory}/leaves.pids`)
          })
        )
        yield* Effect.zipRight(all, leave)
        const before = descriptors()
        yield* Effect.repeatN(all, 15)
        yield* leave
        // FIFOs that wait for their next run are as many as there were, or fewer.
        assert.isAtMost(descriptors(), before)
      }))

    test("leaves no descriptor open in des if it cannot be started", () =>
      Effect.gen(function* () {
        const directory = yield* makeScripts({ denied: "", missing: "#!/no/such\n" })
        Fs.chmodSync(`${directory}/denied`, 0o644)
        const { spawn } = yield* Spawner
        const fail = (script: string) =>
          Effect.flip(
            spawn({ path: `${directory}/${script}`, args: [], environment: [], stdin: Buffer.from("record") }, () => {})
          )
        const round = Effect.forEach(["denied", "missing", "absent"], fail)
        const codes = Effect.map(round, (errors) => errors.map(({ code }) => code))
        assert.deepStrictEqual(yield* codes, ["EACCES", "ENOENT", "ENOENT"])
        const before = descriptors()
        yield* Effect.repeatN(round, manyFailures / 3)
        assert.strictEqual(descriptors(), before)
      }).pipe(Effect.provide(spawner)))

    test("leaves no descriptor open in des if the descriptors run out during its start", () =>
      Effect.gen(function* () {
        const { run } = yield* prepare({ script: "#!/bin/sh\necho fine\n" })
        yield* run("script")
        const limit = yield* limiter
        const before = descriptors()
        const soft = Number(execFileSync("sh", ["-c", "ulimit -n"], { encoding: "utf8" }))
        const taken = new Set(Fs.readdirSync("/proc/self/fd").map(Number))
        const free = Array.from({ length: taken.size + 12 }, (_, fd) => fd).filter((fd) => !taken.has(fd))
        let missing = 0
        for (const lowest of free.slice(1, 9)) {
          yield* limit(lowest)
          const { outcome } = yield* Effect.ensuring(run("script"), limit(soft))
          if (outcome._tag === "NotStarted") {
            missing++
            // EINVAL: the limit is below a descriptor that these tests inherited.
            assert.match(outcome.message, /^des has too many files open|EBADF|EINVAL/)
          }
          assert.isAtMost(descriptors(), before)
        }
        assert.isAtLeast(missing, 3)
        const { lines } = yield* run("script")
        assert.deepStrictEqual(lines, ["fine"])
      }))

    test("is retried while a program has it open for writing", () =>
      Effect.gen(function* () {
        const { directory, run } = yield* prepare({ script: "" })
        Fs.copyFileSync("/bin/true", `${directory}/script`)
        const open = Fs.openSync(`${directory}/script`, "r+")
        const running = yield* Effect.fork(run("script"))
        yield* Effect.sleep("200 millis")
        Fs.closeSync(open)
        const { outcome } = yield* Fiber.join(running)
        assert.deepStrictEqual(outcome, ScriptRunner.Outcome.Exited({ code: 0, message: "" }))
      }))

    describe("gets an explanation and what to do if it cannot be started", () => {
      const binary = `\x7fELF\x02\x01\x01${"\0".repeat(57)}`
      const reasons: Readonly<
        Record<string, readonly [files: Record<string, string | null>, says: ReadonlyArray<string>]>
      > = {
        "it is no longer there": [{}, ["the file does not exist any more"]],
        "its interpreter is missing": [
          { script: "#!/no/such/interpreter -x\n" },
          ["its interpreter /no/such/interpreter does not exist", "correct the first line"]
        ],
        "its first line ends as on Windows": [
          { script: "#!/bin/sh\r\necho\r\n" },
          ["its first line ends with CR LF", '"/bin/sh\\r"', "sed -i"]
        ],
        "it may not be executed": [{ script: "plain" }, ["this user may not execute it", "chmod +x"]],
        "it is a directory": [{ script: null }, ["it is not a file"]],
        // Where it is Node that starts it, the C library gives what is no program to the shell.
        ...(name === "posix_spawn" && {
          "it is for another machine": [{ script: binary }, ["another kind of machine"]],
          "it is neither program nor text": [{ script: "\0\x01\x02" }, ["neither a program", "#!/bin/sh"]]
        })
      }
      for (const [reason, [files, says]] of Object.entries(reasons)) {
        test(`: ${reason}`, () =>
          Effect.gen(function* () {
            const { directory, run } = yield* prepare(files)
            if (files["script"] === "plain") Fs.chmodSync(`${directory}/script`, 0o644)
            const { outcome } = yield* run("script")
            for (const text of says) assert.include(messageOf(outcome), text)
            assert.notMatch(messageOf(outcome), /spawn|Command|SystemError/)
          }))
      }

      test(": its environment is too large", () =>
        Effect.gen(function* () {
          const { run } = yield* prepare({ script: "" })
          const { outcome } = yield* run("script", { environment: { HUGE: "x".repeat(3_000_000) } })
          assert.include(messageOf(outcome), "the environment is larger than the kernel accepts")
        }))

      test(": a program has it open for writing for longer than a second", () =>
        Effect.gen(function* () {
          const { directory, run } = yield* prepare({ script: "" })
          Fs.copyFileSync("/bin/true", `${directory}/script`)
          const open = Fs.openSync(`${directory}/script`, "r+")
          const { outcome } = yield* run("script")
          Fs.closeSync(open)
          assert.include(messageOf(outcome), "a program has it open for writing")
          assert.include(messageOf(outcome), "mv that file to this name")
        }))
    })
  })
}

tests("posix_spawn", PosixSpawner.layer, {
  manyFailures: Number(process.env["DES_FAILING_STARTS"] ?? 300),
  inherited: []
})
tests("Node's child_process", NodeSpawner.layer, { manyFailures: 200, inherited: hidden })

describe("Node's child_process", () => {
  it.scopedLive("starts scripts even if the system has no mkfifo", () =>
    Effect.gen(function* () {
      const path = process.env["PATH"]
      process.env["PATH"] = "/nonexistent"
      const { run } = yield* prepare({ script: "#!/bin/sh\necho out\necho err >&2\nexit 3\n" })
      const { lines, outcome } = yield* Effect.ensuring(
        run("script"),
        Effect.sync(() => {
          process.env["PATH"] = path
        })
      )
      assert.deepStrictEqual(outcome, ScriptRunner.Outcome.Exited({ code: 3, message: "err" }))
      assert.sameMembers(lines, ["out", "err"])
    }).pipe(
      Effect.provide(Layer.merge(Layer.provide(ScriptRunner.layerWithSpawner, NodeSpawner.layer), NodeFileSystem.layer))
    )
  )
})

describe("the executor of another program", () => {
  it.scopedLive("runs scripts as well: a run is a command", () =>
    Effect.gen(function* () {
      const { run } = yield* prepare({
        script: "#!/bin/sh\ncat\necho err >&2\nexit 3\n",
        killed: "#!/bin/sh\nkill -9 $$\n"
      })
      const { lines, outcome } = yield* run("script")
      assert.deepStrictEqual(outcome, ScriptRunner.Outcome.Exited({ code: 3, message: "err" }))
      assert.sameMembers(lines, [event.record, "err"])
      assert.deepStrictEqual(
        (yield* run("killed")).outcome,
        ScriptRunner.Outcome.Killed({ signal: "SIGKILL", message: "" })
      )
    }).pipe(Effect.provide(Layer.provideMerge(ScriptRunner.layerWithExecutor, NodeContext.layer)))
  )
})
