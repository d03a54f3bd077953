import { entries, ownType } from "./EventCatalogue.ts"

/** An ID as engines give containers, networks and commands. */
const sampleId = "c0ffee".repeat(11).slice(0, 64)

/** Values as engines send them, by the key of the attribute. */
const samples: Readonly<Record<string, string>> = {
  comment: "",
  container: sampleId,
  destination: "/data",
  driver: "local",
  error: "the image was not found",
  execDuration: "1",
  execID: sampleId,
  exitCode: "0",
  height: "24",
  image: "alpine:latest",
  imageID: `sha256:${sampleId}`,
  imageRef: "example:latest",
  name: "example",
  oldName: "/example-old",
  propagation: "",
  "read/write": "true",
  reclaimed: "0",
  signal: "15",
  type: "bridge",
  width: "80"
}

/** Keys that only podman sends, and only some of its versions. */
const seldom = new Set(["containerExitCode", "network", "oomKilled", "podId"])

/** What engines put behind the verb of an action. */
const details: Readonly<Record<string, string>> = {
  exec_create: "/bin/sh -c true",
  exec_start: "/bin/sh -c true",
  health_status: "healthy"
}

const ofOwn: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  start: { engines: "example" },
  connected: { kind: "docker", version: "29.0.0", api: "1.52", engine: "example" },
  disconnected: { reason: "the connection was lost", engine: "example" },
  gap: { reason: "restart", from: "0", to: "0", count: "1", engine: "example" },
  failed: {
    name: "example",
    image: "alpine:latest",
    script: "/etc/docker/events.d/container/die",
    event: "container/die",
    actor: sampleId,
    attempts: "1",
    exit: "1",
    output: "the reason"
  },
  stop: { engines: "example", reason: "signal" }
}

/** An event as an engine could send it, without its time. */
export interface Sample {
  readonly action: string
  readonly id: string
  readonly attributes: Readonly<Record<string, string>>
}

/** The attributes of an event of this type and action, with sample values; none for an event that no engine of today sends. */
const attributesOf = (type: string, verb: string): Readonly<Record<string, string>> => {
  if (type === ownType) return ofOwn[verb] ?? {}
  const found = entries.find((entry) => entry.type === type && entry.action === verb)
  const sent = found?.attributes.filter((key) => !seldom.has(key)) ?? []
  return Object.fromEntries(sent.map((key) => [key, samples[key] ?? "example"]))
}

/** True for a type whose actors have an ID of their own. The others have their name as ID. */
const hasId = (type: string): boolean =>
  ["container", "network", "pod", "service", "node", "secret", "config"].includes(type)

/**
 * An event of this type and action, with the attributes that engines give for it and sample values. `given` adds and
 * replaces attributes.
 */
export const make = (type: string, action: string, given: Readonly<Record<string, string>>): Sample => {
  const [verb = ""] = action.split(":", 1)
  const detail = action === verb ? details[verb] : undefined
  const attributes = { ...attributesOf(type, verb), ...given }
  const named =
    type === ownType ? (attributes["script"] ?? attributes["engine"] ?? "des") : (attributes["name"] ?? "example")
  return {
    action: detail === undefined ? action : `${action}: ${detail}`,
    id: hasId(type) ? sampleId : named,
    attributes
  }
}
