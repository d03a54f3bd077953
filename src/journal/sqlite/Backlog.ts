import type * as SqlClient from "@effect/sql/SqlClient"
import type { Fragment } from "@effect/sql/Statement"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { sayTooOld } from "../Admission.ts"
import * as SqliteOnly from "./SqliteOnly.ts"

const events = (n: number) => `${n} ${n === 1 ? "event" : "events"}`

/**
 * Skips the waiting events that happened more than `maxAge` milliseconds ago, except those that `des retry` has queued.
 */
const skipTooOld = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, maxAge: number) {
  if (maxAge === Number.POSITIVE_INFINITY) return
  const oldest = BigInt(Math.floor((yield* Clock.currentTimeMillis) - maxAge)) * 1_000_000n
  const skipped = yield* sql`UPDATE event SET state = 'skipped'
    WHERE state = 'waiting' AND CAST(time_nano AS BIGINT) BETWEEN 1 AND ${oldest} AND attempts = 0 RETURNING id`
  if (skipped.length > 0) yield* sayTooOld(skipped.length, maxAge)
})

const sayUnwatched = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, isWatched: Fragment) {
  const waiting = yield* sql<{ engine: string; n: number }>`SELECT engine, count(*) AS n FROM event
    WHERE state = 'waiting' AND NOT (${isWatched}) GROUP BY engine`
  for (const { engine, n } of waiting) {
    yield* Effect.logWarning(
      `${events(n)} of ${engine} ${n === 1 ? "stays" : "stay"} in the journal and ${n === 1 ? "waits" : "wait"}, since that engine is not watched now`
    )
  }
})

/** Counts the events that wait for the watched engines. */
export const count = (sql: SqlClient.SqlClient, isWatched: Fragment) =>
  Effect.map(
    sql<{ n: number }>`SELECT count(*) AS n FROM event WHERE state = 'waiting' AND ${isWatched}`,
    ([row]) => row?.n ?? 0
  )

/** What waits for the watched engines, and the size of the database. */
export const status = (sql: SqlClient.SqlClient, isWatched: Fragment) =>
  Effect.map(
    sql<{ events: number; bytes: number; oldest: number | null; size: number }>`SELECT count(*) AS events,
      coalesce(sum(size), 0) AS bytes, min(accepted_at) AS oldest, ${SqliteOnly.databaseSize(sql)} AS size
      FROM event WHERE state = 'waiting' AND ${isWatched}`,
    ([row]) => ({
      events: row?.events ?? 0,
      bytes: row?.bytes ?? 0,
      oldest: row?.oldest ?? undefined,
      size: row?.size ?? 0
    })
  )

/** At the start of des: skips events from before the restart that are too old, and logs how many wait. */
export const begin = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, isWatched: Fragment, maxAge: number) {
  yield* skipTooOld(sql, maxAge)
  yield* sayUnwatched(sql, isWatched)
  const waiting = yield* count(sql, isWatched)
  if (waiting === 0) return
  yield* Effect.logInfo(`${events(waiting)} from before the restart ${waiting === 1 ? "runs" : "run"} first`)
})
