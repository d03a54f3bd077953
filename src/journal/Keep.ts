/**
 * How much is kept of what has run: at most `age` milliseconds long, at most `count` events, and at most `size` bytes of
 * them. The command line needs it without the database, which is loaded only where it is wanted.
 */
export interface Keep {
  readonly age: number
  readonly count: number
  readonly size: number
}

/** What is kept where nothing else is said: 30 days, 100,000 events, 1 GiB. */
export const defaults: Keep = { age: 30 * 86_400_000, count: 100_000, size: 1_073_741_824 }
