import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

/**
 * What an engine says of itself. What it does not let des ask, as behind a proxy, is absent. `api` is the version that des
 * speaks with it; `oldestApi` and `newestApi` are those that it knows. `swarm` is `inactive`, `worker` or `manager`, or
 * what it says of a swarm that it is joining or leaving.
 *
 * @since 1.0.0
 * @category models
 */
export interface EngineReport {
  readonly engine?: "docker" | "podman"
  readonly version?: string
  readonly api: string
  readonly oldestApi?: string
  readonly newestApi?: string
  readonly swarm?: string
}

const Version = Schema.parseJson(
  Schema.Struct({
    Version: Schema.optional(Schema.String),
    ApiVersion: Schema.optional(Schema.String),
    MinAPIVersion: Schema.optional(Schema.String),
    Components: Schema.optional(Schema.NullOr(Schema.Array(Schema.Struct({ Name: Schema.String }))))
  })
)

const Info = Schema.parseJson(
  Schema.Struct({
    Swarm: Schema.optional(
      Schema.Struct({
        LocalNodeState: Schema.optional(Schema.String),
        ControlAvailable: Schema.optional(Schema.Boolean)
      })
    )
  })
)

const swarmOf = ({ Swarm }: typeof Info.Type): string | undefined =>
  Swarm?.LocalNodeState === "active" ? (Swarm.ControlAvailable === true ? "manager" : "worker") : Swarm?.LocalNodeState

/**
 * Asks an engine for its report, by what gives the body of its answer for a path of the API `api`.
 *
 * @since 1.0.0
 * @category constructors
 */
export const ask = Effect.fn("EngineReport.ask")(function* <E>(
  api: string,
  get: (path: string) => Effect.Effect<string, E>
) {
  const asked = <A>(path: string, schema: Schema.Schema<A, string>) =>
    Effect.map(Effect.option(Effect.flatMap(get(`/v${api}${path}`), Schema.decode(schema))), Option.getOrUndefined)
  const version = yield* asked("/version", Version)
  const info = yield* asked("/info", Info)
  const isPodman = version?.Components?.some(({ Name }) => Name === "Podman Engine")
  const swarm = info === undefined ? undefined : swarmOf(info)
  const report: EngineReport = {
    ...(version === undefined ? {} : { engine: isPodman ? "podman" : "docker" }),
    ...(version?.Version === undefined ? {} : { version: version.Version }),
    api,
    ...(version?.MinAPIVersion === undefined ? {} : { oldestApi: version.MinAPIVersion }),
    ...(version?.ApiVersion === undefined ? {} : { newestApi: version.ApiVersion }),
    ...(swarm === undefined ? {} : { swarm })
  }
  return report
})
