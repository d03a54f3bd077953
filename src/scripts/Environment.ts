import { type DockerEvent, numberText } from "../event/DockerEvent.ts"
import { entries } from "../event/EventCatalogue.ts"

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

/**
 * The fields that engines send, by the name that each has in the environment. A field that is not among them, from an
 * engine of tomorrow or a hostile one, is given under `EVENT_`: a top-level `{"Path":…}` can thus never become PATH.
 */
const ownFields = new Set([
  "Type",
  "Action",
  "Actor",
  "ID",
  "Attributes",
  "status",
  "id",
  "from",
  "scope",
  "time",
  "timeNano",
  "HealthStatus"
])

/**
 * Keys that engines set among the labels. Where a label meets one in a variable (`exitcode` and `exitCode`) the engine's
 * own wins, and labels are cut before it.
 */
const ownAttributes = new Set(entries.flatMap((entry) => entry.attributes))

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

interface Leaf {
  readonly path: Path
  readonly value: string
}

/** No engine nests deeper than three. What a hostile one nests deeper stays in the record. */
const maximumDepth = 16

/** Engines send one number that does not fit a double. */
const mostExact = 16

/** Every leaf of a record's JSON, with a stack of its own: the depth is a stranger's choice. */
const leaves = (record: string, json: unknown): Array<Leaf> => {
  const found: Array<Leaf> = []
  const open: Array<readonly [Path, unknown]> = [[[], json]]
  let exact = 0
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [path, value] = next
    if (typeof value === "object" && value !== null) {
      if (path.length < maximumDepth)
        for (const [key, inner] of Object.entries(value)) open.push([[...path, key], inner])
    } else if (typeof value === "number") {
      // Each is looked for in the whole record: a stranger's many would take too long.
      const isExact = Number.isSafeInteger(value) || exact++ < mostExact
      found.push({ path, value: isExact ? numberText(record, path.at(-1) ?? "", value) : String(value) })
    } else {
      found.push({ path, value: value === null ? "" : String(value) })
    }
  }
  return found
}

/** The fields of a record that des may say otherwise. */
interface Sent {
  readonly Action: string
  readonly Actor?: { readonly ID?: string; readonly Attributes?: Readonly<Record<string, string>> | null }
  readonly status?: unknown
  readonly id?: unknown
}

interface Change extends Leaf {
  /** What the engine said there; nothing where it said nothing. */
  readonly engine: string | undefined
}

/** What an event says otherwise than its record, since its engine has words of its own for it (see PodmanEvents). */
const changes = (event: DockerEvent, sent: Sent): ReadonlyArray<Change> => {
  const id = sent.Actor?.ID ?? ""
  const all: Array<Change> = [
    { path: ["Action"], engine: sent.Action, value: event.Action },
    { path: ["Actor", "ID"], engine: id, value: event.Actor.ID }
  ]
  // The old names of both.
  if (sent.status === sent.Action) all.push({ path: ["status"], engine: sent.Action, value: event.Action })
  if (sent.id === id) all.push({ path: ["id"], engine: id, value: event.Actor.ID })
  for (const [key, value] of Object.entries(event.Actor.Attributes)) {
    all.push({ path: ["Actor", "Attributes", key], engine: sent.Actor?.Attributes?.[key], value })
  }
  return all.filter(({ engine, value }) => engine !== value)
}

const isSame = (a: Path, b: Path): boolean => a.length === b.length && a.every((key, index) => key === b[index])

/**
 * API 1.52 and later do not send these (moby `daemon/server/router/system`, `includeLegacyFields`); scripts of the
 * original use them.
 */
const legacyLeaves = (event: DockerEvent): Array<Leaf> => {
  const status = { path: ["status"], value: event.Action }
  const id = { path: ["id"], value: event.Actor.ID }
  const image = event.Actor.Attributes["image"]
  switch (event.Type) {
    case "container":
      return image === undefined || image === "" ? [status, id] : [status, id, { path: ["from"], value: image }]
    case "image":
      return [status, id]
    default:
      return []
  }
}

/**
 * The name of the variable that the field at a key path is given in.
 *
 * @internal
 */
export const variableName = (path: Path): string =>
  (ownFields.has(path[0] ?? "") ? path : ["EVENT", ...path])
    .join("_")
    .replace(/[^A-Za-z0-9_]/gu, "_")
    .toUpperCase()

const isLowerCase = (path: Path): boolean => path.every((key) => ownFields.has(key) || /^[a-z0-9_]*$/.test(key))

const isOwn = (path: Path): boolean =>
  path.every((key, index) => (index < 2 ? ownFields.has(key) : index === 2 && ownAttributes.has(key)))

const compareBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** Which of two keys that share a variable is given: the engine's own, then lower case, then byte order. */
const wins = (a: Path, b: Path): boolean => {
  if (isOwn(a) !== isOwn(b)) return isOwn(a)
  if (isLowerCase(a) !== isLowerCase(b)) return isLowerCase(a)
  return compareBytes(a.join("\0"), b.join("\0")) < 0
}

/**
 * The variables of an event, whole: every leaf of its JSON, the key path joined with `_`, upper-cased, other characters
 * than `A-Z`, `0-9` and `_` replaced by `_`. Of keys that meet in one name one is given, the others stay in the record.
 * Where the event is in Docker's words and the record in podman's, the event's are given, and the record's beside them
 * under `DES_ENGINE_` and the same name.
 *
 * @since 1.0.0
 * @category constructors
 */
export const fromEvent = (event: DockerEvent): Environment => {
  const chosen = new Map<string, Leaf>()
  const json: unknown = JSON.parse(event.record)
  const sent = leaves(event.record, json)
  const changed = changes(event, json as Sent)
  const same = changed.length === 0 ? sent : sent.filter(({ path }) => !changed.some((leaf) => isSame(leaf.path, path)))
  const missing = legacyLeaves(event).filter((legacy) =>
    sent.every((leaf) => leaf.path.length > 1 || leaf.path[0] !== legacy.path[0])
  )
  for (const leaf of [...same, ...changed, ...missing]) {
    const name = variableName(leaf.path)
    const other = chosen.get(name)
    if (other === undefined || wins(leaf.path, other.path)) chosen.set(name, leaf)
  }
  const variables = Array.from(chosen, ([name, { value }]): Variable => [name, value])
  for (const { engine, path } of changed) {
    if (engine !== undefined) variables.push([`DES_ENGINE_${variableName(path)}`, engine])
  }
  return Object.fromEntries(variables.map(([name, value]) => [name, value.replaceAll("\0", "")]))
}

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

const list = (names: ReadonlyArray<string>): string => {
  let text = ""
  for (const [index, name] of names.entries()) {
    const rest = `+${names.length - index}`
    if (text.length + name.length + rest.length + 2 > listedBytes) return text === "" ? rest : `${text} ${rest}`
    text = text === "" ? name : `${text} ${name}`
  }
  return text
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

const ownAttributeNames = new Set([...ownAttributes].map((key) => variableName(["Actor", "Attributes", key])))

const isOwnName = (name: string): boolean => !/^(?:ACTOR_ATTRIBUTES|EVENT)_/.test(name) || ownAttributeNames.has(name)

/**
 * Makes an event's variables fit beside the base. What the engine says itself is squeezed only beyond half of the room, so
 * that labels can never crowd it out; labels share what is left. DES_TRUNCATED lists, separated by spaces, the names that
 * are not whole.
 */
const cutToFit = (event: Environment, room: number, limits: Limits): Environment => {
  const available = Math.max(0, room - sizeOf("DES_TRUNCATED", "") - listedBytes)
  const all = Object.entries(event)
  // As nearly every event does, which is why this costs no sorting.
  if (totalSize(all) <= available && all.every(([name, value]) => sizeOf(name, value) <= limits.variable)) return event
  const isOwn = ([name]: Variable) => isOwnName(name)
  const own = squeeze(all.filter(isOwn), available / 2, limits)
  const labels = squeeze(
    all.filter((variable) => !isOwn(variable)),
    available - totalSize(own.variables),
    limits
  )
  const truncated = [...own.truncated, ...labels.truncated]
  const result = Object.fromEntries([...own.variables, ...labels.variables])
  return truncated.length === 0 ? result : { ...result, DES_TRUNCATED: list(truncated) }
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
  return { ...cutToFit(fromEvent(event), room, limits), ...base }
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
