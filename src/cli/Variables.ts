/** The variables that set options, for services: systemd's EnvironmentFile=, the environment of a container. */

import * as Arguments from "./Arguments.ts"

/** Options that ask for something else than to watch. A variable must not change what a command does. */
const withoutVariable: ReadonlySet<string> = new Set(["create", "from", "completions", "version", "help"])

/** The variables that are not named like their option: DES_STATE_DIR is older than the rule. */
const exceptions: ReadonlyMap<string, string> = new Map([["state", "DES_STATE_DIR"]])

/** The variable that sets an option of `des`: `DES_LOG_LEVEL` for `--log-level`. Undefined if none does. */
export const variableOf = (option: string): string | undefined =>
  withoutVariable.has(option)
    ? undefined
    : (exceptions.get(option) ?? `DES_${option.toUpperCase().replaceAll("-", "_")}`)

/** The values that a variable's text gives to a flag; undefined if it is neither on nor off. */
const flagValues = (text: string): ReadonlyArray<string> | undefined =>
  ["1", "true", "yes"].includes(text) ? [""] : ["0", "false", "no"].includes(text) ? [] : undefined

/**
 * Leaves one of `--log-level` and `-v`, which is `--log-level debug`: the one of the command line, and if both come from the same place,
 * `--log-level`, which says more.
 */
const withOneLevel = (values: Map<string, ReadonlyArray<string>>, given: Arguments.Given["values"]) => {
  if (values.has("log-level") && values.has("verbose")) {
    values.delete(given.has("verbose") && !given.has("log-level") ? "log-level" : "verbose")
  }
  return values
}

/**
 * Adds the options that variables set to a command line, unless it has them. Only options of `des` have a variable. Its
 * subcommands read the variables of the options that they share with it. An empty variable counts as not set.
 */
export const fill = (
  parsed: Arguments.Parsed,
  { des, subcommands }: Arguments.Grammars,
  environment: Readonly<Record<string, string | undefined>>
): Arguments.Parsed => {
  if ("problem" in parsed || ["version", "help", "completions"].some((name) => parsed.values.has(name))) return parsed
  const { options } = subcommands.get(parsed.subcommand ?? "") ?? des
  const shared = new Set(des.options.map(({ name }) => name))
  const values = new Map(parsed.values)
  const variables = new Map<string, string>()
  for (const { isRepeatable, name, placeholder, words } of options) {
    const variable = shared.has(name) ? variableOf(name) : undefined
    const text = variable === undefined ? undefined : environment[variable]
    if (variable === undefined || text === undefined || text === "" || values.has(name)) continue
    const problem = (expected: string) => ({ problem: `${variable} ${JSON.stringify(text)}: expected ${expected}` })
    if (placeholder === undefined) {
      const given = flagValues(text)
      if (given === undefined) return problem("1 or 0")
      if (given.length > 0) values.set(name, given)
    } else if (words?.includes(text) === false) return problem(Arguments.listed(words, "or"))
    else values.set(name, isRepeatable ? text.split(/\s+/).filter((word) => word !== "") : [text])
    variables.set(name, variable)
  }
  return { ...parsed, values: withOneLevel(values, parsed.values), variables }
}
