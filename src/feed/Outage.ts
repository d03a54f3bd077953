import type { EngineError } from "../engine/Engine.ts"

/**
 * How the feed of an engine stands.
 *
 * - `openedAt`: when the feed was opened, in milliseconds; nothing while it is not open.
 * - `failures`: how often it was opened in vain, or for a moment only, in a row.
 * - `isThere`: the engine was told to be there, by `des/connected`, and not to be away since.
 * - `wasOpen`: the feed was open before.
 * - `warned`: what was warned of since it was open last, if anything.
 *
 * @since 1.0.0
 * @category models
 */
export interface Outage {
  readonly openedAt: number | undefined
  readonly failures: number
  readonly isThere: boolean
  readonly wasOpen: boolean
  readonly warned: string | undefined
}

/**
 * A line of the log.
 *
 * @since 1.0.0
 * @category models
 */
export interface Line {
  readonly level: "Debug" | "Info" | "Warning"
  readonly message: string
}

/**
 * No connection was tried yet.
 *
 * @since 1.0.0
 * @category constructors
 */
export const begin: Outage = {
  openedAt: undefined,
  failures: 0,
  isThere: false,
  wasOpen: false,
  warned: undefined
}

/** The first delay, in milliseconds. It doubles with each failure in a row. */
const firstDelay = 500

/** No delay is longer, in milliseconds. */
const longestDelay = 30_000

/** A feed that was open for so many milliseconds counts as a success, after which the delays begin anew. */
const lasting = 5000

/** A feed that was open for so many milliseconds is never waited for longer than it lasted, however often it is cut. */
const worth = 1000

/**
 * The feed of `name` is open. `isConnected`: the engine is there and was not told to be. What was warned of and is well again is
 * said as loudly.
 *
 * @since 1.0.0
 * @category combinators
 */
export const opened = (
  outage: Outage,
  name: string,
  now: number
): { readonly outage: Outage; readonly line: Line; readonly isConnected: boolean } => {
  const isWarned = outage.warned !== undefined
  const line: Line = outage.wasOpen
    ? { level: isWarned ? "Warning" : "Debug", message: `the feed of ${name} is open again` }
    : { level: isWarned ? "Warning" : "Info", message: `watching ${name} for events` }
  return {
    outage: { ...outage, openedAt: now, isThere: true, wasOpen: true, warned: undefined },
    line,
    isConnected: !outage.isThere
  }
}

/**
 * The feed is lost, or could not be opened. `delay` is the time until it is tried again, in milliseconds; `spread`, a number
 * about 1, makes it differ among many watchers, so that they do not come back at the same moment. `isDisconnected`: the
 * engine is away and was not told to be.
 *
 * @since 1.0.0
 * @category combinators
 */
export const lost = (
  outage: Outage,
  error: Pick<EngineError, "reason" | "message">,
  now: number,
  spread: number
): {
  readonly outage: Outage
  readonly line: Line | undefined
  readonly delay: number
  readonly isDisconnected: boolean
} => {
  const { failures, isThere, openedAt, warned } = outage
  const lasted = openedAt === undefined ? 0 : now - openedAt
  const isSuccess = lasted >= lasting
  const doubled = Math.min(firstDelay * 2 ** Math.min(failures, 16), longestDelay)
  const delay = isSuccess ? 0 : Math.round((lasted < worth ? doubled : Math.min(doubled, lasted)) * spread)
  const closed = { ...outage, openedAt: undefined, failures: isSuccess ? 0 : failures + 1 }

  // What is mended at once and lost nothing is nobody's concern, however often a proxy cuts the feed.
  if (openedAt !== undefined && delay < lasting && error.reason !== "Unreachable") {
    const isDead = error.reason === "Silent"
    const message = `${error.message}; it is opened again`
    return {
      outage: isDead ? { ...closed, warned: message } : closed,
      line: { level: isDead ? "Warning" : "Debug", message },
      delay,
      isDisconnected: false
    }
  }
  // One line a change, not one a try.
  const message = `${error.message}; des goes on trying`
  return {
    outage: { ...closed, isThere: false, warned: message },
    line: message === warned ? undefined : { level: "Warning", message },
    delay,
    isDisconnected: isThere
  }
}
