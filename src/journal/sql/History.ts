import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Script } from "../../scripts/ScriptDirectory.ts"
import * as Dialect from "./Dialect.ts"
import { sizeOfEvent } from "./Size.ts"

/**
 * One run of a script for an event, as the journal has it. Times are in milliseconds since 1970.
 *
 * - `name`: the name of the actor; null if it has none, or if the journal no longer has the record.
 * - `timeNano`: the engine's time of the event, in nanoseconds.
 * - `node`: the name of the node that ran it, in a journal of several.
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
  readonly node?: string
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

/**
 * How many numbers of runs are read at once if an index of a filter finds them. They are sorted then, and each reading
 * looks at all that are left.
 */
const numbersAtOnce = 50_000

/**
 * True for a run that failed, is the last one of its script for its event, and was not retried with success. The plus
 * keeps SQLite from reading all later runs of the script: those of the event are few.
 */
const failedInTheEnd = (sql: SqlClient.SqlClient): Fragment =>
  sql`((last = 1 AND exit <> 0) OR outcome IN ('cut off', 'des died', 'quarantined'))
    AND NOT EXISTS (SELECT 1 FROM run AS later
      WHERE later.event_id = run.event_id AND ${Dialect.unindexed(sql, "later.script")} = run.script
        AND later.id > run.id)
    AND NOT EXISTS (SELECT 1 FROM event AS again JOIN run AS fixed ON fixed.event_id = again.id
      WHERE again.engine = event.engine AND again.fingerprint >= 'retry of ' || run.id || ' at '
        AND again.fingerprint < 'retry of ' || run.id || ' at:' AND fixed.exit = 0)`

/**
 * True for the runs of a script, which is named by its path or the end of it. The paths are read from the index, one
 * after the other; no run is read for them.
 */
const isOfScript = (sql: SqlClient.SqlClient, script: string): Fragment =>
  sql`script IN (WITH RECURSIVE known (path) AS (
      SELECT min(script) FROM run
      UNION ALL SELECT (SELECT min(script) FROM run WHERE script > path) FROM known WHERE path IS NOT NULL)
    SELECT path FROM known WHERE path = ${script} OR ${Dialect.endsWith(sql, "path", `/${script}`)})`

/** True for events of a type and action. The action in the journal can have more behind a colon. */
const isOfKind = (sql: SqlClient.SqlClient, { action, type }: { readonly type: string; readonly action: string }) =>
  sql`(type = ${type} AND ${Dialect.beginsWith(sql, "action", action)}
    AND (action = ${action} OR substr(action, 1, length(${`${action}:`})) = ${`${action}:`}))`

/** True for the runs that a filter selects. Ignores the filter's `last`. */
const selected = (sql: SqlClient.SqlClient, filter: Filter): Fragment => {
  const { actor, event, failed, script, since } = filter
  return sql.and([
    sql`began_at >= ${since ?? 0}`,
    ...(failed === true ? [failedInTheEnd(sql)] : []),
    ...(script === undefined ? [] : [isOfScript(sql, script)]),
    ...(event === undefined ? [] : [isOfKind(sql, event)]),
    ...(actor === undefined
      ? []
      : [sql`(${Dialect.beginsWith(sql, "actor", actor)} OR ${Dialect.nameOf(sql)} = ${actor})`])
  ])
}

/** The columns of a {@link Run}. */
const columns = (sql: SqlClient.SqlClient): Fragment =>
  sql`run.id AS id, engine, type, action, actor, ${Dialect.nameOf(sql)} AS name, time_nano AS ${sql("timeNano")}, script,
    attempt, began_at AS began, ended_at - began_at AS duration, outcome, exit, output${Dialect.nodeColumn(sql)}`

/** How the runs of a filter are found. */
interface Access {
  /** True if an index of a filter finds them, and not in the order of their numbers. */
  readonly isSorted: boolean
  /** The tables. SQLite keeps the order of a CROSS JOIN, and would otherwise read all runs in their order. */
  readonly tables: Fragment
  /** Their order. The plus keeps SQLite from reading all runs in this order instead of using an index. */
  readonly order: Fragment
}

const accessOf = (sql: SqlClient.SqlClient, { actor, event, script }: Filter): Access => {
  const isOfEvent = "run.event_id = event.id"
  const ofRuns = Dialect.readFirst(sql, "run", "event", isOfEvent)
  const ofEvents = Dialect.readFirst(sql, "event", "run", isOfEvent)
  const isSorted = actor !== undefined || event !== undefined || script !== undefined
  return {
    isSorted,
    // An actor has fewer runs than a script, and a script fewer than a kind of event.
    tables: actor !== undefined || (event !== undefined && script === undefined) ? ofEvents : ofRuns,
    order: isSorted ? Dialect.unindexed(sql, "run.id") : sql.literal("run.id")
  }
}

/**
 * The statement that finds the numbers of a filter's runs after one, oldest or newest first.
 *
 * @internal
 */
export const numbers = (
  sql: SqlClient.SqlClient,
  filter: Filter,
  range: { readonly after: number; readonly until: number; readonly limit: number; readonly newestFirst: boolean }
) => {
  const { order, tables } = accessOf(sql, filter)
  return sql<{ id: number }>`SELECT run.id AS id FROM ${tables}
    WHERE run.id > ${range.after} AND run.id <= ${range.until} AND ${selected(sql, filter)}
    ORDER BY ${order} ${sql.literal(range.newestFirst ? "DESC" : "ASC")} LIMIT ${range.limit}`
}

/** No run has a larger number. */
const endless = Number.MAX_SAFE_INTEGER

/** The number before the first run that a filter can select. */
const beginOf = Effect.fnUntraced(function* (filter: Filter, until: number) {
  const sql = yield* SqlClient.SqlClient
  const { last, since } = filter
  if (last === undefined && since === undefined) return 0
  const [first] =
    last === undefined
      ? yield* sql<{ id: number | null }>`SELECT min(id) AS id FROM run WHERE began_at >= ${since}`
      : yield* sql<{ id: number | null }>`SELECT min(id) AS id
          FROM (${numbers(sql, filter, { after: 0, until, limit: last, newestFirst: true })}) AS newest`
  return (first?.id ?? endless) - 1
})

/** The runs with these numbers, as far as a filter selects them. */
const read = Effect.fnUntraced(function* (ids: ReadonlyArray<number>, filter: Filter = {}) {
  const sql = yield* SqlClient.SqlClient
  return yield* sql<Run>`SELECT ${columns(sql)} FROM ${accessOf(sql, {}).tables}
    WHERE ${Dialect.isOneOf(sql, sql.literal("run.id"), ids)} AND ${selected(sql, filter)} ORDER BY run.id`
})

/** The runs up to a number, oldest first. */
const listUntil = (filter: Filter, until: number) =>
  Stream.unwrap(
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const limit = accessOf(sql, filter).isSorted ? numbersAtOnce : page
      return Stream.paginateChunkEffect(yield* beginOf(filter, until), (after) =>
        Effect.map(numbers(sql, filter, { after, until, limit, newestFirst: false }), (found) => {
          const ids = Chunk.unsafeFromArray(found.map(({ id }) => id))
          return [ids, found.length < limit ? Option.none() : Chunk.last(ids)]
        })
      ).pipe(
        Stream.rechunk(page),
        Stream.mapChunksEffect((ids) => Effect.map(read(Chunk.toReadonlyArray(ids)), Chunk.unsafeFromArray))
      )
    })
  )

/**
 * The runs of the journal, oldest first. They are read page by page.
 *
 * @example
 * import * as State from "docker-event-scripts/state"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 *
 * export const failures = State.History.list({ failed: true, last: 20 }).pipe(
 *   Stream.map(({ exit, script }) => `${script}: ${exit}`),
 *   Stream.runCollect,
 *   Effect.provide(State.StateDirectory.layerShared({ directory: "/var/lib/des" }))
 * )
 *
 * @since 1.0.0
 * @category constructors
 */
export const list = (filter: Filter): Stream.Stream<Run, SqlError, SqlClient.SqlClient> => listUntil(filter, endless)

/** How often a follower looks whether the journal was written. */
const lookAgain = "1 second"

/** The most unfinished runs whose end a follower waits for. */
const mostOpen = 4096

/** What a follower knows: the newest run that it has seen, and those that had not ended by then. */
interface Followed {
  readonly newest: number
  readonly open: ReadonlyArray<number>
}

/** True for runs that may still end, in this life of des or in the next. */
const isOpen = (sql: SqlClient.SqlClient): Fragment => sql`ended_at IS NULL AND outcome IS NULL`

const beginFollowing = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [newest] = yield* sql<{ id: number }>`SELECT coalesce(max(id), 0) AS id FROM run`
  const open = yield* sql<{ id: number }>`SELECT run.id AS id
    FROM ${Dialect.readFirst(sql, "event", "run", "run.event_id = event.id")} WHERE state = 'waiting' AND ${isOpen(sql)} ORDER BY run.id DESC LIMIT ${mostOpen}`
  return { newest: newest?.id ?? 0, open: open.map(({ id }) => id) } satisfies Followed as Followed
})

/** The runs of a filter that have ended since, and what the follower knows then. */
const lookOnce = Effect.fnUntraced(function* (filter: Filter, { newest, open }: Followed) {
  const sql = yield* SqlClient.SqlClient
  const rows = yield* sql<{
    id: number
    open: number
  }>`SELECT id, CASE WHEN ${isOpen(sql)} THEN 1 ELSE 0 END AS open FROM run
    WHERE id > ${newest} OR ${Dialect.isOneOf(sql, sql.literal("id"), open)} ORDER BY id LIMIT ${mostOpen + page}`
  const ended = rows.flatMap((row) => (row.open === 1 ? [] : [row.id]))
  const runs = yield* read(ended, filter)
  const next: Followed = {
    newest: Math.max(newest, rows.at(-1)?.id ?? 0),
    open: rows.flatMap((row) => (row.open === 1 ? [row.id] : [])).slice(-mostOpen)
  }
  return { runs, next, isAll: rows.length < mostOpen + page }
})

/**
 * The runs of the journal that have ended, oldest first, and from then on each run when it ends. The stream does not
 * end. While nobody writes to the journal, no table is read.
 *
 * @example
 * import * as State from "docker-event-scripts/state"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 *
 * export const told = State.History.follow({ failed: true }).pipe(
 *   Stream.runForEach(({ id, script }) => Effect.log(`run ${id} of ${script} has failed`)),
 *   Effect.provide(State.StateDirectory.layerShared({ directory: "/var/lib/des" }))
 * )
 *
 * @since 1.0.0
 * @category constructors
 */
export const follow = (filter: Filter): Stream.Stream<Run, SqlError, SqlClient.SqlClient> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const sql = yield* SqlClient.SqlClient
      const version = yield* Dialect.dataVersion(sql)
      const begin = yield* beginFollowing
      const written = (known: number) =>
        Dialect.dataVersion(sql).pipe(Effect.delay(lookAgain), Effect.repeat({ until: (now: number) => now !== known }))
      // A run that had not ended at the beginning may end before the list comes to it. It is printed once, below.
      const open = new Set(begin.open)
      const earlier = listUntil(filter, begin.newest).pipe(
        Stream.filter(({ duration, id, outcome }) => !open.has(id) && (duration !== null || outcome !== null))
      )
      const later = Stream.paginateChunkEffect(
        { version, followed: begin, wait: true },
        Effect.fnUntraced(function* ({ followed, version: known, wait }) {
          const now = wait ? yield* written(known) : known
          const { isAll, next, runs } = yield* lookOnce(filter, followed)
          return [Chunk.unsafeFromArray(runs), Option.some({ version: now, followed: next, wait: isAll })]
        })
      )
      return Stream.concat(earlier, later)
    })
  )

/**
 * One run with all that the journal has of it.
 *
 * - `name`: the value of its variable DES_RUN.
 * - `synthetic`: true if the engine did not send its event.
 * - `record`: the record of its event; empty if the journal no longer has it.
 * - `inspected`: the second line of stdin of a script with `inspect=yes`; null if the script has not that option, or the journal no longer
 *   has the line.
 * - `attempts`: every run of its script for its event, itself included, oldest first.
 *
 * @since 1.0.0
 * @category models
 */
export interface Detail {
  readonly run: Run
  readonly name: string
  readonly synthetic: boolean
  readonly record: string
  readonly inspected: string | null
  readonly attempts: ReadonlyArray<Run>
}

/** The most attempts of one script for one event that are shown: the newest ones. */
const mostAttempts = 100

/**
 * One run of the journal; none if no run has this id.
 *
 * @example
 * import * as State from "docker-event-scripts/state"
 * import * as Effect from "effect/Effect"
 *
 * export const run = State.History.get(12).pipe(
 *   Effect.provide(State.StateDirectory.layerShared({ directory: "/var/lib/des" }))
 * )
 *
 * @since 1.0.0
 * @category constructors
 */
export const get = (id: number): Effect.Effect<Option.Option<Detail>, SqlError, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const inspected = (yield* Dialect.hasColumn(sql, "inspected")) ? sql`inspected` : sql`NULL`
    const [run] = yield* sql<
      Run &
        Pick<Detail, "inspected" | "record"> & {
          readonly event: number
          readonly scripts: string
          readonly synthetic: number
          readonly variable: string
        }
    >`SELECT ${columns(sql)}, record, event.id AS event, synthetic, ${inspected} AS inspected,
        ${Dialect.scriptsOfRun(sql)} AS scripts,
        (SELECT min(journal.name) FROM journal) || '-' || run.id AS variable
      FROM run JOIN event ON event.id = run.event_id WHERE run.id = ${id}`
    if (run === undefined) return Option.none()
    const { event, inspected: line, record, scripts, synthetic, variable, ...itself } = run
    const [script]: ReadonlyArray<Script> = JSON.parse(scripts)
    const attempts = yield* sql<Run>`SELECT ${columns(sql)} FROM run JOIN event ON event.id = run.event_id
      WHERE event.id = ${event} AND script = ${run.script} ORDER BY run.id DESC LIMIT ${mostAttempts}`
    return Option.some({
      run: itself,
      name: variable,
      synthetic: synthetic === 1,
      record,
      inspected: script?.options.inspect === true ? line : null,
      attempts: attempts.toReversed()
    })
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
 * @example
 * import * as State from "docker-event-scripts/state"
 * import * as Effect from "effect/Effect"
 *
 * export const retried = State.History.retry([12, 13]).pipe(
 *   Effect.provide(State.StateDirectory.layerShared({ directory: "/var/lib/des" }))
 * )
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
    const hasInspected = yield* Dialect.hasColumn(sql, "inspected")
    // One statement queues all or none. A record's fingerprint is base64, so it never equals this text.
    const insert = sql`INSERT INTO event (engine, fingerprint, type, action, actor, time_nano, record, synthetic, scripts,
        attempts, accepted_at, state, size${Dialect.copiedColumns(sql)}${hasInspected ? sql`, inspected` : sql``})
      SELECT engine, 'retry of ' || run.id || ' at ' || ${now}, type, action, actor, time_nano, record, synthetic,
        ${Dialect.scriptsOfRun(sql)},
        (SELECT max(attempt) FROM run AS other WHERE other.event_id = run.event_id AND other.script = run.script),
        ${now}, 'waiting', ${sizeOfEvent("")} + length(record)${hasInspected ? sql` + coalesce(length(inspected), 0)` : sql``}${Dialect.copiedColumns(sql)}${hasInspected ? sql`, inspected` : sql``}
      FROM run JOIN event ON event.id = run.event_id WHERE ${sql.in("run.id", ids)} ORDER BY run.id
      ON CONFLICT (engine, fingerprint) DO NOTHING`
    yield* Dialect.queueing(sql, insert)
    return { unknown, cut }
  })
