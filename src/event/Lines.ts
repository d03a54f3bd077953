import { createHash, type Hash } from "node:crypto"

/** The longest record that des reads, in bytes. A real engine accepts a label of 70 MB and sends it with each event. */
export const longestRecord = 67_108_864

/** A line buffer that is larger than this, in bytes, is freed when its line ends. */
const keptBuffer = 1_048_576

const newline = 0x0a
const carriageReturn = 0x0d

/** A line that is longer, in bytes, is looked at while it comes in: it may be one that nobody wants. */
export const lookedAtFrom = 65_536

/**
 * A line of a feed without its line end. Of a line that is too long, only its size in bytes and its SHA-256 are kept (as
 * `Fingerprint.ofLine` gives it). Of a long line that is not wanted only its head is kept.
 */
export type Line<Head = never> =
  | { readonly _tag: "Unwanted"; readonly head: Head }
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "TooLong"; readonly bytes: number; readonly fingerprint: string }

const withoutCarriageReturn = (bytes: Buffer, start: number, end: number): number =>
  end > start && bytes[end - 1] === carriageReturn ? end - 1 : end

/**
 * The beginning of a line whose end has not come yet. It holds up to `longest` bytes. Of a longer line it holds only the hash, and of one
 * that is not wanted only the head.
 */
const makeOpenLine = <Head>(longest: number, unwanted: (beginning: Buffer) => Head | undefined) => {
  let buffer = Buffer.alloc(0)
  let head: Head | undefined
  let lookAt = lookedAtFrom
  let length = 0
  let hash: Hash | undefined

  const reserve = (size: number) => {
    if (size <= buffer.length) return
    const larger = Buffer.allocUnsafeSlow(Math.min(longest, Math.max(size, buffer.length * 2)))
    buffer.copy(larger, 0, 0, length)
    buffer = larger
  }

  // The head can be long. To look again after each doubling costs no more than to read the line once.
  const look = () => {
    if (length <= lookAt || hash !== undefined) return
    lookAt *= 2
    head = unwanted(buffer.subarray(0, length))
  }

  const add = (bytes: Buffer) => {
    if (head !== undefined) return
    if (hash === undefined && length + bytes.length > longest) {
      hash = createHash("sha256").update(buffer.subarray(0, length))
      buffer = Buffer.alloc(0)
    }
    if (hash === undefined) {
      reserve(length + bytes.length)
      bytes.copy(buffer, length)
    } else hash.update(bytes)
    length += bytes.length
    look()
  }

  const end = (): Line<Head> => {
    const line: Line<Head> =
      head !== undefined
        ? { _tag: "Unwanted", head }
        : hash === undefined
          ? { _tag: "Text", text: buffer.toString("utf8", 0, withoutCarriageReturn(buffer, 0, length)) }
          : { _tag: "TooLong", bytes: length, fingerprint: hash.digest("base64url") }
    if (buffer.length > keptBuffer) buffer = Buffer.alloc(0)
    length = 0
    lookAt = lookedAtFrom
    hash = undefined
    head = undefined
    return line
  }

  return { isEmpty: () => length === 0, add, end }
}

/** Splits bytes into lines. The pieces may end anywhere in a line. */
export interface Splitter<Head = never> {
  /** Gives the lines that end in these pieces. */
  readonly pushAll: (pieces: Iterable<Uint8Array>) => Generator<Line<Head>>
  /** Gives the last line, if it has no line end. */
  readonly end: () => Generator<Line<Head>>
}

/**
 * Makes a splitter that begins at the start of a line. It drops a line of more than `longest` bytes while the line comes in, and one of
 * which `unwanted` gives a head. `unwanted` gets the beginning of a line that is long and came in several pieces.
 */
export const makeSplitter = <Head = never>(
  longest: number = longestRecord,
  unwanted: (beginning: Buffer) => Head | undefined = () => undefined
): Splitter<Head> => {
  const open = makeOpenLine(longest, unwanted)

  function* push(given: Uint8Array): Generator<Line<Head>> {
    const bytes = Buffer.from(given.buffer, given.byteOffset, given.byteLength)
    let start = 0
    for (let at = bytes.indexOf(newline); at !== -1; at = bytes.indexOf(newline, start)) {
      if (open.isEmpty() && at - start <= longest) {
        yield { _tag: "Text", text: bytes.toString("utf8", start, withoutCarriageReturn(bytes, start, at)) }
      } else {
        open.add(bytes.subarray(start, at))
        yield open.end()
      }
      start = at + 1
    }
    if (start < bytes.length) open.add(bytes.subarray(start))
  }

  function* pushAll(pieces: Iterable<Uint8Array>): Generator<Line<Head>> {
    for (const piece of pieces) yield* push(piece)
  }

  function* end(): Generator<Line<Head>> {
    if (!open.isEmpty()) yield open.end()
  }

  return { pushAll, end }
}
