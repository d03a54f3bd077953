/** What a shell needs to complete des's command line, from the same data that it is read with. */

import type { Described } from "./CliCommand.ts"
import type * as CliOption from "./CliOption.ts"

const spellings = ({ name, short }: CliOption.Described): ReadonlyArray<string> =>
  short === undefined ? [`--${name}`] : [`-${short}`, `--${name}`]

const subcommandName = ({ name }: Described): string => name.split(" ").at(-1) ?? name

const bashValues = ({ completion }: CliOption.Described): string => {
  if (completion === undefined) return ""
  const offered =
    completion === "file" ? "-f" : completion === "directory" ? "-d" : `-W ${JSON.stringify(completion.join(" "))}`
  return `COMPREPLY=($(compgen ${offered} -- "$current")); `
}

const bash = (des: Described, subcommands: ReadonlyArray<Described>): string => {
  const all = [des, ...subcommands]
  const valued = new Map(
    all.flatMap(({ options }) =>
      options.filter(({ placeholder }) => placeholder !== undefined).map((option) => [option.name, option] as const)
    )
  )
  const names = subcommands.map(subcommandName)
  const words = (command: Described) =>
    [...(command === des ? names : []), ...command.options.flatMap(spellings)].join(" ")
  return `_des() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} command=des word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case $word in ${names.join("|")}) command="des $word"; break ;; esac
  done
  case $previous in
${[...valued.values()].map((option) => `    ${spellings(option).join("|")}) ${bashValues(option)}return ;;`).join("\n")}
  esac
  case $command in
${all.map((command) => `    "${command.name}") COMPREPLY=($(compgen -W "${words(command)}" -- "$current")) ;;`).join("\n")}
  esac
}
complete -F _des des`
}

const zsh = (des: Described, subcommands: ReadonlyArray<Described>): string =>
  `autoload -U +X compinit && compinit
autoload -U +X bashcompinit && bashcompinit
${bash(des, subcommands)}`

const fishQuote = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`

const fishValues = ({ completion, placeholder }: CliOption.Described): string => {
  if (placeholder === undefined) return ""
  if (completion === "file") return " -r -F"
  if (completion === "directory") return " -x -a '(__fish_complete_directories)'"
  return completion === undefined ? " -x" : ` -x -a ${fishQuote(completion.join(" "))}`
}

const fish = (des: Described, subcommands: ReadonlyArray<Described>): string => {
  const seen = `__fish_seen_subcommand_from ${subcommands.map(subcommandName).join(" ")}`
  const ofOptions = (condition: string, command: Described) =>
    command.options.map(
      (option) =>
        `complete -c des -n '${condition}'${option.short === undefined ? "" : ` -s ${option.short}`} -l ${option.name}${fishValues(option)} -d ${fishQuote(option.description)}`
    )
  return [
    "complete -c des -f",
    ...subcommands.map(
      (command) => `complete -c des -n 'not ${seen}' -a ${subcommandName(command)} -d ${fishQuote(command.summary)}`
    ),
    ...ofOptions(`not ${seen}`, des),
    ...subcommands.flatMap((command) => ofOptions(`__fish_seen_subcommand_from ${subcommandName(command)}`, command))
  ].join("\n")
}

/** The shells by name. */
export const shells: Readonly<Record<string, (des: Described, subcommands: ReadonlyArray<Described>) => string>> = {
  bash,
  zsh,
  fish
}
