import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { describe } from "vitest"
import * as Endpoint from "../../src/endpoint/Endpoint.ts"
import * as Engine from "../../src/engine/Engine.ts"
import * as EngineHttp from "../../src/engine/EngineHttp.ts"
import * as StandInEngine from "../support/StandInEngine.ts"

const socket: Endpoint.Endpoint = { _tag: "Unix", path: "/run/docker.sock" }

type Answer = (
  request: HttpClientRequest.HttpClientRequest,
  signal: AbortSignal
) => Effect.Effect<Response, HttpClientError.HttpClientError>

const reply =
  (body: string | ReadableStream<Uint8Array> | null, init: ResponseInit = {}): Answer =>
  () =>
    Effect.sync(() => new Response(body, init))

const pong = (version: string): Answer => reply("OK", { headers: { "Api-Version": version } })

/** The engine at an endpoint over a client that answers in memory, and what it was asked. */
const over = (options: {
  readonly ping: Answer
  readonly events: Answer
  readonly others?: Answer
  readonly endpoint?: Endpoint.Endpoint
}) => {
  const requests: Array<HttpClientRequest.HttpClientRequest> = []
  const client = HttpClient.make((request, url, signal) => {
    requests.push(request)
    const answer = url.pathname.endsWith("/_ping")
      ? options.ping
      : url.pathname.endsWith("/events")
        ? options.events
        : (options.others ?? reply("{}"))
    return Effect.map(answer(request, signal), (response) => HttpClientResponse.fromWeb(request, response))
  })
  const engine = Engine.Engine.pipe(
    Effect.provide(Engine.layer({ endpoint: options.endpoint ?? socket })),
    Effect.provideService(HttpClient.HttpClient, client)
  )
  return { client, requests, engine, feed: Effect.flatMap(engine, ({ feed }) => feed({})) }
}

/** All that a feed gives, and what it fails with in the end. */
const readAll = (feed: Stream.Stream<Uint8Array, Engine.EngineError>) => {
  let text = ""
  const reading = Stream.runForEach(Stream.decodeText(feed), (part) => Effect.sync(() => (text += part)))
  return Effect.map(Effect.flip(reading), (error) => ({ text, error }))
}

describe("the API version", () => {
  for (const [offered, used] of [
    ["1.9", "1.9"],
    ["1.41", "1.41"],
    ["1.51", "1.51"],
    ["1.53", "1.53"],
    ["1.55", "1.55"],
    ["1.56", "1.55"],
    ["1.60", "1.55"],
    ["1.100", "1.55"]
  ] as const) {
    it.effect(`is ${used} if the engine offers ${offered}`, () =>
      Effect.gen(function* () {
        const { feed, requests } = over({ ping: pong(offered), events: reply("") })
        yield* Effect.asVoid(feed)
        assert.deepStrictEqual(
          requests.map(({ method, url }) => `${method} ${url}`),
          ["GET http://docker/_ping", `GET http://docker/v${used}/events`]
        )
      })
    )
  }

  it.effect("is asked for again each time the engine is identified, since it may be another engine then", () =>
    Effect.gen(function* () {
      const offers = ["1.51", "1.41"]
      const { engine, requests } = over({
        ping: (request, signal) => pong(offers.shift() ?? "")(request, signal),
        events: reply("")
      })
      const { feed, identify } = yield* engine
      assert.strictEqual((yield* identify).api, "1.51")
      yield* Effect.asVoid(feed({}))
      assert.strictEqual((yield* identify).api, "1.41")
      yield* Effect.asVoid(feed({}))
      assert.deepStrictEqual(
        requests.map(({ url }) => new URL(url).pathname),
        ["/_ping", "/v1.51/info", "/v1.51/events", "/_ping", "/v1.41/info", "/v1.41/events"]
      )
    })
  )

  for (const [what, ping, detail] of [
    ["names no version", reply("OK"), "neither its /_ping nor its /version names an API version"],
    [
      "is another server",
      reply("<html>", { headers: { Server: "nginx" } }),
      "neither its /_ping nor its /version names an API version"
    ],
    ["names an unknown one", pong("2.0"), "its /_ping names the API version 2.0"],
    ["names none that is a version", pong("1.41.1"), "its /_ping names the API version 1.41.1"]
  ] as const) {
    it.effect(`cannot be agreed on with a program that ${what}, which is not an engine`, () =>
      Effect.gen(function* () {
        const { feed, requests } = over({ ping, events: reply("") })
        const error = yield* Effect.flip(feed)
        assert.strictEqual(error.reason, "NotAnEngine")
        assert.strictEqual(error.message, `what answers at unix:///run/docker.sock is not an engine: ${detail}`)
        assert.deepStrictEqual(
          requests.map(({ url }) => new URL(url).pathname),
          detail.startsWith("neither") ? ["/_ping", "/version"] : ["/_ping"]
        )
      })
    )
  }
})

describe("the requests", () => {
  for (const [endpoint, root] of [
    ["tcp://h:2376", "http://h:2376"],
    ["tcp://h:80/base/", "http://h:80/base"],
    ["tcp://[::1]:2375", "http://[::1]:2375"],
    ["https://h/base", "https://h:443/base"],
    ["ssh://h", "http://docker"]
  ] as const) {
    it.effect(`go to ${root} for ${endpoint}`, () =>
      Effect.gen(function* () {
        const { feed, requests } = over({
          endpoint: Either.getOrThrow(Endpoint.parse(endpoint)),
          ping: pong("1.41"),
          events: reply("")
        })
        yield* Effect.asVoid(feed)
        assert.deepStrictEqual(
          requests.map(({ url }) => url),
          [`${root}/_ping`, `${root}/v1.41/events`]
        )
      })
    )
  }

  it.effect("have the headers of the configuration", () =>
    Effect.gen(function* () {
      const { client, requests } = over({ ping: pong("1.41"), events: reply("") })
      yield* Effect.flatMap(Engine.Engine, ({ feed }) => Effect.asVoid(feed({}))).pipe(
        Effect.provide(Engine.layer({ endpoint: socket, headers: { "X-Proxy": "a" } })),
        Effect.provideService(HttpClient.HttpClient, client)
      )
      assert.deepStrictEqual(
        requests.map(({ headers }) => headers["x-proxy"]),
        ["a", "a"]
      )
    })
  )

  it.effect("ignore a header of the configuration that belongs to the request itself", () =>
    Effect.gen(function* () {
      const { client, requests } = over({ ping: pong("1.41"), events: reply("") })
      const headers = { Host: "other.example", "content-length": "7", "Transfer-Encoding": "chunked", Trailer: "x" }
      yield* Effect.flatMap(Engine.Engine, ({ feed }) => Effect.asVoid(feed({}))).pipe(
        Effect.provide(Engine.layer({ endpoint: socket, headers })),
        Effect.provideService(HttpClient.HttpClient, client)
      )
      assert.deepStrictEqual(
        requests.map(({ headers }) => Object.keys(headers)),
        [[], ["accept"]]
      )
    })
  )

  it.effect("send no trace headers", () =>
    Effect.gen(function* () {
      const { feed, requests } = over({ ping: pong("1.41"), events: reply("") })
      yield* Effect.asVoid(feed).pipe(Effect.withSpan("test"))
      assert.lengthOf(requests, 2)
      assert.deepStrictEqual(
        requests.map(({ headers }) => Object.keys(headers)),
        [[], ["accept"]]
      )
    })
  )
})

describe("an error answer", () => {
  const json = (status: number, message: string) =>
    reply(`${JSON.stringify({ message })}\n`, { status, headers: { "Content-Type": "application/json" } })

  for (const [what, answer, detail] of [
    ["400 with a message", json(400, "client version 1.55 is too new"), "400 client version 1.55 is too new"],
    ["500 with a message", json(500, "the store is closed"), "500 the store is closed"],
    [
      "403 of a proxy with a web page",
      reply("\n<!DOCTYPE html><h1>Forbidden</h1>", { status: 403 }),
      "403 Forbidden (a web page, so a proxy or another server answered)"
    ],
    ["403 of a proxy with a word", reply("Forbidden\n", { status: 403 }), "403 Forbidden"],
    ["500 with a long message", json(500, "y\n".repeat(10_000)), `500 ${"y ".repeat(250).trim()}`],
    ["500 with another kind of JSON", reply('{"message":7}', { status: 500 }), '500 {"message":7}'],
    ["502 with a long page", reply("x".repeat(100_000), { status: 502 }), `502 ${"x".repeat(200)}`],
    ["503 with nothing", reply(null, { status: 503 }), "503 Service Unavailable"],
    ["301 to elsewhere", reply(null, { status: 301, headers: { Location: "/x" } }), "301 Moved Permanently"]
  ] as const) {
    for (const [where, answers] of [
      ["the ping", { ping: answer, events: reply("") }],
      ["the feed", { ping: pong("1.41"), events: answer }]
    ] as const) {
      it.effect(`with ${what} to ${where} is reported`, () =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(over(answers).feed)
          assert.instanceOf(error, Engine.EngineError)
          assert.strictEqual(error.reason, "Refused")
          assert.strictEqual(error.message, `the engine at unix:///run/docker.sock refused: ${detail}`)
        })
      )
    }
  }
})

describe("no connection", () => {
  const failing =
    (cause: unknown): Answer =>
    (request) =>
      new HttpClientError.RequestError({ request, reason: "Transport", cause })

  for (const [code, advice] of [
    ["ENOENT", "the socket does not exist; is the engine running? To use another one, set -e or DOCKER_HOST"],
    ["ECONNREFUSED", "nothing listens there; is the engine running? To use another one, set -e or DOCKER_HOST"],
    ["EACCES", "this user may not open the socket; run des as root or in the socket's group"],
    ["ENOTFOUND", "the host's name is not known"],
    ["EAI_AGAIN", "the host's name cannot be looked up now"],
    ["ETIMEDOUT", "the host does not answer"],
    ["EPIPE", "write EPIPE"]
  ] as const) {
    it.effect(`with ${code} says what to do`, () =>
      Effect.gen(function* () {
        const cause = Object.assign(new Error(`write ${code}`), { code })
        const error = yield* Effect.flip(over({ ping: failing(cause), events: reply("") }).feed)
        assert.strictEqual(error.reason, "Unreachable")
        assert.strictEqual(error.message, `no engine can be reached at unix:///run/docker.sock: ${advice}`)
      })
    )
  }

  it.effect("is Unreachable, too, if only the feed cannot be opened", () =>
    Effect.gen(function* () {
      const cause = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" })
      const error = yield* Effect.flip(over({ ping: pong("1.41"), events: failing(cause) }).feed)
      assert.strictEqual(error.reason, "Unreachable")
      assert.match(error.message, /nothing listens there/)
    })
  )

  it.effect("gives a readable message for a cause that is no Error", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(over({ ping: failing("broken pipe"), events: reply("") }).feed)
      assert.strictEqual(error.reason, "Unreachable")
      assert.notInclude(error.message, "[object Object]")
      assert.notInclude(error.message, "undefined")
    })
  )
})

describe("an engine that does not answer", () => {
  for (const where of ["ping", "events"] as const) {
    it.effect(`to ${where} is given up after 10 seconds, and its request ends`, () =>
      Effect.gen(function* () {
        const asked = yield* Deferred.make<AbortSignal>()
        const silence: Answer = (_request, signal) => Effect.zipRight(Deferred.succeed(asked, signal), Effect.never)
        const { feed } = over({ ping: pong("1.41"), events: reply(""), [where]: silence })
        const opening = yield* Effect.fork(Effect.flip(feed))
        const signal = yield* Deferred.await(asked)
        yield* TestClock.adjust("9999 millis")
        assert.isNull(opening.unsafePoll())
        assert.isFalse(signal.aborted)
        yield* TestClock.adjust("1 millis")
        const error = yield* Fiber.join(opening)
        assert.strictEqual(error.reason, "Unreachable")
        assert.strictEqual(
          error.message,
          "no engine can be reached at unix:///run/docker.sock: no answer in 10 seconds"
        )
        assert.isTrue(signal.aborted)
      })
    )

    it.effect(`to ${where} with more than the head of an error is given up, too`, () =>
      Effect.gen(function* () {
        const asked = yield* Deferred.make<void>()
        const endless: Answer = () =>
          Effect.zipRight(
            Deferred.succeed(asked, undefined),
            Effect.sync(() => new Response(new ReadableStream(), { status: 500 }))
          )
        const { feed } = over({ ping: pong("1.41"), events: reply(""), [where]: endless })
        const opening = yield* Effect.fork(Effect.flip(feed))
        yield* Deferred.await(asked)
        yield* TestClock.adjust("1 minute")
        const error = opening.unsafePoll()
        assert.isNotNull(error, "it still waits for the rest of the answer after a minute")
      })
    )
  }

  it.effect("after its feed is open does not fail, since engines are silent for days", () =>
    Effect.gen(function* () {
      let send: (text: string) => void = () => {}
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => {
          send = (text) => controller.enqueue(new TextEncoder().encode(text))
        }
      })
      const { feed } = over({ ping: pong("1.41"), events: reply(body) })
      const received = yield* Queue.unbounded<string>()
      const reading = yield* feed.pipe(
        Stream.unwrap,
        Stream.decodeText(),
        Stream.runForEach((text) => Queue.offer(received, text)),
        Effect.fork
      )
      send("first")
      assert.strictEqual(yield* Queue.take(received), "first")
      yield* TestClock.adjust("7 days")
      assert.isNull(reading.unsafePoll())
      send("second")
      assert.strictEqual(yield* Queue.take(received), "second")
    })
  )
})

describe("the identity of an engine", () => {
  const info = (fields: Readonly<Record<string, unknown>>) => reply(JSON.stringify(fields))
  const identify = (ping: Answer, others: Answer) =>
    Effect.flatMap(over({ ping, events: reply(""), others }).engine, ({ identify }) => identify)

  it.effect("is for dockerd its ID, which survives restarts, and its clock to the last nanosecond", () =>
    Effect.gen(function* () {
      const identity = yield* identify(
        pong("1.41"),
        info({ ID: "A:B", Name: "host", ServerVersion: "20.10.24", SystemTime: "2026-11-23T22:00:00.123456789+01:30" })
      )
      assert.deepStrictEqual(identity, {
        id: "A:B",
        kind: "docker",
        version: "20.10.24",
        api: "1.41",
        time: BigInt(Date.parse("2026-11-23T20:30:00Z")) * 1_000_000n + 123_456_789n
      })
    })
  )

  it.effect("is for podman the name of its host, since its ID changes with each answer", () =>
    Effect.gen(function* () {
      const ping = reply("OK", { headers: { "Api-Version": "1.41", "Libpod-Api-Version": "4.3.1" } })
      const identity = yield* identify(ping, info({ ID: "random", Name: "host", SystemTime: "2026-11-23T22:00:00Z" }))
      assert.strictEqual(identity.id, "podman host")
      assert.strictEqual(identity.kind, "podman")
    })
  )

  it.effect("is unknown if a proxy allows only the feed, and the clock is the date of the answer", () =>
    Effect.gen(function* () {
      const ping = reply("OK", { headers: { "Api-Version": "1.41", Date: "Mon, 23 Nov 2026 22:00:00 GMT" } })
      const identity = yield* identify(ping, reply("<h1>Forbidden</h1>", { status: 403 }))
      assert.strictEqual(identity.id, "")
      assert.strictEqual(identity.time, BigInt(Date.parse("2026-11-23T22:00:00Z")) * 1_000_000n)
      const error = yield* Effect.flip(identify(ping, reply("broken", { status: 500 })))
      assert.strictEqual(error.reason, "Refused")
    })
  )

  const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels)
  for (const [what, body, why] of [
    ["is a web page", "<html>", /: it is a web page, so a proxy or another server answered$/],
    ["is cut", '{"ID":', /: it is not JSON \(/],
    ["is JSON of another kind", '{"ID":7}', /: it is JSON of another kind$/],
    ["is nested 3,000 levels deep", nested(3_000), /: it is JSON of another kind$/],
    ["has an ID of 3,000 levels", `{"ID":${nested(3_000)}}`, /: it is JSON of another kind$/]
  ] as const) {
    it.effect(`is not believed if it ${what}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(identify(pong("1.41"), reply(body)))
        assert.strictEqual(error.reason, "NotAnEngine")
        assert.include(error.message, "its answer to GET /v1.41/info is not understood")
        assert.match(error.message, why)
        assert.isBelow(error.message.length, 300)
        assert.isUndefined(error.cause)
      })
    )
  }

  for (const [what, body, why] of [
    ["is nested a million levels deep", nested(1_000_000), /it is nested deeper than 10000 levels$/],
    ["has an ID of a million levels", `{"ID":${nested(1_000_000)}}`, /it is nested deeper than 10000 levels$/],
    ["holds three million values", `{"ID":[${"1,".repeat(3_000_000)}1]}`, /it holds more than 2500000 values and keys$/]
  ] as const) {
    it.effect(`is too large if it ${what}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(identify(pong("1.41"), reply(body)))
        assert.strictEqual(error.reason, "TooLarge")
        assert.match(error.message, why)
        assert.isBelow(error.message.length, 300)
        assert.isUndefined(error.cause)
      })
    )
  }

  it.effect("is podman's, too, if a proxy removes the headers of the ping", () =>
    Effect.gen(function* () {
      const version = { ApiVersion: "1.41", Components: [{ Name: "Podman Engine" }] }
      const identity = yield* identify(reply("OK"), info({ ...version, Name: "host" }))
      assert.strictEqual(identity.kind, "podman")
      assert.strictEqual(identity.id, "podman host")
    })
  )
})

describe("a container", () => {
  const inspect = (others: Answer) =>
    Effect.flatMap(over({ ping: pong("1.41"), events: reply(""), others }).engine, ({ inspect }) => inspect("4a5b"))

  it.effect("has the attributes of its events, and exact times", () =>
    Effect.gen(function* () {
      const container = yield* inspect(
        reply(
          JSON.stringify({
            Id: "4a5b",
            Name: "/web",
            Config: { Image: "nginx", Labels: { role: "web", name: "label", image: "label" } },
            State: {
              Running: false,
              Restarting: false,
              ExitCode: 7,
              StartedAt: "2026-11-23T22:00:00.000000001Z",
              FinishedAt: "0001-01-01T00:00:00Z"
            }
          })
        )
      )
      assert.deepStrictEqual(Option.getOrThrow(container), {
        id: "4a5b",
        attributes: { role: "web", image: "nginx", name: "web" },
        running: false,
        exitCode: 7,
        startedAt: BigInt(Date.parse("2026-11-23T22:00:00Z")) * 1_000_000n + 1n,
        finishedAt: undefined
      })
    })
  )

  it.effect("that waits for its restart is not running", () =>
    Effect.gen(function* () {
      const state = { Running: true, Restarting: true, ExitCode: 1 }
      const container = yield* inspect(reply(JSON.stringify({ Id: "4a5b", Config: {}, State: state })))
      assert.isFalse(Option.getOrThrow(container).running)
    })
  )

  it.effect("that does not exist any more gives none, and a refusal is an error", () =>
    Effect.gen(function* () {
      assert.isTrue(Option.isNone(yield* inspect(reply("{}", { status: 404 }))))
      assert.strictEqual((yield* Effect.flip(inspect(reply("{}", { status: 403 })))).status, 403)
    })
  )
})

describe("a time range", () => {
  it.effect("is sent to the engine as seconds with nine digits", () =>
    Effect.gen(function* () {
      const { engine, requests } = over({ ping: pong("1.41"), events: reply("") })
      const { feed } = yield* engine
      yield* Effect.asVoid(feed({ since: 0n, until: 1_795_453_740_000_000_007n }))
      assert.match(requests.at(-1)?.url ?? "", /\/events\?since=0&until=1795453740\.000000007$/)
    })
  )
})

describe("the feed", () => {
  it.effect("gives the bytes of the answer, and fails with Ended at their end", () =>
    Effect.gen(function* () {
      const feed = yield* over({ ping: pong("1.41"), events: reply("é\n{") }).feed
      const { error, text } = yield* readAll(feed)
      assert.strictEqual(text, "é\n{")
      assert.strictEqual(error.reason, "Ended")
      assert.strictEqual(error.message, "the engine at unix:///run/docker.sock ended the feed")
    })
  )

  it.effect("fails with Broken and the reason if the answer breaks off", () =>
    Effect.gen(function* () {
      let pulls = 0
      const body = new ReadableStream<Uint8Array>({
        pull: (controller) => {
          if (pulls++ === 0) controller.enqueue(new TextEncoder().encode("first"))
          else controller.error(new Error("socket hang up"))
        }
      })
      const feed = yield* over({ ping: pong("1.41"), events: reply(body) }).feed
      const { error, text } = yield* readAll(feed)
      assert.strictEqual(text, "first")
      assert.strictEqual(error.reason, "Broken")
      assert.strictEqual(error.message, "the feed of unix:///run/docker.sock broke off: socket hang up")
    })
  )

  it.effect("opens before its first byte, as soon as the head of the answer comes", () =>
    Effect.gen(function* () {
      const feed = yield* over({ ping: pong("1.41"), events: reply(new ReadableStream()) }).feed
      assert.isDefined(feed)
    })
  )
})

describe("over Node's client on a real socket", () => {
  const open = (endpoint: Endpoint.Endpoint) =>
    Effect.flatMap(Engine.Engine, ({ feed }) => feed({})).pipe(
      Effect.provide(Layer.provide(Engine.layer({ endpoint }), EngineHttp.layer({ endpoint })))
    )
  const unused = { ping: StandInEngine.silence, events: () => StandInEngine.silence }

  it.scopedLive("the message for a missing socket differs from that for a socket where nobody listens", () =>
    Effect.gen(function* () {
      const absent = yield* Effect.flip(open({ _tag: "Unix", path: "/run/des-no-such-folder/docker.sock" }))
      assert.strictEqual(absent.reason, "Unreachable")
      assert.match(absent.message, /docker\.sock: the socket does not exist; is the engine running\?/)
      const gone = yield* Effect.scoped(StandInEngine.make({ ...unused, tcp: true }))
      const refused = yield* Effect.flip(open(gone.endpoint))
      assert.strictEqual(refused.reason, "Unreachable")
      assert.match(refused.message, /tcp:\/\/127\.0\.0\.1:\d+: nothing listens there; is the engine running\?/)
    })
  )

  it.scopedLive("a program that does not speak HTTP, or hangs up, is Unreachable with the reason", () =>
    Effect.gen(function* () {
      for (const [bytes, reason] of [
        ["SSH-2.0-OpenSSH_9.2\r\n", /Parse Error|HTTP/],
        ["", /socket hang up/]
      ] as const) {
        const engine = yield* StandInEngine.make({ ...unused, ping: StandInEngine.raw(bytes) })
        const error = yield* Effect.flip(open(engine.endpoint))
        assert.strictEqual(error.reason, "Unreachable")
        assert.match(error.message, reason)
      }
    })
  )
})
