import { entries, ownActions, ownType } from "../event/EventCatalogue.ts"
import { asDocker } from "../event/PodmanEvents.ts"
import * as NearMiss from "../NearMiss.ts"
import * as Conditions from "./Condition.ts"
import * as ScriptOptions from "./ScriptOptions.ts"
import * as ScriptText from "./ScriptText.ts"
import * as Shebang from "./Shebang.ts"

/** What is in a script directory, read from the disk. `look` judges this data and reads nothing else. */
export type ListedFile =
  | { readonly kind: "directory"; readonly name: string; readonly entries: ReadonlyArray<ListedFile> }
  | {
      readonly kind: "file"
      readonly name: string
      readonly isExecutable: boolean
      /** Its first bytes; empty if it cannot be read. */
      readonly head: string
      /** True if the interpreter that its first line names exists. */
      readonly hasInterpreter: boolean
    }

/**
 * Something in a script directory that does not do what its author expects. `message` says in one line what is wrong
 * and how to fix it. `runs` is true if it runs all the same, though not as meant.
 */
export interface Finding {
  readonly path: string
  readonly message: string
  readonly runs: boolean
}

/** True if a type or an action may become part of a path. */
export const isName = (text: string): boolean => /^[A-Za-z][A-Za-z0-9_-]{0,63}$/.test(text)

/** True if run-parts(8) accepts the name. Leftovers of editors and package managers have other names. */
export const isPartName = (text: string): boolean => /^[A-Za-z0-9_-]+$/.test(text)

/** True for backups, package managers' files and scripts that were switched off. They are no mistake. */
const isLeftover = (name: string): boolean =>
  /^[.#]|^README|~$|\.(?:sw[a-z]|bak|old|orig|rej|save|tmp|disabled|off|md|pac(?:new|save)|dpkg-\w+|ucf-\w+|rpm\w+)$/i.test(
    name
  )

/**
 * A script's name without the part that is not accepted: `10-a` for `10-a.sh`, `health_status` for `health_status:
 * healthy`.
 */
const stem = (name: string): string => name.replace(/[.:].*$/s, "")

/** True if its author may expect it to run. A data file is not reported. */
export const looksLikeScript = (entry: ListedFile): boolean =>
  entry.kind === "directory" ? entry.entries.some(looksLikeScript) : entry.isExecutable || entry.head.startsWith("#!")

const actions = new Map<string, ReadonlyArray<string>>([[ownType, ownActions]])
for (const { action, type } of entries) actions.set(type, [...(actions.get(type) ?? []), action])

const types = [...actions.keys()]

/** The name that stands for every action of a type, and for every event. */
const every = "all"

const misnamed = (path: string, entry: ListedFile, isAccepted: (name: string) => boolean): ReadonlyArray<Finding> => {
  const better = stem(entry.name)
  const fix = isAccepted(better) ? `rename it to ${better}` : "rename it"
  const message = `${path} is not run, since names may hold letters, digits, - and _ only; ${fix}`
  return [{ path, message, runs: false }]
}

/** The action that was probably meant. For podman's own word it is Docker's. */
const meantAction = (type: string, action: string): string | undefined => {
  const docker = asDocker({ Type: type, Action: action, scope: "local" }).Action
  return docker === action ? NearMiss.find(action, [...(actions.get(type) ?? []), every]) : docker
}

const didYouMean = (name: string | undefined): string => (name === undefined ? "" : `; did you mean ${name}?`)

/** The lines that look like an option of des but are not read as one. */
const unreadOptions = (path: string, head: string): ReadonlyArray<Finding> =>
  ScriptOptions.unread(head).map(({ line, message }) => ({
    path,
    message: `${path}: line ${line}: ${message}`,
    runs: true
  }))

const firstLine = (path: string, head: string, hasInterpreter: boolean): ReadonlyArray<Finding> => {
  const shebang = Shebang.parse(head)
  if (shebang === undefined) return []
  if (shebang.carriageReturn) {
    const message = `${path} will not start: its first line ends with CR LF, as Windows writes lines; write it with LF, for example with sed -i 's/\\r$//' ${path}`
    return [{ path, message, runs: false }]
  }
  if (hasInterpreter) return []
  const message = `${path} will not start: its interpreter ${shebang.interpreter} does not exist; install it, or correct the first line`
  return [{ path, message, runs: false }]
}

const neverRun = (path: string, why: string): Finding => ({
  path,
  message: `${path} is never run: ${why}`,
  runs: false
})

const contradiction = (path: string, options: ReturnType<typeof ScriptOptions.parse>): ReadonlyArray<Finding> => {
  const why = "line" in options ? undefined : Conditions.contradiction(options.conditions)
  return why === undefined ? [] : [neverRun(path, why)]
}

const parseOptions = (head: string) => ScriptOptions.parse(head, Buffer.byteLength(head) < ScriptText.headBytes)

/** What is wrong in the text of a script that des would start, but for options that cannot be read. */
export const ofScript = (path: string, head: string, hasInterpreter: boolean): ReadonlyArray<Finding> =>
  ScriptText.isEmpty(head)
    ? []
    : [
        ...contradiction(path, parseOptions(head)),
        ...firstLine(path, head, hasInterpreter),
        ...unreadOptions(path, head)
      ]

/** Why a file that lies where scripts are is not run, though it may be meant to. */
export const notExecutable = (path: string): string =>
  `${path} is not executable and is not run; chmod +x ${path} makes it a script`

/** What is wrong with a file that lies where a script is looked up. */
export const ofFile = (path: string, entry: Extract<ListedFile, { readonly kind: "file" }>): ReadonlyArray<Finding> => {
  if (!entry.isExecutable) return [{ path, message: notExecutable(path), runs: false }]
  if (ScriptText.isEmpty(entry.head)) return []
  const options = parseOptions(entry.head)
  const unreadable = "line" in options ? [neverRun(path, `line ${options.line}: ${options.message}`)] : []
  return [...unreadable, ...ofScript(path, entry.head, entry.hasInterpreter)]
}

/** An option of a script that is only for directories of scripts. */
const alone = (path: string, entry: Extract<ListedFile, { readonly kind: "file" }>): ReadonlyArray<Finding> => {
  const options = parseOptions(entry.head)
  if ("line" in options || options.stopOnFailure !== true || !entry.isExecutable) return []
  const message = `${path}: stop-on-failure=yes has no effect, since this script is not in a directory of scripts; move it to ${path}/10-first, for example`
  return [{ path, message, runs: true }]
}

/** A file or a directory of files that runs for an event. */
const ofScripts = (path: string, entry: ListedFile): ReadonlyArray<Finding> => {
  if (entry.kind === "file") return [...ofFile(path, entry), ...alone(path, entry)]
  return entry.entries.flatMap((part) => {
    if (part.kind === "directory" || isLeftover(part.name) || !looksLikeScript(part)) return []
    const inner = `${path}/${part.name}`
    return isPartName(part.name) ? ofFile(inner, part) : misnamed(inner, part, isPartName)
  })
}

/** The attributes that engines give for an event, beside the labels; `undefined` if no engine of today sends it. */
export const attributesOf = (type: string, action: string): ReadonlyArray<string> | undefined =>
  entries.find((entry) => entry.type === type && entry.action === action)?.attributes

/**
 * Why nothing runs for an event of this type and action (`undefined` for every action), if no engine of today sends one.
 * It says what may be meant.
 */
export const unknownEvent = (type: string, action: string | undefined): string | undefined => {
  if (!actions.has(type)) {
    return `no engine of today sends events of the type ${type}${didYouMean(NearMiss.find(type, types))}`
  }
  if (action === undefined || actions.get(type)?.includes(action) === true) return undefined
  return `no engine of today sends an event ${type}/${action}${didYouMean(meantAction(type, action))}`
}

const ofAction = (path: string, type: string, entry: ListedFile): ReadonlyArray<Finding> => {
  const known = [...(actions.get(type) ?? []), every]
  const isMeant = known.includes(stem(entry.name)) || looksLikeScript(entry)
  if (known.includes(entry.name)) return ofScripts(path, entry)
  if (isLeftover(entry.name) || !isMeant) return []
  if (!isName(entry.name)) return misnamed(path, entry, isName)
  const meant = didYouMean(meantAction(type, entry.name))
  const message = `${path}: no engine of today sends an event ${type}/${entry.name}, so this is not run${meant}`
  return [{ path, message, runs: false }, ...ofScripts(path, entry)]
}

const ofTop = (directory: string, entry: ListedFile): ReadonlyArray<Finding> => {
  const path = `${directory}/${entry.name}`
  if (entry.name === every) return ofScripts(path, entry)
  if (entry.kind === "directory" && actions.has(entry.name)) {
    return entry.entries.flatMap((inner) => ofAction(`${path}/${inner.name}`, entry.name, inner))
  }
  if (entry.kind === "file" && actions.has(entry.name)) {
    const message = `${path} is a file, so no script for events of the type ${entry.name} is found; move it into a directory of this name`
    return [{ path, message, runs: false }]
  }
  if (isLeftover(entry.name) || !(looksLikeScript(entry) || stem(entry.name) === every)) return []
  if (stem(entry.name) === every) return misnamed(path, entry, isName)
  if (entry.kind === "file") {
    const of = types.filter((type) => actions.get(type)?.includes(stem(entry.name)))
    const place = of[0] === undefined ? "TYPE/ACTION" : `${of[0]}/${stem(entry.name)}`
    const message = `${path} is not run: scripts are ${directory}/TYPE/ACTION; move it to ${directory}/${place}, or make it not executable if it is not a script`
    return [{ path, message, runs: false }]
  }
  const meant = didYouMean(NearMiss.find(stem(entry.name), types))
  const message = `${path}: no engine of today sends events of the type ${entry.name}, so nothing in it is run${meant}`
  return [{ path, message, runs: false }]
}

/**
 * Finds what does not do what its author expects: names that are not accepted, types and actions that no engine knows,
 * option lines that are not read, first lines that cannot start. It reports neither correct scripts nor leftovers of
 * editors and package managers.
 */
export const look = (directory: string, listing: ReadonlyArray<ListedFile>): ReadonlyArray<Finding> =>
  listing.flatMap((entry) => ofTop(directory, entry))
