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
import type * as Help from "./Help.ts"
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
    common: true,
    description: "also log what des sees and what scripts get"
  }),
  logFormat: CliOption.choice({
    name: "log-format",
    common: true,
    description: "write log lines as text (default), logfmt or json; the log goes to stderr",
    example: "json",
    label: "FORMAT",
    words: Log.formats
  }),
  logLevel: CliOption.choice({
    name: "log-level",
    common: true,
    description:
      "log nothing below debug, info (default), warning, error or none; -v is debug, and --log-level beside it wins",
    example: "warning",
    label: "LEVEL",
    words: ["debug", "info", "warning", "error", "none"]
  }),
  help: CliOption.flag({ name: "help", short: "h", common: true, description: "show this help; with -v all of it" })
}

type Config = Readonly<Record<string, CliOption.CliOption<unknown> | Args.Args<unknown>>>

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
 *
 * - `summary`: a phrase, and after the first semicolon the details, which the short help leaves out.
 * - `operands`: how its positional arguments are written, and an example of those that it needs.
 */
export const make = <const Name extends string, const C extends Config, E extends ShownError, R>(spec: {
  readonly name: Name
  readonly summary: string
  readonly operands?: Help.Operands
  readonly config: C
  readonly run: (given: Values<C>) => Effect.Effect<number, E, R>
}) => {
  const config = { own: spec.config, shared: everywhere }
  const values = Object.values(spec.config)
  const isOption = (value: Config[string]): value is CliOption.CliOption<unknown> => Options.isOptions(value)
  const options = [...values.filter(isOption), ...Object.values(everywhere)]
  const grammar: Omit<Grammar, "name"> = {
    options: options.flatMap(CliOption.spelling),
    takesOperands: values.some(Args.isArgs)
  }
  /** Made only for those who read it. */
  const help = (): Omit<Help.CommandHelp, "name"> => ({
    summary: spec.summary,
    ...(spec.operands === undefined ? {} : { operands: spec.operands }),
    operandsMean: values.filter(Args.isArgs).flatMap((args) => CliOption.paragraphs(Args.getHelp(args))[1] ?? []),
    options: options.flatMap(CliOption.help)
  })
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
  return { name: spec.name, grammar, help, command }
}
