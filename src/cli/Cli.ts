import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import packageJson from "../../package.json" with { type: "json" }
import * as Arguments from "./Arguments.ts"
import { check } from "./Check.ts"
import * as CliCommand from "./CliCommand.ts"
import { events } from "./Events.ts"
import { history, retry } from "./History.ts"
import { info } from "./Info.ts"
import * as Printed from "./Printed.ts"
import { tryEvent } from "./Try.ts"
import * as Variables from "./Variables.ts"
import { des } from "./Watch.ts"

/** The grammar of every command. */
export const grammars: Arguments.Grammars = {
  des: { name: des.name, ...des.grammar },
  subcommands: new Map(
    [check, tryEvent, events, info, history, retry].map(({ grammar, name }) => [
      name,
      { name: `${des.name} ${name}`, ...grammar }
    ])
  )
}

/** Every command. A new subcommand needs a file, and an entry here and above. */
const command = Command.withSubcommands(des.command, [
  check.command,
  tryEvent.command,
  events.command,
  info.command,
  history.command,
  retry.command
])

const runCommand = Command.run(command, { name: des.name, version: packageJson.version })

/** How a text of the library is edited before it is printed. The output of a command itself is not edited. */
const editOf = ({ values }: Arguments.Given): ((text: string) => string) | undefined =>
  values.has("help") ? Printed.help : values.has("completions") ? Printed.completions : undefined

/**
 * The `des` command, from its arguments (without the program's name) to its exit code: 0 success, 1 an error, 2 wrong
 * usage. Results go to stdout, logs and errors to stderr. When `hurry` ends, a stop waits for no script any more.
 */
export const run = (argv: ReadonlyArray<string>, hurry: Effect.Effect<void>) =>
  Effect.consoleWith((console) => {
    const given = Variables.fill(Arguments.parse(grammars, argv), grammars, process.env)
    if ("problem" in given) return Effect.as(Console.error(given.problem), 2)
    // des handles this itself: the library would read the whole command line first.
    if (given.values.has("version")) return Effect.as(Console.log(packageJson.version), 0)
    return runCommand(["node", des.name, ...Arguments.spell(given, grammars)]).pipe(
      Effect.as(0),
      Effect.catchTag("Failed", ({ code }) => Effect.succeed(code)),
      // The library has already printed what is wrong.
      Effect.catchIf(ValidationError.isValidationError, () => Effect.succeed(2)),
      Effect.withConsole(Printed.console(console, editOf(given))),
      Effect.provideService(CliCommand.Hurry, hurry),
      Effect.provide(CliConfig.layer({ isCaseSensitive: true, showBuiltIns: false }))
    )
  })
