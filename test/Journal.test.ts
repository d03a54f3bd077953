import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Journal from "../src/Journal.ts"
import * as ScriptOptions from "../src/scripts/ScriptOptions.ts"
import { makeEvent } from "../src/testing.ts"
import { collectLogs } from "./support/Logs.ts"

const entry = (id: string): Journal.Accepted => ({
  event: makeEvent({ id }),
  scripts: [{ path: "/s", options: ScriptOptions.none }]
})

const takeId = Effect.flatMap(Journal.Journal, (journal) =>
  Effect.tap(journal.take, Option.match({ onNone: () => Effect.void, onSome: journal.finish }))
).pipe(Effect.map(Option.map((accepted) => accepted.event.Actor.ID)))

/** Room for about this many events as `entry` makes them. */
const roomFor = (events: number) => events * (1024 + 4 * entry("1").event.record.length)

describe("the journal in memory", () => {
  it.effect("gives what it accepted in order, waits for more, and ends when it is closed and empty", () =>
    Effect.gen(function* () {
      const journal = yield* Journal.Journal
      const waiting = yield* Effect.fork(takeId)
      yield* journal.accept([entry("1"), entry("2"), entry("3")])
      assert.deepStrictEqual(yield* Fiber.join(waiting), Option.some("1"))
      yield* journal.close
      assert.deepStrictEqual(yield* takeId, Option.some("2"))
      assert.deepStrictEqual(yield* takeId, Option.some("3"))
      assert.deepStrictEqual(yield* takeId, Option.none())
    }).pipe(Effect.provide(Journal.layerMemory()))
  )

  it.effect("loses what comes when it is full, never makes the reader wait, and says how much was lost", () => {
    const logs = collectLogs()
    return Effect.gen(function* () {
      const journal = yield* Journal.Journal
      yield* journal.accept(["1", "2", "3", "4", "5"].map(entry))
      assert.strictEqual(logs.lines.length, 1)
      assert.match(logs.lines[0] ?? "", /^WARN The queue of accepted events is full/)
      assert.deepStrictEqual(yield* takeId, Option.some("1"))
      assert.deepStrictEqual(yield* takeId, Option.some("2"))
      assert.strictEqual(logs.lines[1], "WARN The queue of accepted events has room again: 3 events were lost")
      yield* journal.accept([entry("6")])
      assert.deepStrictEqual(yield* takeId, Option.some("6"))
      assert.strictEqual(logs.lines.length, 2)
    }).pipe(Effect.provide(Journal.layerMemory({ capacity: roomFor(2) })), Effect.provide(logs.layer))
  })

  it.effect("makes the reader of a recorded feed wait, and loses nothing", () =>
    Effect.gen(function* () {
      const journal = yield* Journal.Journal
      const ids = Array.from({ length: 100 }, (_, at) => String(at))
      const reader = yield* Effect.fork(Effect.zipRight(journal.accept(ids.map(entry)), journal.close))
      yield* Effect.yieldNow()
      assert.isNull(reader.unsafePoll())
      const taken: Array<string> = []
      for (let id = yield* takeId; Option.isSome(id); id = yield* takeId) taken.push(id.value)
      assert.deepStrictEqual(taken, ids)
    }).pipe(Effect.provide(Journal.layerMemory({ capacity: roomFor(3), whenFull: "wait" })))
  )

  it.effect("counts what was taken until it is done with: a busy actor's events are in memory too", () => {
    const logs = collectLogs()
    return Effect.gen(function* () {
      const journal = yield* Journal.Journal
      yield* journal.accept(["1", "2"].map(entry))
      const first = yield* Effect.flatten(journal.take)
      yield* journal.take
      yield* journal.accept([entry("3")])
      assert.match(logs.lines[0] ?? "", /is full/)
      yield* journal.finish(first)
      yield* journal.accept([entry("4")])
      assert.deepStrictEqual(yield* takeId, Option.some("4"))
    }).pipe(Effect.provide(Journal.layerMemory({ capacity: roomFor(2) })), Effect.provide(logs.layer))
  })

  it.effect("accepts one event that is larger than the whole queue", () =>
    Effect.gen(function* () {
      const journal = yield* Journal.Journal
      yield* journal.accept([entry("1")])
      assert.deepStrictEqual(yield* takeId, Option.some("1"))
    }).pipe(Effect.provide(Journal.layerMemory({ capacity: 1 })))
  )
})
