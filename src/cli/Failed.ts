import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/** A command's reason was logged; this is the exit code that goes with it: 1 an error, 2 wrong usage. */
export class Failed extends Data.TaggedError("Failed")<{ readonly code: number }> {}

/** Logs an error's message and fails with an exit code. */
export const withCode = (code: number) => (error: { readonly message: string }) =>
  Effect.zipRight(Effect.logError(error.message), new Failed({ code }))

/** A defect is said as everything else is, in the log, and ends the command as an error does. */
export const onDefect = (defect: unknown) =>
  Effect.zipRight(
    Effect.logError("des failed in a way that nobody thought of", Cause.die(defect)),
    new Failed({ code: 1 })
  )
