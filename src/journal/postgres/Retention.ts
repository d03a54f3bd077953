import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Metrics from "../../Metrics.ts"
import type { Keep } from "../Keep.ts"
import * as Failure from "./Failure.ts"
import { nowMillis } from "./Release.ts"

/** How many events one statement deletes, with their runs. A larger one would keep others waiting. */
const batch = 1000

/** How many rows may be written by this node before old events are deleted. */
const mostRows = 5000

/** How many bytes may be written by this node before old events are deleted. */
const mostBytes = 16_777_216

/** How often an idle node deletes what is too old, in milliseconds. */
const deleteEvery = 60_000

/** How long an actor without work is remembered, in minutes. */
const idleFor = 60

/** How long a node that is gone stays in the table `node`, in minutes. */
const goneFor = 1440

/**
 * Deletes events that have run and exceed a bound, oldest first, with their runs, in batches.
 *
 * - `count`: counts what was written, and lets old events be deleted when enough was.
 */
export const make = (options: { readonly keep: Keep; readonly alsoForget: Effect.Effect<void, SqlError> }) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const { keep } = options
    const due = yield* Effect.makeLatch(true)
    let rows = 0
    let bytes = 0

    /** The newest event that exceeds the count or the size; 0 if there is none. */
    const beyond = Effect.map(
      sql<{ id: number | null }>`SELECT max(id) AS id FROM (
          SELECT id, row_number() OVER (ORDER BY id DESC) AS n, sum(size) OVER (ORDER BY id DESC) AS total
          FROM event WHERE state <> 'waiting'
        ) AS counted WHERE n > ${keep.count} OR total > ${keep.size}`,
      ([row]) => row?.id ?? 0
    )

    /** Deletes a batch. Returns how many events it had. */
    const deleteBatch = (last: number) =>
      Effect.map(
        sql<{ n: number }>`WITH old AS (
            SELECT id FROM event WHERE state <> 'waiting'
              AND (accepted_at < ${nowMillis(sql)} - ${keep.age} OR id <= ${last})
            ORDER BY id LIMIT ${batch} FOR UPDATE SKIP LOCKED
          ), runs AS (
            DELETE FROM run WHERE event_id IN (SELECT id FROM old)
          ), events AS (
            DELETE FROM event WHERE id IN (SELECT id FROM old) RETURNING id
          )
          SELECT count(*) AS n FROM events`,
        ([row]) => row?.n ?? 0
      )

    const deleteAll = Effect.gen(function* () {
      const last = yield* beyond
      let deleted = batch
      while (deleted === batch) {
        deleted = yield* deleteBatch(last)
        Metrics.journalDeleted(deleted)
      }
      yield* options.alsoForget
      yield* sql`DELETE FROM lane WHERE head IS NULL AND node IS NULL
        AND idle_at < clock_timestamp() - ${idleFor} * interval '1 minute'`
      yield* sql`DELETE FROM pace WHERE until < clock_timestamp()`
      yield* sql`DELETE FROM node WHERE ended AND until < clock_timestamp() - ${goneFor} * interval '1 minute'`
    })

    yield* Effect.forkScoped(
      Effect.forever(
        Effect.gen(function* () {
          yield* Effect.raceFirst(due.await, Effect.sleep(deleteEvery))
          yield* due.close
          // What fails now is done the next time.
          yield* Effect.catchAll(Failure.caught(deleteAll), (error) =>
            Effect.logWarning(`what the journal keeps too long is not deleted now: ${Failure.reasonOf(error)}`)
          )
        })
      )
    )

    return {
      count: (written: { readonly rows: number; readonly bytes: number }) =>
        Effect.suspend(() => {
          rows += written.rows
          bytes += written.bytes
          if (rows < mostRows && bytes < mostBytes) return Effect.void
          rows = 0
          bytes = 0
          return Effect.asVoid(due.open)
        })
    }
  })
