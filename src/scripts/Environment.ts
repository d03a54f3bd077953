import type { DockerEvent } from "../event/DockerEvent.ts"
import type * as Leaves from "../event/Leaves.ts"
import * as OwnKeys from "../event/OwnKeys.ts"

/**
 * A script's variables by name.
 *
 * @since 1.0.0
 * @category models
 */
export type Environment = Readonly<Record<string, string>>

/**
 * What the kernel takes when it starts a program, in bytes: `variable` for one `NAME=value` with its NUL
 * (MAX_ARG_STRLEN, 32 pages of 4 KiB), `total` for all of them with a pointer each (a quarter of the stack's limit).
 *
 * @since 1.0.0
 * @category models
 */
export interface Limits {
  readonly variable: number
  readonly total: number
}

/**
 * Half of what Linux gives a process with the usual stack of 8 MiB: the other half is for the arguments and variables
 * of what the script itself starts.
 *
 * @since 1.0.0
 * @category constructors
 */
export const defaultLimits: Limits = { variable: 131_072, total: 1_048_576 }

/** An argument list is never limited to less (Linux, ARG_MAX). */
const minimumTotal = 131_072
/** Linux takes no more than 6 MiB, however large the stack may grow. */
const maximumTotal = 6_291_456

/**
 * The limits for a process whose stack may grow to `stack` bytes (RLIMIT_STACK, `Infinity` for no limit).
 *
 * @since 1.0.0
 * @category constructors
 */
export const limitsFor = (stack: number): Limits => ({
  variable: defaultLimits.variable,
  total: Math.min(Math.max(stack / 4, minimumTotal), maximumTotal) / 2
})

const eventNames = /^(?:ACTION|TYPE|STATUS|ID|FROM|SCOPE|TIME|TIMENANO|HEALTHSTATUS|(?:ACTOR|EVENT|DES)_.*)$/

/**
 * Whether a variable of this name belongs to the event or to des, and so can be no part of the base.
 *
 * @since 1.0.0
 * @category combinators
 */
export const isReserved = (name: string): boolean => eventNames.test(name)

type Path = ReadonlyArray<string>

type Variable = readonly [name: string, value: string]

/** Whether des gives the field at this key path a name of its own. */
const hasName = (path: Path): boolean =>
  path[0] === "Actor" ? path.length > 1 : path.length === 1 && OwnKeys.fields.includes(path[0] ?? "")

/**
 * The name of the variable that the field at a key path is given in.
 *
 * @internal
 */
export const variableName = (path: Path): string =>
  (hasName(path) ? path : ["EVENT", ...path])
    .join("_")
    .replace(/[^A-Za-z0-9_]/gu, "_")
    .toUpperCase()

const isOwn = (path: Path): boolean => {
  let at: Leaves.OwnKeyTree | undefined = OwnKeys.all
  for (const key of path) at = at?.get(key)
  return at !== undefined
}

const isLowerCase = (path: Path): boolean =>
  (path[0] === "Actor" ? path.slice(2) : path).every((key) => /^[a-z0-9_]*$/.test(key))

const compareBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Which of two keys that share a variable is given: the engine's own, then lower case, then byte order. */
const wins = (a: Path, b: Path): boolean => {
  if (isOwn(a) !== isOwn(b)) return isOwn(a)
  if (isLowerCase(a) !== isLowerCase(b)) return isLowerCase(a)
  // The same key twice: JSON.parse takes the last.
  return compareBytes(a.join("\0"), b.join("\0")) <= 0
}

/** A variable's value, and the keys that it was found at. */
type Chosen = ReadonlyMap<string, Leaves.Leaf>

const choose = (leaves: ReadonlyArray<Leaves.Leaf>): Chosen => {
  const chosen = new Map<string, Leaves.Leaf>()
  for (const leaf of leaves) {
    const name = variableName(leaf.path)
    const other = chosen.get(name)
    if (other === undefined || wins(leaf.path, other.path)) chosen.set(name, leaf)
  }
  return chosen
}

interface Change {
  readonly name: string
  readonly value: string
  /** What the engine said there; nothing where it said nothing. */
  readonly engine: string | undefined
}

/** What an event says otherwise than its record, since its engine has words of its own for it (see PodmanEvents). */
const changes = (event: DockerEvent, sent: Chosen): ReadonlyArray<Change> => {
  const said = (...path: Path) => {
    const leaf = sent.get(variableName(path))
    // A label may have the name of a key that the engine did not send.
    return leaf !== undefined && isOwn(leaf.path) ? leaf.value : undefined
  }
  const [action, id] = [said("Action") ?? "", said("Actor", "ID") ?? ""]
  const all: Array<Change> = [
    { name: "ACTION", engine: action, value: event.Action },
    { name: "ACTOR_ID", engine: id, value: event.Actor.ID }
  ]
  // The old names of both.
  if (said("status") === action) all.push({ name: "STATUS", engine: action, value: event.Action })
  if (said("id") === id) all.push({ name: "ID", engine: id, value: event.Actor.ID })
  for (const key of OwnKeys.attributes) {
    if (!Object.hasOwn(event.Actor.Attributes, key)) continue
    const path = ["Actor", "Attributes", key]
    all.push({ name: variableName(path), engine: said(...path), value: event.Actor.Attributes[key] ?? "" })
  }
  return all.filter(({ engine, value }) => engine !== value)
}

/**
 * API 1.52 and later do not send these (moby `daemon/server/router/system`, `includeLegacyFields`); scripts of the
 * original use them.
 */
const legacy = (event: DockerEvent): ReadonlyArray<Variable> => {
  const both: ReadonlyArray<Variable> = [
    ["STATUS", event.Action],
    ["ID", event.Actor.ID]
  ]
  switch (event.Type) {
    case "container":
      return [...both, ["FROM", event.Actor.Attributes["image"] ?? ""]]
    case "image":
      return both
    default:
      return []
  }
}

/** An event's variables, and how many values of its record are not among them. */
interface Flattened {
  readonly variables: ReadonlyMap<string, string>
  readonly left: number
}

const flatten = (event: DockerEvent): Flattened => {
  const { leaves, left } = OwnKeys.find(event.record)
  const sent = choose(leaves)
  const changed = changes(event, sent)
  const variables = new Map(legacy(event))
  for (const [name, { value }] of sent) variables.set(name, value)
  for (const { engine, name, value } of changed) {
    variables.set(name, value)
    if (engine !== undefined) variables.set(`DES_ENGINE_${name}`, engine)
  }
  // Engines leave out what is empty, and a script that runs with `set -u` asks for all three.
  if (variables.has("STATUS") && variables.has("ID") && !variables.has("FROM")) variables.set("FROM", "")
  for (const [name, value] of variables) variables.set(name, value.replaceAll("\0", ""))
  return { variables, left }
}

/**
 * The variables of an event: the leaves of its JSON, the key path joined with `_`, upper-cased, other characters
 * than `A-Z`, `0-9` and `_` replaced by `_`. Of keys that meet in one name one is given, the others stay in the record; so
 * does what is beyond the first 4,096 leaves, 16 MiB, or 16 keys deep, but for the engine's own keys.
 * Where the event is in Docker's words and the record in podman's, the event's are given, and the record's beside them
 * under `DES_ENGINE_` and the same name.
 *
 * @since 1.0.0
 * @category constructors
 */
export const fromEvent = (event: DockerEvent): Environment => Object.fromEntries(flatten(event).variables)

/** What a variable takes of the total: its text, `=`, NUL and a pointer. */
const overhead = 10

const sizeOf = (name: string, value: string): number => Buffer.byteLength(name) + Buffer.byteLength(value) + overhead

const totalSize = (variables: ReadonlyArray<Variable>): number =>
  variables.reduce((sum, [name, value]) => sum + sizeOf(name, value), 0)

/** The first `bytes` bytes of a text, never half a character. */
const cut = (value: string, bytes: number): string => {
  if (Buffer.byteLength(value) <= bytes) return value
  const buffer = Buffer.from(value)
  let end = bytes
  while (end > 0 && ((buffer[end] ?? 0) & 0xc0) === 0x80) end--
  return buffer.subarray(0, end).toString()
}

/** DES_TRUNCATED itself is bounded: what a stranger can lengthen is not listed without end. */
const listedBytes = 4096

/** The names, and how many more there are that are not listed: those for which there is no room, and `unnamed` others. */
const list = (names: ReadonlyArray<string>, unnamed: number): string => {
  const listed: Array<string> = []
  let room = listedBytes
  for (const name of names) {
    // Room for the count as well.
    if (name.length + 1 > room - 20) break
    room -= name.length + 1
    listed.push(name)
  }
  const more = names.length - listed.length + unnamed
  return [...listed, ...(more === 0 ? [] : [`+${more}`])].join(" ")
}

interface Squeezed {
  readonly variables: ReadonlyArray<Variable>
  readonly truncated: ReadonlyArray<string>
}

/** The longest value that lets all of them into `room` bytes when every longer one is cut to it. */
const fairLength = (lengths: ReadonlyArray<number>, room: number): number => {
  const ascending = lengths.toSorted((a, b) => a - b)
  let left = room
  for (const [index, length] of ascending.entries()) {
    const share = Math.floor(left / (ascending.length - index))
    if (length > share) return share
    left -= length
  }
  return Number.POSITIVE_INFINITY
}

/**
 * Cuts variables that do not fit into `room` bytes: names get half of it, the shortest first, and their values the rest,
 * of which the largest are cut.
 */
const squeeze = (variables: ReadonlyArray<Variable>, room: number, limits: Limits): Squeezed => {
  const truncated: Array<string> = []
  const longest = (name: string) => limits.variable - name.length - 2

  let nameRoom = totalSize(variables) <= room ? room : room / 2
  const shortestFirst = variables.toSorted(([a], [b]) => a.length - b.length || compareBytes(a, b))
  const kept = shortestFirst.filter(([name]) => {
    const size = sizeOf(name, "")
    const fits = size <= nameRoom && longest(name) >= 0
    if (fits) nameRoom -= size
    else truncated.push(name)
    return fits
  })

  const fair = fairLength(
    kept.map(([name, value]) => Math.min(Buffer.byteLength(value), longest(name))),
    room - totalSize(kept.map(([name]) => [name, ""]))
  )
  const fitted = kept.map(([name, value]): Variable => {
    const text = cut(value, Math.min(fair, longest(name)))
    if (text !== value) truncated.push(name)
    return [name, text]
  })
  return { variables: fitted, truncated }
}

const ownAttributeNames = new Set(OwnKeys.attributes.map((key) => variableName(["Actor", "Attributes", key])))

const isOwnName = (name: string): boolean => !/^(?:ACTOR_ATTRIBUTES|EVENT)_/.test(name) || ownAttributeNames.has(name)

/**
 * Makes an event's variables fit beside the base. What the engine says itself is squeezed only beyond half of the room, so
 * that labels can never crowd it out; labels share what is left. DES_TRUNCATED lists, separated by spaces, the names that
 * are not whole, and counts as `+N` what has no name there.
 */
const cutToFit = (event: Flattened, room: number, limits: Limits): Environment => {
  const available = Math.max(0, room - sizeOf("DES_TRUNCATED", "") - listedBytes)
  const all = [...event.variables]
  // As nearly every event does, which is why this costs no sorting.
  const fits = totalSize(all) <= available && all.every(([name, value]) => sizeOf(name, value) <= limits.variable)
  if (fits && event.left === 0) return Object.fromEntries(all)
  const isOwn = ([name]: Variable) => isOwnName(name)
  const own = squeeze(all.filter(isOwn), available / 2, limits)
  const labels = squeeze(
    all.filter((variable) => !isOwn(variable)),
    available - totalSize(own.variables),
    limits
  )
  const result = Object.fromEntries([...own.variables, ...labels.variables])
  const truncated = list([...own.truncated, ...labels.truncated], event.left)
  return truncated === "" ? result : { ...result, DES_TRUNCATED: truncated }
}

/**
 * The whole environment of a script: the base, and the event's variables cut to what the kernel takes. Total: no event,
 * however hostile, gives a name that is not `[A-Z_][A-Z0-9_]*`, sets a name of the base, or keeps a program from starting.
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = (event: DockerEvent, base: Environment, limits: Limits = defaultLimits): Environment => {
  const room = limits.total - totalSize(Object.entries(base))
  return { ...cutToFit(flatten(event), room, limits), ...base }
}

/**
 * Who des runs as, where its own environment does not say (a service manager often sets none of these).
 *
 * @since 1.0.0
 * @category models
 */
export interface User {
  readonly name: string
  readonly home: string
  readonly shell: string
}

const inherited =
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_[A-Z]+|TZ|TMPDIR|DOCKER_(?:HOST|CONFIG|CERT_PATH|TLS|TLS_VERIFY))$/

/** How the docker command finds its engine: all of these are of one engine, or none. */
const ofEngine = /^DOCKER_(?:HOST|CERT_PATH|TLS|TLS_VERIFY)$/

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/**
 * The base that every script gets, whatever the event: of des's own environment the few names that programs need, then
 * what the docker command reaches the `engine` with that is watched, in place of des's own, then what the user adds with
 * `--env`.
 *
 * @since 1.0.0
 * @category constructors
 */
export const base = (options: {
  readonly own: Readonly<Record<string, string | undefined>>
  readonly user: User
  readonly engine?: Environment
  readonly extra?: Environment
}): Environment => {
  const own = Object.entries(options.own).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && inherited.test(entry[0]) && (options.engine === undefined || !ofEngine.test(entry[0]))
  )
  return {
    PATH: defaultPath,
    HOME: options.user.home,
    USER: options.user.name,
    LOGNAME: options.user.name,
    SHELL: options.user.shell,
    ...Object.fromEntries(own),
    ...options.engine,
    ...options.extra
  }
}
