/** The columns that identify an actor. */
export interface Actor {
  readonly engine: string
  readonly type: string
  readonly actor: string
}

/** How many rows one statement inserts. A row has about twelve parameters, and SQLite allows 32,766 in a statement. */
const rowsAtOnce = 500

/** Splits rows into pieces, one for each statement. */
export const pieces = <A>(all: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / rowsAtOnce) }, (_, at) =>
    all.slice(at * rowsAtOnce, (at + 1) * rowsAtOnce)
  )

/** Replaces NUL characters, because the database client returns a text only up to its first NUL. */
export const withoutNul = (text: string): string => text.replaceAll("\0", "\ufffd")
