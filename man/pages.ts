/** The manual pages: des(1) from the commands and options, des-scripts(7) from README.md and docs/running.md. */

import * as Help from "../src/cli/Help.ts"
import * as Reference from "../src/cli/Reference.ts"
import * as Markdown from "./Markdown.ts"
import * as Roff from "./Roff.ts"

/** What the pages are made of. `readme` and `running` are the texts of README.md and docs/running.md. */
export interface Source {
  readonly version: string
  readonly des: Help.CommandHelp
  readonly commands: ReadonlyArray<Help.CommandHelp>
  readonly readme: string
  readonly running: string
}

const optionsOf = (command: Help.CommandHelp, options: ReadonlyArray<Help.OptionHelp>): ReadonlyArray<string> =>
  options.map((option) =>
    Roff.definition(Roff.bold(Help.termOf(option).trimStart()), [
      Roff.escape(Help.sentence(option.description + Help.bounds(option))),
      `Example: ${Roff.bold(Help.exampleOf(command, option))}`
    ])
  )

const sectionOf = ({ rows, title }: Help.Section): ReadonlyArray<string> => [
  Roff.section(title),
  ...rows.map(([term, meaning]) => Roff.definition(Roff.bold(term), [Roff.escape(Help.sentence(meaning))]))
]

const synopsis = ({ name, operands }: Help.CommandHelp): string =>
  `${Roff.bold(name)} ${Roff.escape([operands?.usage, "[OPTION]..."].filter((part) => part !== undefined).join(" "))}`

/** des(1): the command line. An option of every command stands with those of des, and is left out elsewhere. */
const des = ({ commands, des: root, version }: Source): ReadonlyArray<string> => {
  const isEverywhere = ({ name }: Help.OptionHelp) =>
    [root, ...commands].every(({ options }) => options.some((option) => option.name === name))
  const files: Help.Section = {
    title: "Files",
    rows: [
      ["/etc/docker/events.d", "the script directory; see des-scripts(7)"],
      ["DIR/journal.sqlite", "with --state DIR: the accepted events and their runs"]
    ]
  }
  return [
    Roff.title("des", 1, `des ${version}`, "User Commands"),
    Roff.section("Name"),
    `des \\- ${Roff.escape(Help.phrase(root.summary).replace(/^Run/, "run"))}`,
    Roff.section("Synopsis"),
    [root, ...commands].map(synopsis).join("\n.br\n"),
    Roff.section("Description"),
    Roff.paragraph(Roff.escape(Help.sentence(root.summary))),
    Roff.paragraph(Roff.escape("des-scripts(7) says which script runs, and what it gets. Options stand in any order.")),
    Roff.section("Options"),
    ...optionsOf(root, root.options),
    Roff.section("Commands"),
    ...commands.flatMap((command) => [
      Roff.subsection(
        synopsis(command)
          .replaceAll(/\\f[BR]/g, "")
          .replaceAll("\\-", "-")
      ),
      Roff.escape(Help.sentence(command.summary)),
      ...command.operandsMean.map((meaning) => Roff.paragraph(Roff.escape(Help.sentence(meaning)))),
      ...optionsOf(
        command,
        command.options.filter((option) => !isEverywhere(option))
      )
    ]),
    ...[
      Reference.exitCodes,
      Reference.variables,
      Reference.optionVariables(root.options.map(({ name }) => name)),
      files
    ].flatMap(sectionOf),
    Roff.section("See also"),
    `${Roff.bold("des-scripts")}(7), ${Roff.bold("docker")}(1), ${Roff.bold("podman")}(1)`
  ]
}

/** The sections of des-scripts(7), and the pages that have them. */
const aboutScripts: ReadonlyArray<readonly [page: "readme" | "running", section: string]> = [
  ["readme", "Which script runs"],
  ["readme", "What a script gets"],
  ["readme", "Trust"],
  ["running", "Options of one script"],
  ["running", "Steps"],
  ["running", "As another user"],
  ["running", "Inspect data"],
  ["running", "Storms and loops"],
  ["running", "Failed runs"]
]

/** des-scripts(7): which script runs, what it gets, and the options at its head. */
const scripts = (source: Source): ReadonlyArray<string> => [
  Roff.title("des-scripts", 7, `des ${source.version}`, "Miscellaneous"),
  Roff.section("Name"),
  `des\\-scripts \\- ${Roff.escape("the scripts that des runs for events")}`,
  Roff.section("Description"),
  Roff.paragraph(
    Roff.escape(
      "des runs the executable DIR/TYPE/ACTION for each event, with the event in its environment. DIR is the script directory, usually /etc/docker/events.d."
    )
  ),
  ...aboutScripts.flatMap(([page, section]) => [
    Roff.section(section),
    ...Markdown.toRoff(Markdown.sectionOf(source[page], section))
  ]),
  Roff.section("See also"),
  `${Roff.bold("des")}(1)`
]

/** Joins the blocks of a page. A section begins with its text, without an empty paragraph. */
const joined = (blocks: ReadonlyArray<string>): string =>
  `${blocks.join("\n").replaceAll(/^([.]S[HS] .*\n)[.]PP\n/gm, "$1")}\n`

/** The manual pages by their file names. */
export const pages = (source: Source): Readonly<Record<string, string>> => ({
  "des.1": joined(des(source)),
  "des-scripts.7": joined(scripts(source))
})
