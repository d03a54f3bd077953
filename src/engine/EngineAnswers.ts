import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/**
 * Parses a time as Go writes it (RFC 3339 with up to nine digits), into exact nanoseconds since 1970. It gives undefined for text that is
 * no time, and for Go's zero time, which means "no time".
 *
 * @internal
 */
export const parseTime = (text: string): bigint | undefined => {
  const [, seconds, fraction = "", zone] =
    /^(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text) ?? []
  if (seconds === undefined || zone === undefined) return undefined
  const milliseconds = Date.parse(`${seconds.replace(" ", "T")}${zone}`)
  if (Number.isNaN(milliseconds) || milliseconds <= 0) return undefined
  return BigInt(milliseconds) * 1_000_000n + BigInt(fraction.padEnd(9, "0"))
}

/**
 * Writes a time for `since` and `until`: seconds, a dot, nine digits.
 *
 * @internal
 */
export const formatTime = (nanoseconds: bigint): string =>
  nanoseconds === 0n ? "0" : `${nanoseconds / 1_000_000_000n}.${String(nanoseconds % 1_000_000_000n).padStart(9, "0")}`

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })
const Labels = optional(Schema.NullOr(Schema.Record({ key: Schema.String, value: Schema.String })))

/**
 * The part of `GET /info` that des reads. `Swarm` may be anything, since only `des info` needs it.
 *
 * @internal
 */
export const Info = Schema.Struct({
  ID: optional(Schema.String),
  Name: optional(Schema.String),
  ServerVersion: optional(Schema.String),
  SystemTime: optional(Schema.String),
  Swarm: optional(Schema.Unknown)
})

/**
 * The part of `GET /version` that des reads. `Components` may be anything, since it only helps to recognise podman.
 *
 * @internal
 */
export const Version = Schema.Struct({
  Version: optional(Schema.String),
  ApiVersion: optional(Schema.String),
  MinAPIVersion: optional(Schema.String),
  Components: optional(Schema.Unknown)
})

/**
 * The part of `GET /containers/json` that des reads.
 *
 * @internal
 */
export const Containers = Schema.Array(
  Schema.Struct({
    Id: Schema.String,
    Names: optional(Schema.NullOr(Schema.Array(Schema.String))),
    Image: optional(Schema.String),
    Labels
  })
)

/**
 * The part of `GET /containers/ID/json` that des reads.
 *
 * @internal
 */
export const Inspection = Schema.Struct({
  Id: Schema.String,
  Name: optional(Schema.String),
  Config: Schema.Struct({ Image: optional(Schema.String), Labels }),
  State: Schema.Struct({
    Running: Schema.Boolean,
    Restarting: optional(Schema.Boolean),
    ExitCode: Schema.Number,
    StartedAt: optional(Schema.String),
    FinishedAt: optional(Schema.String)
  })
})

const decodeComponents = Schema.decodeUnknownOption(Schema.Array(Schema.Struct({ Name: Schema.String })))

/**
 * Recognises podman by the headers of its ping. If a proxy drops these headers, or des sent no ping, the components in `/version`
 * show it.
 *
 * @internal
 */
export const kindOf = (said: {
  readonly headers?: Readonly<Record<string, string | undefined>>
  readonly version?: typeof Version.Type | undefined
}): "docker" | "podman" => {
  if (said.headers?.["libpod-api-version"] !== undefined) return "podman"
  const components = Option.getOrElse(decodeComponents(said.version?.Components), () => [])
  return components.some(({ Name }) => Name === "Podman Engine") ? "podman" : "docker"
}

const decodeSwarm = Schema.decodeUnknownOption(
  Schema.Struct({ LocalNodeState: optional(Schema.String), ControlAvailable: optional(Schema.Boolean) })
)

/**
 * The role of an engine in a swarm: `inactive`, `worker` or `manager`, or the engine's own word while it joins or leaves one. It is
 * undefined if the engine does not say.
 *
 * @internal
 */
export const swarmOf = ({ Swarm }: typeof Info.Type): string | undefined => {
  const swarm = Option.getOrUndefined(decodeSwarm(Swarm))
  if (swarm?.LocalNodeState !== "active") return swarm?.LocalNodeState
  return swarm.ControlAvailable === true ? "manager" : "worker"
}

/**
 * The attributes of a container's events: the labels, replaced by the image and the name of the same key (moby `daemon/events.go`).
 *
 * @internal
 */
export const attributesOf = (
  labels: Readonly<Record<string, string>> | null | undefined,
  image: string | undefined,
  name: string | undefined
): Readonly<Record<string, string>> => ({
  ...labels,
  ...(image ? { image } : {}),
  ...(name === undefined ? {} : { name: name.replace(/^\//, "") })
})
