import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/** The first delay of a backoff, and the one beyond which it does not grow. */
export interface Backoff {
  readonly first: Duration.DurationInput
  readonly longest: Duration.DurationInput
}

/** 2 to this power is longer than any delay that is wanted, and still a number. */
const mostDoublings = 32

/**
 * How long to wait after this many failures in a row (1 is the first): each time twice as long, and each time spread by
 * half, so that what failed together does not come again together.
 */
export const delay = ({ first, longest }: Backoff, failures: number): Effect.Effect<Duration.Duration> => {
  const doubled = Duration.times(first, 2 ** Math.min(failures - 1, mostDoublings))
  return Effect.map(Random.nextRange(0.5, 1.5), (spread) => Duration.times(Duration.min(doubled, longest), spread))
}
