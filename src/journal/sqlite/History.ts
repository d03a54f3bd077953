import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
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
 * - `name`: the name of the actor; null if it has none, or if the journal no longer has the record.
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
  readonly name: string | null
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
 * Selects runs. Every condition that is given must hold.
 *
 * - `failed`: only runs that failed in the end: no retry follows, and none has fixed it.
 * - `since`: only runs that began at this time or later, in milliseconds since 1970.
 * - `script`: only runs of the script with this path, or with a path that ends with it (`container/die`).
 * - `event`: only runs for events of this type and action. The action ends before its colon.
 * - `actor`: only runs for an actor with this name or ID, or with an ID that begins like this.
 * - `last`: only so many of the newest of these runs.
 *
 * @since 1.0.0
 * @category models
 */
export interface Filter {
  readonly failed?: boolean | undefined
  readonly since?: number | undefined
  readonly script?: string | undefined
  readonly event?: { readonly type: string; readonly action: string } | undefined
  readonly actor?: string | undefined
  readonly last?: number | undefined
}

/** How many runs are read at once. Each has up to 4 KiB of output. */
const page = 1000

/** True for a run that failed, is the last one of its script for its event, and was not retried with success. */
const failedInTheEnd = (sql: SqlClient.SqlClient): Fragment =>
  sql`((last = 1 AND exit <> 0) OR outcome IN ('cut off', 'des died', 'quarantined'))
    AND NOT EXISTS (SELECT 1 FROM run AS later
      WHERE later.event_id = run.event_id AND later.script = run.script AND later.id > run.id)
    AND NOT EXISTS (SELECT 1 FROM event AS again JOIN run AS fixed ON fixed.event_id = again.id
      WHERE again.engine = event.engine AND again.fingerprint >= 'retry of ' || run.id || ' at '
        AND again.fingerprint < 'retry of ' || run.id || ' at:' AND fixed.exit = 0)`

/** True for the runs that a filter selects. Ignores the filter's `last`. */
const selected = (sql: SqlClient.SqlClient, filter: Filter): Fragment => {
  const { actor, event, failed, script, since } = filter
  return sql.and([
    sql`began_at >= ${since ?? 0}`,
    ...(failed === true ? [failedInTheEnd(sql)] : []),
    ...(script === undefined
      ? []
      : [sql`(script = ${script} OR substr(script, -length(${`/${script}`})) = ${`/${script}`})`]),
    ...(event === undefined
      ? []
      : [
          sql`type = ${event.type}`,
          sql`(action = ${event.action} OR substr(action, 1, length(${`${event.action}:`})) = ${`${event.action}:`})`
        ]),
    ...(actor === undefined
      ? []
      : [sql`(substr(actor, 1, length(${actor})) = ${actor} OR ${SqliteOnly.nameOf(sql)} = ${actor})`])
  ])
}

/** The columns of a {@link Run}. */
const columns = (sql: SqlClient.SqlClient): Fragment =>
  sql`run.id AS id, engine, type, action, actor, ${SqliteOnly.nameOf(sql)} AS name, time_nano AS ${sql("timeNano")}, script,
    attempt, began_at AS began, ended_at - began_at AS duration, outcome, exit, output`

/** The id before the first run of the newest ones. */
const beforeLast = Effect.fnUntraced(function* (filter: Filter, last: number) {
  const sql = yield* SqlClient.SqlClient
  const [first] = yield* sql<{ id: number | null }>`SELECT min(id) AS id FROM (SELECT run.id AS id
    FROM run JOIN event ON event.id = run.event_id WHERE ${selected(sql, filter)} ORDER BY run.id DESC LIMIT ${last})`
  return (first?.id ?? 1) - 1
})

/**
 * The runs of the journal, oldest first. They are read page by page.
 *
 * @since 1.0.0
 * @category constructors
 */
export const list = (filter: Filter): Stream.Stream<Run, SqlError, SqlClient.SqlClient> =>
  Stream.unwrap(
    Effect.map(filter.last === undefined ? Effect.succeed(0) : beforeLast(filter, filter.last), (begin) =>
      Stream.paginateChunkEffect(
        begin,
        Effect.fnUntraced(function* (after: number) {
          const sql = yield* SqlClient.SqlClient
          const runs = yield* sql<Run>`SELECT ${columns(sql)} FROM run JOIN event ON event.id = run.event_id
            WHERE run.id > ${after} AND ${selected(sql, filter)} ORDER BY run.id LIMIT ${page}`
          const newest = runs.length < page ? undefined : runs.at(-1)
          return [Chunk.unsafeFromArray(runs), Option.map(Option.fromNullable(newest), ({ id }) => id)]
        })
      )
    )
  )

/**
 * One run with all that the journal has of it.
 *
 * - `record`: the record of its event; empty if the journal no longer has it.
 * - `attempts`: every run of its script for its event, itself included, oldest first.
 *
 * @since 1.0.0
 * @category models
 */
export interface Detail {
  readonly run: Run
  readonly record: string
  readonly attempts: ReadonlyArray<Run>
}

/** The most attempts of one script for one event that are shown: the newest ones. */
const mostAttempts = 100

/**
 * One run of the journal; none if no run has this id.
 *
 * @since 1.0.0
 * @category constructors
 */
export const get = (id: number): Effect.Effect<Option.Option<Detail>, SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [run] = yield* sql<Run & { readonly record: string; readonly event: number }>`SELECT ${columns(sql)}, record,
      event.id AS event FROM run JOIN event ON event.id = run.event_id WHERE run.id = ${id}`
    if (run === undefined) return Option.none()
    const { event, record, ...itself } = run
    const attempts = yield* sql<Run>`SELECT ${columns(sql)} FROM run JOIN event ON event.id = run.event_id
      WHERE event.id = ${event} AND script = ${run.script} ORDER BY run.id DESC LIMIT ${mostAttempts}`
    return Option.some({ run: itself, record, attempts: attempts.toReversed() })
  })

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
