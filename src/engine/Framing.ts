const newline = 0x0a
const quote = 0x22
const backslash = 0x5c
const carriageReturn = 0x0d

/**
 * The position of the quote that ends the string open at `start`; undefined if the string does not end in these bytes. Labels can be
 * most of a feed, so it does not scan byte by byte.
 */
const endOfString = (bytes: Buffer, start: number): number | undefined => {
  for (let at = bytes.indexOf(quote, start); at !== -1; at = bytes.indexOf(quote, at + 1)) {
    if (backslashesBefore(bytes, start, at) % 2 === 0) return at
  }
  return undefined
}

const backslashesBefore = (bytes: Buffer, start: number, end: number): number => {
  let at = end
  while (at > start && bytes[at - 1] === backslash) at--
  return end - at
}

/** Follows the JSON of a line, and knows where a top-level value ends. */
const makeScanner = () => {
  let depth = 0
  let inString = false
  let escaped = false

  const reset = () => {
    depth = 0
    inString = false
    escaped = false
  }

  /** Goes to the end of the string that is open, or of the bytes. Gives the position behind it. */
  const passString = (bytes: Buffer, start: number): number => {
    inString = true
    if (start === bytes.length) return start
    const first = escaped ? start + 1 : start
    const end = endOfString(bytes, first)
    inString = end === undefined
    escaped = inString && backslashesBefore(bytes, first, bytes.length) % 2 === 1
    return end === undefined ? bytes.length : end + 1
  }

  /** Goes through a part of one line, and keeps where top-level values end. */
  const scanLine = (bytes: Buffer, ends: Array<number>, offset: number): void => {
    for (let at = inString ? passString(bytes, 0) : 0; at < bytes.length; at++) {
      const byte = bytes[at]
      if (byte === quote) at = passString(bytes, at + 1) - 1
      else if (byte === 0x7b || byte === 0x5b) depth++
      else if ((byte === 0x7d || byte === 0x5d) && --depth === 0) ends.push(offset + at + 1)
    }
  }

  /** Where top-level values end in `bytes` from `start`, each as the position behind it. */
  const scan = (bytes: Buffer, start: number): ReadonlyArray<number> => {
    const ends: Array<number> = []
    let from = start
    for (let end = bytes.indexOf(newline, from); end !== -1; end = bytes.indexOf(newline, from)) {
      scanLine(bytes.subarray(from, end), ends, from)
      reset()
      from = end + 1
    }
    scanLine(bytes.subarray(from), ends, from)
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

/**
 * Makes a function for the pieces of one feed. It puts every record on a line of its own. Engines do this themselves, but a proxy may drop
 * the line ends, as the one of Docker Desktop did. Whole lines pass without a scan of each byte. No bytes are held back.
 */
export const makeSeparator = () => {
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
    return insertLineEnds(bytes, scanner.scan(buffer, touching ? 0 : lastLine))
  }
}
