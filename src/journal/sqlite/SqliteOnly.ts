import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import * as Effect from "effect/Effect"

// SQL that only SQLite understands. A journal in another database must replace this file and the PRAGMAs of
// StateDirectory.ts, and nothing else.

/**
 * An id that only grows. Without AUTOINCREMENT, SQLite would reuse the id of a deleted newest row for another event.
 */
export const growingId = (sql: SqlClient.SqlClient): Fragment => sql`INTEGER PRIMARY KEY AUTOINCREMENT`

/** A name that no other journal has, in hexadecimal digits. */
export const randomName = (sql: SqlClient.SqlClient): Fragment => sql`lower(hex(randomblob(8)))`

/** The size of the database on the disk, in bytes. */
export const databaseSize = (sql: SqlClient.SqlClient): Fragment =>
  sql`(SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size())`

/**
 * True if `column` equals none of the values. The values are one JSON parameter, because a statement can have 32,766
 * parameters and an engine can have more containers.
 */
export const notIn = (sql: SqlClient.SqlClient, column: string, values: ReadonlyArray<string>): Fragment =>
  sql`${sql(column)} NOT IN (SELECT value FROM json_each(${JSON.stringify(values)}))`

/**
 * From an event's `scripts`, a JSON array, only the script of a run. So one statement can copy the events of many runs.
 */
export const scriptsOfRun = (sql: SqlClient.SqlClient): Fragment =>
  sql`(SELECT json_group_array(json(value)) FROM json_each(scripts) WHERE json_extract(value, '$.path') = run.script)`

/** True if the table `event` has a column. An older des may have made the tables, and may still use them. */
export const hasColumn = (sql: SqlClient.SqlClient, column: string): Effect.Effect<boolean, SqlError> =>
  Effect.map(sql`SELECT name FROM pragma_table_info('event') WHERE name = ${column}`, (found) => found.length > 0)

/** An event's `scripts` with a count at one of them: how many older events its run also stands for. */
export const scriptsWithCount = (sql: SqlClient.SqlClient, index: number, count: number): Fragment =>
  sql`json_set(scripts, ${`$[${index}].coalesced`}, ${count})`

/** The longest record in which a name is looked for, in bytes: for each row of a list it is read as a whole. */
const longestNamed = 65_536

/**
 * The name of an event's actor, from its record; null if there is none. It has no parameters, because the index
 * `event_name` is found only for the same text.
 */
export const nameOf = (sql: SqlClient.SqlClient): Fragment =>
  sql.literal(
    `CASE WHEN length(record) <= ${longestNamed} AND json_valid(record) THEN json_extract(record, '$.Actor.Attributes.name') END`
  )

/** True if a column's text begins with another text. An index on the column finds such rows. */
export const beginsWith = (sql: SqlClient.SqlClient, column: string, start: string): Fragment =>
  // No character comes after this one.
  sql`(${sql(column)} >= ${start} AND ${sql(column)} < ${`${start}\u{10FFFF}`})`

/** True if a column equals one of the numbers. They are one JSON parameter, as those of {@link notIn}. */
export const isOneOf = (sql: SqlClient.SqlClient, column: Fragment, values: ReadonlyArray<number>): Fragment =>
  sql`${column} IN (SELECT value FROM json_each(${JSON.stringify(values)}))`

/**
 * A number that changes when another connection has written to the database. To read it costs no look at a table
 * (https://www.sqlite.org/pragma.html#pragma_data_version).
 */
export const dataVersion = (sql: SqlClient.SqlClient) =>
  Effect.map(sql<{ data_version: number }>`PRAGMA data_version`, ([row]) => row?.data_version ?? 0)

/**
 * Writes a page of the database without a change. An UPDATE to the same value does not do that: SQLite compares the bytes, and then writes
 * nothing, so it succeeds on a full disk, too.
 */
export const writeNothing = (sql: SqlClient.SqlClient): Effect.Effect<void, SqlError> =>
  Effect.asVoid(sql`PRAGMA user_version = 0`)
