import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/**
 * How long what has run is kept: at most `age` milliseconds, and at most `count` events.
 *
 * @since 1.0.0
 * @category models
 */
export interface Keep {
  readonly age: number
  readonly count: number
}

/**
 * What is kept where nothing else is said: 30 days, 100,000 events.
 *
 * @since 1.0.0
 * @category constructors
 */
export const defaultKeep: Keep = { age: 30 * 86_400_000, count: 100_000 }

/** So many rows may be written before what is too old is deleted. */
const retentionEvery = 1000

/**
 * Deletes what has run and is too old or too much, with its runs. `now` does that at once; `count` when enough rows were
 * written since the last time. `also` is done each time.
 */
export const make = (options: { readonly keep: Keep; readonly also: Effect.Effect<void, SqlError> }) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    let written = 0

    const now = Effect.gen(function* () {
      const oldest = (yield* Clock.currentTimeMillis) - options.keep.age
      const [beyond] = yield* sql<{
        id: number
      }>`SELECT id FROM event WHERE state <> 'waiting' ORDER BY id DESC LIMIT 1 OFFSET ${options.keep.count}`
      const gone = sql`state <> 'waiting' AND (accepted_at < ${oldest} OR id <= ${beyond?.id ?? 0})`
      yield* sql`DELETE FROM run WHERE event_id IN (SELECT id FROM event WHERE ${gone})`
      yield* sql`DELETE FROM event WHERE ${gone}`
      yield* options.also
    })

    const count = (rows: number) =>
      Effect.suspend(() => {
        written += rows
        if (written < retentionEvery) return Effect.void
        written = 0
        return now
      })

    return { now, count }
  })
