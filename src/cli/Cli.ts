import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import packageJson from "../../package.json" with { type: "json" }
import * as Arguments from "./Arguments.ts"
import * as CliOption from "./CliOption.ts"
import * as Completions from "./Completions.ts"
import * as Help from "./Help.ts"
import { history, retry } from "./History.ts"
import { info } from "./Info.ts"
import { des } from "./Watch.ts"

/** Every subcommand. One more is a file and an entry here. */
const subcommands = { info, history, retry }

/** How the command line may be written. */
export const grammars: Arguments.Grammars = { des, subcommands: new Map(Object.entries(subcommands)) }

const commandOf = (name: string | undefined) =>
  Object.entries(subcommands).find(([known]) => known === name)?.[1] ?? des

const bold = (text: string) => (process.stdout.isTTY && !process.env["NO_COLOR"] ? `\u001b[1m${text}\u001b[0m` : text)

const wrongUsage = (message: string): Effect.Effect<number> => Effect.as(Console.error(message), 2)

const printed = (text: string): Effect.Effect<number> => Effect.as(Console.log(text), 0)

const printCompletions = (shell: string): Effect.Effect<number> =>
  CliOption.oneOf(Completions.shells)(shell, "--completions").pipe(
    Effect.flatMap((format) => printed(format(des, Object.values(subcommands)))),
    Effect.catchTag("UsageError", ({ message }) => wrongUsage(message))
  )

/**
 * The `des` command, from its arguments (without the program's name) to its exit code: 0 done, 1 an error, 2 wrong usage.
 * Results go to stdout, logs and errors to stderr. When `hurry` ends, a stop waits for no script any more.
 */
export const run = Effect.fnUntraced(function* (argv: ReadonlyArray<string>, hurry: Effect.Effect<void>) {
  const given = Arguments.parse(grammars, argv)
  if ("problem" in given) return yield* wrongUsage(given.problem)
  const command = commandOf(given.subcommand)
  if (given.values.has("version")) return yield* printed(packageJson.version)
  if (given.values.has("help")) {
    return yield* printed(Help.format(command, command === des ? Object.values(subcommands) : [], bold))
  }
  const [shell] = given.values.get("completions") ?? []
  return yield* shell === undefined ? command.run(given, hurry) : printCompletions(shell)
})
