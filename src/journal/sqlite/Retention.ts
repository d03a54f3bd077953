import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metrics from "../../Metrics.ts"
import type { Keep } from "../Keep.ts"

/** How many rows may be written before old events are deleted. */
const mostRows = 1000

/**
 * How many bytes may be written before old events are deleted: a sixteenth of the size that is kept, at least 1 MiB and
 * at most 64 MiB.
 */
const mostBytes = ({ size }: Keep) => Math.min(67_108_864, Math.max(1_048_576, size / 16))

/** How many events one step reads. */
const page = 1000

/**
 * Deletes events that have run and exceed a bound, oldest first, with their runs.
 *
 * - `now`: deletes at once.
 * - `count`: counts what was written, and deletes when enough rows or bytes were written since the last time.
 */
export const make = (options: { readonly keep: Keep; readonly alsoForget: Effect.Effect<void, SqlError> }) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { keep } = options
    let rows = 0
    let bytes = 0

    /** The newest event that exceeds the count or the size; 0 if there is none. */
    const beyond = Effect.gen(function* () {
      const [stored] = yield* sql<{ n: number; size: number }>`SELECT count(*) AS n, coalesce(sum(size), 0) AS size
        FROM event WHERE state <> 'waiting'`
      let events = (stored?.n ?? 0) - keep.count
      let excess = (stored?.size ?? 0) - keep.size
      let last = 0
      while (events > 0 || excess > 0) {
        const oldest = yield* sql<{ id: number; size: number }>`SELECT id, size FROM event
          WHERE state <> 'waiting' AND id > ${last} ORDER BY id LIMIT ${page}`
        if (oldest.length === 0) return last
        for (const { id, size } of oldest) {
          if (events <= 0 && excess <= 0) return last
          last = id
          events--
          excess -= size
        }
      }
      return last
    })

    const now = Effect.gen(function* () {
      const oldest = (yield* Clock.currentTimeMillis) - keep.age
      const gone = sql`state <> 'waiting' AND (accepted_at < ${oldest} OR id <= ${yield* beyond})`
      yield* sql`DELETE FROM run WHERE event_id IN (SELECT id FROM event WHERE ${gone})`
      const deleted = yield* sql`DELETE FROM event WHERE ${gone} RETURNING id`
      Metrics.journalDeleted(deleted.length)
      yield* options.alsoForget
    })

    const count = (written: { readonly rows: number; readonly bytes: number }) =>
      Effect.suspend(() => {
        rows += written.rows
        bytes += written.bytes
        if (rows < mostRows && bytes < mostBytes(keep)) return Effect.void
        rows = 0
        bytes = 0
        return now
      })

    return { now, count }
  })
