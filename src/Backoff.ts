/** The first delay of a backoff, and the longest, in milliseconds. */
export interface Backoff {
  readonly first: number
  readonly longest: number
}

/** The most doublings. After so many, the delay is longer than any `longest`, but still a finite number. */
const mostDoublings = 32

/** How long to wait after so many failures in a row (1 is the first), in milliseconds. Each delay doubles the one before. */
export const delay = ({ first, longest }: Backoff, failures: number): number =>
  Math.min(first * 2 ** Math.min(failures - 1, mostDoublings), longest)
