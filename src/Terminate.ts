import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"

/** Processes to end. `signal` sends them a signal; `isGone` is true if none of them runs any more. */
export interface Target<E> {
  readonly signal: (name: "SIGTERM" | "SIGKILL") => Effect.Effect<void, E>
  readonly isGone: Effect.Effect<boolean>
}

/** How often `isGone` is checked. It is not more often because each check reads the whole of /proc. */
const lookEvery = "50 millis"

/** Waits until none of them runs any more. */
export const untilGone = ({ isGone }: Pick<Target<never>, "isGone">): Effect.Effect<void> =>
  Effect.asVoid(Effect.repeat(isGone, { schedule: Schedule.spaced(lookEvery), until: (gone) => gone }))

/** Sends SIGTERM, waits for the grace, and sends SIGKILL if a process is left. */
export const terminate = <E>(target: Target<E>, grace: Duration.DurationInput): Effect.Effect<void, E> =>
  Effect.zipRight(target.signal("SIGTERM"), untilGone(target)).pipe(
    // In a finalizer nothing is interruptible by default, and then the timeout would not end the wait.
    Effect.interruptible,
    Effect.timeoutOption(grace),
    Effect.flatMap((ended) => (Option.isSome(ended) ? Effect.void : target.signal("SIGKILL")))
  )
