import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as SystemReason from "../../SystemReason.ts"
import { JournalError } from "../Journal.ts"

/** The SQLSTATE of PostgreSQL (docs, appendix A), found anywhere in the chain of causes. */
const codeOf = (error: unknown): string => {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ("code" in at && typeof at.code === "string" && /^(?=.*\d)[0-9A-Z]{5}$/.test(at.code)) return at.code
  }
  return ""
}

const lastCause = (error: unknown): unknown => {
  let last = error
  for (let at = error; at instanceof Error; at = at.cause) last = at
  return last
}

/** Why the database failed, in its own words or in those of the network. */
export const reasonOf = (error: unknown): string => {
  const cause = lastCause(error)
  // The client's own words for it are about its objects.
  if (cause instanceof Error && /not queryable|Connection terminated|closed the connection/i.test(cause.message)) {
    return "the connection was cut"
  }
  return codeOf(error) === "" ? SystemReason.describe(cause) : cause instanceof Error ? cause.message : String(cause)
}

/**
 * True if the statement can succeed later without any change by des: the server cannot be reached, is not there yet, starts, stops, is a
 * standby, is out of connections, memory or disk, or two transactions met. Such statements are repeated.
 */
export const isPassing = (error: unknown): boolean => {
  const code = codeOf(error)
  return code === "" || /^(08|53|57P|40|55P03|25006|25P03|57014|58)/.test(code)
}

const unusable = (detail: string, cause: unknown) => new JournalError({ reason: "Unusable", detail, cause })

/** Explains an error of the database that does not pass: what went wrong, and what to do. */
export const explain =
  (database: string) =>
  (cause: unknown): JournalError => {
    const code = codeOf(cause)
    const why = reasonOf(cause)
    if (code.startsWith("28")) {
      return unusable(
        `the journal ${database} refuses des (${why}). Put the password into the file of PGPASSFILE (~/.pgpass), or let pg_hba.conf allow this host`,
        cause
      )
    }
    if (code === "3D000") {
      return unusable(
        `the journal ${database} does not exist. des state init --print prints the SQL that makes it`,
        cause
      )
    }
    if (code === "42501" || code === "3F000") {
      return unusable(
        `the journal ${database} cannot be used (${why}). des state init --print prints the SQL that gives des its rights`,
        cause
      )
    }
    return new JournalError({ reason: "Failed", detail: `the journal ${database} failed: ${why}`, cause })
  }

/** True if the database refuses a value itself: its characters, its length, or two of it in one statement. */
export const isRefused = (error: JournalError): boolean => /^(21|22|54)/.test(codeOf(error.cause))

/** The database cannot be reached now. */
export const away = (database: string, cause: unknown): JournalError =>
  new JournalError({ reason: "Away", detail: `the journal ${database} cannot be reached: ${reasonOf(cause)}`, cause })

/** The errors of the database within an effect, also those of the end of a transaction, which the client throws. */
export const caught = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError, R> =>
  Effect.catchAllDefect(effect, (defect) => (defect instanceof SqlError ? Effect.fail(defect) : Effect.die(defect)))

/** Another node has this node's work now, since this one was away for too long. What it still does counts for nothing. */
export const takenOver = (what: string): JournalError =>
  new JournalError({
    reason: "TakenOver",
    detail: `${what}: another node does this now, since this one could not reach the journal in time`
  })
