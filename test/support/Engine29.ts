/** What engines since 29.0 do otherwise, for {@link StandInEngine}: the oldest API, the content type, and the records of an old API. */

import * as Effect from "effect/Effect"
import * as StandInEngine from "./StandInEngine.ts"

/** A release: the newest and the oldest API that it knows (moby docs/api, section Versions), and the content types of its feed. */
export interface Release {
  readonly newest: string
  readonly oldest: string
  readonly types: ReadonlyArray<string>
  /** From 29.3 on a wildcard chooses nothing. */
  readonly wildcards: boolean
}

/** The releases by name. */
export const releases: Readonly<Record<string, Release>> = {
  "29.0": {
    newest: "1.52",
    oldest: "1.44",
    types: ["application/x-ndjson", "application/json-seq"],
    wildcards: true
  },
  "29.2": {
    newest: "1.53",
    oldest: "1.44",
    types: ["application/jsonl", "application/x-ndjson", "application/json-seq"],
    wildcards: true
  },
  "29.3": {
    newest: "1.54",
    oldest: "1.40",
    types: ["application/jsonl", "application/x-ndjson", "application/json-seq"],
    wildcards: false
  }
}

const minor = (version: string): number => Number(version.slice(2))

/** The type that the client likes best among those that the release has, and plain JSON where it likes none. */
const negotiate = (release: Release, accept: string | undefined, version: string): string => {
  const wanted = (accept ?? "")
    .split(",")
    .map((part) => {
      const [type = "", ...parameters] = part.trim().split(";")
      return { type, weight: Number(/q=([\d.]+)/.exec(parameters.join(";"))?.[1] ?? 1) }
    })
    .sort((a, b) => b.weight - a.weight)
  for (const { type } of wanted) {
    if (release.types.includes(type)) return type
    if (type === "*/*" && release.wildcards) return release.types[0] ?? ""
  }
  return accept !== undefined && release.wildcards
    ? "application/json"
    : minor(version) >= 52 && !release.wildcards
      ? "application/jsonl"
      : "application/json"
}

const sorted = (value: unknown): unknown =>
  typeof value === "object" && value !== null
    ? Object.fromEntries(
        Object.entries(value)
          .sort(([one], [other]) => (one < other ? -1 : 1))
          .map(([key, field]) => [key, sorted(field)])
      )
    : value

/**
 * A record as engines since 29.0 write it below API 1.52: of containers and images it went through a map of doubles, sorted and with the old
 * fields (moby daemon/internal/compat/compat.go, daemon/server/router/system/system_routes.go).
 */
export const asOlderApi = (record: string): string => {
  const { timeNano, ...event } = JSON.parse(record)
  if (event.Type !== "container" && event.Type !== "image") return record
  const old = {
    status: event.Action,
    id: event.Actor.ID,
    ...(event.Type === "container" ? { from: event.Actor.Attributes.image ?? "" } : {})
  }
  // Go writes the shortest digits of a double, as JavaScript does. "time" comes before "timeNano", which is the last key.
  return `${JSON.stringify(sorted({ ...event, ...old })).slice(0, -1)},"timeNano":${BigInt(String(timeNano))}}`
}

/** A record of `container start` as the API of this version has it. */
export const record = (version: string): string => {
  const newer = `{"Type":"container","Action":"start","Actor":{"ID":"c1","Attributes":{"image":"busybox","name":"x"}},"scope":"local","time":1795453740,"timeNano":1795453740123456789}`
  return minor(version) >= 52 ? newer : asOlderApi(newer)
}

/** What a stand-in answers as a release does; `chosen` hears of each content type. */
export const answers = (
  release: Release,
  chosen: (type: string) => void
): Pick<StandInEngine.StandInOptions, "ping" | "events"> => ({
  ping: StandInEngine.pong({ "Api-Version": release.newest, Server: "Docker/29 (linux)" }),
  events: () => (response) => {
    const version = /^\/v(1\.\d+)\//.exec(response.req.url ?? "")?.[1] ?? release.newest
    const refuse = (why: string) => StandInEngine.refuse(400, `client version ${version} is too ${why}`)(response)
    if (minor(version) > minor(release.newest)) {
      return refuse(`new. Maximum supported API version is ${release.newest}`)
    }
    if (minor(version) < minor(release.oldest)) {
      return refuse(
        `old. Minimum supported API version is ${release.oldest}, please upgrade your client to a newer version`
      )
    }
    const type = negotiate(release, response.req.headers.accept, version)
    chosen(type)
    const separator = type === "application/json-seq" ? "\u001e" : ""
    return Effect.sync(() => {
      response.writeHead(200, { "Content-Type": type }).write(`${separator}${record(version)}\n`)
    })
  }
})
