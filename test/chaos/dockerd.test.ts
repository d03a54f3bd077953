import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import { it } from "vitest"
import { parse } from "../../src/endpoint/Endpoint.ts"
import { describeEngine } from "../support/DescribeEngine.ts"
import { dockerd, type Engine, type EngineError } from "../support/Engines.ts"
import { type Following, follow } from "../support/Following.ts"
import { poll } from "../support/Poll.ts"

const image = "busybox:test"

/** As process 1 of a container it ends by SIGKILL only. */
const forever = ["sleep", "100000"]

/** What happened to a container, in order, without what is not about its life. */
const lifeOf = (des: Following, name: string): ReadonlyArray<string> =>
  des
    .told()
    .filter((event) => /^container\/(start|die|destroy) /.test(event))
    .filter((event) => event.replace("*", "").endsWith(` ${name}`))
    .map((event) => event.replace(/^container\//, "").replace(` ${name}`, ""))

const run = (name: string, engine: Engine, ...args: ReadonlyArray<string>) =>
  engine.cli("run", "-d", "--name", name, "--network", "none", ...args)

const test = (name: string, body: Effect.Effect<unknown, EngineError, Scope.Scope>) =>
  it(name, () => Effect.runPromise(Effect.scoped(body)), 120_000)

const begin = (args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const engine = yield* dockerd({ args })
    yield* engine.importImage(image)
    yield* run("old", engine, image, ...forever)
    const des = yield* follow(Either.getOrThrow(parse(engine.endpoint)))
    yield* des.until("des/connected")
    yield* run("lives", engine, image, ...forever)
    yield* run("dies", engine, "--label", "exitCode=0", image, ...forever)
    yield* run("returns", engine, "--restart", "always", image, ...forever)
    yield* des.until("container/start returns")
    return { engine, des }
  })

/** The process of a container, which ends with it. */
const pidOf = (engine: Engine, name: string) =>
  Effect.map(engine.cli("inspect", "--format", "{{.State.Pid}}", name), Number)

const gaps = (des: Following) => des.told().filter((event) => event.startsWith("des/gap"))

describeEngine("dockerd", () => {
  test(
    "that is frozen for nine seconds: des/disconnected comes within two liveness intervals, and later events come once",
    Effect.gen(function* () {
      const engine = yield* dockerd()
      yield* engine.importImage(image)
      const des = yield* follow(Either.getOrThrow(parse(engine.endpoint)), { liveness: "2 seconds" })
      yield* des.until("des/connected")
      yield* run("before", engine, image, ...forever)
      yield* des.until("container/start before")
      yield* engine.freeze
      const frozenAt = Date.now()
      yield* Effect.sleep("9 seconds")
      yield* engine.thaw
      yield* run("after", engine, image, ...forever)
      yield* des.until("container/start after")
      const connections = des.events.filter(({ Type }) => Type === "des")
      assert.deepStrictEqual(
        connections.map(({ Action }) => Action),
        ["connected", "disconnected", "connected"]
      )
      const noticedAfter = Number((connections[1]?.timeNano ?? 0n) / 1_000_000n) - frozenAt
      assert.isBelow(noticedAfter, 5_000, "two intervals are four seconds; one is for a busy machine")
      assert.deepStrictEqual(lifeOf(des, "after"), ["start"])
      assert.deepStrictEqual(lifeOf(des, "before"), ["start"])
      yield* engine.cli("kill", "before", "after")
    })
  )

  test(
    "that is killed and starts again with live restore: des reports the containers that died, and not those that live",
    Effect.gen(function* () {
      const { des, engine } = yield* begin(["--live-restore"])
      const pids = [yield* pidOf(engine, "dies"), yield* pidOf(engine, "returns")]
      yield* engine.kill9
      for (const pid of pids) process.kill(pid, "SIGKILL")
      yield* engine.restart
      yield* des.until("des/gap restart")
      yield* engine.cli("rm", "--force", "old", "lives", "dies", "returns")
      for (const name of ["old", "lives", "dies", "returns"]) {
        yield* poll(
          Effect.sync(() => lifeOf(des, name).includes("destroy")),
          10_000
        )
      }
      assert.deepStrictEqual(gaps(des), ["des/gap restart"])
      assert.deepStrictEqual(lifeOf(des, "old"), ["die", "destroy"])
      assert.deepStrictEqual(lifeOf(des, "lives"), ["start", "die", "destroy"])
      assert.deepStrictEqual(lifeOf(des, "dies"), ["start", "die*", "destroy"])
      const returns = lifeOf(des, "returns").map((event) => event.replace("*", ""))
      assert.deepStrictEqual(returns, ["start", "die", "start", "die", "destroy"])
      const death = des.events.find(({ synthetic, Actor }) => synthetic && Actor.Attributes["name"] === "dies")
      // The engine's own exit code, whatever a label says.
      assert.strictEqual(death?.Actor.Attributes["exitCode"], "137")
      assert.isTrue((death?.timeNano ?? 0n) > 0n)
    })
  )

  test(
    "that is killed and starts again without live restore ends its containers: des reports each end once",
    Effect.gen(function* () {
      const { des, engine } = yield* begin([])
      const pid = yield* pidOf(engine, "dies")
      yield* engine.kill9
      process.kill(pid, "SIGKILL")
      yield* engine.restart
      yield* des.until("des/gap restart")
      yield* poll(
        Effect.sync(() => lifeOf(des, "returns").length >= 3),
        20_000
      )
      assert.deepStrictEqual(gaps(des), ["des/gap restart"])
      const lives: Readonly<Record<string, Array<string>>> = {
        old: ["die"],
        lives: ["start", "die"],
        dies: ["start", "die"],
        returns: ["start", "die", "start"]
      }
      for (const [name, life] of Object.entries(lives)) {
        const told = lifeOf(des, name).map((event) => event.replace("*", ""))
        assert.deepStrictEqual(told, life, des.told().join("\n"))
      }
    })
  )

  test(
    "that is restarted in order reports the end of its containers itself, and des adds the missed ones",
    Effect.gen(function* () {
      const { des, engine } = yield* begin([])
      yield* engine.restart
      yield* des.until("des/gap restart")
      yield* poll(
        Effect.sync(() => lifeOf(des, "returns").length >= 3),
        20_000
      )
      assert.deepStrictEqual(gaps(des), ["des/gap restart"])
      for (const name of ["old", "lives", "dies", "returns"]) {
        const told = lifeOf(des, name).map((event) => event.replace("*", ""))
        const life = [...(name === "old" ? [] : ["start"]), "die", ...(name === "returns" ? ["start"] : [])]
        assert.deepStrictEqual(told, life, des.told().join("\n"))
      }
    })
  )

  test(
    "of which nothing died comes back without a word about its containers",
    Effect.gen(function* () {
      const { des, engine } = yield* begin(["--live-restore"])
      yield* engine.kill9
      yield* engine.restart
      yield* des.until("des/gap restart")
      yield* run("next", engine, image, ...forever)
      yield* des.until("container/start next")
      assert.deepStrictEqual(gaps(des), ["des/gap restart"])
      assert.isFalse(
        des.events.some(({ synthetic }) => synthetic),
        des.told().join("\n")
      )
    })
  )
})
