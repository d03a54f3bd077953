import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import * as Effect from "effect/Effect"

// SQL that only SQLite understands, for what only the journal in SQLite does.

/**
 * An id that only grows. Without AUTOINCREMENT, SQLite would reuse the id of a deleted newest row for another event.
 */
export const growingId = (sql: SqlClient.SqlClient): Fragment => sql`INTEGER PRIMARY KEY AUTOINCREMENT`

/** A name that no other journal has, in hexadecimal digits. */
export const randomName = (sql: SqlClient.SqlClient): Fragment => sql`lower(hex(randomblob(8)))`

/** The size of the database on the disk, in bytes. */
export const databaseSize = (sql: SqlClient.SqlClient): Fragment =>
  sql`(SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size())`

/** An event's `scripts` with a count at one of them: how many older events its run also stands for. */
export const scriptsWithCount = (sql: SqlClient.SqlClient, index: number, count: number): Fragment =>
  sql`json_set(scripts, ${`$[${index}].coalesced`}, ${count})`

/**
 * Writes a page of the database without a change. An UPDATE to the same value does not do that: SQLite compares the bytes, and then writes
 * nothing, so it succeeds on a full disk, too.
 */
export const writeNothing = (sql: SqlClient.SqlClient): Effect.Effect<void, SqlError> =>
  Effect.asVoid(sql`PRAGMA user_version = 0`)
