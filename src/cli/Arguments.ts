import { parseArgs } from "node:util"

/** The command line in its one plain spelling, after the subcommand that it names, or what is wrong with it. */
export type Parsed =
  | { readonly subcommand?: Subcommand; readonly arguments: ReadonlyArray<string> }
  | { readonly problem: string }

/** Options that every command has. */
const everywhere = {
  verbose: { type: "boolean", short: "v" },
  "log-format": { type: "string" },
  "log-level": { type: "string" },
  help: { type: "boolean", short: "h" }
} as const

/** Options of the commands that ask an engine. */
const ofEngine = {
  context: { type: "string", multiple: true },
  endpoint: { type: "string", short: "e", multiple: true }
} as const

/** Options of the commands that use a journal on disk. */
const ofState = { state: { type: "string" } } as const

/** A command's options, which of them take a value, and whether it takes arguments that are none. */
interface Spelling {
  readonly options: Readonly<Record<string, { type: "boolean" | "string"; short?: string; multiple?: boolean }>>
  readonly operands?: boolean
}

/** What des is without a subcommand. */
const watch: Spelling = {
  options: {
    ...everywhere,
    ...ofEngine,
    ...ofState,
    create: { type: "boolean", short: "c" },
    directory: { type: "string", short: "d" },
    from: { type: "string" },
    env: { type: "string", multiple: true },
    jobs: { type: "string" },
    timeout: { type: "string" },
    grace: { type: "string" },
    retries: { type: "string" },
    cooldown: { type: "string" },
    drain: { type: "string" },
    keep: { type: "string" },
    "max-age": { type: "string" },
    queue: { type: "string" },
    sync: { type: "boolean" },
    liveness: { type: "string" },
    "insecure-scripts": { type: "boolean" },
    completions: { type: "string" },
    version: { type: "boolean" }
  }
}

/**
 * Every subcommand by its name: spelling is settled here, meaning in src/cli/NAME.ts, and src/cli/Cli.ts puts both together.
 * An option of one name takes a value in every command or in none.
 */
const subcommands = {
  info: { options: { ...everywhere, ...ofEngine, json: { type: "boolean" } } },
  history: {
    options: {
      ...everywhere,
      ...ofState,
      failed: { type: "boolean" },
      since: { type: "string" },
      json: { type: "boolean" }
    }
  },
  retry: { options: { ...everywhere, ...ofState }, operands: true }
} as const satisfies Readonly<Record<string, Spelling>>

/** The name of a subcommand. */
export type Subcommand = keyof typeof subcommands

const isSubcommand = (name: string): name is Subcommand => Object.hasOwn(subcommands, name)

/** The options of all commands, which tell a subcommand's name from a value that stands before it. */
const known: Spelling["options"] = Object.fromEntries(
  [watch, ...Object.values(subcommands)].flatMap(({ options }) => Object.entries(options))
)

/** `-d=DIR` is `-dDIR`, which a value that begins with `=` is to Unix tools. */
const unattached = (argument: string): string => argument.replace(/^(-[cvh]*[de])=/, "$1")

/**
 * Reads the command line as Unix tools do: `-cv`, `-vd DIR`, `-dDIR`, `-d=DIR`, `--from=FILE`; of an option that is given
 * twice the last one counts. The first operand names the subcommand, whose options stand before or after it. A request
 * for the version or for help stands above everything beside it.
 */
export const parse = (argv: ReadonlyArray<string>): Parsed => {
  const args = argv.map(unattached)
  const { tokens, values: asked } = parseArgs({ args, options: known, strict: false, tokens: true })
  const operand = tokens.find(({ kind }) => kind !== "option")
  const name = operand?.kind === "positional" && isSubcommand(operand.value) ? operand.value : undefined
  const chosen = name === undefined ? {} : { subcommand: name }
  if (asked["version"] === true) return { arguments: ["--version"] }
  if (asked["help"] === true) return { ...chosen, arguments: ["--help"] }
  const { options, operands = false }: Spelling = name === undefined ? watch : subcommands[name]
  try {
    const { positionals, values } = parseArgs({
      args: name === undefined ? args : args.filter((_, at) => at !== operand?.index),
      options,
      allowPositionals: operands
    })
    const empty = Object.entries(values).find(([, value]) => [value].flat().includes(""))
    if (empty !== undefined) return { problem: `Option '--${empty[0]}' has an empty value` }
    if (values["completions"] !== undefined) return { arguments: ["--completions", String(values["completions"])] }
    const spelled = Object.entries(values).flatMap(([name, value]) =>
      [value].flat().flatMap((one) => (typeof one === "string" ? [`--${name}`, one] : [`--${name}`]))
    )
    return { ...chosen, arguments: positionals.length === 0 ? spelled : [...spelled, "--", ...positionals] }
  } catch (error) {
    // Only the first sentence is about the argument.
    return { problem: error instanceof Error ? (error.message.split(/\. /)[0] ?? "") : String(error) }
  }
}
