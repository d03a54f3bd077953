import type * as SqlClient from "@effect/sql/SqlClient"
import type { Fragment } from "@effect/sql/Statement"

// What only SQLite understands. A journal in another database needs its own words for these, and for nothing else but the
// PRAGMAs of StateDirectory.ts.

/** An id that only grows: without AUTOINCREMENT SQLite gives the id of a deleted newest row again, to another event. */
export const growingId = (sql: SqlClient.SqlClient): Fragment => sql`INTEGER PRIMARY KEY AUTOINCREMENT`

/** A name that no other journal has, in hexadecimal digits. */
export const randomName = (sql: SqlClient.SqlClient): Fragment => sql`lower(hex(randomblob(8)))`

/** True if `column` is none of the values. They are one parameter: a statement can have 32,766, and an engine more containers. */
export const notIn = (sql: SqlClient.SqlClient, column: string, values: ReadonlyArray<string>): Fragment =>
  sql`${sql(column)} NOT IN (SELECT value FROM json_each(${JSON.stringify(values)}))`

/** Of an event's `scripts`, a JSON array, only the script of a run: the events of any number of runs are copied by one statement. */
export const scriptsOfRun = (sql: SqlClient.SqlClient): Fragment =>
  sql`(SELECT json_group_array(json(value)) FROM json_each(scripts) WHERE json_extract(value, '$.path') = run.script)`
