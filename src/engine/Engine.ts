import * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Endpoint from "../endpoint/Endpoint.ts"
import * as ApiVersion from "./ApiVersion.ts"
import * as Answers from "./EngineAnswers.ts"
import type { EngineError } from "./EngineError.ts"
import * as FeedBody from "./FeedBody.ts"
import * as Requests from "./Requests.ts"
import * as Sieve from "./Sieve.ts"

export { EngineError } from "./EngineError.ts"

/**
 * The engine that answers at an endpoint.
 *
 * @since 1.0.0
 * @category models
 */
export interface EngineIdentity {
  /** The engine's ID. It is different for each engine and survives restarts. It is empty if a proxy hides it. */
  readonly id: string
  readonly kind: "docker" | "podman"
  /** The version of the engine; empty if a proxy hides it. */
  readonly version: string
  /** The version of the API that des uses with the engine. */
  readonly api: string
  /** The engine's clock, in nanoseconds since 1970. */
  readonly time: bigint
}

/**
 * The program of each kind of engine.
 *
 * @internal
 */
export const programs: Readonly<Record<EngineIdentity["kind"], string>> = { docker: "dockerd", podman: "podman" }

/**
 * A container as an engine describes it.
 *
 * @since 1.0.0
 * @category models
 */
export interface Container {
  readonly id: string
  /** The attributes that the engine puts on the container's events. */
  readonly attributes: Readonly<Record<string, string>>
  /** True if the container runs. A container that waits for its restart does not run. */
  readonly running: boolean
  readonly exitCode: number
  /** The time of the last start, in nanoseconds since 1970; undefined if there was none. */
  readonly startedAt: bigint | undefined
  /** The time of the last end, in nanoseconds since 1970; undefined if there was none. */
  readonly finishedAt: bigint | undefined
}

/**
 * A running container in the list of containers.
 *
 * @since 1.0.0
 * @category models
 */
export interface Listed {
  readonly id: string
  readonly attributes: Readonly<Record<string, string>>
}

/**
 * The facts about an engine that `des info` shows. A fact is absent if a proxy hides it.
 *
 * @since 1.0.0
 * @category models
 */
export interface Report {
  readonly engine?: EngineIdentity["kind"]
  readonly version?: string
  /** The version of the API that des uses with the engine. */
  readonly api: string
  /** The oldest version of the API that the engine knows. */
  readonly oldestApi?: string
  /** The newest version of the API that the engine knows. */
  readonly newestApi?: string
  /** The role in a swarm: `inactive`, `worker` or `manager`, or the engine's own word while it joins or leaves one. */
  readonly swarm?: string
}

/**
 * One engine at its endpoint. Every request except the feed has a bound in time and in bytes. An answer beyond a bound is an error of
 * this engine alone.
 *
 * @example
 * import { Engine } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 *
 * export const ids = Effect.gen(function* () {
 *   const engine = yield* Engine.Engine
 *   const containers = yield* engine.running
 *   return containers.map(({ id }) => id)
 * })
 *
 * @since 1.0.0
 * @category services
 */
export class Engine extends Context.Tag("des/Engine")<
  Engine,
  {
    /** The name of the engine. Its events have it as `engine`. */
    readonly name: string
    /** The address of the engine. */
    readonly endpoint: Endpoint.Endpoint
    /** Asks which engine answers, and agrees with it on the version of the API. All other requests use that version. */
    readonly identify: Effect.Effect<EngineIdentity, EngineError>
    /**
     * Opens `GET /events`, from `since` to `until` in nanoseconds since 1970. The effect ends when the engine has answered. podman may
     * answer only with its first event, so a feed of podman without `until` has no time limit. The stream emits the bytes of the
     * answer. It ends only by failing. The rest of a large record may be left out if it `isUnwanted` (default: none is).
     */
    readonly feed: (
      range: { readonly since?: bigint; readonly until?: bigint },
      isUnwanted?: Sieve.IsUnwanted
    ) => Effect.Effect<Stream.Stream<Uint8Array, EngineError>, EngineError>
    /** Lists the running containers, also the paused ones. */
    readonly running: Effect.Effect<ReadonlyArray<Listed>, EngineError>
    /** Describes one container. The answer is none if the container does not exist any more. */
    readonly inspect: (id: string) => Effect.Effect<Option.Option<Container>, EngineError>
    /**
     * Gets all that the engine says of one container, as JSON of at most `largest` bytes. It is none if the container does not exist any
     * more.
     */
    readonly inspectText: (id: string, largest: number) => Effect.Effect<Option.Option<string>, EngineError>
  }
>() {}

/**
 * The engine to use, and how to use it.
 *
 * @since 1.0.0
 * @category models
 */
export interface EngineOptions extends Requests.Options {}

/** The content types of the feed that engines since 29.0 expect (moby `client/system_events.go`). Older engines ignore them. */
const feedTypes = "application/jsonl, application/x-ndjson;q=0.9, application/json-seq;q=0.5"

/** podman lists paused containers only if it is asked for them. */
const runningFilters = encodeURIComponent(JSON.stringify({ status: ["running", "paused"] }))

/** True if a proxy refused the request, since it lets only a part of the API through. */
const isForbidden = ({ status }: EngineError): boolean =>
  status === 401 || status === 403 || status === 404 || status === 405

// Agreeing on the version of the API

/** The version of the API and the kind of engine that a ping gave. */
interface Agreement {
  readonly api: string
  readonly kind: EngineIdentity["kind"]
  /** The headers of the ping. */
  readonly headers: Readonly<Record<string, string | undefined>>
}

/** Remembers the last {@link Agreement} with an engine. */
interface Session {
  /** Pings the engine and agrees on a version. */
  readonly agree: Effect.Effect<Agreement, EngineError>
  /** The version of the API to use: the pinned one, or else the agreed one. It pings the engine if there is none yet. */
  readonly api: Effect.Effect<string, EngineError>
  /** The kind of engine that answered the last ping; `docker` before the first one. */
  readonly kind: () => EngineIdentity["kind"]
}

const askVersion = (requests: Requests.Requests) => requests.ask("/version", Answers.Version)

const agreeWith = (requests: Requests.Requests, pinned: string | undefined): Effect.Effect<Agreement, EngineError> =>
  Effect.gen(function* () {
    const headers = yield* requests.ping
    const offered = headers["api-version"]
    if (pinned !== undefined) return { api: pinned, kind: Answers.kindOf({ headers }), headers }
    // A proxy may drop the engine's headers.
    const version =
      offered === undefined ? Option.getOrUndefined(yield* Effect.option(askVersion(requests))) : undefined
    const told = offered ?? version?.ApiVersion
    if (told === undefined) {
      return yield* requests.fail("NotAnEngine", "neither its /_ping nor its /version names an API version")
    }
    if (!ApiVersion.isVersion(told)) {
      const source = offered === undefined ? "/version" : "/_ping"
      return yield* requests.fail("NotAnEngine", `its ${source} names the API version ${told.slice(0, 100)}`)
    }
    return { api: ApiVersion.negotiate(told), kind: Answers.kindOf({ headers, version }), headers }
  })

const makeSession = (requests: Requests.Requests, pinned: string | undefined): Session => {
  let agreed: Agreement | undefined
  const agree = Effect.tap(agreeWith(requests, pinned), (agreement) =>
    Effect.sync(() => {
      agreed = agreement
    })
  )
  const api = Effect.suspend(() => {
    const known = pinned ?? agreed?.api
    return known === undefined ? Effect.map(agree, (agreement) => agreement.api) : Effect.succeed(known)
  })
  return { agree, api, kind: () => agreed?.kind ?? "docker" }
}

// The questions

const askInfo = (requests: Requests.Requests, api: string) => requests.ask(`/v${api}/info`, Answers.Info)

/** The engine's clock: the time that it sends, else the date of its answer, else des's own clock. */
const clockOf = (info: typeof Answers.Info.Type, date: string | undefined) =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const answered = Date.parse(date ?? "")
    const milliseconds = Math.trunc(Number.isNaN(answered) ? now : answered)
    return Answers.parseTime(info.SystemTime ?? "") ?? BigInt(milliseconds) * 1_000_000n
  })

const identify = (requests: Requests.Requests, session: Session): Effect.Effect<EngineIdentity, EngineError> =>
  Effect.gen(function* () {
    const { api, headers, kind } = yield* session.agree
    const info = yield* Effect.catchIf(
      askInfo(requests, api),
      isForbidden,
      (): Effect.Effect<typeof Answers.Info.Type> => Effect.succeed({})
    )
    // podman sends a new random ID with each answer.
    const id = kind === "podman" ? info.Name && `podman ${info.Name}` : info.ID
    return { id: id ?? "", kind, version: info.ServerVersion ?? "", api, time: yield* clockOf(info, headers["date"]) }
  }).pipe(Effect.withSpan("Engine.identify"))

const feed = (requests: Requests.Requests, session: Session): Engine["Type"]["feed"] =>
  Effect.fn("Engine.feed")(function* (range, isUnwanted) {
    const query = Object.entries(range).map(([key, time]) => `${key}=${Answers.formatTime(time)}`)
    const path = `/v${yield* session.api}/events${query.length === 0 ? "" : `?${query.join("&")}`}`
    const mayWait = session.kind() === "podman" && range.until === undefined
    const response = yield* requests.open(path, {
      headers: { accept: feedTypes },
      ...(mayWait ? { within: Duration.infinity } : {})
    })
    return FeedBody.read(response, Sieve.make(isUnwanted)).pipe(
      Stream.mapError((error) =>
        error._tag === "EndlessRecord" ? requests.fail("Broken", error.message) : requests.failWith("Broken")(error)
      ),
      Stream.concat(Stream.fail(requests.fail("Ended", "")))
    )
  })

const running = (requests: Requests.Requests, session: Session): Engine["Type"]["running"] =>
  Effect.gen(function* () {
    const path = `/v${yield* session.api}/containers/json?filters=${runningFilters}`
    const listed = yield* requests.ask(path, Answers.Containers, { largest: Requests.largestList })
    return listed.map(({ Id, Image, Labels, Names }) => ({
      id: Id,
      attributes: Answers.attributesOf(Labels, Image, Names?.[0])
    }))
  }).pipe(Effect.withSpan("Engine.running"))

/** Where a container is described. */
const pathOf = (session: Session, id: string) =>
  // An id that is no well-formed text cannot be encoded.
  Effect.map(session.api, (api) => `/v${api}/containers/${encodeURIComponent(Buffer.from(id).toString())}/json`)

const noneIfGone = <A>(asked: Effect.Effect<A, EngineError>) =>
  Effect.catchIf(
    Effect.asSome(asked),
    ({ status }) => status === 404,
    () => Effect.succeedNone
  )

const inspectText = (requests: Requests.Requests, session: Session): Engine["Type"]["inspectText"] =>
  Effect.fn("Engine.inspectText")(function* (id, largest) {
    return yield* noneIfGone(requests.read(yield* pathOf(session, id), largest))
  })

const inspect = (requests: Requests.Requests, session: Session): Engine["Type"]["inspect"] =>
  Effect.fn("Engine.inspect")(function* (id) {
    const inspection = yield* noneIfGone(requests.ask(yield* pathOf(session, id), Answers.Inspection))
    return Option.map(inspection, ({ Config, Id, Name, State }) => ({
      id: Id,
      attributes: Answers.attributesOf(Config.Labels, Config.Image, Name),
      running: State.Running && State.Restarting !== true,
      exitCode: State.ExitCode,
      startedAt: Answers.parseTime(State.StartedAt ?? ""),
      finishedAt: Answers.parseTime(State.FinishedAt ?? "")
    }))
  })

const reportOf = (requests: Requests.Requests, session: Session): Effect.Effect<Report, EngineError> =>
  Effect.gen(function* () {
    const api = yield* session.api
    const version = Option.getOrUndefined(yield* Effect.option(askVersion(requests)))
    const info = Option.getOrUndefined(yield* Effect.option(askInfo(requests, api)))
    const swarm = info === undefined ? undefined : Answers.swarmOf(info)
    return {
      ...(version === undefined ? {} : { engine: Answers.kindOf({ version }) }),
      ...(version?.Version === undefined ? {} : { version: version.Version }),
      api,
      ...(version?.MinAPIVersion === undefined ? {} : { oldestApi: version.MinAPIVersion }),
      ...(version?.ApiVersion === undefined ? {} : { newestApi: version.ApiVersion }),
      ...(swarm === undefined ? {} : { swarm })
    }
  })

/** Makes the requests and the session for one engine. */
const connect = (client: HttpClient.HttpClient, options: EngineOptions) => {
  const requests = Requests.make(client, options)
  return { requests, session: makeSession(requests, options.apiVersion) }
}

/**
 * The engine at an endpoint, over any HTTP client that can reach it.
 *
 * @example
 * import { Endpoint, Engine, EngineHttp } from "docker-event-scripts"
 * import * as Layer from "effect/Layer"
 *
 * const options = { endpoint: Endpoint.defaultEndpoint }
 *
 * export const EngineLive = Engine.layer(options).pipe(Layer.provide(EngineHttp.layer(options)))
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: EngineOptions): Layer.Layer<Engine, never, HttpClient.HttpClient> =>
  Layer.effect(
    Engine,
    Effect.map(HttpClient.HttpClient, (client) => {
      const { requests, session } = connect(client, options)
      return {
        name: options.name ?? Endpoint.format(options.endpoint),
        endpoint: options.endpoint,
        identify: identify(requests, session),
        feed: feed(requests, session),
        running: running(requests, session),
        inspect: inspect(requests, session),
        inspectText: inspectText(requests, session)
      }
    })
  )

/**
 * Asks the engine at an endpoint for its {@link Report}. It fails only if des and the engine cannot agree on a version of the API.
 *
 * @example
 * import { Endpoint, Engine, EngineHttp } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 *
 * const options = { endpoint: Endpoint.defaultEndpoint }
 *
 * export const version = Engine.report(options).pipe(
 *   Effect.map(({ engine, version }) => `${engine} ${version}`),
 *   Effect.provide(EngineHttp.layer(options))
 * )
 *
 * @since 1.0.0
 * @category constructors
 */
export const report = (options: EngineOptions): Effect.Effect<Report, EngineError, HttpClient.HttpClient> =>
  Effect.flatMap(HttpClient.HttpClient, (client) => {
    const { requests, session } = connect(client, options)
    return reportOf(requests, session)
  })
