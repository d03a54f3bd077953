/** A command of the command line: its options, what it does, and the exit code of whatever comes of it. */

import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Log from "../Log.ts"
import type { Given, Grammar } from "./Arguments.ts"
import * as CliOption from "./CliOption.ts"
import { UsageError } from "./CommandError.ts"

/** The positional arguments of a command that needs at least one. */
interface Operands<A> {
  readonly placeholder: string
  readonly description: string
  readonly parse: CliOption.Parser<A>
}

/** What the help shows of a command. */
export interface Described extends Grammar {
  readonly summary: string
  readonly options: ReadonlyArray<CliOption.Described>
  readonly operands?: Pick<Operands<unknown>, "placeholder" | "description">
}

/** A command that can be run. */
export interface CliCommand<R> extends Described {
  /** Gives the exit code: 0 done, 1 an error, 2 wrong usage. When `hurry` ends, a stop waits for no script any more. */
  readonly run: (given: Given, hurry: Effect.Effect<void>) => Effect.Effect<number, never, R>
}

const logLevels = {
  debug: LogLevel.Debug,
  info: LogLevel.Info,
  warning: LogLevel.Warning,
  error: LogLevel.Error,
  none: LogLevel.None
}

/** Options that every command has. */
const everywhere = {
  verbose: CliOption.flag({
    name: "verbose",
    short: "v",
    description: "log what des sees and what scripts get, too"
  }),
  logFormat: CliOption.withDefault({
    name: "log-format",
    placeholder: "FORMAT",
    description: `how log lines look on stderr: ${Log.formats.join(", ")}`,
    fallback: "text",
    completion: Log.formats,
    parse: CliOption.oneOf({ text: "text", logfmt: "logfmt", json: "json" } satisfies Record<
      Log.LogFormat,
      Log.LogFormat
    >)
  }),
  logLevel: CliOption.withDefault({
    name: "log-level",
    placeholder: "LEVEL",
    description: `log nothing below LEVEL: ${Object.keys(logLevels).join(", ")}; -v is debug`,
    fallback: "info",
    completion: Object.keys(logLevels),
    parse: CliOption.oneOf(logLevels)
  }),
  help: CliOption.flag({ name: "help", short: "h", description: "show this help" })
}

type Options = Readonly<Record<string, CliOption.CliOption<unknown>>>

/** What the options mean, by the key of each. */
export type Values<O extends Options> = {
  readonly [Key in keyof O]: O[Key] extends CliOption.CliOption<infer A> ? A : never
}

const readAll = <O extends Options>(options: O, given: Given): Effect.Effect<Values<O>, UsageError> =>
  Effect.map(
    Effect.forEach(Object.entries(options), ([key, option]) =>
      Effect.map(option.read(given.values.get(option.name) ?? []), (value) => [key, value] as const)
    ),
    // The keys are those of the options.
    (entries) => Object.fromEntries(entries) as Values<O>
  )

const readOperands = <A>(command: string, operands: Operands<A>, given: ReadonlyArray<string>) =>
  given.length === 0
    ? new UsageError({ message: `${command} needs ${operands.placeholder}: ${operands.description}` })
    : Effect.forEach(given, (text) => operands.parse(text, operands.placeholder.replace("…", "")))

/** Wrong usage may also be found out later than the command line is read: in a variable, or in options that contradict each other. */
const usageTags: ReadonlySet<string> = new Set(["UsageError", "EndpointError"])

/**
 * Makes a command. What fails is logged with its message and becomes an exit code, and so is a defect. A command that has
 * logged its errors by itself gives the exit code as its result.
 */
export const make = <
  const O extends Options,
  E extends { readonly _tag: string; readonly message: string },
  R,
  A = never
>(spec: {
  readonly name: string
  readonly summary: string
  readonly options: O
  readonly operands?: Operands<A>
  readonly run: (
    given: Values<O> & { readonly operands: ReadonlyArray<A> },
    hurry: Effect.Effect<void>
  ) => Effect.Effect<number, E, R>
}): CliCommand<R> => {
  const { name, operands, summary } = spec
  const options = { ...spec.options, ...everywhere }
  return {
    name,
    summary,
    options: Object.values(options),
    takesOperands: operands !== undefined,
    ...(operands === undefined ? {} : { operands }),
    run: (given, hurry) =>
      Effect.gen(function* () {
        const positional = operands === undefined ? [] : yield* readOperands(name, operands, given.operands)
        const shared = yield* readAll(everywhere, given)
        const own = yield* readAll(spec.options, given)
        return yield* spec.run({ ...own, operands: positional }, hurry).pipe(
          Effect.catchAll((error) => Effect.as(Effect.logError(error.message), usageTags.has(error._tag) ? 2 : 1)),
          Effect.catchAllDefect((defect) =>
            Effect.as(Effect.logError("internal error, please report it", Cause.die(defect)), 1)
          ),
          Effect.provide(Log.layer({ format: shared.logFormat, verbose: shared.verbose })),
          Logger.withMinimumLogLevel(shared.logLevel)
        )
      }).pipe(Effect.catchTag("UsageError", ({ message }) => Effect.as(Console.error(message), 2)))
  }
}
