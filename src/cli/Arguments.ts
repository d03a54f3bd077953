import { parseArgs } from "node:util"
import * as NearMiss from "../NearMiss.ts"

/** How an option is written. `name` has no dashes; `short` is its letter. */
export interface Spelling {
  readonly name: string
  readonly short?: string
  /** The name of the value in the help, such as `DIR`. An option without a value has none. */
  readonly placeholder?: string
  /** The only values that it accepts, if they are words. */
  readonly words?: ReadonlyArray<string>
  /** True if the option may be given several times and all values count. Otherwise the last value counts. */
  readonly isRepeatable: boolean
}

/** What a command accepts: its options, and whether it accepts positional arguments. */
export interface Grammar {
  /** The command as its user writes it: `des`, `des info`. */
  readonly name: string
  readonly options: ReadonlyArray<Spelling>
  readonly takesOperands: boolean
}

/** des without a subcommand, and its subcommands by name. */
export interface Grammars {
  readonly des: Grammar
  readonly subcommands: ReadonlyMap<string, Grammar>
}

/**
 * A command line that was understood. The values of an option are in the order of the command line. An option without a
 * value has one empty value.
 */
export interface Given {
  readonly subcommand?: string
  readonly values: ReadonlyMap<string, ReadonlyArray<string>>
  /** The names of the variables that set options, by option. */
  readonly variables?: ReadonlyMap<string, string>
  readonly operands: ReadonlyArray<string>
}

/** The command line, or one line that says what is wrong with it. */
export type Parsed = Given | { readonly problem: string }

/** How many letters of a name are enough to guess it. */
const shortestStart = 3

/** The name that was probably meant: one that begins with these letters, or else one with few wrong letters. */
const meant = (written: string, names: ReadonlyArray<string>): string | undefined =>
  names.find((name) => written.length >= shortestStart && name.startsWith(written.toLowerCase())) ??
  NearMiss.find(written, names)

/** A list in words, such as `a, b and c`. */
export const listed = (words: ReadonlyArray<string>, last: "and" | "or"): string =>
  [words.slice(0, -1).join(", "), words.at(-1)].filter((part) => part !== "").join(` ${last} `)

const seeHelp = (grammar: Grammar) => `${grammar.name} --help shows its options`

const unknownOption = (written: string, grammar: Grammar, others: ReadonlyArray<Grammar>): string => {
  const name = written.replace(/^-+/, "")
  const near = written.startsWith("--")
    ? meant(
        name,
        grammar.options.map((option) => option.name)
      )
    : undefined
  if (near !== undefined) return `${written}: there is no such option; did you mean --${near}?`
  const owners = others.filter(({ options }) => options.some((option) => [option.name, option.short].includes(name)))
  const elsewhere = written.startsWith("--")
    ? others.flatMap((other) => {
        const theirs = meant(
          name,
          other.options.map((option) => option.name)
        )
        return theirs === undefined ? [] : [`${other.name} --${theirs}`]
      })[0]
    : undefined
  return owners.length === 0
    ? `${written}: there is no such option; ${elsewhere === undefined ? seeHelp(grammar) : `did you mean ${elsewhere}?`}`
    : `${written}: this is an option of ${listed(
        owners.map((owner) => owner.name),
        "and"
      )}, not of ${grammar.name}; ${seeHelp(grammar)}`
}

const unexpected = (written: string, grammar: Grammar, { des, subcommands }: Grammars): string => {
  const near = grammar === des ? meant(written, [...subcommands.keys()]) : undefined
  const what = `${JSON.stringify(written)}: ${grammar.name} takes no positional argument`
  return near === undefined ? `${what}; ${seeHelp(grammar)}` : `${what}; did you mean des ${near}?`
}

/**
 * Says what is wrong with an option and its value, if anything. The library's own message would not name the option.
 */
const wrongValue = (
  { name, placeholder, words }: Spelling,
  value: string | undefined,
  isAttached: boolean
): string | undefined => {
  if (placeholder === undefined) {
    return value === undefined ? undefined : `--${name}=${JSON.stringify(value)}: this option takes no value`
  }
  if (value === undefined) return `--${name}: its value is missing: --${name} ${placeholder}`
  if (!isAttached && value.startsWith("-") && value !== "-") {
    return `--${name}: its value is missing; if the value is ${value}, write --${name}=${value}`
  }
  if (value === "") return `--${name}: its value is empty`
  if (words?.includes(value) === false) {
    const near = meant(value, words)
    return `--${name} ${JSON.stringify(value)}: expected ${listed(words, "or")}${near === undefined ? "" : `; did you mean ${near}?`}`
  }
  return undefined
}

/** Turns `-d=DIR` into `-dDIR`. Unix tools would take the `=` as part of the value. */
const makeUnattached = (options: ReadonlyArray<Spelling>) => {
  const letters = (valued: boolean) =>
    options.flatMap(({ placeholder, short }) =>
      short === undefined || (placeholder !== undefined) !== valued ? [] : [short]
    )
  const pattern = new RegExp(`^(-[${letters(false).join("")}]*[${letters(true).join("")}])=`)
  return (argument: string): string => argument.replace(pattern, "$1")
}

/**
 * Reads the command line as Unix tools do: `-cv`, `-vd DIR`, `-dDIR`, `-d=DIR`, `--from=FILE`, options in any order.
 * The first positional argument names the subcommand; its options stand before or after it. A request for the version,
 * for help or for completions counts alone; everything else is ignored, but for `-v` beside `--help`.
 *
 * If two commands have an option of the same name, both take a value or neither does. So a value is never taken for the
 * name of the subcommand.
 */
export const parse = (grammars: Grammars, argv: ReadonlyArray<string>): Parsed => {
  const all = [grammars.des, ...grammars.subcommands.values()]
  const known = all.flatMap(({ options }) => options)
  const { tokens } = parseArgs({
    args: argv.map(makeUnattached(known)),
    options: Object.fromEntries(
      known.map(({ name, placeholder, short }) => [
        name,
        { type: placeholder === undefined ? "boolean" : "string", ...(short === undefined ? {} : { short }) } as const
      ])
    ),
    strict: false,
    tokens: true
  })
  const given = tokens.filter((token) => token.kind === "option")
  const operand = tokens.find((token) => token.kind !== "option")
  const subcommand =
    operand?.kind === "positional" && grammars.subcommands.has(operand.value) ? operand.value : undefined
  const chosen = subcommand === undefined ? {} : { subcommand }
  for (const alone of ["version", "help"]) {
    if (given.some(({ name, value }) => name === alone && value === undefined)) {
      const isVerbose = alone === "help" && given.some(({ name }) => name === "verbose")
      return {
        ...chosen,
        values: new Map([[alone, [""]], ...(isVerbose ? [["verbose", [""]] as const] : [])]),
        operands: []
      }
    }
  }

  const grammar = grammars.subcommands.get(subcommand ?? "") ?? grammars.des
  const spellings = new Map(grammar.options.map((option) => [option.name, option]))
  const values = new Map<string, ReadonlyArray<string>>()
  for (const { inlineValue, name, rawName, value } of given) {
    const spelling = spellings.get(name)
    if (spelling === undefined) {
      return { problem: unknownOption(rawName, grammar, all) }
    }
    const problem = wrongValue(spelling, value, inlineValue !== false)
    if (problem !== undefined) return { problem }
    values.set(name, [...(spelling.isRepeatable ? (values.get(name) ?? []) : []), value ?? ""])
  }

  const operands = tokens.flatMap((token) => (token.kind === "positional" && token !== operand ? [token.value] : []))
  if (operand?.kind === "positional" && subcommand === undefined) operands.unshift(operand.value)
  if (!grammar.takesOperands && operands[0] !== undefined) {
    return { problem: unexpected(operands[0], grammar, grammars) }
  }
  const completions = values.get("completions")
  return completions === undefined
    ? { ...chosen, values, operands }
    : { values: new Map([["completions", completions]]), operands: [] }
}

/** Quotes a value for the library. It never trims a quoted value, or takes it for an option or a subcommand. */
const quote = (value: string): string => JSON.stringify(value)

/** Returns the value that `quote` has quoted. */
export const unquote = (quoted: string): string => JSON.parse(quoted)

/** The value of an option, and what gave it, for messages: `--jobs`, or the variable `DES_JOBS`. */
export interface Sourced {
  readonly source: string
  readonly value: string
}

const quoteSourced = (sourced: Sourced): string => JSON.stringify(sourced)

/** Returns the value of an option that {@link spell} has quoted. */
export const unquoteSourced = (quoted: string): Sourced => JSON.parse(quoted)

/** The options that the library handles itself, if they come first. The others of its own never reach it. */
const builtIn: ReadonlySet<string> = new Set(["log-level"])

/**
 * Writes a command line in a form that the library always understands: the options that it handles itself, the
 * subcommand, long options, and after `--` the positional arguments. Words are not quoted, because the library checks
 * them, too.
 */
export const spell = (
  { operands, subcommand, values, variables }: Given,
  grammars: Grammars
): ReadonlyArray<string> => {
  const { options } = grammars.subcommands.get(subcommand ?? "") ?? grammars.des
  const withWords = new Set(options.flatMap(({ name, words }) => (words === undefined ? [] : [name])))
  const spelled = (isFirst: boolean) =>
    [...values].flatMap(([name, given]) =>
      builtIn.has(name) !== isFirst
        ? []
        : given.flatMap((value) => {
            if (value === "") return [`--${name}`]
            return withWords.has(name)
              ? [`--${name}=${value}`]
              : [`--${name}`, quoteSourced({ source: variables?.get(name) ?? `--${name}`, value })]
          })
    )
  return [
    ...spelled(true),
    ...(subcommand === undefined ? [] : [subcommand]),
    ...spelled(false),
    ...(operands.length === 0 ? [] : ["--", ...operands.map(quote)])
  ]
}
