import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Endpoint from "../docker/Endpoint.ts"
import * as EndpointSearch from "../docker/EndpointSearch.ts"

/** Options or variables that cannot be meant. */
export class UsageError extends Data.TaggedError("UsageError")<{ readonly message: string }> {}

/** The engine that options and environment name, and the API version that they pin: what layers need to reach it. */
export const find = Effect.fn("WatchedEngine.find")(function* (given: {
  readonly context: Option.Option<string>
  readonly endpoint: Option.Option<string>
}) {
  if (Option.isSome(given.context) && Option.isSome(given.endpoint)) {
    return yield* new UsageError({
      message: "conflicting options: --context and --endpoint both name an engine; give one"
    })
  }
  const found = yield* EndpointSearch.find({
    ...(Option.isSome(given.context) ? { context: given.context.value } : {}),
    ...(Option.isSome(given.endpoint) ? { endpoint: given.endpoint.value } : {}),
    variables: process.env
  })
  const pinned = process.env["DOCKER_API_VERSION"]?.replace(/^v/, "") ?? ""
  if (pinned !== "" && !/^1\.\d+$/.test(pinned)) {
    return yield* new UsageError({
      message: `DOCKER_API_VERSION ${JSON.stringify(pinned)} is no version of the API; one is such as 1.44`
    })
  }
  if (Endpoint.isExposed(found.endpoint)) {
    yield* Effect.logWarning(
      `${Endpoint.format(found.endpoint)} is not encrypted: anybody on the way can read and write events; use TLS or ssh://`
    )
  }
  return { ...found, ...(pinned === "" ? {} : { apiVersion: pinned }) }
})

/** With which a script's docker command reaches the engine, too: with ssh it needs des's agent. */
export const variables = (endpoint: Endpoint.Endpoint): Readonly<Record<string, string>> => {
  const agent = process.env["SSH_AUTH_SOCK"]
  return {
    ...Endpoint.dockerVariables(endpoint),
    ...(endpoint._tag === "Ssh" && agent !== undefined ? { SSH_AUTH_SOCK: agent } : {})
  }
}
