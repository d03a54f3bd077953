import * as Backoff from "../Backoff.ts"
import type { EngineError } from "../engine/Engine.ts"

/** The state of an engine's feed: whether it is open, how often opening it failed, and what was reported about it. */
export interface Outage {
  /** The time when the feed was opened, in milliseconds; undefined while it is not open. */
  readonly openedAt: number | undefined
  /** How many attempts in a row failed, or gave a feed that was open only for a moment. */
  readonly failures: number
  /** True if the last event about the engine was `des/connected`, and not `des/disconnected`. */
  readonly saidConnected: boolean
  /** True if the feed was open before. */
  readonly wasOpen: boolean
  /** The last warning since the feed was open; undefined if there was none. */
  readonly warned: string | undefined
}

/** A line of the log. */
export interface LogLine {
  readonly level: "Debug" | "Info" | "Warning"
  readonly message: string
}

/** The state before the first attempt to connect. */
export const begin: Outage = {
  openedAt: undefined,
  failures: 0,
  saidConnected: false,
  wasOpen: false,
  warned: undefined
}

/** The delays between two attempts to connect. */
const backoff: Backoff.Backoff = { first: 500, longest: 30_000 }

/** A feed that stayed open this long counts as a success, in milliseconds. The delays start again from the first one. */
const lasting = 5000

/** If a feed stayed open this long, in milliseconds, des never waits longer than the feed lasted before it opens it again. */
const useful = 1000

/**
 * Notes that the feed of `name` was opened at `now`, in milliseconds. `what` says which engine that is. `isNewlyConnected` is true if
 * `des/connected` is due. The log line has the level of the warning that it ends, if there was one.
 */
export const opened = (
  outage: Outage,
  name: string,
  what: string,
  now: number
): { readonly outage: Outage; readonly line: LogLine; readonly isNewlyConnected: boolean } => {
  const isWarned = outage.warned !== undefined
  const line: LogLine = outage.wasOpen
    ? { level: isWarned ? "Warning" : "Debug", message: `the feed of ${name} is open again` }
    : { level: isWarned ? "Warning" : "Info", message: `watching ${name} for events (${what})` }
  return {
    outage: { ...outage, openedAt: now, saidConnected: true, wasOpen: true, warned: undefined },
    line,
    isNewlyConnected: !outage.saidConnected
  }
}

/**
 * Notes that the feed was lost, or could not be opened, at `now`, in milliseconds. `delay` is the time until the next attempt, in
 * milliseconds. `isNewlyDisconnected` is true if `des/disconnected` is due. `spread` is a random factor near 1: it keeps many watchers
 * from connecting at the same moment.
 */
export const lost = (
  outage: Outage,
  error: Pick<EngineError, "reason" | "message">,
  now: number,
  spread: number
): {
  readonly outage: Outage
  readonly line: LogLine | undefined
  readonly delay: number
  readonly isNewlyDisconnected: boolean
} => {
  const { failures, saidConnected, openedAt, warned } = outage
  const lasted = openedAt === undefined ? 0 : now - openedAt
  const isSuccess = lasted >= lasting
  const doubled = Backoff.delay(backoff, failures + 1)
  const delay = isSuccess ? 0 : Math.round((lasted < useful ? doubled : Math.min(doubled, lasted)) * spread)
  const closed = { ...outage, openedAt: undefined, failures: isSuccess ? 0 : failures + 1 }

  // A feed that is open again at once lost no event. Nobody needs to know, however often a proxy cuts it.
  if (openedAt !== undefined && delay < lasting && error.reason !== "Unreachable") {
    const isDead = error.reason === "Silent"
    const message = `${error.message}; des opens it again`
    return {
      outage: isDead ? { ...closed, warned: message } : closed,
      line: { level: isDead ? "Warning" : "Debug", message },
      delay,
      isNewlyDisconnected: false
    }
  }
  // One line for each change, not for each attempt.
  const message = `${error.message}; des retries`
  return {
    outage: { ...closed, saidConnected: false, warned: message },
    line: message === warned ? undefined : { level: "Warning", message },
    delay,
    isNewlyDisconnected: saidConnected
  }
}
