import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Endpoint from "../endpoint/Endpoint.ts"
import * as ConnectionFailure from "./ConnectionFailure.ts"
import * as Answers from "./EngineAnswers.ts"
import * as EngineReport from "./EngineReport.ts"
import * as Framing from "./Framing.ts"

/**
 * The engine could not be asked, or its answer was not what was asked for.
 *
 * `Unreachable`: no connection; `Refused`: it answered with an error, whose `status` is given; `NotAnEngine`: something
 * else answers there; `Broken`: the answer broke off; `Ended`: the engine ended the feed, as it does when it stops;
 * `Silent`: the feed is open and does not bring what happens.
 *
 * @since 1.0.0
 * @category errors
 */
export class EngineError extends Schema.TaggedError<EngineError>()("EngineError", {
  reason: Schema.Literal("Unreachable", "Refused", "NotAnEngine", "Broken", "Ended", "Silent"),
  endpoint: Schema.String,
  detail: Schema.String,
  status: Schema.optional(Schema.Number),
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
      case "Silent":
        return `the feed of ${this.endpoint} is open and dead: ${this.detail}`
    }
  }
}

/**
 * Who answers at an endpoint. `id` tells engines apart and outlives their restarts; it is empty where what stands before
 * the engine does not let des ask. `time` is the engine's clock in nanoseconds since 1970. `version` is the engine's own,
 * empty where it is not told, and `api` the version of the API that is spoken with it.
 *
 * @since 1.0.0
 * @category models
 */
export interface Identity {
  readonly id: string
  readonly kind: "docker" | "podman"
  readonly version: string
  readonly api: string
  readonly time: bigint
}

/**
 * A container as an engine describes it. `attributes` are those that the engine puts on its events; times are
 * nanoseconds since 1970, and absent where it did not start or finish yet. One that waits for its restart does not run.
 *
 * @since 1.0.0
 * @category models
 */
export interface Container {
  readonly id: string
  readonly attributes: Readonly<Record<string, string>>
  readonly running: boolean
  readonly exitCode: number
  readonly startedAt: bigint | undefined
  readonly finishedAt: bigint | undefined
}

/**
 * A container that runs, as the list of them has it.
 *
 * @since 1.0.0
 * @category models
 */
export interface Listed {
  readonly id: string
  readonly attributes: Readonly<Record<string, string>>
}

/**
 * An engine, reached at its endpoint; its name is that of its events' `engine`. Whatever is asked is given up after a while, with an
 * error, but for podman's feed: podman may answer with its first event.
 *
 * `identify` says who answers, and agrees with it on the version of the API, which everything else then uses. `feed` opens
 * `GET /events` and emits the bytes of the answer: the effect ends when the engine has answered, the stream ends only by
 * failing. `since` and `until` are nanoseconds since 1970. `running` lists the containers that run, paused ones too.
 * `inspect` asks for one, which may be there no more.
 *
 * @since 1.0.0
 * @category services
 */
export class Engine extends Context.Tag("des/Engine")<
  Engine,
  {
    readonly name: string
    readonly endpoint: Endpoint.Endpoint
    readonly identify: Effect.Effect<Identity, EngineError>
    readonly feed: (range: {
      readonly since?: bigint
      readonly until?: bigint
    }) => Effect.Effect<Stream.Stream<Uint8Array, EngineError>, EngineError>
    readonly running: Effect.Effect<ReadonlyArray<Listed>, EngineError>
    readonly inspect: (id: string) => Effect.Effect<Option.Option<Container>, EngineError>
  }
>() {}

/** The newest API whose events des knows (engine 29.6); moby `api/docs/CHANGELOG.md`. */
const newestApi = "1.55"

/** What engines since 29.0 want to be asked for (moby `client/system_events.go`); older ones do not look at it. */
const feedTypes = "application/jsonl, application/x-ndjson;q=0.9, application/json-seq;q=0.5"

const minor = (version: string): number => Number(/^1\.(\d+)$/.exec(version)?.[1] ?? Number.NaN)

/** The newest version that both know, as the engine's own client does it (moby `client/client.go`, negotiation). */
const negotiate = (offered: string): string => (minor(offered) <= minor(newestApi) ? offered : newestApi)

/** How long an engine may take to answer, or to open the feed. ssh has its own limit of 30 seconds for connecting. */
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

/** What a proxy answers that lets some of the API through only. */
const isForbidden = ({ status }: EngineError): boolean =>
  status === 401 || status === 403 || status === 404 || status === 405

const ErrorBody = Schema.parseJson(Schema.Struct({ message: Schema.String }))
const decodeErrorBody = Schema.decodeUnknownOption(ErrorBody)

const make = ({ apiVersion: pinned, endpoint, headers: always = {}, otherSockets = [], ...options }: EngineOptions) =>
  Effect.gen(function* () {
    const client = HttpClient.withTracerPropagation(yield* HttpClient.HttpClient, false)
    const address = Endpoint.format(endpoint)
    const name = options.name ?? address
    const described = name === address ? address : `${name} (${address})`
    const root = rootOf(endpoint)
    const patience = patienceWith(endpoint)

    const describeCause = (error: HttpClientError.HttpClientError): string =>
      "cause" in error && error.cause instanceof Error
        ? ConnectionFailure.explain(error.cause, endpoint, otherSockets)
        : error.message

    const fail = (reason: EngineError["reason"]) => (error: HttpClientError.HttpClientError) =>
      new EngineError({ reason, endpoint: described, detail: describeCause(error), cause: error })

    const refused = (response: HttpClientResponse.HttpClientResponse) =>
      response.text.pipe(
        // What answers may never end its answer.
        Effect.timeout(patience),
        Effect.orElseSucceed(() => ""),
        Effect.flatMap((body) => {
          const said = decodeErrorBody(body)
          const detail = explainRefusal(said._tag === "Some" ? said.value.message : body.slice(0, 200), pinned)
          return new EngineError({
            reason: "Refused",
            endpoint: described,
            detail: `${response.status} ${detail}`.trim(),
            status: response.status
          })
        })
      )

    const get = (
      path: string,
      headers: Readonly<Record<string, string>> = {},
      within: Duration.DurationInput = patience
    ) =>
      client.get(`${root}${path}`, { headers: { ...always, ...headers } }).pipe(
        Effect.mapError(fail("Unreachable")),
        Effect.timeoutFail({
          duration: within,
          onTimeout: () =>
            new EngineError({ reason: "Unreachable", endpoint: described, detail: `no answer in ${patience}` })
        }),
        Effect.flatMap((response) => (response.status === 200 ? Effect.succeed(response) : refused(response)))
      )

    /** Reads an answer to its end. */
    const ask = <A, I>(path: string, schema: Schema.Schema<A, I>) => {
      const decode = Schema.decode(Schema.parseJson(schema))
      return Effect.gen(function* () {
        const response = yield* get(path)
        const body = yield* response.text.pipe(
          Effect.mapError(fail("Broken")),
          Effect.timeoutFail({
            duration: patience,
            onTimeout: () =>
              new EngineError({ reason: "Unreachable", endpoint: described, detail: `no whole answer in ${patience}` })
          })
        )
        const answer = yield* Effect.mapError(
          decode(body),
          (cause) =>
            new EngineError({
              reason: "NotAnEngine",
              endpoint: described,
              detail: `its answer to GET ${path} is not understood`,
              cause
            })
        )
        return { answer, headers: response.headers }
      })
    }

    /** What a proxy leaves out of the headers of a ping. */
    const apiVersion = Effect.orElseSucceed(
      Effect.map(ask("/version", Answers.Version), ({ answer }) => answer.ApiVersion),
      () => undefined
    )

    const ping = Effect.gen(function* () {
      const { headers } = yield* Effect.tap(get("/_ping"), ({ text }) => Effect.ignore(Effect.timeout(text, patience)))
      isPodman = headers["libpod-api-version"] !== undefined
      if (pinned !== undefined) return { api: pinned, headers }
      const offered = headers["api-version"] ?? (yield* apiVersion)
      if (offered === undefined || Number.isNaN(minor(offered))) {
        return yield* new EngineError({
          reason: "NotAnEngine",
          endpoint: described,
          detail:
            offered === undefined
              ? "neither its /_ping nor its /version names an API version"
              : `its /_ping names the API version ${offered}`
        })
      }
      api = negotiate(offered)
      return { api, headers }
    })

    let isPodman = false
    let api: string | undefined = pinned
    const version = Effect.suspend(() => (api === undefined ? Effect.map(ping, ({ api }) => api) : Effect.succeed(api)))

    const identify = Effect.gen(function* () {
      const { api, headers } = yield* ping
      const info = yield* Effect.catchIf(
        Effect.map(ask(`/v${api}/info`, Answers.Info), ({ answer }) => answer),
        isForbidden,
        // A proxy before the socket may let the feed through and nothing else.
        (): Effect.Effect<typeof Answers.Info.Type> => Effect.succeed({})
      )
      const now = yield* Clock.currentTimeMillis
      const date = Date.parse(headers["date"] ?? "")
      return {
        // podman makes up another ID for each answer.
        id: (isPodman ? info.Name && `podman ${info.Name}` : info.ID) ?? "",
        kind: isPodman ? ("podman" as const) : ("docker" as const),
        version: info.ServerVersion ?? "",
        api,
        time:
          Answers.parseTime(info.SystemTime ?? "") ?? BigInt(Math.trunc(Number.isNaN(date) ? now : date)) * 1_000_000n
      }
    }).pipe(Effect.withSpan("Engine.identify"))

    const feed = Effect.fn("Engine.feed")(function* (range: { readonly since?: bigint; readonly until?: bigint }) {
      const query = Object.entries(range).map(([key, time]) => `${key}=${Answers.formatTime(time)}`)
      const path = `/v${yield* version}/events${query.length === 0 ? "" : `?${query.join("&")}`}`
      const isPatient = isPodman && range.until === undefined
      const response = yield* get(path, { accept: feedTypes }, isPatient ? Duration.infinity : patience)
      return response.stream.pipe(
        Framing.separate,
        Stream.mapError((error) =>
          error._tag === "EndlessRecord"
            ? new EngineError({ reason: "Broken", endpoint: described, detail: error.message })
            : fail("Broken")(error)
        ),
        Stream.concat(Stream.fail(new EngineError({ reason: "Ended", endpoint: described, detail: "" })))
      )
    })

    const text = (path: string) => Effect.flatMap(get(path), (response) => Effect.timeout(response.text, patience))
    const report = Effect.flatMap(version, (api) => EngineReport.ask(api, text))

    // Without it podman leaves the paused ones out.
    const filters = encodeURIComponent(JSON.stringify({ status: ["running", "paused"] }))
    const running = Effect.gen(function* () {
      const { answer } = yield* ask(`/v${yield* version}/containers/json?filters=${filters}`, Answers.Containers)
      return answer.map(({ Id, Image, Labels, Names }) => ({
        id: Id,
        attributes: Answers.attributesOf(Labels, Image, Names?.[0])
      }))
    }).pipe(Effect.withSpan("Engine.running"))

    const inspect = Effect.fn("Engine.inspect")(function* (id: string) {
      const path = `/v${yield* version}/containers/${encodeURIComponent(Buffer.from(id).toString())}/json`
      const asked = yield* Effect.asSome(ask(path, Answers.Inspection)).pipe(
        Effect.catchIf(
          ({ status }) => status === 404,
          () => Effect.succeedNone
        )
      )
      return Option.map(asked, ({ answer: { Config, Id, Name, State } }) => ({
        id: Id,
        attributes: Answers.attributesOf(Config.Labels, Config.Image, Name),
        running: State.Running && State.Restarting !== true,
        exitCode: State.ExitCode,
        startedAt: Answers.parseTime(State.StartedAt ?? ""),
        finishedAt: Answers.parseTime(State.FinishedAt ?? "")
      }))
    })

    return { name, endpoint, report, identify, feed, running, inspect }
  })

/**
 * Which engine, and how it is spoken to: `apiVersion` (`1.41`) instead of the newest that both sides know, `headers` for
 * every request, and `otherSockets` to name where the endpoint's own is not there. `name` is what the user calls it
 * (default: its endpoint).
 *
 * @since 1.0.0
 * @category models
 */
export interface EngineOptions {
  readonly endpoint: Endpoint.Endpoint
  readonly name?: string
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
