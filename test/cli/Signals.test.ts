/** What docs/running.md says about stopping, and about running as the first process of a container. */

import { execFileSync } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import type { AddressInfo } from "node:net"
import * as Net from "node:net"
import { describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assert, it } from "vitest"
import { poll } from "../support/Poll.ts"
import * as Program from "../support/Program.ts"
import { record } from "../support/Record.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"

/** What must not wait for a grace gets one that is far longer than the deadline of the program's end. */
const longGrace = ["--grace", "120s"]

const assertNoneLeft = ({ processes }: Sandbox) =>
  // What was killed may need a moment until the kernel has taken it away.
  Effect.map(
    poll(
      Effect.sync(() => processes().length === 0),
      2000
    ),
    () => assert.deepStrictEqual(processes(), [], "processes that are left")
  )

/** A des that runs this script for the first of its events. */
const running = (
  { dir, exists, script, start }: Sandbox,
  body: string,
  args: ReadonlyArray<string>,
  records: ReadonlyArray<string> = [record()]
) =>
  Effect.gen(function* () {
    script("container/start", body)
    const des = yield* start(["-d", dir, "--from", "-", ...args], { stdin: "open" })
    yield* des.write(records.map((line) => `${line}\n`).join(""))
    yield* des.until("the script", () => exists("runs"))
    return des
  })

/** Parent and state of a process (proc(5)); a zombie has both, but nothing else that would tell whose it is. */
const stateOf = (pid: number): { readonly parent: number; readonly state: string } | undefined => {
  try {
    const stat = Fs.readFileSync(`/proc/${pid}/stat`, "utf8")
    const [state = "", parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return { state, parent: Number(parent) }
  } catch {
    // It has ended.
    return undefined
  }
}

const codes = { SIGTERM: 143, SIGINT: 130 } as const

const assertEnded = (sandbox: Sandbox, des: Program.Program, code: number) =>
  Effect.gen(function* () {
    const ended = yield* des.ended
    assert.deepStrictEqual({ code: ended.code, signal: ended.signal }, { code, signal: null }, ended.stderr)
    yield* assertNoneLeft(sandbox)
    return ended
  })

const assertLeftOver = ({ lines }: Program.Ended, count: number) =>
  assert.match(lines.at(-1) ?? "", new RegExp(` - WARNING - .*\\b${count} accepted events? did not run\\b`))

/** Waits until a process has taken the signals that it was sent: two that are pending would be one. */
const taken = (des: Program.Program) =>
  des.until("that it has taken the signal", () =>
    /^ShdPnd:\s+0+$/m.test(Fs.readFileSync(`/proc/${des.pid}/status`, "utf8"))
  )

/** Writes `told` when it is told to end, and a line to `ticks` in each of its loops. */
const obedient = "trap 'touch told; exit 0' TERM; touch runs; while :; do echo >>ticks; sleep 0.1; done"
const deaf = "trap '' TERM; touch runs; while :; do sleep 0.1; done"
/** Three generations, one of them with a parent that has ended. */
const family =
  "sh -c 'sh -c \"sleep 600 & wait\" & wait' & (sleep 600 & sleep 600 &); sleep 0.1; touch runs; sleep 600 & wait"

describe("a stop while a script runs", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    test(`${signal}: it is let end within the drain, and nothing more begins`, (sandbox) =>
      Effect.gen(function* () {
        const body = "trap 'touch told' TERM; echo run >>runs; until test -e go; do sleep 0.05; done; touch done"
        const records = ["a", "a", "b", "a", "c"].map((id) => record({ id }))
        const des = yield* running(sandbox, body, [], records)
        yield* des.kill(signal)
        yield* taken(des)
        sandbox.write("go", "")
        const ended = yield* assertEnded(sandbox, des, codes[signal])
        assert.isTrue(sandbox.exists("done"), "it came to its end")
        assert.isFalse(sandbox.exists("told"), "it was not disturbed")
        assert.deepStrictEqual(sandbox.lines("runs"), ["run"])
        assertLeftOver(ended, 4)
      }))
  }

  test("an event that has run to its end is not counted as left", (sandbox) =>
    Effect.gen(function* () {
      const des = yield* running(sandbox, "touch runs; until test -e go; do sleep 0.05; done", [])
      yield* des.kill("SIGTERM")
      yield* taken(des)
      sandbox.write("go", "")
      assert.notInclude((yield* assertEnded(sandbox, des, 143)).stderr, "did not run")
    }))

  test("--drain 0: the script gets SIGTERM at once", (sandbox) =>
    Effect.gen(function* () {
      const des = yield* running(sandbox, obedient, ["--drain", "0", ...longGrace])
      yield* des.kill("SIGTERM")
      const ended = yield* assertEnded(sandbox, des, 143)
      assert.isTrue(sandbox.exists("told"))
      assertLeftOver(ended, 1)
    }))

  for (const [first, second] of [
    ["SIGTERM", "SIGINT"],
    ["SIGINT", "SIGINT"]
  ] as const) {
    test(`${first}, then ${second}: at the second one the script gets SIGTERM at once`, (sandbox) =>
      Effect.gen(function* () {
        const des = yield* running(sandbox, obedient, ["--drain", "120s", ...longGrace])
        yield* des.kill(first)
        yield* taken(des)
        const ticks = sandbox.lines("ticks").length
        yield* des.until("that it goes on", () => sandbox.lines("ticks").length > ticks + 5)
        assert.isFalse(sandbox.exists("told"))
        yield* des.kill(second)
        const ended = yield* assertEnded(sandbox, des, codes[first])
        assert.isTrue(sandbox.exists("told"))
        assertLeftOver(ended, 1)
      }))
  }

  test("a script that ignores SIGTERM is killed after --drain and --grace", (sandbox) =>
    Effect.gen(function* () {
      const des = yield* running(sandbox, deaf, ["--drain", "500ms", "--grace", "1s"])
      const since = Date.now()
      yield* des.kill("SIGTERM")
      assertLeftOver(yield* assertEnded(sandbox, des, 143), 1)
      const took = Date.now() - since
      assert.isAtLeast(took, 1400, "it got the drain and the grace")
      assert.isBelow(took, 8000, "well below the default grace of 10 s")
    }))

  test("a script that ignores SIGTERM is killed after --grace from the second signal on", (sandbox) =>
    Effect.gen(function* () {
      const des = yield* running(sandbox, deaf, ["--drain", "120s", "--grace", "1s"])
      for (const signal of ["SIGTERM", "SIGTERM", "SIGINT"] as const) {
        yield* des.kill(signal)
        yield* taken(des)
      }
      yield* assertEnded(sandbox, des, 143)
    }))

  test("a failed run is not repeated", (sandbox) =>
    Effect.gen(function* () {
      const body = "echo run >>runs; until test -e go; do sleep 0.05; done; exit 3"
      const des = yield* running(sandbox, body, ["--retries", "5"])
      yield* des.kill("SIGTERM")
      yield* taken(des)
      sandbox.write("go", "")
      const ended = yield* assertEnded(sandbox, des, 143)
      assert.deepStrictEqual(sandbox.lines("runs"), ["run"])
      assert.notInclude(ended.stderr, "is retried")
      assertLeftOver(ended, 1)
    }))

  test("all jobs get the same drain", (sandbox) =>
    Effect.gen(function* () {
      const body = "trap '' TERM; echo run >>runs; while :; do sleep 0.1; done"
      const records = ["a", "b", "c", "d"].map((id) => record({ id }))
      const des = yield* running(sandbox, body, ["--jobs", "4", "--drain", "500ms", "--grace", "4s"], records)
      yield* des.until("all scripts", () => sandbox.lines("runs").length === 4)
      const since = Date.now()
      yield* des.kill("SIGTERM")
      assertLeftOver(yield* assertEnded(sandbox, des, 143), 4)
      assert.isBelow(Date.now() - since, 12_000, "one grace, not four")
    }))
})

describe("a stop while nothing runs", () => {
  test("while a failed run waits for its retry: des ends at once and says that it did not run to its end", (sandbox) =>
    Effect.gen(function* () {
      const des = yield* running(sandbox, "echo run >>runs; exit 3", ["--retries", "5"])
      const waits = Effect.map(des.stderr, (text) =>
        [...text.matchAll(/is retried in (\S+) s/g)].map(([, s]) => Number(s))
      )
      // The longer the wait that the stop falls into, the surer it is that the stop ended it.
      yield* poll(
        Effect.map(waits, (seconds) => (seconds.at(-1) ?? 0) >= 3),
        20_000
      )
      const wait = (yield* waits).at(-1) ?? 0
      const runs = sandbox.lines("runs").length
      const since = Date.now()
      yield* des.kill("SIGTERM")
      const ended = yield* assertEnded(sandbox, des, 143)
      assert.isBelow(Date.now() - since, wait * 1000, "it did not wait for the retry")
      assert.strictEqual(sandbox.lines("runs").length, runs)
      assertLeftOver(ended, 1)
    }))

  test("while an event waits for a cooldown", (sandbox) =>
    Effect.gen(function* () {
      const des = yield* running(sandbox, "echo run >>runs", ["-v", "--cooldown", "1h"], [record(), record(), record()])
      // The first has run, the second is a part of the third, which is held.
      yield* des.said("Detected actionable", 3)
      yield* des.said("Finished handling", 2)
      yield* des.kill("SIGTERM")
      const ended = yield* assertEnded(sandbox, des, 143)
      assert.deepStrictEqual(sandbox.lines("runs"), ["run"])
      assertLeftOver(ended, 1)
    }))

  test("while des waits for an engine that accepts the connection and never answers", (sandbox) =>
    Effect.gen(function* () {
      let connections = 0
      const server = Net.createServer((socket) => {
        connections++
        socket.on("error", () => undefined)
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => void server.close()))
      yield* Effect.promise(() => once(server.listen(0, "127.0.0.1"), "listening"))
      const { port } = server.address() as AddressInfo
      const des = yield* sandbox.start(["-d", sandbox.dir, "-e", `tcp://127.0.0.1:${port}`])
      yield* des.until("a connection", () => connections > 0)
      yield* des.kill("SIGTERM")
      yield* assertEnded(sandbox, des, 143)
    }))

  test("while des waits for an engine that is not there, and a second signal changes nothing", (sandbox) =>
    Effect.gen(function* () {
      const des = yield* sandbox.start(["-d", sandbox.dir, "-e", `unix://${sandbox.path("none.sock")}`])
      yield* des.said("WARNING")
      yield* des.kill("SIGINT")
      yield* des.kill("SIGINT")
      const { stderr } = yield* assertEnded(sandbox, des, 130)
      assert.notInclude(stderr, "did not run")
    }))
})

test("SIGHUP is survived twice, and does not disturb the script that runs", (sandbox) =>
  Effect.gen(function* () {
    const body = "trap 'touch told' TERM HUP; echo run >>runs; until test -e go; do sleep 0.05; done; echo done >>done"
    const des = yield* running(sandbox, body, [])
    for (const _ of [1, 2]) {
      yield* des.kill("SIGHUP")
      yield* taken(des)
    }
    sandbox.write("go", "")
    yield* des.write(`${record()}\n`)
    yield* des.until("the second script", () => sandbox.lines("done").length === 2)
    assert.isFalse(sandbox.exists("told"))
    yield* des.kill("SIGTERM")
    const { stderr } = yield* assertEnded(sandbox, des, 143)
    assert.notInclude(stderr, "did not run")
  }))

describe("a stop, and a script that", () => {
  test("has children and grandchildren: all are ended, and nothing waits for the grace", (sandbox) =>
    Effect.gen(function* () {
      const des = yield* running(sandbox, family, ["--drain", "0", ...longGrace])
      yield* des.until("the whole family", () => sandbox.processes().length >= 8)
      yield* des.kill("SIGTERM")
      yield* assertEnded(sandbox, des, 143)
    }))

  test("has a grandchild that ignores SIGTERM: it is killed after the grace, though the script ended", (sandbox) =>
    Effect.gen(function* () {
      const body = `(sh -c "${deaf.replace("runs", "deaf")}" &); until test -e deaf; do sleep 0.05; done; touch runs; sleep 600`
      const des = yield* running(sandbox, body, ["--drain", "0", "--grace", "1s"])
      yield* des.kill("SIGTERM")
      yield* assertEnded(sandbox, des, 143)
    }))

  test("is stopped with SIGSTOP: it is killed after the grace", (sandbox) =>
    Effect.gen(function* () {
      const des = yield* running(sandbox, "touch runs; kill -STOP $$", ["--drain", "500ms", "--grace", "1s"])
      yield* des.until("the stopped script", () => sandbox.processes().some((pid) => stateOf(pid)?.state === "T"))
      yield* des.kill("SIGTERM")
      yield* assertEnded(sandbox, des, 143)
    }))

  for (const [what, writer] of Object.entries({
    "one line": "head -c 300000000 /dev/zero",
    "short lines": "yes | head -c 300000000"
  })) {
    test(`writes 300 MB as ${what}: it ends by itself, and des stays below 200 MB`, (sandbox) =>
      Effect.gen(function* () {
        const body = `touch runs; ${writer}; grep VmHWM /proc/$PPID/status >peak.part; mv peak.part peak`
        const des = yield* running(sandbox, body, [])
        yield* des.kill("SIGTERM")
        const { stderr } = yield* assertEnded(sandbox, des, 143)
        assert.match(stderr, /\d+ bytes of its output were not logged/)
        const peak = Number(/\d+/.exec(sandbox.read("peak"))?.[0])
        assert.isAbove(peak, 0)
        assert.isBelow(peak, 200_000, "kB of memory")
      }))
  }

  test("reads its stdin to the end: it gets the whole record, and its end", (sandbox) =>
    Effect.gen(function* () {
      const line = record({ attributes: { name: "web", note: "n".repeat(300_000) } })
      const body = "touch runs; until test -e go; do sleep 0.05; done; cat >got; touch done"
      const des = yield* running(sandbox, body, [], [line])
      yield* des.kill("SIGTERM")
      yield* taken(des)
      sandbox.write("go", "")
      yield* assertEnded(sandbox, des, 143)
      assert.isTrue(sandbox.exists("done"))
      assert.isTrue(sandbox.read("got") === `${line}\n`, "the record")
    }))

  test("never reads its stdin, though the record fills the pipe: it is ended as any other", (sandbox) =>
    Effect.gen(function* () {
      const line = record({ attributes: { name: "web", note: "n".repeat(300_000) } })
      const des = yield* running(sandbox, obedient, ["--drain", "100ms", ...longGrace], [line])
      yield* des.kill("SIGTERM")
      yield* assertEnded(sandbox, des, 143)
      assert.isTrue(sandbox.exists("told"))
    }))

  test("never reads its stdin and ends by itself: nothing waits for it, and nothing is logged of the pipe", (sandbox) =>
    Effect.gen(function* () {
      const line = record({ attributes: { name: "web", note: "n".repeat(300_000) } })
      const des = yield* running(sandbox, "touch runs; until test -e go; do sleep 0.05; done", [], [line])
      yield* des.kill("SIGTERM")
      yield* taken(des)
      sandbox.write("go", "")
      const { stderr } = yield* assertEnded(sandbox, des, 143)
      assert.notMatch(stderr, /EPIPE|ERROR|did not run/)
    }))
})

/** The children of a process, those in this state alone where one is given. */
const childrenOf = (parent: number, state?: string): ReadonlyArray<number> =>
  Fs.readdirSync("/proc")
    .map(Number)
    .filter((pid) => {
      const found = Number.isNaN(pid) ? undefined : stateOf(pid)
      return found?.parent === parent && (state === undefined || found.state === state)
    })

const namespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]

const reasonAgainst = (what: string, [file = "", ...args]: ReadonlyArray<string>): string | undefined => {
  try {
    execFileSync(file, args, { stdio: "pipe" })
    return undefined
  } catch (error) {
    return `${what}: ${error instanceof Error ? error.message.trim().replaceAll("\n", ": ") : error}`
  }
}

/** Skips tests with the reason, or lets them fail when DES_REQUIRE_ENGINES is 1. */
const describeUnless = (reason: string | undefined, name: string, tests: () => void): void => {
  if (reason === undefined) return void describe(name, tests)
  if (process.env["DES_REQUIRE_ENGINES"] === "1") {
    return void describe(name, () => it("can be tested", () => assert.fail(reason)))
  }
  describe.skip(`${name} (${reason})`, tests)
}

/** A des that runs this script in a namespace of processes, and the first process there. */
const first = (sandbox: Sandbox, init: ReadonlyArray<string>, body: string, args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { dir, exists, script, top } = sandbox
    script("container/start", body)
    const command = [...namespace, ...init, ...Program.des("-d", dir, "--from", "-", ...args)]
    const des = yield* Program.start(command, { cwd: top, env: { HOME: top }, stdin: "open" })
    yield* des.write(`${record()}\n`)
    yield* des.until("the script", () => exists("runs"))
    const [pid = 0, ...others] = childrenOf(des.pid)
    assert.deepStrictEqual(others, [])
    // unshare itself ignores signals, and gives on the exit code.
    const kill = (signal: NodeJS.Signals) => Effect.sync(() => void process.kill(pid, signal))
    return { ...des, kill, zombies: () => childrenOf(pid, "Z") }
  })

const noNamespace = reasonAgainst("no namespace of processes", [...namespace, "true"])
const noTini = reasonAgainst("tini is not installed", ["tini", "--version"])

const timedOut = (sandbox: Sandbox, init: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const des = yield* first(sandbox, init, family, ["--timeout", "1s", ...longGrace])
    yield* des.said("Exit=124 TimedOut=1s")
    return des
  })

describeUnless(noNamespace, "des as the first process of a container", () => {
  test("SIGTERM: the script is let end within the drain", (sandbox) =>
    Effect.gen(function* () {
      const body = "test $PPID = 1 && touch runs; trap 'touch told' TERM; sleep 1; touch done"
      const des = yield* first(sandbox, [], body, longGrace)
      yield* des.kill("SIGTERM")
      yield* assertEnded(sandbox, des, 143)
      assert.isTrue(sandbox.exists("done"))
      assert.isFalse(sandbox.exists("told"))
    }))

  test("SIGTERM: after the drain a script with children is ended, and does not cost the whole grace", (sandbox) =>
    Effect.gen(function* () {
      const des = yield* first(sandbox, [], family, ["--drain", "0", ...longGrace])
      yield* des.kill("SIGTERM")
      yield* assertEnded(sandbox, des, 143)
    }))

  test("SIGHUP is survived, and SIGINT ends it", (sandbox) =>
    Effect.gen(function* () {
      const des = yield* first(sandbox, [], "echo run >>runs", [])
      yield* des.kill("SIGHUP")
      yield* des.write(`${record()}\n`)
      yield* des.until("the second script", () => sandbox.lines("runs").length === 2)
      yield* des.kill("SIGINT")
      yield* assertEnded(sandbox, des, 130)
    }))

  test("a script with children that exceeds its timeout does not take the whole grace, and leaves no zombie", (sandbox) =>
    Effect.gen(function* () {
      const des = yield* timedOut(sandbox, [])
      yield* des.until("that des has reaped", () => des.zombies().length === 0)
      yield* des.kill("SIGTERM")
      yield* assertEnded(sandbox, des, 143)
    }))

  describeUnless(noTini, "behind tini", () => {
    test("a script with children that exceeds its timeout leaves no zombie", (sandbox) =>
      Effect.gen(function* () {
        const des = yield* timedOut(sandbox, ["tini", "--"])
        yield* des.until("that tini has reaped", () => des.zombies().length === 0)
        yield* des.kill("SIGTERM")
        yield* assertEnded(sandbox, des, 143)
      }))

    test("SIGTERM: the script is let end within the drain", (sandbox) =>
      Effect.gen(function* () {
        const des = yield* first(sandbox, ["tini", "--"], "touch runs; sleep 1; touch done", longGrace)
        yield* des.kill("SIGTERM")
        yield* assertEnded(sandbox, des, 143)
        assert.isTrue(sandbox.exists("done"))
      }))
  })
})
