import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Losses from "../../src/journal/Losses.ts"
import { makeEvent } from "../../src/testing.ts"
import { collectLogs } from "../support/Logs.ts"

const event = { ...makeEvent({ id: "s", attributes: { name: "storm" } }), engine: "e" }
const actor = "e container s"

describe("lost events", () => {
  it.effect("are reported once a minute while too many wait, and once more when it is over", () => {
    const logs = collectLogs()
    let isMuch = true
    return Effect.gen(function* () {
      const losses = yield* Losses.make({ isMuch: () => isMuch, first: "they are lost" })
      assert.isFalse(losses.isLosing(actor))
      for (let at = 0; at < 1000; at++) yield* losses.add(event)
      assert.isTrue(losses.isLosing(actor))
      const first = yield* Effect.fork(losses.next)
      yield* TestClock.adjust("59 seconds")
      assert.isNull(first.unsafePoll())
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(first), {
        engine: "e",
        type: "container",
        id: "s",
        count: 1000,
        from: 0,
        to: 60_000
      })
      const second = yield* Effect.fork(losses.next)
      yield* TestClock.adjust("1 minute")
      assert.isNull(second.unsafePoll(), "nothing was lost in this minute")
      yield* losses.add(event)
      isMuch = false
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(yield* Fiber.join(second), { count: 1, from: 120_000, to: 180_000 })
      assert.isFalse(losses.isLosing(actor))
      assert.deepStrictEqual(logs.lines, [
        "WARN container/start storm: they are lost",
        "WARN container/start storm: too many events of this actor still wait; 1000 were lost",
        "WARN container/start storm: there is room for events of this actor again; 1 was lost"
      ])
    }).pipe(Effect.scoped, Effect.provide(logs.layer))
  })

  it.effect("that were not reported yet are counted in the log when des ends", () => {
    const logs = collectLogs()
    return Effect.gen(function* () {
      const scope = yield* Scope.make()
      const losses = yield* Scope.extend(Losses.make({ isMuch: () => true, first: "they are lost" }), scope)
      yield* losses.add(event)
      yield* losses.add(event)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(logs.lines, [
        "WARN container/start storm: they are lost",
        "WARN container/start storm: des stops; 2 were lost"
      ])
    }).pipe(Effect.provide(logs.layer))
  })
})
