import { execFileSync, spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { describeEngine } from "../support/DescribeEngine.ts"
import { dockerd, type Engine, podman } from "../support/Engines.ts"
import { poll } from "../support/Poll.ts"
import { own, sweepAbandoned } from "../support/Sweep.ts"
import * as TempFolder from "../support/TempFolder.ts"

interface Event {
  readonly Type: string
  readonly Action: string
  readonly Actor: { readonly Attributes: Readonly<Record<string, string>> }
}

/** The actions of one container so far. podman 4.3 answers `until` in the past with the first record or none, so it lies a little ahead. */
const actions = (engine: Engine, container: string) =>
  engine.get(`/events?since=0&until=${(Date.now() / 1000 + 0.3).toFixed(3)}`).pipe(
    Effect.map((body) =>
      body
        .split("\n")
        .filter((line) => line !== "")
        .map((line): Event => JSON.parse(line))
        .filter((event) => event.Type === "container" && event.Actor.Attributes["name"] === container)
        .map((event) => event.Action)
    )
  )

/** A sleep that no other test has, so that ps can tell it. */
const sleepFor = () => String(100_000 + Math.floor(Math.random() * 900_000))

const assertNothingLeft = (dir: string, ...commands: ReadonlyArray<string>) => {
  const lines = execFileSync("ps", ["-eo", "pid,args"], { encoding: "utf8" }).split("\n")
  const left = lines.filter((line) => line.includes(dir) || commands.some((command) => line.endsWith(` ${command}`)))
  assert.deepStrictEqual(left, [])
  assert.notInclude(Fs.readFileSync("/proc/self/mountinfo", "utf8"), dir)
  assert.isFalse(Fs.existsSync(dir))
}

for (const [name, start] of [
  ["dockerd", dockerd],
  ["podman", podman]
] as const) {
  describeEngine(name, () => {
    it.live("reports the life of a container and leaves nothing behind", () =>
      Effect.gen(function* () {
        const dir = yield* Effect.gen(function* () {
          const engine = yield* start()
          yield* engine.importImage("busybox:test")
          yield* engine.cli("run", "--network", "none", "--name", "short", "busybox:test", "sh", "-c", "echo hi")
          const told = Effect.map(actions(engine, "short"), (seen) => {
            const life = ["create", "start", "die"]
            return life.join() === seen.filter((action) => life.includes(action)).join()
          })
          assert.isTrue(yield* poll(Effect.orDie(told), 10_000), "create, start and die, once and in this order")
          return engine.dir
        }).pipe(Effect.scoped)
        assertNothingLeft(dir)
      })
    )

    it.live("leaves nothing when the test fails and containers ignore TERM", () =>
      Effect.gen(function* () {
        const sleep = sleepFor()
        let dir = ""
        const exit = yield* Effect.gen(function* () {
          const engine = yield* start()
          dir = engine.dir
          yield* engine.importImage("busybox:test")
          const run = ["run", "-d", "--network", "none", "--restart", "always"]
          yield* engine.cli(...run, "-v", "some-data:/data", "--name", "long", "busybox:test", "sleep", sleep)
          const ps = execFileSync("ps", ["-eo", "args"], { encoding: "utf8" }).split("\n")
          assert.include(ps, `sleep ${sleep}`)
          return yield* Effect.fail("the test fails" as const)
        }).pipe(Effect.scoped, Effect.exit)
        assert.deepStrictEqual(exit, Exit.fail("the test fails"))
        assertNothingLeft(dir, `sleep ${sleep}`)
      })
    )

    it.live("leaves nothing when the engine was killed under a running container", () =>
      Effect.gen(function* () {
        const sleep = sleepFor()
        const dir = yield* Effect.gen(function* () {
          const engine = yield* start()
          yield* engine.importImage("busybox:test")
          yield* engine.cli("run", "-d", "--network", "none", "busybox:test", "sleep", sleep)
          yield* engine.kill9
          assert.isTrue(Exit.isFailure(yield* Effect.exit(engine.get("/_ping"))))
          return engine.dir
        }).pipe(Effect.scoped)
        assertNothingLeft(dir, `sleep ${sleep}`)
      })
    )

    it.scopedLive("comes back with its data after kill -9", () =>
      Effect.gen(function* () {
        const engine = yield* start()
        yield* engine.importImage("busybox:test")
        yield* engine.cli("volume", "create", "kept")
        yield* engine.kill9
        yield* engine.restart
        assert.include(yield* engine.cli("volume", "ls", "--quiet"), "kept")
        yield* engine.restart
        assert.include(yield* engine.cli("images"), "busybox")
      })
    )

    it.scopedLive("says why it does not start, and why a command failed", () =>
      Effect.gen(function* () {
        const refused = yield* Effect.flip(start({ args: ["--no-such-flag"] }))
        assert.match(refused.message, /ended with \d+:[\s\S]*no-such-flag/)
        const engine = yield* start()
        const failed = yield* Effect.flip(engine.cli("inspect", "nothing-here"))
        assert.match(failed.message, /inspect nothing-here: [\s\S]*no such object/i)
      })
    )
  })
}

describeEngine("dockerd", () => {
  it.live("takes more arguments and leaves nothing with live-restore", () =>
    Effect.gen(function* () {
      const sleep = sleepFor()
      const dir = yield* Effect.gen(function* () {
        const engine = yield* dockerd({ args: ["--live-restore"] })
        yield* engine.importImage("busybox:test")
        yield* engine.cli("run", "-d", "--network", "none", "--name", "kept", "busybox:test", "sleep", sleep)
        yield* engine.restart
        assert.strictEqual((yield* engine.cli("ps", "--format", "{{.Names}}")).trim(), "kept")
        return engine.dir
      }).pipe(Effect.scoped)
      assertNothingLeft(dir, `sleep ${sleep}`)
    })
  )
})

it.live("the next test run removes what a killed one left behind", () =>
  Effect.gen(function* () {
    const parent = TempFolder.makeSync("harness")
    yield* Effect.addFinalizer(() => Effect.sync(() => Fs.rmSync(parent, { recursive: true })))
    const [dead, alive] = [`${parent}/des-podman-dead`, `${parent}/des-podman-alive`]
    for (const dir of [dead, alive]) {
      Fs.mkdirSync(dir)
      own(dir)
    }
    const gone = spawnSync("true").pid
    Fs.writeFileSync(`${dead}/owner`, Fs.readFileSync(`${dead}/owner`, "utf8").replace(/^\d+/, String(gone)))
    const process = spawn("sleep", [sleepFor()], { env: { PATH: "/usr/bin:/bin", HOME: dead } })
    yield* sweepAbandoned(parent)
    assert.isTrue(
      yield* poll(
        Effect.sync(() => process.signalCode === "SIGKILL"),
        10_000
      )
    )
    assert.deepStrictEqual(Fs.readdirSync(parent), ["des-podman-alive"])
  }).pipe(Effect.scoped)
)
