import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"

/** The first delay of a backoff, and the longest. */
export interface Backoff {
  readonly first: Duration.DurationInput
  readonly longest: Duration.DurationInput
}

/** The delay is not doubled more often. Doubled so often it is longer than any `longest`, and still a finite number. */
const mostDoublings = 32

/**
 * How long to wait after so many failures in a row (1 is the first). Each delay is twice as long as the one before, and
 * randomly up to half shorter or longer. So callers that failed together do not retry together.
 */
export const delay = ({ first, longest }: Backoff, failures: number): Effect.Effect<Duration.Duration> => {
  const doubled = Duration.times(first, 2 ** Math.min(failures - 1, mostDoublings))
  return Effect.map(Random.nextRange(0.5, 1.5), (spread) => Duration.times(Duration.min(doubled, longest), spread))
}
