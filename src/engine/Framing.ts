import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

const newline = 0x0a
const quote = 0x22
const backslash = 0x5c
const carriageReturn = 0x0d

/** A record with more bytes counts as endless. A shorter record that is too long to be read is only skipped. */
export const endlessRecord = 1_073_741_824

/**
 * A record does not end. des closes the connection, since it cannot find the next record.
 *
 * @since 1.0.0
 * @category errors
 */
export class EndlessRecord extends Schema.TaggedError<EndlessRecord>()("EndlessRecord", {}) {
  override get message(): string {
    return `a record has no end after ${endlessRecord} bytes`
  }
}

/** Scans the JSON of a line for the ends of its top-level values. */
const makeScanner = () => {
  let depth = 0
  let inString = false
  let escaped = false

  const reset = () => {
    depth = 0
    inString = false
    escaped = false
  }

  /** Gives the positions just after each top-level value that ends in `bytes` from `start` on. */
  const scan = (bytes: Uint8Array, start: number): ReadonlyArray<number> => {
    const ends: Array<number> = []
    for (let at = start; at < bytes.length; at++) {
      const byte = bytes[at] ?? 0
      if (byte === newline) reset()
      else if (escaped) escaped = false
      else if (inString) {
        if (byte === backslash) escaped = true
        else if (byte === quote) inString = false
      } else if (byte === quote) inString = true
      else if (byte === 0x7b || byte === 0x5b) depth++
      else if ((byte === 0x7d || byte === 0x5d) && --depth === 0) ends.push(at + 1)
    }
    return ends
  }

  return { reset, scan }
}

const insertLineEnds = (bytes: Uint8Array, ends: ReadonlyArray<number>): Uint8Array => {
  const missing = ends.filter((end) => bytes[end] !== newline && bytes[end] !== carriageReturn)
  if (missing.length === 0) return bytes
  const separated = Buffer.allocUnsafe(bytes.length + missing.length)
  let to = 0
  let from = 0
  for (const end of missing) {
    while (from < end) separated[to++] = bytes[from++] ?? 0
    separated[to++] = newline
  }
  separated.set(bytes.subarray(from), to)
  return separated
}

/** Adds the missing line ends to the records of one feed, piece by piece. */
const makeSeparator = () => {
  const scanner = makeScanner()

  return (bytes: Uint8Array): Uint8Array => {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const touching = buffer.includes("}{")
    if (bytes.at(-1) === newline && !touching) {
      scanner.reset()
      return bytes
    }
    const lastLine = buffer.lastIndexOf(newline) + 1
    if (!touching && lastLine > 0) scanner.reset()
    return insertLineEnds(bytes, scanner.scan(bytes, touching ? 0 : lastLine))
  }
}

/** Measures how long the unfinished line of a feed is after each piece, in bytes. */
const makeMeter = () => {
  let open = 0

  return (bytes: Uint8Array): number => {
    const end = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).lastIndexOf(newline)
    open = end === -1 ? open + bytes.length : bytes.length - end - 1
    return open
  }
}

/**
 * Puts every record of a feed on a line of its own. Engines do this themselves, but a proxy may drop the line ends, as the one of Docker
 * Desktop did. Whole lines pass without a scan of each byte. No bytes are held back.
 *
 * @since 1.0.0
 * @category combinators
 */
export const separate = <E, R>(
  feed: Stream.Stream<Uint8Array, E, R>,
  longest: number = endlessRecord
): Stream.Stream<Uint8Array, E | EndlessRecord, R> =>
  Stream.suspend(() => {
    const separator = makeSeparator()
    const meter = makeMeter()
    return feed.pipe(
      Stream.map(separator),
      Stream.tap((bytes) => (meter(bytes) > longest ? new EndlessRecord() : Effect.void))
    )
  })
