import * as Either from "effect/Either"
import { endOfString } from "./JsonString.ts"

/**
 * Shorter texts, in characters, are parsed without counting. Parsing needs much memory for each value and much time for
 * each level, but a short text has too few of them to do harm.
 */
const countedFrom = 65_536

/**
 * The most levels of objects and arrays in a counted text. Engines use five; parsing a million levels takes a second.
 */
export const mostLevels = 10_000

/** The most values and keys in a counted text. Parsing a million takes about 120 MB and a second. */
export const mostValues = 2_500_000

/** Why a text was not parsed. If it has too much of something, `excess` says of what. */
export interface Unread {
  readonly why: string
  readonly excess?: "levels" | "values"
}

const quote = 0x22

/** Finds out what a text has too much of, without parsing it. Text that is not JSON is counted as if it were. */
const excessOf = (text: string, most: number): Unread | undefined => {
  let levels = 0
  let values = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) at = endOfString(text, at)
    else if (code === 0x7b || code === 0x5b) {
      values++
      if (++levels > mostLevels) return { excess: "levels", why: `it is nested deeper than ${mostLevels} levels` }
    } else if (code === 0x7d || code === 0x5d) levels--
    else if ((code === 0x2c || code === 0x3a) && ++values > most) {
      return { excess: "values", why: `it holds more than ${most} values and keys` }
    }
  }
  return undefined
}

/**
 * Parses JSON that a stranger wrote. `Left` says why the text cannot be read. For a text of bounded length, time and
 * memory are bounded, too, whatever the text holds. `most` is how many values and keys it may hold.
 */
export const parse = (text: string, most: number = mostValues): Either.Either<unknown, Unread> => {
  const excess = text.length < countedFrom ? undefined : excessOf(text, most)
  if (excess !== undefined) return Either.left(excess)
  return Either.try({
    try: () => JSON.parse(text) as unknown,
    catch: (cause): Unread =>
      cause instanceof RangeError
        ? { excess: "levels", why: "it is nested too deeply" }
        : { why: `it is not JSON (${cause instanceof Error ? cause.message : String(cause)})` }
  })
}
