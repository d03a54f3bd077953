import * as Data from "effect/Data"

/** The command line, or a variable in its place, cannot be understood: exit code 2. The message names the option and what it takes. */
export class UsageError extends Data.TaggedError("UsageError")<{ readonly message: string }> {}

/** A command cannot do what it was asked for: exit code 1. The message says on what, and why. */
export class CommandError extends Data.TaggedError("CommandError")<{ readonly message: string }> {}
