import type * as SqlClient from "@effect/sql/SqlClient"
import type { Fragment } from "@effect/sql/Statement"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { sayTooOld } from "../Admission.ts"
import type { JournalStatus } from "../Journal.ts"
import * as Dialect from "../sql/Dialect.ts"
import type * as Underway from "../Underway.ts"
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

interface StatusRow {
  readonly events: number
  readonly bytes: number
  readonly oldest: number | null
  readonly running: number
  readonly running_bytes: number
  readonly waiting_oldest: number | null
  readonly size: number
}

const noRow: StatusRow = {
  events: 0,
  bytes: 0,
  oldest: null,
  running: 0,
  running_bytes: 0,
  waiting_oldest: null,
  size: 0
}

/**
 * What waits and what runs for the watched engines, and the size of the database. The table says of both that they wait. Few events run, so
 * that they are looked up by their ids: a look at the list of them for each event that waits would take ten times as long.
 */
export const status = (sql: SqlClient.SqlClient, isWatched: Fragment, underway: ReturnType<typeof Underway.make>) =>
  Effect.suspend(() => {
    const runs = Dialect.isOneOf(sql, sql.literal("id"), underway.ids())
    return Effect.map(
      sql<StatusRow>`SELECT count(*) AS events, coalesce(sum(size), 0) AS bytes, min(accepted_at) AS oldest,
        (SELECT count(*) FROM event WHERE ${runs}) AS running,
        (SELECT coalesce(sum(size), 0) FROM event WHERE ${runs}) AS running_bytes,
        (SELECT accepted_at FROM event WHERE state = 'waiting' AND ${isWatched} AND NOT ${runs} ORDER BY id LIMIT 1) AS waiting_oldest,
        ${SqliteOnly.databaseSize(sql)} AS size
        FROM event WHERE state = 'waiting' AND ${isWatched}`,
      ([row = noRow]): JournalStatus => ({
        accepted: { events: row.events, bytes: row.bytes, oldest: row.oldest ?? undefined },
        waiting: {
          events: row.events - row.running,
          bytes: row.bytes - row.running_bytes,
          oldest: row.waiting_oldest ?? undefined
        },
        running: { events: row.running, bytes: row.running_bytes, oldest: underway.oldest() },
        size: row.size
      })
    )
  })

/** At the start of des: skips events from before the restart that are too old, and logs how many wait. */
export const begin = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, isWatched: Fragment, maxAge: number) {
  yield* skipTooOld(sql, maxAge)
  yield* sayUnwatched(sql, isWatched)
  const waiting = yield* count(sql, isWatched)
  if (waiting === 0) return
  yield* Effect.logInfo(`${events(waiting)} from before the restart ${waiting === 1 ? "runs" : "run"} first`)
})
