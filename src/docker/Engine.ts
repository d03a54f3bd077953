import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Endpoint from "./Endpoint.ts"

/**
 * The engine could not be asked, or its answer was no feed.
 *
 * `Unreachable`: no connection; `Refused`: it answered with an error; `NotAnEngine`: something else answers there;
 * `Broken`: the answer broke off; `Ended`: the engine ended the feed, as it does when it stops.
 *
 * @since 1.0.0
 * @category errors
 */
export class EngineError extends Schema.TaggedError<EngineError>()("EngineError", {
  reason: Schema.Literal("Unreachable", "Refused", "NotAnEngine", "Broken", "Ended"),
  endpoint: Schema.String,
  detail: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    switch (this.reason) {
      case "Unreachable":
        return `no engine can be reached at ${this.endpoint}: ${this.detail}`
      case "Refused":
        return `the engine at ${this.endpoint} refused: ${this.detail}`
      case "NotAnEngine":
        return `what answers at ${this.endpoint} is no engine: ${this.detail}`
      case "Broken":
        return `the feed of ${this.endpoint} broke off: ${this.detail}`
      case "Ended":
        return `the engine at ${this.endpoint} ended the feed`
    }
  }
}

/**
 * An engine, reached at its endpoint. `feed` opens `GET /events` with the API version that both sides know, and emits the
 * bytes of the answer: the effect ends when the engine has answered, the stream ends only by failing.
 *
 * @since 1.0.0
 * @category services
 */
export class Engine extends Context.Tag("des/Engine")<
  Engine,
  {
    readonly endpoint: Endpoint.Endpoint
    readonly feed: Effect.Effect<Stream.Stream<Uint8Array, EngineError>, EngineError>
  }
>() {}

/** The newest API whose events des knows (engine 29.6); moby `api/docs/CHANGELOG.md`. */
const newestApi = "1.55"

const minor = (version: string): number => Number(/^1\.(\d+)$/.exec(version)?.[1] ?? Number.NaN)

/** The newest version that both know, as the engine's own client does it (moby `client/client.go`, negotiation). */
const negotiate = (offered: string): string => (minor(offered) <= minor(newestApi) ? offered : newestApi)

/** How long an engine may take to answer a ping or to open the feed. */
const patience = "10 seconds"

const advice: Readonly<Record<string, string>> = {
  ENOENT: "there is no such socket; is the engine running? -e and DOCKER_HOST name another one",
  ECONNREFUSED: "nothing listens there; is the engine running? -e and DOCKER_HOST name another one",
  EACCES: "this user may not open the socket; run des as root or in the socket's group",
  ENOTFOUND: "the host's name is not known",
  EAI_AGAIN: "the host's name cannot be looked up now",
  ETIMEDOUT: "the host does not answer"
}

const describeCause = (error: HttpClientError.HttpClientError): string => {
  const cause = "cause" in error ? error.cause : undefined
  if (!(cause instanceof Error)) return error.message
  return ("code" in cause && typeof cause.code === "string" ? advice[cause.code] : undefined) ?? cause.message
}

const ErrorBody = Schema.parseJson(Schema.Struct({ message: Schema.String }))
const decodeErrorBody = Schema.decodeUnknownOption(ErrorBody)

const make = (endpoint: Endpoint.Endpoint) =>
  Effect.gen(function* () {
    const client = HttpClient.withTracerPropagation(yield* HttpClient.HttpClient, false)
    const name = Endpoint.format(endpoint)
    // A socket has no host; engines take any name there.
    const root =
      endpoint._tag === "Unix" ? "http://docker" : `http://${endpoint.host}:${endpoint.port}${endpoint.basePath}`

    const fail = (reason: EngineError["reason"]) => (error: HttpClientError.HttpClientError) =>
      new EngineError({ reason, endpoint: name, detail: describeCause(error), cause: error })

    const refused = (response: HttpClientResponse.HttpClientResponse) =>
      response.text.pipe(
        // What answers may never end its answer.
        Effect.timeout(patience),
        Effect.orElseSucceed(() => ""),
        Effect.flatMap((body) => {
          const said = decodeErrorBody(body)
          const detail = said._tag === "Some" ? said.value.message : body.slice(0, 200)
          return new EngineError({ reason: "Refused", endpoint: name, detail: `${response.status} ${detail}`.trim() })
        })
      )

    const get = (path: string) =>
      client.get(`${root}${path}`).pipe(
        Effect.mapError(fail("Unreachable")),
        Effect.timeoutFail({
          duration: patience,
          onTimeout: () =>
            new EngineError({ reason: "Unreachable", endpoint: name, detail: `no answer in ${patience}` })
        }),
        Effect.flatMap((response) => (response.status === 200 ? Effect.succeed(response) : refused(response)))
      )

    const apiVersion = Effect.gen(function* () {
      const response = yield* Effect.scoped(get("/_ping"))
      const offered = response.headers["api-version"]
      if (offered !== undefined && !Number.isNaN(minor(offered))) return negotiate(offered)
      return yield* new EngineError({
        reason: "NotAnEngine",
        endpoint: name,
        detail:
          offered === undefined ? "its /_ping names no API version" : `its /_ping names the API version ${offered}`
      })
    })

    const feed = Effect.gen(function* () {
      const response = yield* get(`/v${yield* apiVersion}/events`)
      return response.stream.pipe(
        Stream.mapError(fail("Broken")),
        Stream.concat(Stream.fail(new EngineError({ reason: "Ended", endpoint: name, detail: "" })))
      )
    }).pipe(Effect.withSpan("Engine.feed"))

    return { endpoint, feed }
  })

/**
 * The engine at an endpoint, over any HTTP client that can reach it.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: {
  readonly endpoint: Endpoint.Endpoint
}): Layer.Layer<Engine, never, HttpClient.HttpClient> => Layer.effect(Engine, make(options.endpoint))
