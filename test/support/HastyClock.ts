import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** Ends at the next turn of the event loop, which lets the test runner's own messages pass. */
export const nextTurn = Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void)))

/** A clock at which no time passes. `sleep` says what a sleep does (default: it ends at the next turn). */
export const make = (sleep: (duration: Duration.Duration) => Effect.Effect<void> = () => nextTurn): Clock.Clock => ({
  [Clock.ClockTypeId]: Clock.ClockTypeId,
  currentTimeMillis: Effect.succeed(0),
  currentTimeNanos: Effect.succeed(0n),
  unsafeCurrentTimeMillis: () => 0,
  unsafeCurrentTimeNanos: () => 0n,
  sleep
})
