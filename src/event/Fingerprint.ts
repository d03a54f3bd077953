import * as Crypto from "node:crypto"

/**
 * What tells one event from every other, as the engine sent it. `time` is in nanoseconds since 1970, as a double.
 *
 * The words are the engine's, not those that des makes of them: des's own may change with des, and for some of them des looks
 * at `status`, which an engine sends or leaves out by the version of its API. podman's `HealthStatus` is left out for the
 * same reason: its place changes with podman, and the time tells two probes apart.
 *
 * @internal
 */
export interface Content {
  readonly type: string
  readonly action: string
  readonly id: string
  readonly attributes: Readonly<Record<string, string>>
  readonly scope: string
  readonly time: number
}

// Since Node 20.12, and a third of the time.
const hash: (text: string) => string =
  typeof Crypto.hash === "function"
    ? (text) => Crypto.hash("sha256", text, "base64url")
    : (text) => Crypto.createHash("sha256").update(text).digest("base64url")

const isSorted = (keys: ReadonlyArray<string>): boolean => {
  for (let at = 1; at < keys.length; at++) if ((keys[at - 1] ?? "") > (keys[at] ?? "")) return false
  return true
}

/**
 * The fingerprint of an event: 43 characters, equal for two records of one event however each was written, and different for
 * any two events, also where somebody makes up one to be taken for another. The order of keys does not matter, nor do fields
 * that are repeated for old clients (`status`, `id`, `from`), nor whether the time went through a double, as dockerd 29
 * sends it below API 1.52. Two events that agree in all else and are less than 256 ns apart may count as one.
 *
 * `record` is the event's record, where it has one: text without an escaped NUL has none, and to look there is quick.
 *
 * @internal
 */
export const ofEvent = ({ action, attributes, id, scope, time, type }: Content, record = escapedNul): string => {
  // JSON.parse keeps the order of the record, but for keys that look like an index.
  const keys = Object.keys(attributes)
  if (!isSorted(keys)) keys.sort()
  const parts = [type, action, id, scope, String(time)]
  for (const key of keys) parts.push(key, attributes[key] ?? "")
  // A part with a NUL in it could pass for two.
  const isSeparable = !record.includes(escapedNul) || !parts.some((part) => part.includes("\0"))
  return hash(isSeparable ? parts.join("\0") : JSON.stringify(parts))
}

const escapedNul = "\\u0000"

/**
 * The fingerprint of a line of a feed that is no event.
 *
 * @internal
 */
export const ofLine = (line: string): string => hash(line)

/**
 * How journals knew a record before version 2 of their tables: by its text. 44 characters.
 *
 * @internal
 */
export const ofText = (record: string): string => Crypto.createHash("sha256").update(record).digest("base64")

/**
 * Whether a fingerprint is one of a text, from such a journal.
 *
 * @internal
 */
export const isOfText = (fingerprint: string): boolean => fingerprint.length === 44
