import { parseArgs } from "node:util"
import * as NearMiss from "../NearMiss.ts"

/** How an option is written: its name without dashes, its short letter, and whether a value follows it. */
export interface Spelling {
  readonly name: string
  readonly short?: string
  /** What stands for the value in the help, such as `DIR`; a switch has none. */
  readonly placeholder?: string
  /** Every value counts; of any other option the last one does. */
  readonly isRepeatable: boolean
}

/** What may follow a command: its options, and whether it takes positional arguments. */
export interface Grammar {
  /** As its user writes it: `des`, `des info`. */
  readonly name: string
  readonly options: ReadonlyArray<Spelling>
  readonly takesOperands: boolean
}

/** des without a subcommand, and its subcommands by name. */
export interface Grammars {
  readonly des: Grammar
  readonly subcommands: ReadonlyMap<string, Grammar>
}

/** A command line that was understood. The values of an option stand in the order in which they were given; a switch has one, which is empty. */
export interface Given {
  readonly subcommand?: string
  readonly values: ReadonlyMap<string, ReadonlyArray<string>>
  readonly operands: ReadonlyArray<string>
}

/** The command line, or what is wrong with it in one line. */
export type Parsed = Given | { readonly problem: string }

/** The fewest letters of a name that stand for all of it. */
const shortestStart = 3

/** The name that was probably meant: one that begins so, else one with a letter wrong. */
const meant = (written: string, names: ReadonlyArray<string>): string | undefined =>
  names.find((name) => written.length >= shortestStart && name.startsWith(written.toLowerCase())) ??
  NearMiss.find(written, names)

const seeHelp = (grammar: Grammar) => `${grammar.name} --help shows what it takes`

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
  return owners.length === 0
    ? `${written}: there is no such option; ${seeHelp(grammar)}`
    : `${written}: an option of ${owners.map((owner) => owner.name).join(" and ")}, not of ${grammar.name}; ${seeHelp(grammar)}`
}

const unexpected = (written: string, grammar: Grammar, { des, subcommands }: Grammars): string => {
  const near = grammar === des ? meant(written, [...subcommands.keys()]) : undefined
  const what = `${JSON.stringify(written)}: ${grammar.name} takes no positional argument`
  return near === undefined ? `${what}; ${seeHelp(grammar)}` : `${what}; did you mean des ${near}?`
}

/** `-d=DIR` is `-dDIR`, though Unix tools take the `=` as part of the value. */
const makeUnattached = (options: ReadonlyArray<Spelling>) => {
  const letters = (valued: boolean) =>
    options.flatMap(({ placeholder, short }) =>
      short === undefined || (placeholder !== undefined) !== valued ? [] : [short]
    )
  const pattern = new RegExp(`^(-[${letters(false).join("")}]*[${letters(true).join("")}])=`)
  return (argument: string): string => argument.replace(pattern, "$1")
}

/**
 * Reads the command line as Unix tools do: `-cv`, `-vd DIR`, `-dDIR`, `-d=DIR`, `--from=FILE`, options in any order. The
 * first positional argument names the subcommand; its options stand before or after it. A request for the version, for help
 * or for completions counts alone, whatever stands beside it.
 *
 * An option of one name takes a value in every command or in none, so a value is never taken for the subcommand's name.
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
  const options = tokens.filter((token) => token.kind === "option")
  const operand = tokens.find((token) => token.kind !== "option")
  const subcommand =
    operand?.kind === "positional" && grammars.subcommands.has(operand.value) ? operand.value : undefined
  const chosen = subcommand === undefined ? {} : { subcommand }
  for (const alone of ["version", "help"]) {
    if (options.some(({ name, value }) => name === alone && value === undefined)) {
      return { ...chosen, values: new Map([[alone, [""]]]), operands: [] }
    }
  }

  const grammar = grammars.subcommands.get(subcommand ?? "") ?? grammars.des
  const spellings = new Map(grammar.options.map((option) => [option.name, option]))
  const values = new Map<string, ReadonlyArray<string>>()
  for (const { inlineValue, name, rawName, value } of options) {
    const spelling = spellings.get(name)
    if (spelling === undefined) {
      return { problem: unknownOption(rawName, grammar, all) }
    }
    if (spelling.placeholder === undefined) {
      if (value !== undefined) return { problem: `--${name}: takes no value` }
    } else if (value === undefined) {
      return { problem: `--${name}: its value is missing: --${name} ${spelling.placeholder}` }
    } else if (inlineValue === false && value.startsWith("-") && value !== "-") {
      return { problem: `--${name}: its value is missing, or if it is ${value}: --${name}=${value}` }
    } else if (value === "") {
      return { problem: `--${name}: its value is empty` }
    }
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
