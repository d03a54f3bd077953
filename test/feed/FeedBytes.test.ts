import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Engine from "../../src/engine/Engine.ts"
import * as EventFeed from "../../src/feed/EventFeed.ts"
import * as KnownRecords from "../../src/feed/KnownRecords.ts"
import * as LiveFeed from "../../src/feed/LiveFeed.ts"
import * as Replay from "../../src/feed/Replay.ts"
import { makeEvent } from "../../src/testing.ts"
import { heapInUse } from "../support/Heap.ts"
import { collectLogs } from "../support/Logs.ts"

const large = 4_000_000

const label = "x".repeat(large)

const unlogged = () => Effect.void

const recordOf = (number: number, attributes: Readonly<Record<string, string>>) =>
  new TextEncoder().encode(`${makeEvent({ id: `${number}`, attributes, timeNano: BigInt(number + 1) }).record}\n`)

/** An engine whose feed is this; whatever else is asked of it is not answered. */
const engineOf = (bytes: Stream.Stream<Uint8Array, Engine.EngineError>): Engine.Engine["Type"] => ({
  name: "e",
  endpoint: { _tag: "Unix", path: "/e" },
  identify: Effect.never,
  running: Effect.never,
  inspect: () => Effect.never,
  inspectText: () => Effect.never,
  feed: () => Effect.succeed(bytes)
})

const ended = Stream.fail(new Engine.EngineError({ reason: "Ended", endpoint: "e", detail: "" }))

/** So many records, each made when it is read. */
const records = (count: number, attributes: Readonly<Record<string, string>>, read: (number: number) => void) =>
  Stream.mapEffect(Stream.range(0, count - 1, 1), (number) =>
    Effect.sync(() => {
      read(number)
      return recordOf(number, attributes)
    })
  )

describe("reading from an engine", () => {
  it.live(
    "is kept as identities in a replay, however large the records are",
    () =>
      Effect.gen(function* () {
        const heaps: Array<number> = []
        const bytes = records(50, { label }, (number) => {
          if (number === 10 || number === 49) heaps.push(heapInUse())
        })
        const replay = yield* Replay.ofRing(engineOf(Stream.concat(bytes, ended)), KnownRecords.make([]), 1n)
        assert.lengthOf(replay.fingerprints, 50)
        assert.deepStrictEqual(replay.lifeEvents[49], {
          fingerprint: replay.fingerprints[49],
          id: "49",
          change: "started",
          at: 50n
        })
        assert.isTrue(replay.isWhole)
        const [early = 0, late = 0] = heaps
        // A single record takes more.
        assert.isBelow(late - early, 3 * large)
      }),
    60_000
  )

  it.effect("gives a part of a replay if the replay is too large, or the answer stalls", () =>
    Effect.gen(function* () {
      const known = KnownRecords.make([])
      const id = "i".repeat(1_000_000)
      const many = Stream.map(Stream.range(0, 99, 1), (number) =>
        new TextEncoder().encode(`${makeEvent({ id: `${id}${number}` }).record}\n`)
      )
      const tooMuch = yield* Replay.ofRing(engineOf(Stream.concat(many, ended)), known, 1n)
      assert.isFalse(tooMuch.isWhole)
      assert.isBelow(tooMuch.lifeEvents.length, 20)
      const stalled = engineOf(
        Stream.concat(
          records(3, {}, () => {}),
          Stream.never
        )
      )
      const stalling = yield* Effect.fork(Replay.ofRing(stalled, known, 1n))
      yield* TestClock.adjust("5 seconds")
      const part = yield* stalling.await
      assert.isTrue(part._tag === "Success" && !part.value.isWhole && part.value.fingerprints.length === 3)
      const slow = engineOf(
        Stream.tap(
          records(1000, {}, () => {}),
          () => Effect.sleep("3 seconds")
        )
      )
      const slowly = yield* Effect.fork(Replay.ofRing(slow, known, 1n))
      yield* TestClock.adjust("20 seconds")
      const beginning = yield* slowly.await
      assert.isTrue(beginning._tag === "Success" && !beginning.value.isWhole)
    })
  )

  it.effect(
    "keeps a bounded part of a replay that is nothing but lines that are no events",
    () =>
      Effect.gen(function* () {
        const lines = (from: number) =>
          new TextEncoder().encode(Array.from({ length: 1000 }, (_, at) => `{"garbage":${from + at}}\n`).join(""))
        const garbage = Stream.map(Stream.range(0, 399, 1), (number) => lines(1000 * number))
        const replay = yield* Replay.ofRing(engineOf(Stream.concat(garbage, ended)), KnownRecords.make([]), 1n)
        // A fingerprint counts as 100 bytes, and 16 MiB are kept.
        assert.strictEqual(replay.fingerprints.length, Math.ceil(16_777_216 / 100))
        assert.isFalse(replay.isWhole)
      }),
    60_000
  )

  it.effect("logs ten lines a minute that are no events, however often the engine comes back", () => {
    const logs = collectLogs()
    let opened = 0
    const engine: Engine.Engine["Type"] = {
      ...engineOf(Stream.empty),
      identify: Effect.succeed({ id: "e", kind: "docker", version: "28", api: "1.45", time: 1n }),
      running: Effect.succeed([]),
      feed: ({ until }) =>
        Effect.sync(() => {
          if (until !== undefined) return ended
          opened++
          const lines = Array.from({ length: 6 }, (_, at) => `{"garbage":"${opened} ${at}"}\n`)
          return Stream.concat(Stream.make(new TextEncoder().encode(lines.join(""))), ended)
        })
    }
    return Effect.gen(function* () {
      const feed = yield* EventFeed.EventFeed
      yield* Effect.fork(Stream.runDrain(feed.events))
      yield* TestClock.adjust("59 seconds")
      assert.isAbove(opened, 3)
      assert.lengthOf(
        logs.lines.filter((line) => line.includes("Skipped line")),
        10
      )
      yield* TestClock.adjust("1 second")
      assert.lengthOf(
        logs.lines.filter((line) => /Skipped \d+ more lines of e/.test(line)),
        1
      )
    }).pipe(
      Effect.provide(EventFeed.layer().pipe(Layer.provide(Layer.succeed(Engine.Engine, engine)))),
      Effect.provide(logs.layer)
    )
  })

  it.effect("loses no event that comes in the moment when nobody waits for it any more", () =>
    Effect.gen(function* () {
      for (const early of [true, false]) {
        const one = Stream.execute(Effect.sleep("5 seconds")).pipe(
          Stream.concat(records(1, {}, () => {})),
          Stream.concat(Stream.never)
        )
        const open = LiveFeed.open(engineOf(one), "docker", 0n, KnownRecords.make([]), unlogged)
        const live = yield* open
        // The timer of the feed begins before the one of the waiting, or after it.
        if (early) yield* TestClock.adjust("1 millis")
        const waiting = yield* Effect.fork(live.takeWithin(early ? "4999 millis" : "5 seconds"))
        yield* TestClock.adjust(early ? "4999 millis" : "5 seconds")
        const taken = Chunk.size(yield* Fiber.join(waiting))
        const later = taken === 1 ? 0 : Chunk.size(yield* live.take)
        assert.strictEqual(taken + later, 1)
        const none = yield* Effect.fork(live.takeWithin("5 seconds"))
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(Chunk.size(yield* Fiber.join(none)), 0)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("stops after a bounded number of bytes, and continues when the events are taken", () =>
    Effect.gen(function* () {
      let read = 0
      const bytes = records(20, { label }, () => {
        read++
      })
      const live = yield* LiveFeed.open(engineOf(bytes), "docker", 0n, KnownRecords.make([]), unlogged)
      yield* TestClock.adjust("1 minute")
      const ahead = Math.ceil(LiveFeed.aheadBytes / large)
      // One waits to be put beside them, and one is being read.
      assert.isAtMost(read, ahead + 2)
      let taken = 0
      while (taken < 20) {
        const more = yield* Effect.timeoutOption(live.take, "1 minute").pipe(Effect.fork)
        yield* TestClock.adjust("1 second")
        taken += Option.match(yield* more, { onNone: () => 0, onSome: Chunk.size })
        assert.isAtMost(read - taken, ahead + 2)
      }
    }).pipe(Effect.scoped)
  )
})
