import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as Journal from "../../src/journal/Journal.ts"
import * as JournalInMemory from "../../src/journal/JournalInMemory.ts"
import * as ScriptOptions from "../../src/scripts/ScriptOptions.ts"
import { makeEvent } from "../../src/testing.ts"
import { collectLogs } from "../support/Logs.ts"

const entry = (id: string): Journal.Accepted => ({
  event: makeEvent({ id }),
  scripts: [{ path: "/s", options: ScriptOptions.none }]
})

const batch = (...ids: ReadonlyArray<string>): Journal.Batch => {
  const accepted = ids.map(entry)
  return { events: accepted.map(({ event }) => event), accepted }
}

const takeId = Effect.gen(function* () {
  const journal = yield* Journal.Journal
  const taken = yield* journal.take("fair")
  if (Option.isSome(taken)) yield* journal.finish(taken.value.id, "succeeded")
  return Option.map(taken, ({ event }) => event.Actor.ID)
})

/** Room for about this many events as `entry` makes them. */
const roomFor = (events: number) => events * (1024 + 4 * entry("1").event.record.length)

describe("the journal in memory", () => {
  it.effect("refuses events for which it has no room, and never makes the reader wait", () =>
    Effect.gen(function* () {
      const journal = yield* Journal.Journal
      assert.isFalse((yield* journal.accept(batch("1", "2", "3", "4", "5"))).isAll)
      assert.strictEqual(yield* journal.unfinished, 2)
      assert.deepStrictEqual(yield* takeId, Option.some("1"))
      assert.deepStrictEqual(yield* takeId, Option.some("2"))
      assert.isTrue((yield* journal.accept(batch("6"))).isAll)
      assert.deepStrictEqual(yield* takeId, Option.some("6"))
    }).pipe(Effect.provide(JournalInMemory.layer({ capacity: roomFor(2) })))
  )

  it.effect("stores an event of des's own if there is room, and never waits for room", () =>
    Effect.gen(function* () {
      const journal = yield* Journal.Journal
      assert.isTrue(yield* journal.acceptOwn(entry("1")))
      assert.isTrue(yield* journal.acceptOwn(entry("2")))
      assert.isFalse(yield* journal.acceptOwn(entry("3")))
      for (const id of ["1", "2"]) assert.deepStrictEqual(yield* takeId, Option.some(id))
    }).pipe(Effect.provide(JournalInMemory.layer({ capacity: roomFor(2), whenFull: "wait" })))
  )

  it.effect("remembers of an engine the events that it stored, and not those that it refused", () =>
    Effect.gen(function* () {
      const journal = yield* Journal.Journal
      const of = (id: string, action = "start") => ({ ...makeEvent({ id, action }), engine: "e" })
      const scripts = entry("1").scripts
      const events = [of("1"), of("no script"), of("2"), of("1", "die"), of("3")]
      const accepted = [events[0], events[2], events[4]].flatMap((event) =>
        event === undefined ? [] : [{ event, scripts }]
      )
      assert.isFalse((yield* journal.accept({ events, accepted })).isAll)
      const recalled = yield* journal.memory.recall("e")
      assert.deepStrictEqual(
        recalled.fingerprints,
        events.slice(0, 2).map(({ fingerprint }) => fingerprint)
      )
      assert.deepStrictEqual(
        recalled.running.map(({ id }) => id),
        ["1", "no script"]
      )
      assert.strictEqual(recalled.last, events[1]?.timeNano)
    }).pipe(Effect.provide(JournalInMemory.layer({ capacity: roomFor(1) })))
  )

  it.effect("skips events that are older than the age, and logs it", () => {
    const logs = collectLogs()
    return Effect.gen(function* () {
      const journal = yield* Journal.Journal
      yield* TestClock.setTime(100_000)
      const [old, young] = [99_000, 99_001].map((time) =>
        makeEvent({ id: String(time), timeNano: BigInt(time) * 1_000_000n })
      )
      const accepted = [old, young].flatMap((event) => (event === undefined ? [] : [{ event, scripts: [] }]))
      yield* TestClock.setTime(100_001)
      assert.isTrue((yield* journal.accept({ events: [], accepted })).isAll)
      assert.deepStrictEqual(yield* takeId, Option.some("99001"))
      assert.deepStrictEqual(logs.lines, ["WARN 1 event is skipped: older than --max-age (1s)"])
    }).pipe(Effect.provide(JournalInMemory.layer({ maxAge: 1000 })), Effect.provide(logs.layer))
  })

  it.effect("makes the reader of a recorded feed wait, and loses nothing", () =>
    Effect.gen(function* () {
      const journal = yield* Journal.Journal
      const ids = Array.from({ length: 100 }, (_, at) => String(at))
      const reader = yield* Effect.fork(Effect.zipRight(journal.accept(batch(...ids)), journal.close))
      yield* Effect.yieldNow()
      assert.isNull(reader.unsafePoll())
      const taken: Array<string> = []
      for (let id = yield* takeId; Option.isSome(id); id = yield* takeId) taken.push(id.value)
      assert.deepStrictEqual(taken, ids)
    }).pipe(Effect.provide(JournalInMemory.layer({ capacity: roomFor(3), whenFull: "wait" })))
  )

  it.effect("counts an event until it is finished, because a taken event is in memory, too", () =>
    Effect.gen(function* () {
      const journal = yield* Journal.Journal
      yield* journal.accept(batch("1", "2"))
      const first = yield* Effect.flatten(journal.take("fair"))
      yield* journal.take("fair")
      assert.isFalse((yield* journal.accept(batch("3"))).isAll)
      yield* journal.finish(first.id, "succeeded")
      assert.isTrue((yield* journal.accept(batch("4"))).isAll)
      assert.deepStrictEqual(yield* takeId, Option.some("4"))
    }).pipe(Effect.provide(JournalInMemory.layer({ capacity: roomFor(2) })))
  )

  it.effect("accepts one event that is larger than the whole queue", () =>
    Effect.gen(function* () {
      const journal = yield* Journal.Journal
      yield* journal.accept(batch("1"))
      assert.deepStrictEqual(yield* takeId, Option.some("1"))
    }).pipe(Effect.provide(JournalInMemory.layer({ capacity: 1 })))
  )
})

describe("an order of the journal in memory", () => {
  const takeIds = (order: Journal.TakeOrder, count: number) =>
    Effect.gen(function* () {
      const journal = yield* Journal.Journal
      const ids: Array<string> = []
      for (let at = 0; at < count; at++) {
        const entry = yield* Effect.flatten(journal.take(order))
        ids.push(entry.event.Actor.ID)
        yield* journal.finish(entry.id, "succeeded")
      }
      return ids.join("")
    })

  it.effect(
    "loses a storm's events beyond a quarter of the queue, says how many, and loses none of other actors",
    () => {
      const logs = collectLogs()
      return Effect.gen(function* () {
        const journal = yield* Journal.Journal
        const storm = Array.from({ length: 30 }, () => "s")
        assert.isTrue((yield* journal.accept(batch(...storm))).isAll)
        assert.strictEqual(yield* journal.unfinished, 5)
        assert.isTrue((yield* journal.accept(batch("a", "b", "s"))).isAll)
        assert.strictEqual(yield* journal.unfinished, 7)
        assert.strictEqual(yield* takeIds("total", 7), "sssssab")
        assert.isTrue((yield* journal.accept(batch("s"))).isAll)
        assert.strictEqual(yield* journal.unfinished, 1)
        yield* TestClock.adjust("1 minute")
        assert.deepInclude(yield* journal.lost, { type: "container", id: "s", count: 26 })
        assert.deepStrictEqual(logs.lines, [
          "WARN container/start web: events of this actor fill a quarter of the queue, and further ones are lost until its scripts catch up. Make them faster, set a cooldown, or keep the queue on disk (--state)",
          "WARN container/start web: there is room for events of this actor again; 26 were lost"
        ])
      }).pipe(Effect.provide(JournalInMemory.layer({ capacity: roomFor(20) })), Effect.provide(logs.layer))
    }
  )

  it.effect(
    "gives up a storm's large events for a whole minute, and takes its small ones as soon as there is room",
    () =>
      Effect.gen(function* () {
        const journal = yield* Journal.Journal
        const storm = (number: number, label: number): Journal.Batch => {
          const event = {
            ...makeEvent({ id: "s", attributes: { number: `${number}`, label: "x".repeat(label) } }),
            engine: "e"
          }
          return { events: [event], accepted: [{ ...entry("s"), event }] }
        }
        for (let at = 0; at < 10; at++) yield* journal.accept(storm(at, 100_000))
        assert.strictEqual(yield* journal.unfinished, 2)
        assert.strictEqual(yield* takeIds("total", 2), "ss")
        yield* journal.accept(storm(10, 100_000))
        assert.strictEqual(yield* journal.unfinished, 0)
        yield* journal.accept(storm(11, 10))
        assert.strictEqual(yield* journal.unfinished, 1)
        yield* TestClock.adjust("1 minute")
        yield* journal.accept(storm(12, 100_000))
        assert.strictEqual(yield* journal.unfinished, 2)
      }).pipe(Effect.provide(JournalInMemory.layer({ capacity: 4_000_000 })))
  )

  it.effect("gives up the large events of an actor that takes most while des is behind its engine", () => {
    const logs = collectLogs()
    return Effect.gen(function* () {
      const journal = yield* Journal.Journal
      const late = (number: number, delay: number, label = 4_000_000): Journal.Batch => {
        const attributes = { number: `${number}`, label: "x".repeat(label) }
        const event = {
          ...makeEvent({ id: "s", attributes, timeNano: BigInt(3_600_000 - delay) * 1_000_000n }),
          engine: "e"
        }
        return { events: [event], accepted: [{ ...entry("s"), event }] }
      }
      yield* TestClock.adjust("1 hour")
      yield* journal.accept(late(1, 0))
      yield* journal.accept(late(2, 3000))
      assert.strictEqual(yield* journal.unfinished, 2, "des keeps up")
      yield* journal.accept(late(3, 3001))
      yield* journal.accept(late(4, 3001, 10))
      yield* journal.accept(late(5, 0))
      assert.strictEqual(yield* journal.unfinished, 3, "only the small one is accepted")
      assert.strictEqual(yield* takeIds("total", 3), "sss")
      yield* TestClock.adjust("1 minute")
      yield* journal.accept(late(6, -60_000))
      assert.strictEqual(yield* journal.unfinished, 1)
      assert.deepStrictEqual(logs.lines, [
        "WARN container/start s: des falls behind the engine, and records over 64 KiB of this actor are lost for a minute, so that the events of others are not late. Let its scripts run for fewer events",
        "WARN container/start s: there is room for events of this actor again; 2 were lost"
      ])
    }).pipe(Effect.provide(JournalInMemory.layer()), Effect.provide(logs.layer))
  })
})
