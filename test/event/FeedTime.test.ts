import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { describe } from "vitest"
import * as Endpoint from "../../src/endpoint/Endpoint.ts"
import * as Engine from "../../src/engine/Engine.ts"
import { followEngine } from "../support/Following.ts"
import * as HastyClock from "../support/HastyClock.ts"
import { poll } from "../support/Poll.ts"
import { record as makeRecord } from "../support/Record.ts"

const endpoint: Endpoint.Endpoint = { _tag: "Unix", path: "/run/docker.sock" }

const error = (reason: Engine.EngineError["reason"]) =>
  new Engine.EngineError({ reason, endpoint: Endpoint.format(endpoint), detail: "" })

const encode = (text: string) => new TextEncoder().encode(text)

/** An engine in memory, whose ring and live feed a test sets. */
const engineOf = (parts: {
  readonly ring: () => ReadonlyArray<string>
  readonly live: () => Stream.Stream<Uint8Array, Engine.EngineError>
  readonly identify?: Effect.Effect<void, Engine.EngineError>
}) => {
  const ring = () => Stream.fromIterable(parts.ring().map((record) => encode(`${record}\n`)))
  return Layer.succeed(Engine.Engine, {
    name: Endpoint.format(endpoint),
    endpoint,
    identify: Effect.as(parts.identify ?? Effect.void, {
      id: "A",
      kind: "docker" as const,
      version: "",
      api: "1.41",
      time: 1n
    }),
    running: Effect.succeed([]),
    inspect: () => Effect.succeedNone,
    inspectText: () => Effect.succeedNone,
    feed: ({ until }) =>
      Effect.sync(() =>
        until === undefined ? Stream.concat(ring(), parts.live()) : Stream.concat(ring(), Stream.fail(error("Ended")))
      )
  })
}

const names = (events: ReadonlyArray<{ readonly Type: string; readonly record: string }>) =>
  events.filter(({ Type }) => Type !== "des").map(({ record }) => record)

/** Lets other work of this process go first. */
/** The next try is due at once. What is waited for in vain is not over: an answer that pauses, the liveness of a feed. */
const bounds = [5_000, 20_000, 30_000]
const hasty = HastyClock.make((duration) =>
  bounds.includes(Duration.toMillis(duration)) ? Effect.never : HastyClock.nextTurn
)

describe("a session", () => {
  // Each byte is a connection of its own, which costs milliseconds: so there are no more records than the ring keeps here, and one.
  const records = ["a", "b", "c"].map((id) => makeRecord({ Action: "create", id }))
  const session = `${records.join("\n")}\n`

  it.live(
    "gives each event once, although the feed is cut after every single byte",
    () =>
      Effect.gen(function* () {
        const bytes = encode(session)
        const ends = [...bytes.keys()].filter((at) => bytes[at] === 10)
        let cutAt = 0
        const engine = engineOf({
          // Two records join it as well as all of them.
          ring: () => {
            const whole = ends.filter((end) => end < cutAt).length
            return records.slice(Math.max(0, whole - 2), whole)
          },
          live: () => {
            const begin = bytes.lastIndexOf(10, cutAt - 1) + 1
            cutAt++
            const piece = bytes.subarray(begin, Math.min(cutAt, bytes.length))
            return cutAt > bytes.length
              ? Stream.never
              : Stream.concat(Stream.make(piece), Stream.fail(error(cutAt % 2 === 0 ? "Broken" : "Ended")))
          }
        })
        // The same spread each time: no delay between tries may be one of the bounds, which never end here.
        const spread = Random.fixed([0.3])
        const des = yield* followEngine(engine).pipe(Effect.withClock(hasty), Effect.withRandom(spread))
        while (cutAt <= bytes.length) yield* Effect.sleep("50 millis")
        yield* poll(
          Effect.sync(() => names(des.events).length >= records.length),
          5_000
        )
        assert.deepStrictEqual(names(des.events), records)
        assert.deepStrictEqual(
          des.logs.filter((line) => line.includes("Skipped")),
          []
        )
      }).pipe(Effect.scoped),
    120_000
  )
})

describe("a feed", () => {
  const first = makeRecord({ id: "first" })

  it.scoped("that is half-open is opened again within two intervals, and brings the events that it had lost", () =>
    Effect.gen(function* () {
      const ring = [first]
      const des = yield* followEngine(engineOf({ ring: () => ring, live: () => Stream.never }))
      yield* TestClock.adjust("1 second")
      ring.push(makeRecord({ id: "swallowed" }))
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual(names(des.events), [makeRecord({ id: "swallowed" })])
    })
  )

  it.scoped("whose engine hangs is reported within two intervals, also if the engine goes on after nine seconds", () =>
    Effect.gen(function* () {
      const answers = yield* Effect.makeLatch(true)
      const engine = engineOf({ ring: () => [first], live: () => Stream.never, identify: answers.await })
      const des = yield* followEngine(engine, { liveness: "2 seconds" })
      // A moment after it was asked whether it is alive.
      yield* TestClock.adjust("2.1 seconds")
      yield* answers.close
      yield* TestClock.adjust("4 seconds")
      const away =
        "no engine can be reached at unix:///run/docker.sock: its feed brings nothing, and it does not answer in 2s"
      assert.deepStrictEqual(des.told(), ["des/connected", `des/disconnected ${away}`])
      yield* TestClock.adjust("4.9 seconds")
      yield* answers.open
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(des.told(), ["des/connected", `des/disconnected ${away}`, "des/connected"])
      assert.deepStrictEqual(des.logs, [
        "INFO watching unix:///run/docker.sock for events (dockerd)",
        `WARN ${away}; des retries`,
        "WARN the feed of unix:///run/docker.sock is open again"
      ])
    })
  )

  it.scoped("stays open if its engine needs longer than an interval for its replay", () =>
    Effect.gen(function* () {
      const slow = Stream.tap(Stream.repeat(Stream.make(encode(`${first}\n`)), Schedule.forever), () =>
        Effect.sleep("400 millis")
      )
      let proofs = 0
      const given = engineOf({ ring: () => [first], live: () => Stream.never })
      const engine = Layer.map(given, (context) => {
        const engine = Context.get(context, Engine.Engine)
        const feed: typeof engine.feed = (range) =>
          range.until !== undefined && proofs++ > 0 ? Effect.succeed(slow) : engine.feed(range)
        return Context.make(Engine.Engine, { ...engine, feed })
      })
      const des = yield* followEngine(engine, { liveness: "2 seconds" })
      yield* TestClock.adjust("20 seconds")
      assert.isAbove(proofs, 4)
      assert.deepStrictEqual(des.told(), ["des/connected"])
      assert.lengthOf(des.logs, 1)
    })
  )

  it.scoped("whose engine hangs during the check is reported within two intervals", () =>
    Effect.gen(function* () {
      let hangs = false
      const given = engineOf({ ring: () => [first], live: () => Stream.never })
      const engine = Layer.map(given, (context) => {
        const engine = Context.get(context, Engine.Engine)
        const feed: typeof engine.feed = (range) => (hangs ? Effect.succeed(Stream.never) : engine.feed(range))
        return Context.make(Engine.Engine, { ...engine, feed })
      })
      const des = yield* followEngine(engine, { liveness: "2 seconds" })
      yield* TestClock.adjust("1.9 seconds")
      hangs = true
      yield* TestClock.adjust("4 seconds")
      assert.include(des.told()[1] ?? "", "des/disconnected no engine can be reached")
    })
  )

  it.scoped("that is silent because nothing happens stays open", () =>
    Effect.gen(function* () {
      let opened = 0
      const live = () => {
        opened++
        return Stream.never
      }
      const des = yield* followEngine(engineOf({ ring: () => [first], live }))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(opened, 1)
      assert.lengthOf(des.logs, 1)
    })
  )

  it.scoped("that a proxy cuts every two seconds logs one line in all", () =>
    Effect.gen(function* () {
      let opened = 0
      const live = () => {
        opened++
        return Stream.concat(Stream.execute(Effect.sleep("2 seconds")), Stream.fail(error("Ended")))
      }
      const des = yield* followEngine(engineOf({ ring: () => [first], live }))
      yield* TestClock.adjust("10 minutes")
      assert.isAbove(opened, 120)
      assert.deepStrictEqual(des.told(), ["des/connected"])
      assert.deepStrictEqual(des.logs, ["INFO watching unix:///run/docker.sock for events (dockerd)"])
    })
  )
})

describe("an engine that causes an internal error", () => {
  it.scoped("is retried like an engine that is away", () =>
    Effect.gen(function* () {
      let asked = 0
      const engine = engineOf({
        ring: () => [],
        live: () => Stream.never,
        identify: Effect.suspend(() => (asked++ === 0 ? Effect.die(new URIError("URI malformed")) : Effect.void))
      })
      const des = yield* followEngine(engine)
      yield* TestClock.adjust("2 seconds")
      assert.match(des.logs[0] ?? "", /what answers at .* is not an engine: URIError: URI malformed; des retries$/)
      assert.deepStrictEqual(
        des.events.map(({ Action }) => Action),
        ["connected"]
      )
    })
  )
})
