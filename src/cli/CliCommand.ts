/** Makes a command of the command line: its options, what it does, and its exit code. */

import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Log from "../Log.ts"
import type { Grammar } from "./Arguments.ts"
import * as CliOption from "./CliOption.ts"
import * as JournalStream from "./JournalStream.ts"

/** When this effect ends, a stop waits for no script any more. */
export class Hurry extends Context.Tag("des/Hurry")<Hurry, Effect.Effect<void>>() {}

/** A command has failed and has already logged why. `code` is the exit code: 1 an error, 2 wrong usage. */
export class Failed extends Data.TaggedError("Failed")<{ readonly code: number }> {}

/**
 * The options of every command. The library handles `--log-level` and `--help` itself. They are listed here so that the
 * help shows them and a misspelling is recognised.
 */
const everywhere = {
  verbose: CliOption.flag({
    name: "verbose",
    short: "v",
    description: "also log what des sees and what scripts get"
  }),
  logFormat: CliOption.choice({
    name: "log-format",
    description: "the format of log lines on stderr (default: text)",
    words: Log.formats
  }),
  logLevel: CliOption.choice({
    name: "log-level",
    description: "log nothing below this level (default: info, with -v debug)",
    words: ["debug", "info", "warning", "error", "none"]
  }),
  help: CliOption.flag({ name: "help", short: "h", description: "show this help" })
}

type Config = Readonly<Record<string, Options.Options<unknown> | Args.Args<unknown>>>

/** The parsed values of a command's options. */
export type Values<C extends Config> = Command.Command.ParseConfigValue<C>

/**
 * The errors that mean wrong usage. Wrong usage can be found after the command line was read: in a variable, or in
 * options that contradict each other.
 */
const usageTags: ReadonlySet<string> = new Set(["UsageError", "EndpointError"])

/** An error of a command, with a message for its user. */
interface ShownError {
  readonly _tag: string
  readonly message: string
}

const failed = (code: number): Effect.Effect<void, Failed> => (code === 0 ? Effect.void : new Failed({ code }))

/**
 * Makes a command. An error is logged with its message and becomes an exit code. A defect is logged as an internal
 * error. A command that logs its errors itself returns the exit code.
 */
export const make = <const Name extends string, const C extends Config, E extends ShownError, R>(spec: {
  readonly name: Name
  readonly summary: string
  readonly config: C
  readonly run: (given: Values<C>) => Effect.Effect<number, E, R>
}) => {
  const config = { own: spec.config, shared: everywhere }
  const values = Object.values(spec.config)
  const grammar: Omit<Grammar, "name"> = {
    options: [...values.filter(Options.isOptions), ...Object.values(everywhere)].flatMap(CliOption.spelling),
    takesOperands: values.some(Args.isArgs)
  }
  const command = Command.make(spec.name, config, ({ own, shared }) =>
    spec.run(own).pipe(
      Effect.catchAll((error) => Effect.as(Effect.logError(error.message), usageTags.has(error._tag) ? 2 : 1)),
      Effect.catchAllDefect((defect) =>
        Effect.as(Effect.logError("internal error, please report it", Cause.die(defect)), 1)
      ),
      Effect.provide(
        Log.layer({ format: shared.logFormat ?? "text", verbose: shared.verbose, journald: JournalStream.isStderr() })
      ),
      Effect.flatMap(failed)
    )
  ).pipe(Command.withDescription(`${spec.summary}.`))
  return { name: spec.name, grammar, command }
}
