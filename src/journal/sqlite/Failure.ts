import { basename, dirname } from "node:path"
import type * as SqlError from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { JournalError } from "../Journal.ts"

/** The error code of SQLite (https://www.sqlite.org/rescode.html), found anywhere in the chain of causes. */
const codeOf = (error: unknown): string => {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ("code" in at && typeof at.code === "string" && at.code.startsWith("SQLITE_")) return at.code
  }
  return ""
}

const lastMessage = (error: unknown): string => {
  let message = String(error)
  for (let at = error; at instanceof Error; at = at.cause) message = at.message
  return message
}

/** True if another connection has locked the file. */
export const isBusy = (error: unknown): boolean => codeOf(error).startsWith("SQLITE_BUSY")

/** The error for a damaged journal. It says what is damaged, and how to go on without losing data. */
export const damaged = (file: string, why: string, cause?: unknown): JournalError =>
  new JournalError({
    reason: "Damaged",
    detail: `the journal ${file} is damaged (${why}). Keep it whole: mv ${dirname(file)} ${dirname(file)}.damaged, and start des again with a new one; sqlite3 ${dirname(file)}.damaged/${basename(file)} .recover prints what can be read`,
    ...(cause === undefined ? {} : { cause })
  })

/** Explains an error of a journal's file: what went wrong, and what to do. */
export const explain =
  (file: string) =>
  (cause: unknown): JournalError => {
    const code = codeOf(cause)
    const fail = (reason: JournalError["reason"], detail: string) => new JournalError({ reason, detail, cause })
    if (code.startsWith("SQLITE_FULL")) {
      return fail(
        "Full",
        `the journal ${file} cannot be written: its disk is full. Free some space and start des again; all accepted events are in the journal, and no unfinished one is marked as done`
      )
    }
    if (isBusy(cause)) {
      return fail(
        "Failed",
        `another program keeps the journal ${file} locked: end that program (fuser ${file} shows it)`
      )
    }
    if (/^SQLITE_(CORRUPT|NOTADB)/.test(code)) {
      return damaged(file, lastMessage(cause), cause)
    }
    if (code.startsWith("SQLITE_IOERR")) {
      return fail("Unusable", `the journal ${file} cannot be used (${lastMessage(cause)}): its disk is full, or fails`)
    }
    if (/^SQLITE_(READONLY|CANTOPEN|PERM|AUTH)/.test(code)) {
      return fail(
        "Unusable",
        `the journal ${file} cannot be used (${lastMessage(cause)}). des's user must be able to write it and its directory`
      )
    }
    return fail("Failed", `the journal ${file} failed: ${lastMessage(cause)}`)
  }

/** Explains the database errors of an effect on the journal's file. */
export const explained =
  (file: string) =>
  <A, E extends SqlError.SqlError, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, JournalError, R> =>
    Effect.mapError(effect, explain(file))

/** The error for a waiting event that another program has deleted. */
export const gone = (file: string, id: number): JournalError =>
  new JournalError({
    reason: "Failed",
    detail: `event ${id}, which waited, is missing in the journal ${file}: another program has changed the file. Only des may write to it`
  })
