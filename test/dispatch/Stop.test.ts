import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as Stop from "../../src/dispatch/Stop.ts"

const make = (hurry: Effect.Effect<void> = Effect.never) => Stop.make({ drain: "10 seconds", hurry })

describe("a stop", () => {
  it.effect("cuts a sleep short, which returns false, and does not touch a sleep that ended before", () =>
    Effect.gen(function* () {
      const stop = yield* make()
      const short = yield* Effect.fork(stop.sleep(1000))
      const long = yield* Effect.fork(stop.sleep(5000))
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* Fiber.join(short))
      yield* stop.begin
      assert.isFalse(yield* Fiber.join(long))
      assert.isTrue(yield* stop.isStopping)
    })
  )

  it.effect("gives running work the whole drain time, and the last work what is left of it", () =>
    Effect.gen(function* () {
      const stop = yield* make()
      yield* TestClock.adjust("1 hour")
      assert.isTrue(yield* stop.hasTime)
      yield* stop.begin
      const first = yield* Effect.fork(stop.drain(Effect.sleep("7 seconds")))
      yield* TestClock.adjust("7 seconds")
      assert.deepStrictEqual(yield* Fiber.join(first), Option.some(undefined))
      // A second word changes nothing.
      yield* stop.begin
      const last = yield* Effect.fork(stop.drain(Effect.never))
      yield* TestClock.adjust("2999 millis")
      assert.isNull(last.unsafePoll())
      assert.isTrue(yield* stop.hasTime)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* Fiber.join(last), Option.none())
      assert.isFalse(yield* stop.hasTime)
    })
  )

  it.effect("interrupts the work and waits no more when hurry ends", () =>
    Effect.gen(function* () {
      const hurry = yield* Deferred.make<void>()
      const stop = yield* make(Deferred.await(hurry))
      const interrupted: Array<string> = []
      const work = Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted.push("work")))
      yield* stop.begin
      const draining = yield* Effect.fork(stop.drain(work))
      yield* Effect.yieldNow()
      yield* Deferred.succeed(hurry, undefined)
      yield* Fiber.join(draining)
      assert.deepStrictEqual(interrupted, ["work"])
    })
  )
})
