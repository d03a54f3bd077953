/**
 * How much the journal keeps of events that have run: for at most `age` milliseconds, at most `count` events, and at
 * most `size` bytes. It stands in its own file, because the command line needs it without loading the database.
 */
export interface Keep {
  readonly age: number
  readonly count: number
  readonly size: number
}

/** The default: 30 days, 100,000 events, 1 GiB. */
export const defaults: Keep = { age: 30 * 86_400_000, count: 100_000, size: 1_073_741_824 }
