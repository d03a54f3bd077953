import { basename, dirname } from "node:path"
import type * as SqlError from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { JournalError } from "../Journal.ts"

/** The code of SQLite (https://www.sqlite.org/rescode.html), wherever in the causes it is. */
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

/** Another connection has the file locked. */
export const isBusy = (error: unknown): boolean => codeOf(error).startsWith("SQLITE_BUSY")

/** What a check found, and the way out that loses nothing. */
export const damaged = (file: string, why: string, cause?: unknown): JournalError =>
  new JournalError({
    reason: "Damaged",
    detail: `the journal ${file} is damaged (${why}). Keep it whole: mv ${dirname(file)} ${dirname(file)}.damaged, and start des again with a new one; sqlite3 ${dirname(file)}.damaged/${basename(file)} .recover prints what can be read`,
    ...(cause === undefined ? {} : { cause })
  })

/** What went wrong with a journal's file, and what to do. */
export const explain =
  (file: string) =>
  (cause: unknown): JournalError => {
    const code = codeOf(cause)
    const fail = (reason: JournalError["reason"], detail: string) => new JournalError({ reason, detail, cause })
    if (code.startsWith("SQLITE_FULL")) {
      return fail(
        "Full",
        `the journal ${file} cannot be written: there is no room on its disk. Free some and start des again; what was accepted is in the journal, and nothing is marked done that was not`
      )
    }
    if (isBusy(cause)) {
      return fail("Failed", `the journal ${file} is kept locked by another program: end that one (fuser ${file})`)
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

/** Says of an effect on the journal's file what went wrong. */
export const explained =
  (file: string) =>
  <A, E extends SqlError.SqlError, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, JournalError, R> =>
    Effect.mapError(effect, explain(file))

/** Another program has deleted an event that waited. */
export const gone = (file: string, id: number): JournalError =>
  new JournalError({
    reason: "Failed",
    detail: `the journal ${file} has lost event ${id}, which waited. Another program has changed it: leave it to des`
  })
