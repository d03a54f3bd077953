import * as Either from "effect/Either"
import * as BoundedJson from "../BoundedJson.ts"

/** The inspect data of a container as the engine gave it, on one line, and when des got it, in milliseconds. */
export interface Seen {
  readonly text: string
  readonly at: number
}

/** The longest reason that scripts get, in characters. An engine or a proxy can write any text. */
const longestReason = 200

/**
 * Inspect data on one line, or why it is none. The text is not written anew, because large numbers would change. Between
 * the tokens of JSON a line end means nothing, and within them it cannot stand.
 */
export const onOneLine = (text: string): Either.Either<string, string> =>
  Either.flatMap(
    Either.mapLeft(BoundedJson.parse(text), ({ why }) => `the answer of the engine is not understood: ${why}`),
    (json) =>
      typeof json === "object" && json !== null && !Array.isArray(json)
        ? Either.right(text.trim().replaceAll(/[\r\n]+/g, " "))
        : Either.left("the answer of the engine is not understood: it is JSON of another kind")
  )

/** The line without inspect data. */
export const absent = (reason: string): string =>
  JSON.stringify({ inspect: null, reason: reason.slice(0, longestReason) })

/**
 * The line that a script with `inspect=yes` gets. `answer` has inspect data, or why there is none. `before` is what des saw
 * of the container last.
 */
export const lineOf = (answer: Either.Either<Seen, string>, before: Seen | undefined): string => {
  if (Either.isRight(answer)) return `{"inspect":${answer.right.text}}`
  const reason = answer.left
  if (before === undefined) return absent(reason)
  const about = { stale: true, taken: new Date(before.at).toISOString(), reason: reason.slice(0, longestReason) }
  return `{"inspect":${before.text},${JSON.stringify(about).slice(1)}`
}

/** How many characters of inspect data are remembered for containers that are gone later. */
const mostRemembered = 16_777_216

/**
 * The newest inspect data of each container. The data that was put in longest ago is forgotten first.
 *
 * - `get`: returns what was put in last for a container.
 * - `put`: remembers inspect data in place of older data of the container.
 */
export const makeMemory = (most: number = mostRemembered) => {
  const seen = new Map<string, Seen>()
  let characters = 0
  const drop = (id: string) => {
    characters -= seen.get(id)?.text.length ?? 0
    seen.delete(id)
  }
  return {
    get: (id: string): Seen | undefined => seen.get(id),
    put: (id: string, now: Seen) => {
      drop(id)
      seen.set(id, now)
      characters += now.text.length
      for (const [oldest] of seen) {
        if (characters <= most) return
        drop(oldest)
      }
    }
  }
}
