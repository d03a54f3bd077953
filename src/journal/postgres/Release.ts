import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import { eventFields, eventName } from "../../event/EventName.ts"
import * as Failure from "./Failure.ts"

/** How often nodes may have died of an event. Then it is set aside. */
const mostDeaths = 2

/** The time of the database, in milliseconds since 1970. */
export const nowMillis = (sql: SqlClient.SqlClient): Fragment =>
  sql.literal("(extract(epoch FROM clock_timestamp()) * 1000)::bigint")

/** Does some statements in one transaction. */
export const transaction = <A, E>(
  sql: SqlClient.SqlClient,
  statements: Effect.Effect<A, E>
): Effect.Effect<A, E | SqlError> => Failure.caught(sql.withTransaction(statements))

/** A feed, and the token of its watcher. */
export interface HeldFeed {
  readonly engine: string
  readonly token: number
}

/**
 * Gives up all that a node has. Its actors can be claimed again, and its open runs end with an outcome. `heir` takes its feeds, with the
 * same tokens. Returns these.
 */
const release = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  id: number,
  how: { readonly heir: number | undefined; readonly died: boolean }
) {
  // In one order everywhere, first feeds, then actors, then events: so two transactions cannot wait for each other.
  const feeds = yield* sql<HeldFeed>`UPDATE feed SET node = ${how.heir ?? null} WHERE node = ${id}
    RETURNING engine, token`
  yield* sql`SELECT count(*) FROM (
    SELECT 1 FROM lane WHERE node = ${id} ORDER BY engine, type, actor FOR UPDATE) AS locked`
  const suspects = how.died
    ? yield* sql<{ id: number; deaths: number }>`UPDATE event SET deaths = CASE
          WHEN EXISTS (SELECT FROM run WHERE run.event_id = event.id AND run.token = lane.token AND run.pid IS NOT NULL)
          THEN 0
          -- Nothing was being started: the last run had ended, and waited for its retry.
          WHEN EXISTS (SELECT FROM run WHERE run.event_id = event.id AND run.token = lane.token)
            AND NOT EXISTS (SELECT FROM run WHERE run.event_id = event.id AND run.token = lane.token AND run.ended_at IS NULL)
          THEN event.deaths
          ELSE event.deaths + 1 END
        FROM lane WHERE lane.node = ${id} AND event.id = lane.current AND event.state = 'waiting'
        RETURNING event.id AS id, event.deaths AS deaths`
    : []
  yield* sql`UPDATE run SET ended_at = ${nowMillis(sql)}, outcome = CASE
      WHEN pid IS NULL AND ${how.died ? 1 : 0} = 1 THEN 'des died' ELSE 'cut off' END
    WHERE member = ${id} AND ended_at IS NULL`
  // Which event is first is looked up at the next claim: 0 comes before every number.
  yield* sql`UPDATE lane SET node = NULL, current = NULL, head = 0 WHERE node = ${id}`
  yield* sql`SELECT pg_notify('des', '')`
  return { feeds, suspects }
})

/** Ends a membership of this node, cleanly or since its lease is over. `heir` is its next one. Returns the feeds that it still watches. */
export const leave = Effect.fnUntraced(function* (sql: SqlClient.SqlClient, id: number, heir: number | undefined) {
  const [own] = yield* sql`UPDATE node SET ended = true WHERE id = ${id} AND NOT ended RETURNING id`
  // Another node has ended it.
  if (own === undefined) return []
  return (yield* release(sql, id, { heir, died: false })).feeds
})

interface SetAside {
  readonly engine: string
  readonly type: string
  readonly action: string
  readonly actor: string
  readonly runs: string
}

/** Sets an event aside. Each of its scripts gets a run, which `des history` shows and `des retry` can queue. */
const setAside = Effect.fnUntraced(function* (
  sql: SqlClient.SqlClient,
  { deaths, id }: { readonly id: number; readonly deaths: number },
  node: string
) {
  const [found] = yield* sql<SetAside>`WITH gone AS (
      UPDATE event SET state = 'quarantined' WHERE id = ${id} AND state = 'waiting'
      RETURNING id, engine, type, action, actor, scripts
    ), added AS (
      INSERT INTO run (event_id, script, attempt, began_at, ended_at, outcome, output, last, node, member, token)
      SELECT gone.id, one.value->>'path',
        1 + (SELECT coalesce(max(attempt), 0) FROM run WHERE event_id = gone.id AND run.script = one.value->>'path'),
        ${nowMillis(sql)}, ${nowMillis(sql)}, 'quarantined',
        ${`des died ${deaths} times while it read this event or started its scripts`}, 1, ${node}, 0, 0
      FROM gone, json_array_elements(gone.scripts::json) AS one (value)
      WHERE NOT EXISTS (SELECT FROM run WHERE event_id = gone.id AND run.script = one.value->>'path' AND last = 1)
      RETURNING id
    )
    SELECT engine, type, action, actor, (SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM added) AS runs
    FROM gone`
  if (found === undefined) return Effect.void
  const { action, actor, engine, runs, type } = found
  const event = { Type: type, Action: action, Actor: { ID: actor, Attributes: {} }, engine }
  return Effect.logError(
    `${eventName(event)}: quarantined, its scripts do not run: des died ${deaths} times while it read this event or started its scripts. Please report it. To run them again: des retry ${runs}`
  ).pipe(Effect.annotateLogs(eventFields(event)))
})

/** Takes from a node whose lease is over all that it had. `node` is the name of this one. */
export const reap = (sql: SqlClient.SqlClient, node: string): Effect.Effect<void, SqlError> =>
  Effect.gen(function* () {
    const [over] = yield* sql`SELECT id FROM node WHERE NOT ended AND until < clock_timestamp() LIMIT 1`
    if (over === undefined) return
    const said = yield* transaction(
      sql,
      Effect.gen(function* () {
        const dead = yield* sql<{ id: number; name: string }>`UPDATE node SET ended = true WHERE id IN (
            SELECT id FROM node WHERE NOT ended AND until < clock_timestamp() LIMIT 1 FOR UPDATE SKIP LOCKED)
          RETURNING id, name`
        const lines: Array<Effect.Effect<void>> = []
        for (const { id, name } of dead) {
          const { suspects } = yield* release(sql, id, { heir: undefined, died: true })
          lines.push(
            Effect.logWarning(`node ${name} is gone: its lease was not renewed. Other nodes take its events and feeds`)
          )
          for (const suspect of suspects) {
            if (suspect.deaths >= mostDeaths) lines.push(yield* setAside(sql, suspect, node))
          }
        }
        return lines
      })
    )
    yield* Effect.all(said, { discard: true })
    // One after the other, each in a transaction of its own.
    if (said.length > 0) yield* reap(sql, node)
  })
