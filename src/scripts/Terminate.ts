import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"

/** Processes that are to end: how they are signalled, and how it is seen that none of them runs any more. */
export interface Target<E> {
  readonly signal: (name: "SIGTERM" | "SIGKILL") => Effect.Effect<void, E>
  readonly isGone: Effect.Effect<boolean>
}

/** How often it is looked whether they are gone: a look reads the whole of /proc. */
const lookEvery = "50 millis"

/** Waits until none of them runs any more. */
export const untilGone = ({ isGone }: Pick<Target<never>, "isGone">): Effect.Effect<void> =>
  Effect.asVoid(Effect.repeat(isGone, { schedule: Schedule.spaced(lookEvery), until: (gone) => gone }))

/** Asks processes to end, waits for the grace, and kills what is left. */
export const terminate = <E>(target: Target<E>, grace: Duration.DurationInput): Effect.Effect<void, E> =>
  Effect.zipRight(target.signal("SIGTERM"), untilGone(target)).pipe(
    // A finalizer cannot be interrupted, and without that the timeout would wait as well.
    Effect.interruptible,
    Effect.timeoutOption(grace),
    Effect.flatMap((ended) => (Option.isSome(ended) ? Effect.void : target.signal("SIGKILL")))
  )
