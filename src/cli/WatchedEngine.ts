import * as Effect from "effect/Effect"
import * as Endpoint from "../endpoint/Endpoint.ts"
import * as EndpointSearch from "../endpoint/EndpointSearch.ts"
import { UsageError } from "./CommandError.ts"
import type * as CommonOptions from "./CommonOptions.ts"

const findOne = Effect.fn("WatchedEngine.findOne")(function* (
  asked: { readonly context?: string; readonly endpoint?: string },
  name: string | undefined
) {
  const found = yield* EndpointSearch.find({ ...asked, variables: process.env })
  const pinned = process.env["DOCKER_API_VERSION"]?.replace(/^v/, "") ?? ""
  if (pinned !== "" && !/^1\.\d+$/.test(pinned)) {
    return yield* new UsageError({
      message: `DOCKER_API_VERSION ${JSON.stringify(pinned)}: expected a version of the engine's API, such as 1.44`
    })
  }
  if (Endpoint.isExposed(found.endpoint)) {
    yield* Effect.logWarning(
      `${Endpoint.format(found.endpoint)} is not encrypted: anybody on the way can read and write events; use TLS or ssh://`
    )
  }
  return { ...found, name: name ?? Endpoint.format(found.endpoint), ...(pinned === "" ? {} : { apiVersion: pinned }) }
})

/** Finds the engines that the options or the environment name, and the API version that the environment pins. */
export const find = Effect.fn("WatchedEngine.find")(function* (given: {
  readonly context: ReadonlyArray<CommonOptions.Named>
  readonly endpoint: ReadonlyArray<CommonOptions.Named>
}) {
  if (given.context.length > 0 && given.endpoint.length > 0) {
    return yield* new UsageError({
      message: "conflicting options: --context and --endpoint both name an engine; use only one of these options"
    })
  }
  const asked = [
    ...given.context.map(({ name, text }) => findOne({ context: text }, name)),
    ...given.endpoint.map(({ name, text }) => findOne({ endpoint: text }, name))
  ]
  const found = yield* Effect.all(asked.length === 0 ? [findOne({}, undefined)] : asked)
  for (const [at, { endpoint, name }] of found.entries()) {
    const text = Endpoint.format(endpoint)
    const other = found.slice(0, at).find((before) => before.name === name || Endpoint.format(before.endpoint) === text)
    if (other !== undefined) {
      return yield* new UsageError({
        message:
          other.name === name
            ? `two engines have the name ${name}; give one of them another: -e NAME=URL`
            : `${other.name} and ${name} are the same engine, ${text}, and its events would run twice; give it once`
      })
    }
  }
  return found
})
