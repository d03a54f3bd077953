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

/** The largest answer about one thing that des reads, in bytes. A container's answer has its labels. */
const largestAnswer = 8_388_608

/** The largest list of containers that des reads, in bytes. It has the labels of all containers. */
export const largestList = 67_108_864

/** The largest answer to a ping, and the largest error, that des reads, in bytes. */
const largestPing = 65_536
const largestError = 65_536

/** How long an engine may take to answer, and to end its answer. ssh may take 30 seconds more to connect. */
const patience = "10 seconds"
const patienceOverSsh = "40 seconds"

/**
 * Headers that the user cannot set. Go's client ignores them in a configuration, too (`net/http/request.go`, `reqWriteExcludeHeader`).
 * TLS would verify the name in `Host`.
 */
const reservedHeaders = new Set(["host", "content-length", "transfer-encoding", "trailer"])

type Headers = Readonly<Record<string, string>>

/** The engine to ask, and how to ask it. */
export interface Options {
  /** The address of the engine. */
  readonly endpoint: Endpoint.Endpoint
  /** The user's name for the engine (default: its endpoint). */
  readonly name?: string
  /** The version of the API to use, such as `1.41` (default: the newest one that both sides know). */
  readonly apiVersion?: string
  /** Headers for every request. */
  readonly headers?: Headers
  /** Sockets of other engines. The error names them if the endpoint's own socket does not exist. */
  readonly otherSockets?: ReadonlyArray<string>
}

/** Sends requests to one engine over HTTP. Each answer except a feed has a bound in time and memory. */
export interface Requests {
  /** Sends a request, and gives the answer as soon as its headers have come. Every status except 200 is an error. */
  readonly open: (
    path: string,
    options?: { readonly headers?: Headers; readonly within?: Duration.DurationInput }
  ) => Effect.Effect<HttpClientResponse.HttpClientResponse, EngineError>
  /** Sends a request, and reads the whole answer as JSON of at most `largest` bytes (default: 8 MiB). */
  readonly ask: <A, I>(
    path: string,
    schema: Schema.Schema<A, I>,
    options?: { readonly largest?: number }
  ) => Effect.Effect<A, EngineError>
  /** Sends a request, and reads the whole answer as text of at most so many bytes. */
  readonly read: (path: string, largest: number) => Effect.Effect<string, EngineError>
  /** Sends `/_ping`, and gives the headers of the answer. Their names are in lower case. */
  readonly ping: Effect.Effect<Readonly<Record<string, string | undefined>>, EngineError>
  /** Makes an error of this engine. */
  readonly fail: (reason: EngineError["reason"], detail: string) => EngineError
  /** Makes an error of this engine from an error of the HTTP client. */
  readonly failWith: (reason: EngineError["reason"]) => (error: HttpClientError.HttpClientError) => EngineError
}

/** The URL of an endpoint. A socket has no host, and engines accept any name there. */
const rootOf = (endpoint: Endpoint.Endpoint): string =>
  endpoint._tag === "Tcp"
    ? `${endpoint.tls === undefined ? "http" : "https"}://${endpoint.host}:${endpoint.port}${endpoint.basePath}`
    : "http://docker"

/** The engine as errors show it: its endpoint, with its name if it has one. */
const describe = ({ endpoint, name }: Options): string => {
  const address = Endpoint.format(endpoint)
  return name === undefined || name === address ? address : `${name} (${address})`
}

const withoutReserved = (headers: Headers): Headers =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !reservedHeaders.has(name.toLowerCase())))

/** Reads the body of an answer. It stops when the body is longer than `largest` bytes. */
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

/** Makes the requests for one engine, over an HTTP client. */
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

  const read: Requests["read"] = (path, largest) =>
    Effect.flatMap(open(path), (response) => readWhole(response, path, largest))

  const ask: Requests["ask"] = (path, schema, { largest = largestAnswer } = {}) => {
    const decode = Schema.decodeUnknownEither(schema)
    const notUnderstood = (why: string) =>
      fail("NotAnEngine", `its answer to GET ${pathOnly(path)} is not understood: ${why}`)
    return Effect.gen(function* () {
      const body = yield* read(path, largest)
      if (Refusal.isWebPage(body)) return yield* notUnderstood(`it is ${Refusal.webPage}`)
      const json = yield* Either.mapLeft(BoundedJson.parse(body), ({ excess, why }) =>
        excess === undefined
          ? notUnderstood(why)
          : fail("TooLarge", `its answer to GET ${pathOnly(path)} is not read: ${why}`)
      )
      // The error of the schema is not kept, since showing it would walk through the whole answer.
      return yield* Either.mapLeft(decode(json), () => notUnderstood("it is JSON of another kind"))
    })
  }

  const ping = Effect.gen(function* () {
    const response = yield* open("/_ping")
    // Only the headers matter. A body that breaks off or is late does no harm.
    yield* Effect.catchIf(
      readWhole(response, "/_ping", largestPing),
      ({ reason }) => reason !== "TooLarge",
      () => Effect.succeed("")
    )
    return response.headers
  })

  return { open, ask, read, ping, fail, failWith }
}
