import * as Schema from "effect/Schema"

/**
 * Nanoseconds since 1970 of a time as Go writes it (RFC 3339 with up to nine digits), exact to the last one. Nothing for
 * what is no time, and for Go's zero time, which says that there was none.
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
 * A time as `since` and `until` take it: seconds, a dot, nine digits.
 *
 * @internal
 */
export const formatTime = (nanoseconds: bigint): string =>
  nanoseconds === 0n ? "0" : `${nanoseconds / 1_000_000_000n}.${String(nanoseconds % 1_000_000_000n).padStart(9, "0")}`

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })
const Labels = optional(Schema.NullOr(Schema.Record({ key: Schema.String, value: Schema.String })))

/**
 * What des reads of `GET /info`.
 *
 * @internal
 */
export const Info = Schema.Struct({
  ID: optional(Schema.String),
  Name: optional(Schema.String),
  ServerVersion: optional(Schema.String),
  SystemTime: optional(Schema.String)
})

/**
 * What des reads of `GET /version`, where `GET /_ping` does not say it.
 *
 * @internal
 */
export const Version = Schema.Struct({ ApiVersion: optional(Schema.String) })

/**
 * What des reads of `GET /containers/json`.
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
 * What des reads of `GET /containers/ID/json`.
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

/**
 * What an engine puts on a container's events: the labels, and over them the image and the name (moby `daemon/events.go`).
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
