import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

const newline = 0x0a
const quote = 0x22
const backslash = 0x5c
const carriageReturn = 0x0d
const lineEnd = Uint8Array.of(newline)

/** No record of an engine comes near it: a label of 5 MB was the largest that was seen. */
const longestRecord = 67_108_864

/**
 * A record that does not end: the feed is of no engine.
 *
 * @since 1.0.0
 * @category errors
 */
export class EndlessRecord extends Schema.TaggedError<EndlessRecord>()("EndlessRecord", {}) {
  override get message(): string {
    return `a record is longer than ${longestRecord} bytes`
  }
}

/** Follows the JSON of a line, and knows where a value at its top ends. */
const makeScanner = () => {
  let depth = 0
  let inString = false
  let escaped = false

  const reset = () => {
    depth = 0
    inString = false
    escaped = false
  }

  /** Where top-level values end in `bytes` from `start`, each as the position behind it. */
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
  const parts = missing.flatMap((end, at) => [bytes.subarray(missing[at - 1] ?? 0, end), lineEnd])
  return Buffer.concat([...parts, bytes.subarray(missing.at(-1))])
}

/**
 * Gives every record of a feed a line of its own. Engines do so themselves; a proxy before one may drop the line ends (as
 * Docker Desktop's did). What arrives in whole lines is passed on without a look at its bytes.
 *
 * @since 1.0.0
 * @category combinators
 */
export const separate = <E, R>(
  feed: Stream.Stream<Uint8Array, E, R>
): Stream.Stream<Uint8Array, E | EndlessRecord, R> =>
  Stream.suspend(() => {
    const scanner = makeScanner()
    let open = 0
    const bounded = Stream.tap(feed, (bytes) => {
      const end = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).lastIndexOf(newline)
      open = end === -1 ? open + bytes.length : bytes.length - end - 1
      return open > longestRecord ? new EndlessRecord() : Effect.void
    })
    return Stream.map(bounded, (bytes) => {
      const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      const touching = buffer.includes("}{")
      if (bytes.at(-1) === newline && !touching) {
        scanner.reset()
        return bytes
      }
      const lastLine = buffer.lastIndexOf(newline) + 1
      if (!touching && lastLine > 0) scanner.reset()
      return insertLineEnds(bytes, scanner.scan(bytes, touching ? 0 : lastLine))
    })
  })
