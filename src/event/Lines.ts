import { createHash, type Hash } from "node:crypto"

/** The longest record that des reads, in bytes. A real engine accepts a label of 70 MB and sends it with each event. */
export const longestRecord = 67_108_864

/** A line buffer that is larger than this, in bytes, is freed when its line ends. */
const keptBuffer = 1_048_576

const newline = 0x0a
const carriageReturn = 0x0d

/** A line with more bytes is long. Only of a long line the rest may be left out. */
export const longFrom = 65_536

/** The last byte of a long line of which the rest was left out before (engine/Sieve.ts). JSON has no such byte. */
export const cutMark = 0x18

/**
 * A line of a feed without its line end. Of a line that is too long, only its size in bytes and its SHA-256 are kept (as
 * `Fingerprint.ofLine` gives it). Of a line whose rest was left out there is only the beginning.
 */
export type Line =
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "Cut"; readonly beginning: string }
  | { readonly _tag: "TooLong"; readonly bytes: number; readonly fingerprint: string }

const withoutCarriageReturn = (bytes: Buffer, start: number, end: number): number =>
  end > start && bytes[end - 1] === carriageReturn ? end - 1 : end

const isCut = (bytes: Buffer, start: number, end: number): boolean =>
  end - start > longFrom && bytes[end - 1] === cutMark

/** The line between two positions. */
const lineOf = (bytes: Buffer, start: number, end: number): Line =>
  isCut(bytes, start, end)
    ? { _tag: "Cut", beginning: bytes.toString("utf8", start, end - 1) }
    : { _tag: "Text", text: bytes.toString("utf8", start, withoutCarriageReturn(bytes, start, end)) }

/** The beginning of a line whose end has not come yet. It holds up to `longest` bytes. Of a longer line it holds only the hash. */
const makeOpenLine = (longest: number) => {
  let buffer = Buffer.alloc(0)
  let length = 0
  let hash: Hash | undefined

  const reserve = (size: number) => {
    if (size <= buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.min(longest, Math.max(size, buffer.length * 2)))
    buffer.copy(larger, 0, 0, length)
    buffer = larger
  }

  const add = (bytes: Buffer) => {
    if (hash === undefined && length + bytes.length > longest) {
      hash = createHash("sha256").update(buffer.subarray(0, length))
      buffer = Buffer.alloc(0)
    }
    if (hash === undefined) {
      reserve(length + bytes.length)
      bytes.copy(buffer, length)
    } else hash.update(bytes)
    length += bytes.length
  }

  const end = (): Line => {
    const line: Line =
      hash === undefined
        ? lineOf(buffer, 0, length)
        : { _tag: "TooLong", bytes: length, fingerprint: hash.digest("base64url") }
    if (buffer.length > keptBuffer) buffer = Buffer.alloc(0)
    length = 0
    hash = undefined
    return line
  }

  return { isEmpty: () => length === 0, add, end }
}

/** Splits bytes into lines. The pieces may end anywhere in a line. */
export interface Splitter {
  /** Gives the lines that end in these pieces. */
  readonly pushAll: (pieces: Iterable<Uint8Array>) => Generator<Line>
  /** Gives the last line, if it has no line end. */
  readonly end: () => Generator<Line>
}

/**
 * Makes a splitter that begins at the start of a line. It drops a line of more than `longest` bytes while the line comes in.
 */
export const makeSplitter = (longest: number = longestRecord): Splitter => {
  const open = makeOpenLine(longest)

  function* push(given: Uint8Array): Generator<Line> {
    const bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength)
    let start = 0
    for (let at = bytes.indexOf(newline); at !== -1; at = bytes.indexOf(newline, start)) {
      if (open.isEmpty() && at - start <= longest) {
        yield lineOf(bytes, start, at)
      } else {
        open.add(bytes.subarray(start, at))
        yield open.end()
      }
      start = at + 1
    }
    if (start < bytes.length) open.add(bytes.subarray(start))
  }

  function* pushAll(pieces: Iterable<Uint8Array>): Generator<Line> {
    for (const piece of pieces) yield* push(piece)
  }

  function* end(): Generator<Line> {
    if (!open.isEmpty()) yield open.end()
  }

  return { pushAll, end }
}
