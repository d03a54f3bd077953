import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import * as Effect from "effect/Effect"

// SQL that SQLite and PostgreSQL write in two ways. All other SQL of this folder is understood by both.

/** Chooses by the database. */
const either = <A, B>(sql: SqlClient.SqlClient, ways: { readonly pg: () => A; readonly sqlite: () => B }): A | B =>
  sql.onDialectOrElse({ pg: ways.pg, orElse: ways.sqlite })

/**
 * True if `column` equals none of the values. The values are one JSON parameter, because a statement can have 32,766
 * parameters and an engine can have more containers.
 */
export const notIn = (sql: SqlClient.SqlClient, column: string, values: ReadonlyArray<string>): Fragment => {
  const json = JSON.stringify(values)
  return either(sql, {
    pg: () => sql`${sql(column)} NOT IN (SELECT value FROM json_array_elements_text(${json}::json))`,
    sqlite: () => sql`${sql(column)} NOT IN (SELECT value FROM json_each(${json}))`
  })
}

/**
 * From an event's `scripts`, a JSON array, only the script of a run. So one statement can copy the events of many runs.
 */
export const scriptsOfRun = (sql: SqlClient.SqlClient): Fragment =>
  either(sql, {
    pg: () => sql`(SELECT coalesce(json_agg(value), '[]')::text FROM json_array_elements(scripts::json) AS each (value)
      WHERE value->>'path' = run.script)`,
    sqlite: () =>
      sql`(SELECT json_group_array(json(value)) FROM json_each(scripts) WHERE json_extract(value, '$.path') = run.script)`
  })

/** True if the table `event` has a column. An older des may have made the tables, and may still use them. */
export const hasColumn = (sql: SqlClient.SqlClient, column: string): Effect.Effect<boolean, SqlError> =>
  either(sql, {
    // In PostgreSQL the tables have had these columns from the beginning.
    pg: () => Effect.succeed(true),
    sqlite: () =>
      Effect.map(sql`SELECT name FROM pragma_table_info('event') WHERE name = ${column}`, (found) => found.length > 0)
  })

/** The longest record in which a name is looked for, in bytes: for each row of a list it is read as a whole. */
const longestNamed = 65_536

/**
 * The name of an event's actor; null if there is none. SQLite reads it from the record. It has no parameters there,
 * because the index `event_name` is found only for the same text.
 */
export const nameOf = (sql: SqlClient.SqlClient): Fragment =>
  either(sql, {
    pg: () => sql.literal("event.name"),
    sqlite: () =>
      sql.literal(
        `CASE WHEN length(record) <= ${longestNamed} AND json_valid(record) THEN json_extract(record, '$.Actor.Attributes.name') END`
      )
  })

/** The columns of a run, and of the copy of an event, that only a fleet has. */
export const nodeColumn = (sql: SqlClient.SqlClient): Fragment =>
  either(sql, { pg: () => sql.literal(", run.node AS node"), sqlite: () => sql.literal("") })

/** True if a column's text begins with another text. An index on the column finds such rows. */
export const beginsWith = (sql: SqlClient.SqlClient, column: string, start: string): Fragment =>
  // No character comes after this one.
  sql`(${sql(column)} >= ${start} AND ${sql(column)} < ${`${start}\u{10FFFF}`})`

/** True if an expression ends with a text. */
export const endsWith = (sql: SqlClient.SqlClient, expression: string, end: string): Fragment =>
  either(sql, {
    pg: () => sql`right(${sql.literal(expression)}, length(${end})) = ${end}`,
    sqlite: () => sql`substr(${sql.literal(expression)}, -length(${end})) = ${end}`
  })

/** True if a column equals one of the numbers. They are one JSON parameter, as those of {@link notIn}. */
export const isOneOf = (sql: SqlClient.SqlClient, column: Fragment, values: ReadonlyArray<number>): Fragment => {
  const json = JSON.stringify(values)
  return either(sql, {
    pg: () => sql`${column} IN (SELECT value::bigint FROM json_array_elements_text(${json}::json))`,
    sqlite: () => sql`${column} IN (SELECT value FROM json_each(${json}))`
  })
}

/** Two joined tables, the first of which is read first. PostgreSQL knows better: it has statistics. */
export const readFirst = (sql: SqlClient.SqlClient, first: string, second: string, on: string): Fragment =>
  sql.literal(`${first} ${either(sql, { pg: () => "JOIN", sqlite: () => "CROSS JOIN" })} ${second} ON ${on}`)

/** A column in a condition or an order for which SQLite must not use an index. */
export const unindexed = (sql: SqlClient.SqlClient, column: string): Fragment =>
  sql.literal(either(sql, { pg: () => column, sqlite: () => `+${column}` }))

/**
 * A number that changes when another connection has written to the database. To read it costs no look at a table of
 * SQLite (https://www.sqlite.org/pragma.html#pragma_data_version). PostgreSQL has no such number: each look may find more.
 */
export const dataVersion = (sql: SqlClient.SqlClient) =>
  either(sql, {
    pg: () =>
      Effect.map(
        sql<{ now: number }>`SELECT extract(epoch FROM clock_timestamp())::float8 AS now`,
        ([row]) => row?.now ?? 0
      ),
    sqlite: () => Effect.map(sql<{ data_version: number }>`PRAGMA data_version`, ([row]) => row?.data_version ?? 0)
  })

/** The columns of the table `event` that only PostgreSQL has, and that a copy of a row keeps. */
export const copiedColumns = (sql: SqlClient.SqlClient): Fragment =>
  either(sql, { pg: () => sql.literal(", name"), sqlite: () => sql.literal("") })

/** The statement that queues the actors of the events that a statement `added` has written, in a journal of several nodes. */
export const queued = (sql: SqlClient.SqlClient): Fragment =>
  sql.literal(`INSERT INTO lane (engine, type, actor, head, turn, arrivals)
    SELECT engine, type, actor, head, turn, 1 FROM (
      SELECT engine, type, actor, head, nextval('tick') AS turn FROM (
        SELECT engine, type, actor, min(id) AS head FROM added WHERE state = 'waiting'
        GROUP BY engine, type, actor ORDER BY min(id)
      ) AS arrived
    ) AS in_turn ORDER BY engine, type, actor
    ON CONFLICT (engine, type, actor) DO UPDATE SET head = least(lane.head, excluded.head), arrivals = lane.arrivals + 1,
      turn = CASE WHEN lane.head IS NULL THEN excluded.turn ELSE lane.turn END`)

/** Inserts events, and lets a des that runs find them. */
export const queueing = (sql: SqlClient.SqlClient, insert: Fragment): Effect.Effect<unknown, SqlError> =>
  either(sql, {
    pg: () =>
      sql`WITH added AS (${insert} RETURNING id, engine, type, actor, state), lanes AS (${queued(sql)})
        SELECT pg_notify('des', '')`,
    sqlite: () => sql`${insert}`
  })
