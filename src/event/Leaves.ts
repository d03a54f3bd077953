import { endOfString } from "../JsonString.ts"

/** A value of a record that is neither an object nor an array, and the keys that lead to it. */
export interface Leaf {
  readonly path: ReadonlyArray<string>
  readonly value: string
}

/**
 * The engine's own keys. They are always kept, also beyond the bounds. Each key has a tree of the keys below it. A key with keys below
 * it is an object that is always opened.
 */
export interface OwnKeyTree extends ReadonlyMap<string, OwnKeyTree> {}

/** How much of a record is kept. */
export interface Bounds {
  /** How many leaves, objects and arrays are kept. */
  readonly leaves: number
  /** How many characters of keys and values are kept. */
  readonly characters: number
}

/** The leaves that were kept. `left` counts the values that were left out. */
export interface FoundLeaves {
  readonly leaves: ReadonlyArray<Leaf>
  readonly left: number
}

/** How many levels are opened. No engine nests deeper than three. */
const maximumDepth = 16

/**
 * How many characters of one value are read, as they are written in JSON. A variable holds at most 128 KiB (the kernel's limit), and
 * an escape such as \u0041 needs six characters for one byte.
 */
const longestText = 6 * 131_072

/** The longest name of a variable. A longer name leaves no room for a value (the kernel's MAX_ARG_STRLEN). */
const longestName = 131_072

const quote = 0x22
const comma = 0x2c
const colon = 0x3a
const backslash = 0x5c
const openArray = 0x5b
const closeArray = 0x5d
const openObject = 0x7b
const closeObject = 0x7d

const isOpening = (code: number): boolean => code === openObject || code === openArray
const isClosing = (code: number): boolean => code === closeObject || code === closeArray

/** The end of the first `longestText` characters between two positions, never inside an escape. */
const cut = (record: string, start: number, end: number): number => {
  if (end - start <= longestText) return end
  let at = start
  while (at < start + longestText) {
    at += record.charCodeAt(at) !== backslash ? 1 : record[at + 1] === "u" ? 6 : 2
  }
  return at
}

/** Decodes the text of a string between two positions. */
const decode = (record: string, start: number, end: number): string => {
  const text = record.slice(start, end)
  return text.includes("\\") ? String(JSON.parse(`"${text}"`)) : text
}

/** Writes a number that fits a double as JavaScript does, and every other number with the digits that the engine sent. */
const scalar = (text: string): string => {
  if (text === "null") return ""
  return Number.isSafeInteger(Number(text)) ? String(Number(text)) : text
}

/** An object or array that is being read. `index` is the index of an array's next element. */
interface Open {
  readonly isArray: boolean
  readonly own: OwnKeyTree | undefined
  index: number
}

/** The place of a value's text in the record. The place of a string is between its quotes. */
interface Place {
  readonly path: ReadonlyArray<string>
  readonly isString: boolean
  readonly start: number
  readonly end: number
}

/** The state of reading a record: the position, the kept leaves, and the room that is left. `path` has the keys of the open objects. */
interface Reading {
  readonly record: string
  readonly open: Array<Open>
  readonly path: Array<string>
  readonly leaves: Array<Leaf>
  readonly ownPlaces: Map<OwnKeyTree, Place>
  at: number
  left: number
  leavesLeft: number
  charactersLeft: number
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09

/** Goes to the next character that is not blank, `,` or `:`. */
const nextCode = (reading: Reading): number => {
  for (; ; reading.at++) {
    const code = reading.record.charCodeAt(reading.at)
    if (code !== comma && code !== colon && !isBlank(code)) return code
  }
}

/** Skips text until `depth` more objects and arrays were closed than opened. It counts the values in the skipped text. */
const pass = (reading: Reading, depth: number): void => {
  const { record } = reading
  let values = 1
  let at = reading.at
  let inside = depth
  passing: for (; at < record.length; at++) {
    switch (record.charCodeAt(at)) {
      case comma:
        values++
        break
      case quote:
        at = endOfString(record, at)
        break
      case openArray:
      case openObject:
        inside++
        break
      case closeArray:
      case closeObject:
        if (--inside === 0) break passing
    }
  }
  reading.at = at + 1
  reading.left += values
}

const endOfScalar = (record: string, start: number): number => {
  let at = start
  for (; at < record.length; at++) {
    const code = record.charCodeAt(at)
    if (code === comma || isClosing(code) || isBlank(code)) break
  }
  return at
}

const decodeLeaf = (record: string, { end, isString, path, start }: Place): Leaf => ({
  path,
  value: isString ? decode(record, start, end) : scalar(record.slice(start, end))
})

/** Reads the string or scalar that begins here. It keeps the value if there is room, or if the key is one of the engine's own. */
const readLeaf = (reading: Reading, key: string, own: OwnKeyTree | undefined): void => {
  const { path, record } = reading
  const isString = record.charCodeAt(reading.at) === quote
  const start = isString ? reading.at + 1 : reading.at
  const last = isString ? endOfString(record, reading.at) : endOfScalar(record, start)
  reading.at = isString ? last + 1 : last
  const end = cut(record, start, last)
  if (own !== undefined) {
    // If a key occurs twice, the last value counts, as with JSON.parse. It takes no extra room.
    const before = reading.ownPlaces.get(own)
    reading.ownPlaces.set(own, { path: before?.path ?? [...path, key], isString, start, end })
    return
  }
  const nameLength = path.reduce((sum, part) => sum + part.length + 1, key.length)
  const size = nameLength + end - start
  if (reading.leavesLeft === 0 || size > reading.charactersLeft || nameLength > longestName) {
    reading.left++
    return
  }
  reading.leavesLeft--
  reading.charactersLeft -= size
  reading.leaves.push(decodeLeaf(record, { path: [...path, key], isString, start, end }))
}

/** Reads the key of the next member of an object, or gives the index of the next element of an array. */
const readKey = (reading: Reading, inner: Open): string => {
  if (inner.isArray) return String(inner.index++)
  const start = reading.at + 1
  const end = endOfString(reading.record, reading.at)
  reading.at = end + 1
  return decode(reading.record, start, cut(reading.record, start, end))
}

/** Reads one member or element of the innermost open object or array, or its end. */
const step = (reading: Reading, inner: Open): void => {
  const { open, path } = reading
  const isFull = reading.leavesLeft === 0
  const isAtEnd = isClosing(nextCode(reading))
  if (isAtEnd || (isFull && inner.own === undefined)) {
    if (isAtEnd) reading.at++
    else pass(reading, 1)
    open.pop()
    path.pop()
    return
  }
  const key = readKey(reading, inner)
  const own = inner.own?.get(key)
  const code = nextCode(reading)
  if (!isOpening(code)) readLeaf(reading, key, own)
  else if (open.length === maximumDepth || (isFull && own === undefined)) pass(reading, 0)
  else {
    // This bounds empty objects, too. They have no leaf, and a record can have millions of them.
    if (own === undefined) reading.leavesLeft--
    reading.at++
    open.push({ isArray: code === openArray, own, index: 0 })
    path.push(key)
  }
}

/**
 * Finds the leaves of a record's JSON in one pass over its text. Beyond the bounds it only looks at each character once, however many
 * or deep the values are. `JSON.parse` would build all values first, which takes a second for a million labels. The record must be
 * valid JSON.
 */
export const find = (record: string, always: OwnKeyTree, bounds: Bounds): FoundLeaves => {
  const reading: Reading = {
    record,
    open: [],
    path: [],
    leaves: [],
    ownPlaces: new Map(),
    at: 0,
    left: 0,
    leavesLeft: bounds.leaves,
    charactersLeft: bounds.characters
  }
  const code = nextCode(reading)
  if (isOpening(code)) {
    reading.at++
    reading.open.push({ isArray: code === openArray, own: always, index: 0 })
  }
  for (let inner = reading.open.at(-1); inner !== undefined; inner = reading.open.at(-1)) {
    // A record that is not valid JSON can end inside an open object.
    if (reading.at >= record.length) break
    step(reading, inner)
  }
  const own = Array.from(reading.ownPlaces.values(), (place) => decodeLeaf(record, place))
  return { leaves: [...reading.leaves, ...own], left: reading.left }
}
