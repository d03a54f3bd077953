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
 * The kernel's limits for the environment of a program, in bytes: `variable` for one `NAME=value` with its NUL
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
 * Half of what Linux allows a process with the usual stack of 8 MiB. The other half is left for the arguments and
 * variables of the programs that the script starts.
 *
 * @since 1.0.0
 * @category constructors
 */
export const defaultLimits: Limits = { variable: 131_072, total: 1_048_576 }

/** Linux always allows at least this much for arguments and environment, in bytes (ARG_MAX). */
const minimumTotal = 131_072
/** Linux never allows more than 6 MiB, however large the stack may grow. */
const maximumTotal = 6_291_456

/**
 * The limits for a process whose stack may grow to `stack` bytes (RLIMIT_STACK, `Infinity` for no limit).
 *
 * @example
 * import { Environment } from "docker-event-scripts"
 *
 * // The limits for a stack of 8 MiB, as `ulimit -s` shows it in KiB.
 * export const limits = Environment.limitsFor(8192 * 1024)
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
 * True if this name belongs to the event or to des, so that the base may not set it.
 *
 * @example
 * import { Environment } from "docker-event-scripts"
 *
 * // true: only an event sets such a variable
 * export const isReserved = Environment.isReserved("ACTOR_ATTRIBUTES_NAME")
 *
 * @since 1.0.0
 * @category combinators
 */
export const isReserved = (name: string): boolean => eventNames.test(name)

type Path = ReadonlyArray<string>

type Variable = readonly [name: string, value: string]

/** True if the variable's name is the key path alone, without `EVENT_` before it. */
const hasName = (path: Path): boolean =>
  path[0] === "Actor" ? path.length > 1 : path.length === 1 && OwnKeys.fields.includes(path[0] ?? "")

/**
 * The name of the variable for the field at a key path.
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

/**
 * True if key `a` gets the variable that `a` and `b` share: the engine's own key wins, then the lower-case one, then
 * byte order.
 */
const wins = (a: Path, b: Path): boolean => {
  if (isOwn(a) !== isOwn(b)) return isOwn(a)
  if (isLowerCase(a) !== isLowerCase(b)) return isLowerCase(a)
  // If a key occurs twice, the last one wins, as with JSON.parse.
  return compareBytes(a.join("\0"), b.join("\0")) <= 0
}

/** By the name of a variable: its value, and the key path of that value. */
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
  /** The engine's own value; `undefined` if the engine sent none. */
  readonly engine: string | undefined
}

/**
 * The fields where the event differs from its record, because podman uses other words than Docker (see PodmanEvents).
 */
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
  // The old names of both fields.
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

/** An event's variables. `left` counts the values of its record that have no variable. */
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
  // Engines leave out empty fields. A script with `set -u` would fail if FROM were unset.
  if (variables.has("STATUS") && variables.has("ID") && !variables.has("FROM")) variables.set("FROM", "")
  for (const [name, value] of variables) variables.set(name, value.replaceAll("\0", ""))
  return { variables, left }
}

/**
 * The variables of an event: the leaves of its JSON, the key path joined with `_`, in upper case, every other character
 * than `A-Z`, `0-9` and `_` replaced by `_`. If several keys get the same name, one of them gets the variable; the
 * others stay in the record. Values beyond the first 4,096 leaves, beyond 16 MiB or deeper than 16 keys also stay in
 * the record only, except the engine's own keys. If podman's record differs from the event in Docker's words, the
 * variable has the event's value, and `DES_ENGINE_` with the same name has the record's.
 *
 * @example
 * import { Environment } from "docker-event-scripts"
 * import * as Testing from "docker-event-scripts/testing"
 *
 * // web
 * export const name = Environment.fromEvent(Testing.makeEvent())["ACTOR_ATTRIBUTES_NAME"]
 *
 * @since 1.0.0
 * @category constructors
 */
export const fromEvent = (event: DockerEvent): Environment => Object.fromEntries(flatten(event).variables)

/** The bytes that a variable needs besides its name and value: `=`, NUL and a pointer. */
const overhead = 10

const sizeOf = (name: string, value: string): number => Buffer.byteLength(name) + Buffer.byteLength(value) + overhead

const totalSize = (variables: ReadonlyArray<Variable>): number =>
  variables.reduce((sum, [name, value]) => sum + sizeOf(name, value), 0)

/** The first `bytes` bytes of a text. It never ends within a character. */
const cut = (value: string, bytes: number): string => {
  if (Buffer.byteLength(value) <= bytes) return value
  const buffer = Buffer.from(value)
  let end = bytes
  while (end > 0 && ((buffer[end] ?? 0) & 0xc0) === 0x80) end--
  return buffer.subarray(0, end).toString()
}

/** The longest value of DES_TRUNCATED, in bytes. It has a bound because a stranger can add labels without end. */
const listedBytes = 4096

/** Lists the names, and counts the others as `+N`: names for which there is no room, and `unnamed` values. */
const list = (names: ReadonlyArray<string>, unnamed: number): string => {
  const listed: Array<string> = []
  let room = listedBytes
  for (const name of names) {
    // 20 bytes are kept for the count.
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

/** The length to which longer values must be cut so that all values together fit into `room` bytes. */
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
 * Cuts variables so that they fit into `room` bytes. Names get half of the room, the shortest names first. Values get
 * the rest; the largest values are cut.
 */
const squeeze = (variables: ReadonlyArray<Variable>, room: number, limits: Limits): Squeezed => {
  const truncated: Array<string> = []
  const longest = (name: string) => limits.variable - name.length - 2

  let nameRoom = totalSize(variables) <= room ? room : room / 2
  const shortestFirst = variables.toSorted(([a], [b]) => a.length - b.length || compareBytes(a, b))
  const named = shortestFirst.filter(([name]) => {
    const size = sizeOf(name, "")
    const fits = size <= nameRoom && longest(name) >= 0
    if (fits) nameRoom -= size
    else truncated.push(name)
    return fits
  })

  const fair = fairLength(
    named.map(([name, value]) => Math.min(Buffer.byteLength(value), longest(name))),
    room - totalSize(named.map(([name]) => [name, ""]))
  )
  const fitted = named.map(([name, value]): Variable => {
    const text = cut(value, Math.min(fair, longest(name)))
    if (text !== value) truncated.push(name)
    return [name, text]
  })
  return { variables: fitted, truncated }
}

const ownAttributeNames = new Set(OwnKeys.attributes.map((key) => variableName(["Actor", "Attributes", key])))

const isOwnName = (name: string): boolean => !/^(?:ACTOR_ATTRIBUTES|EVENT)_/.test(name) || ownAttributeNames.has(name)

/**
 * Cuts an event's variables so that they fit beside the base. The engine's own variables get half of the room first, so
 * labels can never crowd them out; labels share what is left. DES_TRUNCATED lists the cut variables, separated by
 * spaces, and counts all other missing values as `+N`.
 */
const cutToFit = (event: Flattened, room: number, limits: Limits): Environment => {
  const available = Math.max(0, room - sizeOf("DES_TRUNCATED", "") - listedBytes)
  const all = [...event.variables]
  // Nearly every event fits, so this check does not sort.
  const fits = totalSize(all) <= available && all.every(([name, value]) => sizeOf(name, value) <= limits.variable)
  if (fits && event.left === 0) return Object.fromEntries(all)
  const isEngines = ([name]: Variable) => isOwnName(name)
  const own = squeeze(all.filter(isEngines), available / 2, limits)
  const labels = squeeze(
    all.filter((variable) => !isEngines(variable)),
    available - totalSize(own.variables),
    limits
  )
  const result = Object.fromEntries([...own.variables, ...labels.variables])
  const truncated = list([...own.truncated, ...labels.truncated], event.left)
  return truncated === "" ? result : { ...result, DES_TRUNCATED: truncated }
}

/**
 * The whole environment of a script: the `fixed` variables, and the event's variables cut to what the kernel accepts. It
 * holds for every event, however hostile: names match `[A-Z_][A-Z0-9_]*`, no fixed variable is overwritten, and the program can
 * start.
 *
 * @example
 * import { Environment } from "docker-event-scripts"
 * import * as Testing from "docker-event-scripts/testing"
 *
 * export const environment = Environment.make(Testing.makeEvent(), { PATH: "/usr/bin:/bin", DES_ATTEMPT: "1" })
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = (event: DockerEvent, fixed: Environment, limits: Limits = defaultLimits): Environment => {
  const room = limits.total - totalSize(Object.entries(fixed))
  return { ...cutToFit(flatten(event), room, limits), ...fixed }
}

/**
 * The user that des runs as. It is used if des's own environment does not have these values, as is usual under a
 * service manager.
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

/**
 * The variables by which the docker command finds its engine. They all come from one engine, or none of them is set.
 */
const ofEngine = /^DOCKER_(?:HOST|CERT_PATH|TLS|TLS_VERIFY)$/

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/**
 * The base that every script gets, for every event: first the few names of des's own environment that programs need;
 * then the variables by which the docker command reaches the watched `engine`, which replace des's own; then what the
 * user adds with `--env`.
 *
 * @example
 * import { Environment } from "docker-event-scripts"
 * import { userInfo } from "node:os"
 *
 * const { homedir: home, shell, username: name } = userInfo()
 *
 * export const base = Environment.base({
 *   own: process.env,
 *   user: { home, name, shell: shell ?? "/bin/sh" },
 *   extra: { MAIL_TO: "root" }
 * })
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
