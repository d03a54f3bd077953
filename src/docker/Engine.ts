import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as ConnectionFailure from "./ConnectionFailure.ts"
import * as Endpoint from "./Endpoint.ts"
import * as EngineReport from "./EngineReport.ts"
import * as Framing from "./Framing.ts"

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

/** What engines since 29.0 want to be asked for (moby `client/system_events.go`); older ones do not look at it. */
const feedTypes = "application/jsonl, application/x-ndjson;q=0.9, application/json-seq;q=0.5"

const minor = (version: string): number => Number(/^1\.(\d+)$/.exec(version)?.[1] ?? Number.NaN)

/** The newest version that both know, as the engine's own client does it (moby `client/client.go`, negotiation). */
const negotiate = (offered: string): string => (minor(offered) <= minor(newestApi) ? offered : newestApi)

/** How long an engine may take to answer a ping or to open the feed. ssh has its own limit of 30 seconds for connecting. */
const patienceWith = (endpoint: Endpoint.Endpoint) => (endpoint._tag === "Ssh" ? "40 seconds" : "10 seconds")

/** Where requests go. A socket has no host, and engines take any name there. */
const rootOf = (endpoint: Endpoint.Endpoint): string =>
  endpoint._tag === "Tcp"
    ? `${endpoint.tls === undefined ? "http" : "https"}://${endpoint.host}:${endpoint.port}${endpoint.basePath}`
    : "http://docker"

/**
 * What an engine refuses with, and what to do where it is about versions (moby `daemon/server/middleware/version.go`) or
 * about TLS (Go's `net/http/server.go`).
 */
const explainRefusal = (said: string, pinned: string | undefined): string => {
  if (said.includes("Client sent an HTTP request to an HTTPS server")) {
    return "it speaks TLS there; set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder of its certificates"
  }
  const [, asked, bound, known] =
    /client version (\d+\.\d+) is too (old|new)\. M\w+ supported API version is (\d+\.\d+)/.exec(said) ?? []
  if (asked === undefined) return said
  const what = `it knows API ${known} and ${bound === "old" ? "newer" : "older"}, and was asked for ${asked}`
  if (pinned !== undefined)
    return `${what}, since DOCKER_API_VERSION says so; unset it, or name a version that it knows`
  return `${what}, the newest that des knows; ${bound === "old" ? "a newer des is needed" : "its /_ping says otherwise"}`
}

const ErrorBody = Schema.parseJson(Schema.Struct({ message: Schema.String }))
const decodeErrorBody = Schema.decodeUnknownOption(ErrorBody)

const make = ({ apiVersion: pinned, endpoint, headers: always = {}, otherSockets = [] }: EngineOptions) =>
  Effect.gen(function* () {
    const client = HttpClient.withTracerPropagation(yield* HttpClient.HttpClient, false)
    const name = Endpoint.format(endpoint)
    const root = rootOf(endpoint)
    const patience = patienceWith(endpoint)

    const describeCause = (error: HttpClientError.HttpClientError): string =>
      "cause" in error && error.cause instanceof Error
        ? ConnectionFailure.explain(error.cause, endpoint, otherSockets)
        : error.message

    const fail = (reason: EngineError["reason"]) => (error: HttpClientError.HttpClientError) =>
      new EngineError({ reason, endpoint: name, detail: describeCause(error), cause: error })

    const refused = (response: HttpClientResponse.HttpClientResponse) =>
      response.text.pipe(
        // What answers may never end its answer.
        Effect.timeout(patience),
        Effect.orElseSucceed(() => ""),
        Effect.flatMap((body) => {
          const said = decodeErrorBody(body)
          const detail = explainRefusal(said._tag === "Some" ? said.value.message : body.slice(0, 200), pinned)
          return new EngineError({ reason: "Refused", endpoint: name, detail: `${response.status} ${detail}`.trim() })
        })
      )

    const get = (path: string, headers: Readonly<Record<string, string>> = {}) =>
      client.get(`${root}${path}`, { headers: { ...always, ...headers } }).pipe(
        Effect.mapError(fail("Unreachable")),
        Effect.timeoutFail({
          duration: patience,
          onTimeout: () =>
            new EngineError({ reason: "Unreachable", endpoint: name, detail: `no answer in ${patience}` })
        }),
        Effect.flatMap((response) => (response.status === 200 ? Effect.succeed(response) : refused(response)))
      )

    const apiVersion = Effect.gen(function* () {
      if (pinned !== undefined) return pinned
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
      const response = yield* get(`/v${yield* apiVersion}/events`, { accept: feedTypes })
      return response.stream.pipe(
        Framing.separate,
        Stream.mapError(fail("Broken")),
        Stream.concat(Stream.fail(new EngineError({ reason: "Ended", endpoint: name, detail: "" })))
      )
    }).pipe(Effect.withSpan("Engine.feed"))

    const text = (path: string) => Effect.flatMap(get(path), (response) => Effect.timeout(response.text, patience))
    const report = Effect.flatMap(apiVersion, (api) => EngineReport.ask(api, text))

    return { endpoint, report, feed }
  })

/**
 * Which engine, and how it is spoken to: `apiVersion` (`1.41`) instead of the newest that both sides know, `headers` for
 * every request, and `otherSockets` to name where the endpoint's own is not there.
 *
 * @since 1.0.0
 * @category models
 */
export interface EngineOptions {
  readonly endpoint: Endpoint.Endpoint
  readonly apiVersion?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly otherSockets?: ReadonlyArray<string>
}

/**
 * The engine at an endpoint, over any HTTP client that can reach it.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: EngineOptions): Layer.Layer<Engine, never, HttpClient.HttpClient> =>
  Layer.effect(Engine, make(options))

/**
 * What the engine at an endpoint says of itself.
 *
 * @since 1.0.0
 * @category constructors
 */
export const report = (
  options: EngineOptions
): Effect.Effect<EngineReport.EngineReport, EngineError, HttpClient.HttpClient> =>
  Effect.flatMap(make(options), (engine) => engine.report)
