import { parseArgs } from "node:util"

/** The command line in its one plain spelling, or what is wrong with it. */
export type Parsed = { readonly arguments: ReadonlyArray<string> } | { readonly problem: string }

/** Every option, and which take a value: spelling is settled here, meaning in Cli.ts. */
const options = {
  create: { type: "boolean", short: "c" },
  directory: { type: "string", short: "d" },
  endpoint: { type: "string", short: "e" },
  verbose: { type: "boolean", short: "v" },
  from: { type: "string" },
  env: { type: "string", multiple: true },
  jobs: { type: "string" },
  timeout: { type: "string" },
  grace: { type: "string" },
  retries: { type: "string" },
  cooldown: { type: "string" },
  drain: { type: "string" },
  "insecure-scripts": { type: "boolean" },
  "log-format": { type: "string" },
  "log-level": { type: "string" },
  completions: { type: "string" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean" }
} as const

/** `-d=DIR` is `-dDIR`, which a value that begins with `=` is to Unix tools. */
const unattached = (argument: string): string => argument.replace(/^(-[cvh]*[de])=/, "$1")

/**
 * Reads the command line as Unix tools do: `-cv`, `-vd DIR`, `-dDIR`, `-d=DIR`, `--from=FILE`; of an option that is given
 * twice the last one counts. A request for the version or for help stands above everything beside it.
 */
export const parse = (argv: ReadonlyArray<string>): Parsed => {
  const args = argv.map(unattached)
  const asked = parseArgs({ args, options, strict: false }).values
  if (asked.version === true) return { arguments: ["--version"] }
  if (asked.help === true) return { arguments: ["--help"] }
  try {
    const { values } = parseArgs({ args, options })
    const empty = Object.entries(values).find(([, value]) => [value].flat().includes(""))
    if (empty !== undefined) return { problem: `Option '--${empty[0]}' has an empty value` }
    return {
      arguments: Object.entries(values).flatMap(([name, value]) =>
        [value].flat().flatMap((one) => (typeof one === "string" ? [`--${name}`, one] : [`--${name}`]))
      )
    }
  } catch (error) {
    // Only the first sentence is about the argument.
    return { problem: error instanceof Error ? (error.message.split(/\. /)[0] ?? "") : String(error) }
  }
}
