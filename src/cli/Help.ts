/** The help of a command, from the same data that its command line is read with. */

import type { Described } from "./CliCommand.ts"
import type * as CliOption from "./CliOption.ts"

/** Lines are broken before this column. */
const columns = 80

const indent = "        "

const wrap = (text: string): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && indent.length + line.length + 1 + word.length >= columns) {
      lines.push(line)
      line = word
    } else {
      line = line === "" ? word : `${line} ${word}`
    }
  }
  return [...lines, line].map((line) => `${indent}${line}`)
}

const entry = (head: string, text: string): ReadonlyArray<string> => [`  ${head}`, ...wrap(text)]

const ofOption = ({ description, fallback, name, placeholder, short }: CliOption.Described): ReadonlyArray<string> => {
  const spelled = short === undefined ? `--${name}` : `-${short}, --${name}`
  return entry(
    placeholder === undefined ? spelled : `${spelled} ${placeholder}`,
    fallback === undefined ? description : `${description} (default ${fallback})`
  )
}

const usage = ({ name, operands }: Described): string =>
  `${name} [OPTION]…${operands === undefined ? "" : ` ${operands.placeholder}`}`

/** The help of a command and, for `des` itself, the list of its subcommands. `heading` marks what stands above a list. */
export const format = (
  command: Described,
  subcommands: ReadonlyArray<Described>,
  heading: (text: string) => string
): string => {
  const section = (title: string, entries: ReadonlyArray<ReadonlyArray<string>>) =>
    entries.length === 0 ? [] : ["", heading(`${title}:`), ...entries.flat()]
  return [
    `${heading("Usage:")} ${[command, ...subcommands].map(usage).join("\n       ")}`,
    "",
    `${command.name} ${command.summary}.`,
    ...section(
      "Commands",
      subcommands.map(({ name, summary }) => entry(name, summary))
    ),
    ...section(
      "Arguments",
      command.operands === undefined ? [] : [entry(command.operands.placeholder, command.operands.description)]
    ),
    ...section("Options", command.options.map(ofOption)),
    ...(command.options.some(({ placeholder }) => placeholder === "DURATION")
      ? ["", "A DURATION is a number with ms, s, m, h or d; a bare number is seconds."]
      : [])
  ].join("\n")
}
