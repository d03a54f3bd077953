import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { JournalError } from "../Journal.ts"
import * as Failure from "./Failure.ts"

/** How long des waits before it repeats a statement, in milliseconds. */
const repeatAfter = 200

/** When a statement is repeated. */
export const spaced = Schedule.spaced(repeatAfter)

/**
 * Repeats a statement until the database has done it. It must be one that may be done twice: if the answer is lost, it may have been done.
 * Fails if it can never succeed.
 */
export const patiently =
  (database: string) =>
  <A, R>(statement: Effect.Effect<A, SqlError, R>): Effect.Effect<A, JournalError, R> =>
    Failure.caught(statement).pipe(
      Effect.tapError((error) =>
        Failure.isPassing(error)
          ? Effect.logDebug(`the journal ${database} fails: ${Failure.reasonOf(error)}`)
          : Effect.void
      ),
      Effect.retry({ while: Failure.isPassing, schedule: spaced }),
      Effect.mapError(Failure.explain(database))
    )

/** How long a statement may take that is not repeated, in milliseconds. */
const onceFor = 2000

/** Tries a statement once, for who asks and does not wait: a stop, a status. */
export const once =
  (database: string) =>
  <A, R>(statement: Effect.Effect<A, SqlError, R>): Effect.Effect<A, JournalError, R> =>
    Failure.caught(statement).pipe(
      // A statement that is interrupted waits until it is cancelled, which takes longer if nobody answers.
      Effect.disconnect,
      Effect.timeoutFail({
        duration: onceFor,
        onTimeout: () =>
          new SqlError({ cause: new Error(`the database is silent for ${onceFor / 1000} seconds`), message: "" })
      }),
      Effect.mapError((error) =>
        Failure.isPassing(error) ? Failure.away(database, error) : Failure.explain(database)(error)
      )
    )
