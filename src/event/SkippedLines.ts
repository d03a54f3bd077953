import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/**
 * A line of a feed that is not an event. `message` says which line it is and why it is not an event. `fingerprint` is the same when a replay brings
 * the line again.
 */
export interface SkippedLine {
  readonly fingerprint: string
  readonly message: string
}

/** Logs a skipped line, or counts it. */
export type Log = (line: { readonly message: string }) => Effect.Effect<void>

/** How many skipped lines of a feed are logged one by one in each interval. */
export const loggedPerInterval = 10

/** The interval after which the other skipped lines are logged as one count. */
export const interval: Duration.DurationInput = "1 minute"

/**
 * Makes a log of the skipped lines of one feed. In each interval the first lines are warnings. The others are counted, and the count is
 * one warning at the end of the interval or of the scope. `message` is read only for lines that are logged.
 */
export const makeLog = (source: string): Effect.Effect<Log, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    let logged = 0
    let counted = 0

    const endInterval = Effect.suspend(() => {
      const count = counted
      logged = 0
      counted = 0
      if (count === 0) return Effect.void
      return Effect.logWarning(
        `Skipped ${count} more lines of ${source}, which are not events; at most ${loggedPerInterval} a minute are shown`
      )
    })
    yield* Effect.addFinalizer(() => endInterval)

    return (line) => {
      if (logged === loggedPerInterval) return Effect.sync(() => void counted++)
      logged++
      const warning = Effect.suspend(() => Effect.logWarning(line.message))
      return logged === 1
        ? Effect.zipRight(warning, Effect.forkIn(Effect.delay(endInterval, interval), scope))
        : warning
    }
  })
