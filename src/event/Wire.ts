import type { Leaf } from "./Leaves.ts"
import type { SentEvent } from "./PodmanEvents.ts"

type Attributes = Readonly<Record<string, string>>

/** An event as the engine sends it. The engine leaves out empty fields (Go's omitempty), and podman may send null for an empty map. */
export interface Wire extends SentEvent {
  readonly time?: number
  readonly timeNano?: number
}

/** The reason why parsed JSON is not an event: the path of the first wrong field (empty: the whole value), and what is expected there. */
export interface Mismatch {
  readonly path: ReadonlyArray<string>
  readonly expected: string
  readonly actual: unknown
}

/** True if a value is an object whose values are all strings. */
export const isAttributes = (input: unknown): input is Attributes => {
  if (!isObject(input)) return false
  // Object.values would make a list of all values, and there can be a million labels.
  for (const key in input) if (typeof input[key] !== "string") return false
  return true
}

const isObject = (input: unknown): input is Readonly<Record<string, unknown>> =>
  typeof input === "object" && input !== null && !Array.isArray(input)

const mismatch = (path: string, expected: string, actual: unknown): Mismatch => ({
  path: path.split("."),
  expected,
  actual
})

const mismatchOfName = (field: "Type" | "Action", input: unknown): Mismatch | undefined => {
  if (typeof input !== "string") return mismatch(field, "a string", input)
  return input === "" ? mismatch(field, "a non empty string", input) : undefined
}

const mismatchOfActor = (actor: unknown): Mismatch | undefined => {
  if (actor === undefined) return undefined
  if (!isObject(actor)) return mismatch("Actor", "an object", actor)
  const { Attributes, ID } = actor
  if (ID !== undefined && typeof ID !== "string") return mismatch("Actor.ID", "a string", ID)
  if (Attributes !== undefined && Attributes !== null && !isAttributes(Attributes)) {
    return mismatch("Actor.Attributes", "an object whose values are strings", Attributes)
  }
  return undefined
}

const mismatchOfTime = (time: unknown, timeNano: unknown): Mismatch | undefined => {
  if (time !== undefined && typeof time !== "number") return mismatch("time", "number", time)
  if (timeNano === undefined || Number.isInteger(timeNano)) return undefined
  return mismatch("timeNano", typeof timeNano === "number" ? "an integer" : "number", timeNano)
}

/**
 * Checks parsed JSON by hand. A schema would be slow for a flood, and its error walks through the whole value, which ends the process if
 * the value is nested deeply.
 */
export const mismatchOf = (input: unknown): Mismatch | undefined => {
  if (!isObject(input)) return { path: [], expected: "an object with Type and Action", actual: input }
  const { scope } = input
  return (
    mismatchOfName("Type", input["Type"]) ??
    mismatchOfName("Action", input["Action"]) ??
    mismatchOfActor(input["Actor"]) ??
    (scope === undefined || typeof scope === "string" ? undefined : mismatch("scope", "a string", scope)) ??
    mismatchOfTime(input["time"], input["timeNano"])
  )
}

/** True if parsed JSON is an event. */
export const isWire = (input: unknown): input is Wire => mismatchOf(input) === undefined

/** Builds the event of a record that is read in part, from its leaves. */
export const fromLeaves = (leaves: Iterable<Leaf>): unknown => {
  const fields: Array<readonly [string, unknown]> = []
  const attributes: Array<readonly [string, string]> = []
  let id = ""
  for (const { path, value } of leaves) {
    const [first = "", second, third] = path
    if (path.length === 1) fields.push([first, numbers.has(first) ? Number(value) : value])
    else if (first === "Actor" && second === "ID" && path.length === 2) id = value
    else if (first === "Actor" && second === "Attributes" && third !== undefined && path.length === 3) {
      attributes.push([third, value])
    }
  }
  return { ...Object.fromEntries(fields), Actor: { ID: id, Attributes: Object.fromEntries(attributes) } }
}

const numbers: ReadonlySet<string> = new Set(["time", "timeNano"])

/** How much of a value is shown: characters of a string, entries of an object or an array. */
const shownCharacters = 100
const shownEntries = 3

const showScalar = (value: unknown): string => {
  if (Array.isArray(value)) return value.length === 0 ? "[]" : "[…]"
  if (isObject(value)) return "{…}"
  if (typeof value !== "string") return String(value)
  return value.length > shownCharacters ? `${JSON.stringify(value.slice(0, shownCharacters))}…` : JSON.stringify(value)
}

const firstKeys = (value: Readonly<Record<string, unknown>>, count: number): ReadonlyArray<string> => {
  const keys: Array<string> = []
  for (const key in value) if (keys.push(key) === count) break
  return keys
}

/** Shows the beginning of a value, one level deep. A stranger's value can be as deep and as long as a record. */
const show = (value: unknown): string => {
  if (Array.isArray(value)) {
    const entries = value.slice(0, shownEntries).map(showScalar)
    return `[${[...entries, ...(value.length > shownEntries ? ["…"] : [])].join(",")}]`
  }
  if (!isObject(value)) return showScalar(value)
  const keys = firstKeys(value, shownEntries + 1)
  const entries = keys.slice(0, shownEntries).map((key) => `${showScalar(key)}:${showScalar(value[key])}`)
  return `{${[...entries, ...(keys.length > shownEntries ? ["…"] : [])].join(",")}}`
}

/** Describes a problem in words, without its path. */
export const describe = ({ actual, expected }: Mismatch): string =>
  actual === undefined ? "is missing" : `Expected ${expected}, actual ${show(actual)}`
