/** The completions for shells, from the options and commands that the command line has. */

import type { Spelling } from "./Arguments.ts"
import * as Help from "./Help.ts"

/** The shells that des has completions for. */
export const shells = ["bash", "zsh", "fish"] as const

export type Shell = (typeof shells)[number]

/** The commands that install the completions. */
const commands: Readonly<Record<Shell, string>> = {
  bash: "des --completions bash > /etc/bash_completion.d/des",
  zsh: "des --completions zsh > /usr/local/share/zsh/site-functions/_des",
  fish: "des --completions fish > ~/.config/fish/completions/des.fish"
}

/** The commands that install the completions, in a sentence. */
export const installation = Object.values(commands).join("; ")

type Completes = Help.Completes

/** An option as a shell completes it. */
interface Option extends Spelling {
  readonly description: string
  readonly completes?: Completes
}

/** A command as a shell completes it. The one without a name is des itself. */
export interface CompletedCommand {
  readonly name: string
  readonly summary: string
  readonly options: ReadonlyArray<Option>
  /** What its positional arguments are: words, or a kind of value. */
  readonly operands: ReadonlyArray<string> | Completes
}

/** What the completions know. `events` are TYPE/ACTION, `filters` the keys of `des events --filter`. */
export interface Completed {
  readonly commands: ReadonlyArray<CompletedCommand>
  readonly events: ReadonlyArray<string>
  readonly filters: ReadonlyArray<string>
}

const unique = (words: ReadonlyArray<string>): ReadonlyArray<string> => [...new Set(words)]

const typesOf = ({ events }: Completed) => unique(events.map((event) => event.replace(/\/.*/, "")))

const actionsOf = ({ events }: Completed) => unique(events.map((event) => event.replace(/.*\//, "")))

/** The keys of filters, with their `=`. */
const filterKeys = ({ filters }: Completed): string => filters.map((key) => `${key}=`).join(" ")

/** The filters whose values are known. */
const filterWords = (known: Completed): string =>
  [...typesOf(known).map((type) => `type=${type}`), ...actionsOf(known).map((action) => `event=${action}`)].join(" ")

/** Each option once, whatever commands have it. Options of one name are written the same in all of them. */
const allOptions = ({ commands: all }: Completed): ReadonlyArray<Option> => [
  ...new Map(all.flatMap(({ options }) => options.map((option) => [option.name, option] as const))).values()
]

const spellingsOf = ({ name, short }: Option): ReadonlyArray<string> => [
  ...(short === undefined ? [] : [`-${short}`]),
  `--${name}`
]

/** Lists the scripts, in any shell. Names that a script cannot have never reach the terminal. */
const listScripts = `(cd "\${DES_DIRECTORY:-/etc/docker/events.d}" 2>/dev/null && find . -type f 2>/dev/null | sed 's|^[.]/||' | grep '^[A-Za-z0-9_/-]*$')`

const head = (shell: Shell) => `# Completions of des for ${shell}. This installs them: ${commands[shell]}`

const bash = (known: Completed): string => {
  const options = allOptions(known)
  const ofKind = (kind: Completes) => options.filter(({ completes }) => completes === kind).flatMap(spellingsOf)
  const valued = options.filter(({ placeholder }) => placeholder !== undefined)
  const pattern = (words: ReadonlyArray<string>) => words.join("|")
  const operandsOf = ({ name, operands }: CompletedCommand) =>
    `      ${name === "" ? '""' : name}) ${typeof operands === "string" ? `kind=${operands}` : `list='${operands.join(" ")}'`} ;;`
  return `${head("bash")}
_des() {
  local command= option= kind= list= before= value word i IFS=$' \\t\\n'
  local -a words=()
  # An = is a word of its own for bash. Here it belongs to the words around it.
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if ((\${#words[@]})) && [[ $word == = || \${COMP_WORDS[i - 1]} == = ]]; then
      words[\${#words[@]} - 1]+=$word
    else
      words+=("$word")
    fi
  done
  value=\${words[\${#words[@]} - 1]}
  for ((i = 0; i < \${#words[@]} - 1; i++)); do
    word=\${words[i]}
    case $word in
      ${pattern(valued.flatMap(spellingsOf))})
        option=$word
        ((++i < \${#words[@]} - 1)) || break
        option=
        ;;
      ${pattern(known.commands.flatMap(({ name }) => (name === "" ? [] : [name])))}) [[ $command ]] || command=$word ;;
    esac
  done
  if [[ ! $option && $value == --*=* ]]; then
    option=\${value%%=*}
    value=\${value#*=}
  fi
  case $option in
${valued.flatMap((option) => (option.words === undefined ? [] : [`    ${pattern(spellingsOf(option))}) list='${option.words.join(" ")}' ;;`])).join("\n")}
    ${pattern(ofKind("directory"))}) kind=directory ;;
    ${pattern(ofKind("file"))}) kind=file ;;
    ${pattern(ofKind("event"))}) kind=event ;;
    ${pattern(ofKind("script"))}) kind=script ;;
    ${pattern(ofKind("filter"))}) kind=filter ;;
    ?*) return ;;
    *)
      case $command/$value in
${known.commands.map(({ name, options: own }) => `        ${name}/-*) list='${own.flatMap(spellingsOf).join(" ")}' ;;`).join("\n")}
        *)
          case $command in
${known.commands.map((each) => `      ${operandsOf(each)}`).join("\n")}
          esac
          ;;
      esac
      ;;
  esac
  COMPREPLY=()
  case $kind in
    directory | file)
      compopt -o filenames 2>/dev/null
      [[ $kind == file ]] && kind=-f || kind=-d
      while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen "$kind" -- "$value")
      return
      ;;
    event) list='${known.events.join(" ")}' ;;
    script) list=$${listScripts} ;;
    filter)
      # After a comma the next filter begins.
      before=\${value%"\${value##*,}"}
      [[ \${value##*,} == *=* ]] && list='${filterWords(known)}' || list='${filterKeys(known)}'
      ;;
  esac
  # Bash expands the list, so it must have nothing of the command line.
  while IFS= read -r word; do
    [[ $word != *= ]] || compopt -o nospace 2>/dev/null
    # Bash completes only what stands behind the last =.
    word=$before$word
    [[ $COMP_WORDBREAKS != *=* || $value != *=* ]] || word=\${word#"\${value%=*}="}
    COMPREPLY+=("$word")
  done < <(compgen -W "$list" -- "\${value#"$before"}")
}
complete -F _des des
`
}

/** A text in single quotes, for fish and zsh. */
const single = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`

const zsh = (known: Completed): string => {
  const clean = (text: string) => text.replaceAll(/[\\[\]:]/g, "\\$&")
  const action = ({ completes, words }: Option): string => {
    if (words !== undefined) return `(${words.join(" ")})`
    const actions: Readonly<Record<Completes, string>> = {
      directory: "_files -/",
      file: "_files",
      event: "_des_events",
      script: "_des_scripts",
      filter: "_des_filters"
    }
    return completes === undefined ? " " : actions[completes]
  }
  const specs = (option: Option): ReadonlyArray<string> => {
    const { description, isRepeatable, name, placeholder, short } = option
    const text = `[${clean(Help.phrase(description))}]`
    const value = placeholder === undefined ? "" : `:${clean(placeholder)}:${action(option)}`
    const star = isRepeatable ? "*" : ""
    const sign = (mark: string) => (placeholder === undefined ? "" : mark)
    return [
      ...(short === undefined ? [] : [`${star}-${short}${sign("+")}${text}${value}`]),
      `${star}--${name}${sign("=")}${text}${value}`
    ].map(single)
  }
  const operands = (command: CompletedCommand): string => {
    if (command.name === "") return single("1:command:->command")
    const kinds = typeof command.operands === "string" ? { completes: command.operands } : { words: command.operands }
    return single(`*:argument:${action({ name: "", isRepeatable: true, description: "", ...kinds })}`)
  }
  return `#compdef des
${head("zsh")}
_des_events() {
  compadd -- ${known.events.join(" ")}
}
_des_scripts() {
  compadd -- \${(f)"$${listScripts}"}
}
_des_filters() {
  compset -P '*,'
  if [[ $PREFIX == *=* ]]; then
    compadd -- ${filterWords(known)}
  else
    compadd -S '' -- ${filterKeys(known)}
  fi
}
_des() {
  local command=\${words[(r)(${known.commands.flatMap(({ name }) => (name === "" ? [] : [name])).join("|")})]} state
  typeset -A opt_args
  case $command in
${known.commands
  .map(
    (command) => `    ${command.name === "" ? "''" : command.name})
      _arguments -s ${[...command.options.flatMap(specs), ...(command.name === "" ? [] : [single(`1:command:(${command.name})`)]), operands(command)].join(" \\\n        ")}
      ;;`
  )
  .join("\n")}
  esac
  [[ $state != command ]] || _values command ${known.commands.flatMap(({ name, summary }) => (name === "" ? [] : [single(`${name}[${clean(Help.phrase(summary))}]`)])).join(" ")}
}
if [[ $funcstack[1] == _des ]]; then _des "$@"; else compdef _des des; fi
`
}

const fish = (known: Completed): string => {
  const names = known.commands.flatMap(({ name }) => (name === "" ? [] : [name]))
  const condition = (name: string) =>
    name === "" ? `'not __fish_seen_subcommand_from ${names.join(" ")}'` : `'__fish_seen_subcommand_from ${name}'`
  const values = (completes: Completes | undefined, words: ReadonlyArray<string> | undefined): string => {
    if (words !== undefined) return ` -xa ${single(words.join(" "))}`
    const actions: Readonly<Record<Completes, string>> = {
      directory: " -xa '(__fish_complete_directories)'",
      file: " -rF",
      event: " -xa '(__des_events)'",
      script: " -xa '(__des_scripts)'",
      filter: " -xa '(__des_filters)'"
    }
    return completes === undefined ? " -x" : actions[completes]
  }
  const line = (command: string, { completes, description, name, placeholder, short, words }: Option) =>
    `complete -c des -n ${condition(command)}${short === undefined ? "" : ` -s ${short}`} -l ${name}${placeholder === undefined ? "" : values(completes, words)} -d ${single(Help.phrase(description))}`
  const operands = ({ name, operands: own }: CompletedCommand): ReadonlyArray<string> => {
    if (name === "") return []
    const given = typeof own === "string" ? values(own, undefined) : own.length === 0 ? "" : values(undefined, own)
    return given === "" ? [] : [`complete -c des -n ${condition(name)}${given}`]
  }
  return `${head("fish")}
function __des_events
  string split ' ' -- '${known.events.join(" ")}'
end
function __des_filters
  # After a comma the next filter begins.
  set -l before (string match -r '^(?:--filter=)?(.*,)' -- (commandline -ct))[2]
  for word in ${filterKeys(known)} ${filterWords(known)}
    echo "$before$word"
  end
end
function __des_scripts
  sh -c ${single(listScripts)}
end
complete -c des -f
${known.commands
  .flatMap(({ name, summary }) =>
    name === "" ? [] : [`complete -c des -n ${condition("")} -a ${name} -d ${single(Help.phrase(summary))}`]
  )
  .join("\n")}
${known.commands.flatMap((command) => [...command.options.map((option) => line(command.name, option)), ...operands(command)]).join("\n")}
`
}

/** The completions for a shell, which it reads as a script. */
export const make = (shell: Shell, known: Completed): string => ({ bash, zsh, fish })[shell](known)
