/** The longest record that is kept after its event succeeded, in characters. `des retry` needs the record. */
export const keptRecord = 65_536

/**
 * The size of an event's rows without its record and the output of its runs, in bytes: about what SQLite needs for
 * them.
 */
const sizeOfRows = 1024

/** The size of a run without its output, in bytes. */
const sizeOfRunRow = 256

/** The size of an event before its runs, in bytes. */
export const sizeOfEvent = (record: string, inspected?: string | null): number =>
  sizeOfRows + Buffer.byteLength(record) + Buffer.byteLength(inspected ?? "")

/** The size of a run, in bytes. */
export const sizeOfRun = (output: string): number => sizeOfRunRow + Buffer.byteLength(output)
