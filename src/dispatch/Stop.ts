import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"

/**
 * The stop of a dispatch: whether it has begun, and how long running scripts may still go on.
 *
 * - `begin`: begins the stop, and with it the drain time. No further script begins after it.
 * - `isStopping`: returns true if the stop has begun.
 * - `await`: waits until the stop begins.
 * - `sleep`: waits for so many milliseconds, but not beyond a stop. Returns true if no stop came.
 * - `hasTime`: returns true if some of the drain time is left. Before a stop all of it is left.
 * - `drain`: waits for work, at most for what is left of the drain time or until `hurry` ends. Then it interrupts the
 *   work.
 */
export interface Stop {
  readonly begin: Effect.Effect<void>
  readonly isStopping: Effect.Effect<boolean>
  readonly await: Effect.Effect<void>
  readonly sleep: (milliseconds: number) => Effect.Effect<boolean>
  readonly hasTime: Effect.Effect<boolean>
  readonly drain: (work: Effect.Effect<void>) => Effect.Effect<Option.Option<void>>
}

/** Makes the stop. When `hurry` ends, the stop does not wait any more. */
export const make = (options: {
  readonly drain: Duration.DurationInput
  readonly hurry: Effect.Effect<void>
}): Effect.Effect<Stop> =>
  Effect.map(Deferred.make<void>(), (stopping) => {
    const whole = Duration.toMillis(options.drain)
    let began: number | undefined

    const left = Effect.map(Clock.currentTimeMillis, (now) => whole - (now - (began ?? now)))
    const isStopping = Deferred.isDone(stopping)

    return {
      begin: Effect.flatMap(Clock.currentTimeMillis, (now) => {
        began ??= now
        return Deferred.succeed(stopping, undefined)
      }),
      isStopping,
      await: Deferred.await(stopping),
      sleep: (milliseconds) =>
        Effect.raceFirst(Effect.sleep(milliseconds), Deferred.await(stopping)).pipe(
          Effect.zipRight(Effect.negate(isStopping))
        ),
      hasTime: Effect.map(left, (milliseconds) => milliseconds > 0),
      drain: (work) =>
        Effect.flatMap(left, (milliseconds) =>
          Effect.raceFirst(work, options.hurry).pipe(
            Effect.interruptible,
            Effect.timeoutOption(Math.max(0, milliseconds))
          )
        )
    }
  })
