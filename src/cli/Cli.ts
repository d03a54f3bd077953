import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import packageJson from "../../package.json" with { type: "json" }
import * as EventCatalogue from "../event/EventCatalogue.ts"
import * as EventFilter from "../event/EventFilter.ts"
import * as OwnEvent from "../event/OwnEvent.ts"
import * as Arguments from "./Arguments.ts"
import { check } from "./Check.ts"
import * as CliCommand from "./CliCommand.ts"
import * as Completions from "./Completions.ts"
import { events } from "./Events.ts"
import * as Help from "./Help.ts"
import { history, retry } from "./History.ts"
import { info } from "./Info.ts"
import * as Printed from "./Printed.ts"
import * as Reference from "./Reference.ts"
import * as Results from "./Results.ts"
import { stateInit } from "./StateInit.ts"
import { status } from "./Status.ts"
import { tryEvent } from "./Try.ts"
import * as Variables from "./Variables.ts"
import { des } from "./Watch.ts"

/** Every subcommand, in the order of the help. */
const subcommands = [check, tryEvent, events, info, status, history, retry, stateInit]

/** The grammar of every command. */
export const grammars: Arguments.Grammars = {
  des: { name: des.name, ...des.grammar },
  subcommands: new Map(subcommands.map(({ grammar, name }) => [name, { name: `${des.name} ${name}`, ...grammar }]))
}

/** Every command. A new subcommand needs a file, and an entry here and above. */
const command = Command.withSubcommands(des.command, [
  check.command,
  tryEvent.command,
  events.command,
  info.command,
  status.command,
  history.command,
  retry.command,
  stateInit.command
])

const runCommand = Command.run(command, { name: des.name, version: packageJson.version })

/** The help of des and of its commands. It is made only for those who read it. */
export const reference = (): {
  readonly des: Help.CommandHelp
  readonly commands: ReadonlyArray<Help.CommandHelp>
} => ({
  des: { name: des.name, ...des.help() },
  commands: subcommands.map(({ help, name }) => ({
    name: `${des.name} ${name}`,
    ...help()
  }))
})

/** What the completions know. */
export const completed = (): Completions.Completed => {
  const { commands, des: root } = reference()
  return {
    commands: [root, ...commands].map(({ name, operands, options, summary }) => ({
      name: name.slice(des.name.length + 1),
      summary,
      options,
      operands: name === root.name ? [...grammars.subcommands.keys()] : (operands?.completes ?? [])
    })),
    events: [
      ...EventCatalogue.entries.map(({ action, type }) => `${type}/${action}`),
      ...EventCatalogue.ownActions.map((action) => `${OwnEvent.type}/${action}`)
    ],
    filters: EventFilter.keys
  }
}

/** The width of a help text where it goes to no terminal, and its greatest width, in columns. */
const [usualWidth, greatestWidth] = [80, 100]

const helpOf = ({ subcommand, values }: Arguments.Given): ReadonlyArray<string> => {
  const { commands, des: root } = reference()
  const width = Results.terminalWidth()
  const style: Help.Style = {
    width: Number.isFinite(width) ? Math.min(width, greatestWidth) : usualWidth,
    bold: (text) => (Results.hasColours() ? `\u001b[1m${text}\u001b[22m` : text)
  }
  const chosen = commands.find(({ name }) => name === `${root.name} ${subcommand}`)
  if (chosen !== undefined) return Help.whole(chosen, style)
  if (!values.has("verbose")) return Help.overview(root, commands, style)
  const names = root.options.map(({ name }) => name)
  return Help.whole(root, style, [Reference.exitCodes, Reference.variables, Reference.optionVariables(names)])
}

/** What des prints without running a command, if that was asked for. The library would read the whole command line first. */
const textOf = (given: Arguments.Given): string | undefined => {
  if (given.values.has("version")) return packageJson.version
  if (given.values.has("help")) return helpOf(given).join("\n")
  const shell = Completions.shells.find((name) => given.values.get("completions")?.includes(name))
  return shell === undefined ? undefined : Completions.make(shell, completed()).trimEnd()
}

/**
 * The `des` command, from its arguments (without the program's name) to its exit code: 0 success, 1 an error, 2 wrong
 * usage. Results go to stdout, logs and errors to stderr. When `hurry` ends, a stop waits for no script any more.
 */
export const run = (argv: ReadonlyArray<string>, hurry: Effect.Effect<void>) =>
  Effect.consoleWith((console) => {
    const given = Variables.fill(Arguments.parse(grammars, argv), grammars, process.env)
    if ("problem" in given) return Effect.as(Console.error(given.problem), 2)
    const text = textOf(given)
    if (text !== undefined) return Effect.as(Console.log(text), 0)
    return runCommand(["node", des.name, ...Arguments.spell(given, grammars)]).pipe(
      Effect.as(0),
      Effect.catchTag("Failed", ({ code }) => Effect.succeed(code)),
      // The library has already printed what is wrong.
      Effect.catchIf(ValidationError.isValidationError, () => Effect.succeed(2)),
      Effect.withConsole(Printed.console(console)),
      Effect.provideService(CliCommand.Hurry, hurry),
      Effect.provide(CliConfig.layer({ isCaseSensitive: true, showBuiltIns: false }))
    )
  })
