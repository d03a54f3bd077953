import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"

/** Repeats a check until it holds; false when it did not within so many milliseconds. It needs no interruption, so it ends in finalizers too. */
export const poll = (check: Effect.Effect<boolean>, within: number): Effect.Effect<boolean> =>
  check.pipe(
    Effect.filterOrFail((holds) => holds),
    Effect.retry(Schedule.spaced("20 millis").pipe(Schedule.upTo(within))),
    Effect.isSuccess
  )
