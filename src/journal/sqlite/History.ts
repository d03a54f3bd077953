import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { sizeOfEvent } from "./Retention.ts"
import * as SqliteOnly from "./SqliteOnly.ts"

/**
 * One run of a script for an event, as the journal has it. Times are in milliseconds since 1970.
 *
 * - `timeNano`: the engine's time of the event, in nanoseconds.
 * - `outcome`: null while the script runs, and if des ended before the script. `skipped` if it is not run.
 * - `exit`: the exit code; the negative number of a signal; 124 after a timeout; 127 if the script could not be
 *   started.
 * - `output`: the end of what the script wrote, not escaped, or why it was not started.
 *
 * @since 1.0.0
 * @category models
 */
export interface Run {
  readonly id: number
  readonly engine: string
  readonly type: string
  readonly action: string
  readonly actor: string
  readonly timeNano: string
  readonly script: string
  readonly attempt: number
  readonly began: number
  readonly duration: number | null
  readonly outcome: string | null
  readonly exit: number | null
  readonly output: string | null
}

/**
 * Selects runs. `failed`: only runs that did not succeed. `since`: only runs that began at this time or later, in
 * milliseconds since 1970.
 */
export interface Filter {
  readonly failed?: boolean
  readonly since?: number
}

/** How many runs are read at once. Each has up to 4 KiB of output. */
const page = 1000

/**
 * The runs of the journal, oldest first. They are read page by page.
 *
 * @since 1.0.0
 * @category constructors
 */
export const list = (filter: Filter): Stream.Stream<Run, SqlError, SqlClient.SqlClient> =>
  Stream.paginateChunkEffect(
    0,
    Effect.fnUntraced(function* (after: number) {
      const sql = yield* SqlClient.SqlClient
      const runs =
        yield* sql<Run>`SELECT run.id AS id, engine, type, action, actor, time_nano AS ${sql("timeNano")}, script,
          attempt, began_at AS began, ended_at - began_at AS duration, outcome, exit, output
        FROM run JOIN event ON event.id = run.event_id
        WHERE run.id > ${after} AND began_at >= ${filter.since ?? 0}
          AND ${filter.failed === true ? sql`(exit <> 0 OR outcome IN ('cut off', 'des died', 'quarantined'))` : sql`1 = 1`}
        ORDER BY run.id LIMIT ${page}`
      const last = runs.length < page ? undefined : runs.at(-1)
      return [Chunk.unsafeFromArray(runs), Option.map(Option.fromNullable(last), ({ id }) => id)]
    })
  )

/**
 * The runs that cannot be queued again. `unknown`: no run has this id. `cut`: the journal no longer has the record of
 * the run's event.
 *
 * @since 1.0.0
 * @category models
 */
export interface NotQueued {
  readonly unknown: ReadonlyArray<number>
  readonly cut: ReadonlyArray<number>
}

/**
 * Queues the events of runs again, each for the script of its run. Attempts are counted on. Returns the runs that
 * cannot be queued; if there is one, nothing is queued.
 *
 * @since 1.0.0
 * @category constructors
 */
export const retry = (ids: ReadonlyArray<number>): Effect.Effect<NotQueued, SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const now = yield* Clock.currentTimeMillis
    const found = yield* sql<{ id: number; cut: number }>`SELECT run.id AS id,
        CASE WHEN record = '' THEN 1 ELSE 0 END AS cut
      FROM run JOIN event ON event.id = run.event_id WHERE ${sql.in("run.id", ids)}`
    const known = new Set(found.map(({ id }) => id))
    const unknown = ids.filter((id) => !known.has(id))
    const cut = found.filter((run) => run.cut === 1).map(({ id }) => id)
    if (unknown.length > 0 || cut.length > 0) return { unknown, cut }
    // One statement queues all or none. A record's fingerprint is base64, so it never equals this text.
    yield* sql`INSERT INTO event (engine, fingerprint, type, action, actor, time_nano, record, synthetic, scripts,
        attempts, accepted_at, state, size)
      SELECT engine, 'retry of ' || run.id || ' at ' || ${now}, type, action, actor, time_nano, record, synthetic,
        ${SqliteOnly.scriptsOfRun(sql)},
        (SELECT max(attempt) FROM run AS other WHERE other.event_id = run.event_id AND other.script = run.script),
        ${now}, 'waiting', ${sizeOfEvent("")} + length(record)
      FROM run JOIN event ON event.id = run.event_id WHERE ${sql.in("run.id", ids)} ORDER BY run.id
      ON CONFLICT (engine, fingerprint) DO NOTHING`
    return { unknown, cut }
  })
