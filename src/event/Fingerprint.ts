import * as Crypto from "node:crypto"

/**
 * The content that makes an event different from every other one. `time` is in nanoseconds since 1970, as a double.
 *
 * The content has the engine's own words, before des translates them: the translation may change with des, and it uses `status`, which
 * only some versions of the API send. podman's `HealthStatus` is left out, since its place changes with podman. Two health checks
 * differ in their time anyway.
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

// Crypto.hash exists since Node 20.12 and takes a third of the time.
const hash: (text: string) => string =
  typeof Crypto.hash === "function"
    ? (text) => Crypto.hash("sha256", text, "base64url")
    : (text) => Crypto.createHash("sha256").update(text).digest("base64url")

const isSorted = (keys: ReadonlyArray<string>): boolean => {
  for (let at = 1; at < keys.length; at++) if ((keys[at - 1] ?? "") > (keys[at] ?? "")) return false
  return true
}

/**
 * The fingerprint of an event, in 43 characters. All records of one event have the same one, and no two events share one, even if somebody forges an event. These differences between records do not matter:
 *
 * - the order of the keys
 * - the fields for old clients (`status`, `id`, `from`)
 * - a time that was rounded to a double, as dockerd 29 sends it below API 1.52
 *
 * Because of the rounding, two events that differ only by less than 256 ns may count as one.
 *
 * `record` is the event's record, if it has one. A record without an escaped NUL has no NUL in its values, which is fast to check.
 *
 * @internal
 */
export const ofEvent = ({ action, attributes, id, scope, time, type }: Content, record = escapedNul): string => {
  // JSON.parse keeps the order of the record, except for keys that look like an index.
  const keys = Object.keys(attributes)
  if (!isSorted(keys)) keys.sort()
  const parts = [type, action, id, scope, String(time)]
  for (const key of keys) parts.push(key, attributes[key] ?? "")
  // A NUL inside a part could make it look like two parts.
  const isSeparable = !record.includes(escapedNul) || !parts.some((part) => part.includes("\0"))
  return hash(isSeparable ? parts.join("\0") : JSON.stringify(parts))
}

const escapedNul = "\\u0000"

/**
 * The fingerprint of a line of a feed that is not an event.
 *
 * @internal
 */
export const ofLine = (line: string): string => hash(line)

/**
 * The hash of a record's text, in 44 characters. Journals before version 2 of their tables know a record by it.
 *
 * @internal
 */
export const ofText = (record: string): string => Crypto.createHash("sha256").update(record).digest("base64")

/**
 * True if a fingerprint from a journal is the hash of a record's text (see {@link ofText}).
 *
 * @internal
 */
export const isOfText = (fingerprint: string): boolean => fingerprint.length === 44
