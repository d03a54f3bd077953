import * as HttpClient from "@effect/platform/HttpClient"
import type * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as BoundedJson from "../BoundedJson.ts"
import * as Endpoint from "../endpoint/Endpoint.ts"
import * as ConnectionFailure from "./ConnectionFailure.ts"
import { EngineError } from "./EngineError.ts"
import * as Refusal from "./Refusal.ts"

/** The most bytes of an answer about one thing that are read; a container's has its labels. */
const largestAnswer = 8_388_608

/** The most bytes of the list of containers that are read; it has the labels of all of them. */
export const largestList = 67_108_864

/** The most bytes of an answer that is "OK", and of an error, that are read. */
const largestPing = 65_536
const largestError = 65_536

/** How long an engine may take to answer, and to end an answer. ssh has a limit of its own for connecting, 30 seconds. */
const patience = "10 seconds"
const patienceOverSsh = "40 seconds"

/**
 * Headers that belong to a request itself. Go's client takes none of them from a configuration, either (`net/http/request.go`,
 * `reqWriteExcludeHeader`): `Host` would be the name that TLS verifies.
 */
const reservedHeaders = new Set(["host", "content-length", "transfer-encoding", "trailer"])

type Headers = Readonly<Record<string, string>>

/** How an engine is asked. */
export interface Options {
  readonly endpoint: Endpoint.Endpoint
  /** What the user calls the engine (default: its endpoint). */
  readonly name?: string
  /** The version of the API that the user pinned. */
  readonly apiVersion?: string
  /** Headers for every request. */
  readonly headers?: Headers
  /** Sockets of other engines, to name them where the endpoint's own is not there. */
  readonly otherSockets?: ReadonlyArray<string>
}

/** Asks one engine over HTTP. Nothing it answers takes more than a bounded time and a bounded amount of memory, but for a feed. */
export interface Requests {
  /** Asks, and gives the answer as soon as its head is there. Every status but 200 is an error. */
  readonly open: (
    path: string,
    options?: { readonly headers?: Headers; readonly within?: Duration.DurationInput }
  ) => Effect.Effect<HttpClientResponse.HttpClientResponse, EngineError>
  /** Asks, and reads the whole answer as JSON of at most `largest` bytes (default: 8 MiB). */
  readonly ask: <A, I>(
    path: string,
    schema: Schema.Schema<A, I>,
    options?: { readonly largest?: number }
  ) => Effect.Effect<A, EngineError>
  /** Asks `/_ping`, and gives the headers of the answer, by their names in lower case. */
  readonly ping: Effect.Effect<Readonly<Record<string, string | undefined>>, EngineError>
  /** Makes an error of this engine. */
  readonly fail: (reason: EngineError["reason"], detail: string) => EngineError
  /** Makes an error of this engine from one of the client. */
  readonly failWith: (reason: EngineError["reason"]) => (error: HttpClientError.HttpClientError) => EngineError
}

/** Where requests go. A socket has no host, and engines take any name there. */
const rootOf = (endpoint: Endpoint.Endpoint): string =>
  endpoint._tag === "Tcp"
    ? `${endpoint.tls === undefined ? "http" : "https"}://${endpoint.host}:${endpoint.port}${endpoint.basePath}`
    : "http://docker"

/** The endpoint of an engine as errors show it, with its name if it has one. */
const describe = ({ endpoint, name }: Options): string => {
  const address = Endpoint.format(endpoint)
  return name === undefined || name === address ? address : `${name} (${address})`
}

const withoutReserved = (headers: Headers): Headers =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !reservedHeaders.has(name.toLowerCase())))

/** Reads an answer's body, and stops as soon as it is longer than so many bytes. */
const readUpTo = <E>(bytes: Stream.Stream<Uint8Array, E>, largest: number) =>
  Effect.suspend(() => {
    const pieces: Array<Uint8Array> = []
    let size = 0
    return bytes.pipe(
      Stream.takeUntil((piece) => {
        pieces.push(piece)
        size += piece.length
        return size > largest
      }),
      Stream.runDrain,
      Effect.map(() => ({ text: Buffer.concat(pieces).toString("utf8", 0, largest), isWhole: size <= largest }))
    )
  })

const pathOnly = (path: string): string => path.split("?")[0] ?? path

/** Asks the engine that the options name, with this client. */
export const make = (withTraces: HttpClient.HttpClient, options: Options): Requests => {
  const client = HttpClient.withTracerPropagation(withTraces, false)
  const endpoint = describe(options)
  const root = rootOf(options.endpoint)
  const always = withoutReserved(options.headers ?? {})
  const timeLimit = options.endpoint._tag === "Ssh" ? patienceOverSsh : patience

  const fail: Requests["fail"] = (reason, detail) => new EngineError({ reason, endpoint, detail })

  const failWith: Requests["failWith"] = (reason) => (error) => {
    const cause = "cause" in error ? error.cause : undefined
    if (!(cause instanceof Error)) return fail(reason, typeof cause === "string" ? cause : "the connection failed")
    const detail = ConnectionFailure.explain(cause, options.endpoint, options.otherSockets ?? [])
    return new EngineError({ reason, endpoint, detail, cause })
  }

  const within =
    (duration: Duration.DurationInput, detail: string) =>
    <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.timeoutFail(effect, { duration, onTimeout: () => fail("Unreachable", detail) })

  const refuse = (response: HttpClientResponse.HttpClientResponse) =>
    readUpTo(response.stream, largestError).pipe(
      Effect.timeout(timeLimit),
      Effect.match({ onFailure: () => "", onSuccess: ({ text }) => text }),
      Effect.flatMap((body) => {
        const { status } = response
        const detail = Refusal.describe({ status, body, pinned: options.apiVersion })
        return new EngineError({ reason: "Refused", endpoint, detail, status })
      })
    )

  const open: Requests["open"] = (path, { headers = {}, within: limit = timeLimit } = {}) =>
    client.get(`${root}${path}`, { headers: { ...always, ...headers } }).pipe(
      Effect.mapError(failWith("Unreachable")),
      within(limit, `no answer in ${timeLimit}`),
      Effect.flatMap((response) => (response.status === 200 ? Effect.succeed(response) : refuse(response)))
    )

  const readWhole = (response: HttpClientResponse.HttpClientResponse, path: string, largest: number) =>
    readUpTo(response.stream, largest).pipe(
      Effect.mapError(failWith("Broken")),
      within(timeLimit, `no whole answer in ${timeLimit}`),
      Effect.flatMap(({ isWhole, text }) =>
        isWhole
          ? Effect.succeed(text)
          : fail("TooLarge", `its answer to GET ${pathOnly(path)} is longer than ${largest} bytes`)
      )
    )

  const ask: Requests["ask"] = (path, schema, { largest = largestAnswer } = {}) => {
    const decode = Schema.decodeUnknownEither(schema)
    const notUnderstood = (why: string) =>
      fail("NotAnEngine", `its answer to GET ${pathOnly(path)} is not understood: ${why}`)
    return Effect.gen(function* () {
      const body = yield* readWhole(yield* open(path), path, largest)
      if (Refusal.isWebPage(body)) return yield* notUnderstood(`it is ${Refusal.webPage}`)
      const json = yield* Either.mapLeft(BoundedJson.parse(body), ({ excess, why }) =>
        excess === undefined
          ? notUnderstood(why)
          : fail("TooLarge", `its answer to GET ${pathOnly(path)} is not read: ${why}`)
      )
      // The error of the schema is not kept: to show it walks the whole answer.
      return yield* Either.mapLeft(decode(json), () => notUnderstood("it is JSON of another kind"))
    })
  }

  const ping = Effect.gen(function* () {
    const response = yield* open("/_ping")
    // Its headers say all. That the body breaks off or is late does no harm.
    yield* Effect.catchIf(
      readWhole(response, "/_ping", largestPing),
      ({ reason }) => reason !== "TooLarge",
      () => Effect.succeed("")
    )
    return response.headers
  })

  return { open, ask, ping, fail, failWith }
}
