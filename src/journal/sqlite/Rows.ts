/** How many rows one statement inserts: each has a dozen of SQLite's 32,766 parameters. */
const rowsAtOnce = 500

/** Rows in pieces, each for one statement. */
export const pieces = <A>(all: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / rowsAtOnce) }, (_, at) =>
    all.slice(at * rowsAtOnce, (at + 1) * rowsAtOnce)
  )

/** The client gives a text back only up to its first NUL. */
export const withoutNul = (text: string): string => text.replaceAll("\0", "\ufffd")
