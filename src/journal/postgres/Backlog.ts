import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import { sayTooOld } from "../Admission.ts"
import type { JournalStatus } from "../Journal.ts"
import { nowMillis } from "./Release.ts"

/** How many events that are too old are skipped by one statement. Many more would take too long. */
const skippedAtOnce = 1000

/**
 * What waits in the journal.
 *
 * - `begin`: at the start of a node: skips events that are too old, and logs how many wait.
 * - `count`, `status`: those of the journal. `own` is this node's row in the table `node`.
 * - `probe`: writes something that changes nothing.
 */
export interface Backlog {
  readonly begin: (maxAge: number) => Effect.Effect<void, SqlError>
  readonly count: Effect.Effect<number, SqlError>
  readonly status: (own: () => number | undefined) => Effect.Effect<JournalStatus, SqlError>
  readonly probe: Effect.Effect<void, SqlError>
}

export const make = (sql: SqlClient.SqlClient, isWatched: Fragment): Backlog => {
  /**
   * One batch of those that no node has now, and that `des retry` has not queued. Which one of their actors is next is looked up later.
   * Actors are locked first, as everywhere.
   */
  const skipBatch = (maxAge: number, after: number) =>
    sql<{ last: number | null; n: number }>`WITH old AS (
        SELECT id, engine, type, actor FROM event WHERE state = 'waiting' AND attempts = 0 AND id > ${after}
          AND time_nano::numeric BETWEEN 1 AND (${nowMillis(sql)} - ${Math.floor(maxAge)})::numeric * 1000000
        ORDER BY id LIMIT ${skippedAtOnce}
      ), lanes AS (
        SELECT engine, type, actor FROM lane WHERE node IS NULL
          AND (engine, type, actor) IN (SELECT engine, type, actor FROM old) FOR UPDATE SKIP LOCKED
      ), skipped AS (
        UPDATE event SET state = 'skipped' FROM old JOIN lanes USING (engine, type, actor)
        WHERE event.id = old.id AND event.state = 'waiting' RETURNING event.id
      ), heads AS (
        UPDATE lane SET head = 0 FROM lanes
        WHERE lane.engine = lanes.engine AND lane.type = lanes.type AND lane.actor = lanes.actor
      )
      SELECT (SELECT max(id) FROM old) AS last, (SELECT count(*) FROM skipped) AS n`

  const skipTooOld = Effect.fnUntraced(function* (maxAge: number) {
    if (maxAge === Number.POSITIVE_INFINITY) return
    let skipped = 0
    let after: number | null = 0
    while (after !== null) {
      const [batch]: ReadonlyArray<{ last: number | null; n: number }> = yield* skipBatch(maxAge, after)
      skipped += batch?.n ?? 0
      after = batch?.last ?? null
    }
    if (skipped > 0) yield* sayTooOld(skipped, maxAge)
  })

  const count = Effect.map(
    sql<{ n: number }>`SELECT count(*) AS n FROM event WHERE state = 'waiting' AND ${isWatched}`,
    ([row]) => row?.n ?? 0
  )

  /** By the name of each engine, the other node that watches it. */
  const watchers = (own: () => number | undefined) =>
    Effect.map(
      Effect.suspend(
        () => sql<{ engine: string; name: string }>`SELECT feed.engine AS engine, node.name AS name
          FROM feed JOIN node ON node.id = feed.node WHERE NOT node.ended AND node.id <> ${own() ?? 0}`
      ),
      (rows) => Object.fromEntries(rows.map(({ engine, name }) => [engine, name]))
    )

  return {
    begin: Effect.fnUntraced(function* (maxAge) {
      yield* skipTooOld(maxAge)
      const waiting = yield* count
      if (waiting > 0)
        yield* Effect.logInfo(`${waiting} ${waiting === 1 ? "event waits" : "events wait"} in the journal`)
    }),
    count,
    status: (own) =>
      Effect.zipWith(
        watchers(own),
        sql<{
          events: number
          bytes: number
          oldest: number | null
          running: number
          running_bytes: number
          began: number | null
          oldest_waiting: number | null
          size: number
        }>`WITH out AS (
          SELECT lane.current AS id, (SELECT min(began_at) FROM run
            WHERE run.event_id = lane.current AND run.token = lane.token) AS began
          FROM lane WHERE lane.current > 0
        ), running AS (
          SELECT id, began FROM out WHERE began IS NOT NULL
        )
        SELECT count(*) AS events, coalesce(sum(size), 0) AS bytes, min(accepted_at) AS oldest,
          count(began) AS running, coalesce(sum(size) FILTER (WHERE began IS NOT NULL), 0) AS running_bytes,
          min(began) AS began, min(accepted_at) FILTER (WHERE began IS NULL) AS oldest_waiting,
          (SELECT sum(pg_total_relation_size(oid)) FROM pg_class
            WHERE relname IN ('event', 'run', 'lane', 'seen', 'running') AND relkind = 'r'
              AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'event'::regclass)) AS size
        FROM event LEFT JOIN running ON running.id = event.id WHERE state = 'waiting' AND ${isWatched}`,
        (watchedElsewhere, [row]): JournalStatus => {
          const { began = null, bytes = 0, events = 0, oldest = null, oldest_waiting = null } = row ?? {}
          const { running = 0, running_bytes = 0, size = 0 } = row ?? {}
          return {
            accepted: { events, bytes, oldest: oldest ?? undefined },
            waiting: { events: events - running, bytes: bytes - running_bytes, oldest: oldest_waiting ?? undefined },
            running: { events: running, bytes: running_bytes, oldest: began ?? undefined },
            size,
            watchedElsewhere
          }
        }
      ),
    probe: Effect.asVoid(sql`WITH old AS (DELETE FROM probe) INSERT INTO probe (at) VALUES (clock_timestamp())`)
  }
}
