import * as Data from "effect/Data"

/**
 * The command line, or a variable that replaces an option, is wrong: exit code 2. The message names the option and what
 * it accepts.
 */
export class UsageError extends Data.TaggedError("UsageError")<{ readonly message: string }> {}

/** A command cannot do its work: exit code 1. The message says on what it failed, and why. */
export class CommandError extends Data.TaggedError("CommandError")<{ readonly message: string }> {}
