import type * as SqlClient from "@effect/sql/SqlClient"
import type { Fragment } from "@effect/sql/Statement"

// SQL that only SQLite understands. A journal in another database must replace this file and the PRAGMAs of
// StateDirectory.ts, and nothing else.

/**
 * An id that only grows. Without AUTOINCREMENT, SQLite would reuse the id of a deleted newest row for another event.
 */
export const growingId = (sql: SqlClient.SqlClient): Fragment => sql`INTEGER PRIMARY KEY AUTOINCREMENT`

/** A name that no other journal has, in hexadecimal digits. */
export const randomName = (sql: SqlClient.SqlClient): Fragment => sql`lower(hex(randomblob(8)))`

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

/** An event's `scripts` with a count at one of them: how many older events its run also stands for. */
export const scriptsWithCount = (sql: SqlClient.SqlClient, index: number, count: number): Fragment =>
  sql`json_set(scripts, ${`$[${index}].coalesced`}, ${count})`

/** The longest record in which a name is looked for, in bytes: for each row of a list it is read as a whole. */
const longestNamed = 65_536

/** The name of an event's actor, from its record; null if there is none. */
export const nameOf = (sql: SqlClient.SqlClient): Fragment =>
  sql`CASE WHEN length(record) <= ${longestNamed} AND json_valid(record) THEN json_extract(record, '$.Actor.Attributes.name') END`
