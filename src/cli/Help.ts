/** The help texts, from the options and commands that the command line has. */

import type { Spelling } from "./Arguments.ts"

/** What a shell completes as a value. */
export type Completes = "directory" | "file" | "event" | "filter" | "script"

/**
 * What the help says of an option. `example` is a value; an option without a value has none. `label` stands for the
 * value in the short help.
 */
export interface OptionHelp extends Spelling {
  readonly description: string
  readonly fallback?: string
  readonly example?: string
  readonly label?: string
  readonly completes?: Completes
  readonly isCommon: boolean
}

/**
 * How the positional arguments of a command are written, and an example of those that it needs. A shell completes them
 * with words, or with values of a kind.
 */
export interface Operands {
  readonly usage: string
  readonly example?: string
  readonly completes: ReadonlyArray<string> | Completes
}

/**
 * What the help says of a command. `name` is the command as its user writes it: `des`, `des info`. `operandsMean` says
 * what its positional arguments mean.
 */
export interface CommandHelp {
  readonly name: string
  readonly summary: string
  readonly operands?: Operands
  readonly operandsMean: ReadonlyArray<string>
  readonly options: ReadonlyArray<OptionHelp>
}

/** How a help text is written. `width` is in columns. */
export interface Style {
  readonly width: number
  readonly bold: (text: string) => string
}

/** A list of terms and what they mean. */
export interface Section {
  readonly title: string
  readonly rows: ReadonlyArray<readonly [term: string, meaning: string]>
}

/** The phrase of a description, without its details. */
export const phrase = (description: string): string => description.split("; ", 1).join()

/** A description as a sentence. */
export const sentence = (description: string): string =>
  `${description.charAt(0).toUpperCase()}${description.slice(1)}${description.endsWith(".") ? "" : "."}`

/** Breaks a text into lines. A word that is longer than a line stays whole. */
export const wrap = (text: string, width: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line === "") line = word
    else if (line.length + 1 + word.length <= width) line += ` ${word}`
    else {
      lines.push(line)
      line = word
    }
  }
  return [...lines, line]
}

/** How an option is written: `-d, --directory DIR`. */
export const termOf = ({ name, placeholder, short }: Spelling): string =>
  `${short === undefined ? "    " : `-${short}, `}--${name}${placeholder === undefined ? "" : ` ${placeholder.replaceAll(" | ", "|")}`}`

/** How an option is written where its words stand in its description: `--log-format FORMAT`. */
const briefTermOf = (option: OptionHelp): string =>
  termOf(option.label === undefined ? option : { ...option, placeholder: option.label })

const defaultOf = (fallback: string | undefined): string => (fallback === undefined ? "" : ` (default ${fallback})`)

/** The default and the repetition of an option, as the help says them after the description. */
export const bounds = ({ fallback, isRepeatable }: OptionHelp): string =>
  `${defaultOf(fallback)}${isRepeatable ? " (repeatable)" : ""}`

/** A command line that uses an option. */
export const exampleOf = ({ name, operands }: CommandHelp, option: OptionHelp): string =>
  [name, operands?.example, `--${option.name}`, option.example].filter((part) => part !== undefined).join(" ")

/** The columns that a term takes. A longer one has its meaning on the next line. */
const mostTerm = 27

/** The fewest columns for meanings beside their terms. */
const leastBeside = 36

/** Terms and their meanings beside them, or below them where there is no room. */
const table = (rows: Section["rows"], { width }: Style): ReadonlyArray<string> => {
  const longest = Math.min(mostTerm, Math.max(0, ...rows.map(([name]) => name.length)))
  const term = width - longest - 4 < leastBeside ? 6 : longest
  const indent = " ".repeat(term + 4)
  return rows.flatMap(([name, meaning]) => {
    const lines = wrap(meaning, Math.max(20, width - indent.length))
    if (name.length > term) return [`  ${name}`, ...lines.map((line) => indent + line)]
    return lines.map((line, at) => (at === 0 ? `  ${name.padEnd(term)}  ${line}` : indent + line))
  })
}

const usage = ({ name, operands }: CommandHelp): string =>
  `Usage: ${[name, operands?.usage, "[OPTION]..."].filter((part) => part !== undefined).join(" ")}`

const paragraph = (text: string, { width }: Style) => wrap(text, width)

/** The help of des on one screen: the commands, the common options, and the names of the others. */
export const overview = (
  des: CommandHelp,
  commands: ReadonlyArray<CommandHelp>,
  style: Style
): ReadonlyArray<string> => {
  const others = des.options.filter(({ isCommon }) => !isCommon)
  return [
    usage(des),
    `       ${des.name} COMMAND [OPTION]...`,
    "",
    ...paragraph(sentence(phrase(des.summary)), style),
    "",
    style.bold("Commands:"),
    ...table(
      commands.map(({ name, summary }) => [name.replace(/^.* /, ""), phrase(summary)]),
      style
    ),
    "",
    style.bold("Options:"),
    ...table(
      des.options
        .filter(({ isCommon }) => isCommon)
        .map((option) => [briefTermOf(option), phrase(option.description) + defaultOf(option.fallback)]),
      style
    ),
    "",
    ...paragraph(`More options: ${others.map(({ name }) => `--${name}`).join(", ")}`, style),
    "",
    ...paragraph(
      `${des.name} COMMAND --help shows the options of a command. ${des.name} -v --help explains all options of des, with examples. See also the manual pages des(1) and des-scripts(7).`,
      style
    )
  ]
}

const details = (command: CommandHelp, option: OptionHelp, style: Style): ReadonlyArray<string> => {
  const inner = { ...style, width: Math.max(20, style.width - 6) }
  return [
    `  ${style.bold(termOf(option).trimStart())}`,
    ...[...paragraph(option.description + bounds(option), inner), `Example: ${exampleOf(command, option)}`].map(
      (line) => `      ${line}`
    )
  ]
}

/** All that there is to say of a command. */
export const whole = (
  command: CommandHelp,
  style: Style,
  sections: ReadonlyArray<Section> = []
): ReadonlyArray<string> => [
  usage(command),
  "",
  ...paragraph(sentence(command.summary), style),
  ...command.operandsMean.flatMap((meaning) => [
    "",
    ...paragraph(`${command.operands?.usage ?? ""}: ${meaning}`, style)
  ]),
  "",
  style.bold("Options:"),
  ...command.options.flatMap((option) => details(command, option, style)),
  ...sections.flatMap(({ rows, title }) => ["", style.bold(`${title}:`), ...table(rows, style)])
]
