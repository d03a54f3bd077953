/**
 * A stand-in for an engine on a real socket, for what no real engine does on demand: answers that are split, cut, refused, silent or of another
 * version, lost records, and whatever else makes a feed hard to follow. Like an engine it keeps what it has sent and replays it. Run what uses it
 * with the live clock (`it.scopedLive`).
 */

import * as Http from "node:http"
import * as Https from "node:https"
import type * as Net from "node:net"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { Endpoint } from "../../src/endpoint/Endpoint.ts"
import * as TempFolder from "./TempFolder.ts"

/** What the stand-in does with one request. */
export type Answer = (response: Http.ServerResponse) => Effect.Effect<void>

/** A piece of a feed, which is sent as one HTTP chunk of its own, or what to wait for before the next one. */
export type Step = string | Uint8Array | Effect.Effect<unknown>

/**
 * How a feed goes on after its last step: `end` is a clean end, `break` closes the connection without the last chunk, `reset` does so with a
 * TCP reset, `stay` sends nothing more.
 */
export type Ending = "end" | "break" | "reset" | "stay"

const write = (response: Http.ServerResponse, chunk: string | Uint8Array): Effect.Effect<void> =>
  Effect.async((resume) => {
    response.write(chunk, () => resume(Effect.void))
  })

const finish: Readonly<Record<Ending, Answer>> = {
  end: (response) => Effect.sync(() => response.end()),
  break: (response) => Effect.sync(() => response.socket?.destroy()),
  reset: (response) => Effect.sync(() => response.socket?.resetAndDestroy()),
  stay: () => Effect.never
}

/** What an answer to `GET /events` begins with. */
const replays = new WeakMap<Http.ServerResponse, string>()

/** Answers with a feed: 200 and the headers at once, what is replayed, then every step. */
export const feed =
  (steps: Iterable<Step>, ending: Ending): Answer =>
  (response) =>
    Effect.gen(function* () {
      response.writeHead(200, { "Content-Type": "application/json" }).flushHeaders()
      const replay = replays.get(response) ?? ""
      if (replay !== "") response.write(replay)
      for (const step of steps) {
        yield* typeof step === "string" || step instanceof Uint8Array ? write(response, step) : step
      }
      yield* finish[ending](response)
    })

/** Answers with a status, headers and a body, which may be the text of any server. */
export const reply =
  (status: number, headers: Readonly<Record<string, string>>, body: string): Answer =>
  (response) =>
    Effect.sync(() => response.writeHead(status, headers).end(body))

/** Answers as an engine does when it refuses. */
export const refuse = (status: number, message: string): Answer =>
  reply(status, { "Content-Type": "application/json" }, `${JSON.stringify({ message })}\n`)

/** Never answers. */
export const silence: Answer = () => Effect.never

/** Sends these bytes instead of an HTTP answer and closes the connection. */
export const raw =
  (bytes: string): Answer =>
  (response) =>
    Effect.sync(() => response.socket?.end(bytes))

/** Answers a ping with the headers that an engine has, such as `Api-Version`. */
export const pong = (headers: Readonly<Record<string, string>>): Answer =>
  reply(200, { "Content-Type": "text/plain; charset=utf-8", ...headers }, "OK")

/** A request as it came in. */
export interface Request {
  readonly path: string
  readonly headers: Http.IncomingHttpHeaders
}

/** A container of a stand-in, in the words of the Engine API. */
export interface StandInContainer {
  readonly image: string
  readonly name: string
  readonly labels?: Readonly<Record<string, string>>
  readonly running: boolean
  readonly exitCode?: number
  readonly startedAt: string
  readonly finishedAt?: string
}

/** What a stand-in is and has; a test may change it at any time. */
export interface State {
  /** Tells it from others. */
  id: string
  /** What it can replay: an engine keeps the last 256 records, podman all. */
  records: ReadonlyArray<string>
  /** Keeps what is told and sends it to nobody, as a connection does that is half open. */
  swallows: boolean
  /** Answers nothing any more, as a machine that is gone. */
  isMute: boolean
  readonly containers: Map<string, StandInContainer>
}

/** A stand-in that listens. */
export interface StandInEngine {
  readonly endpoint: Endpoint
  /** What was asked so far, in order. */
  readonly requests: Effect.Effect<ReadonlyArray<Request>>
  /** How many connections are open now. */
  readonly connections: Effect.Effect<number>
  /** How many feeds are open now that nobody scripted. */
  readonly feeds: Effect.Effect<number>
  readonly state: State
  /** Keeps records and sends each to the feeds that are open. */
  readonly emit: (...records: ReadonlyArray<string>) => Effect.Effect<void>
  /** Sends records to the feeds that are open and keeps none. */
  readonly send: (...records: ReadonlyArray<string>) => Effect.Effect<void>
  /** Breaks the feeds that are open. */
  readonly cut: Effect.Effect<void>
}

/** How the stand-in answers. */
export interface StandInOptions {
  /** The answer to every ping; that of an engine with the API 1.41 unless told otherwise. */
  readonly ping?: Answer
  /** The answer to `GET /version`; unless told otherwise there is none. */
  readonly version?: Answer
  /** The answer to every `GET /containers/ID/json`; that of its state unless told otherwise. */
  readonly inspect?: Answer
  /** The answer to `GET /info`; its id and its clock unless told otherwise. */
  readonly info?: Answer
  /** The answer to the list of containers; those of its state unless told otherwise. */
  readonly list?: Answer
  /** The answer to a `GET /events` without an end, by its number, from 0; unless told otherwise what is emitted. */
  readonly events?: (number: number) => Answer
  /** The answer to a `GET /events` that ends: what it can replay, unless told otherwise. */
  readonly ring?: Answer
  readonly podman?: boolean
  /** Listens on a TCP port of 127.0.0.1 instead of a unix socket. */
  readonly tcp?: boolean
  /** Speaks TLS there, with these. */
  readonly tls?: Https.ServerOptions
}

/** How many records an engine keeps. */
const mostRecords = 256

const timeOf = (record: string): bigint => BigInt(/"timeNano":(\d+)/.exec(record)?.[1] ?? "0")

/** The time of a query in nanoseconds. */
const parseQuery = (text: string | null): bigint | undefined => {
  if (text === null) return undefined
  const [seconds = "", fraction = ""] = text.split(".")
  return BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, "0"))
}

const json = (value: unknown): Answer =>
  reply(200, { "Content-Type": "application/json" }, `${JSON.stringify(value)}\n`)

const listen = (server: Http.Server | Https.Server, address: Net.ListenOptions): Effect.Effect<void> =>
  Effect.async((resume) => {
    server.once("error", (error) => resume(Effect.die(error)))
    server.listen(address, () => resume(Effect.void))
  })

const close = (server: Http.Server | Https.Server): Effect.Effect<void> =>
  Effect.async((resume) => {
    server.close(() => resume(Effect.void))
    server.closeAllConnections()
  })

/** Starts a stand-in for the scope, on a unix socket in a folder of its own or on a free port. */
export const make = (options: StandInOptions): Effect.Effect<StandInEngine, never, Scope.Scope> =>
  Effect.gen(function* () {
    const requests: Array<Request> = []
    const sockets = new Set<Net.Socket>()
    const feeds = new Set<Http.ServerResponse>()
    const state: State = { id: "STAND:IN", records: [], swallows: false, isMute: false, containers: new Map() }
    const isPodman = options.podman === true
    const ping =
      options.ping ??
      pong({
        "Api-Version": "1.41",
        ...(isPodman
          ? { "Libpod-Api-Version": "4.3.1", Server: "Libpod/4.3.1 (linux)" }
          : { Server: "Docker/20.10.24 (linux)" })
      })
    let scripted = 0

    const keep = (record: string) => {
      state.records = isPodman ? [...state.records, record] : [...state.records, record].slice(-mostRecords)
    }

    /** Keeps the whole lines of what a scripted feed sends, each once. */
    const tape = (response: Http.ServerResponse) => {
      const write = response.write.bind(response)
      const replayed = replays.get(response) ?? ""
      let skip = Buffer.byteLength(replayed)
      let bytes = Buffer.alloc(0)
      response.write = (chunk: string | Uint8Array, ...rest: ReadonlyArray<unknown>) => {
        const given = Buffer.from(chunk as Uint8Array)
        bytes = Buffer.concat([bytes, given.subarray(Math.min(skip, given.length))])
        skip -= Math.min(skip, given.length)
        for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10)) {
          const line = bytes.subarray(0, end).toString("utf8").trim()
          if (line !== "" && !state.records.includes(line)) keep(line)
          bytes = bytes.subarray(end + 1)
        }
        return Reflect.apply(write, response, [chunk, ...rest])
      }
    }

    /** dockerd: what is as old or newer, from its ring; podman: what is newer, from its store. */
    const recordsOf = (query: URLSearchParams): string => {
      const [since, until] = [parseQuery(query.get("since")), parseQuery(query.get("until"))]
      if (since === undefined) return ""
      const isIn = (time: bigint) => (isPodman ? time > since : time >= since) && (until === undefined || time <= until)
      return state.records
        .filter((record) => isIn(timeOf(record)))
        .map((record) => `${record}\n`)
        .join("")
    }

    const live: Answer = (response) =>
      Effect.suspend(() => {
        feeds.add(response)
        response.once("close", () => feeds.delete(response))
        return feed([], "stay")(response)
      })

    const inspection = (id: string): Answer => {
      const container = state.containers.get(id)
      if (container === undefined) return refuse(404, `No such container: ${id}`)
      const {
        exitCode = 0,
        finishedAt = "0001-01-01T00:00:00Z",
        image,
        labels = {},
        name,
        running,
        startedAt
      } = container
      return json({
        Id: id,
        Name: `/${name}`,
        Config: { Image: image, Labels: labels },
        State: { Running: running, Restarting: false, ExitCode: exitCode, StartedAt: startedAt, FinishedAt: finishedAt }
      })
    }

    const answerOf = (path: string, response: Http.ServerResponse): Answer => {
      if (state.isMute) return silence
      if (path.endsWith("/_ping")) return ping
      const url = new URL(path, "http://stand-in")
      if (url.pathname === "/version" && options.version !== undefined) return options.version
      const [, what = ""] = /^\/v\d+\.\d+(\/.*)$/.exec(url.pathname) ?? []
      if (what === "/info") {
        return options.info ?? json({ ID: state.id, Name: "stand-in", SystemTime: new Date().toISOString() })
      }
      if (what === "/containers/json") {
        if (options.list !== undefined) return options.list
        const running = [...state.containers].filter(([, { running }]) => running)
        return json(
          running.map(([id, { image, labels = {}, name }]) => ({
            Id: id,
            Names: [`/${name}`],
            Image: image,
            Labels: labels
          }))
        )
      }
      const id = /^\/containers\/([^/]+)\/json$/.exec(what)?.[1]
      if (id !== undefined) return options.inspect ?? inspection(id)
      if (what !== "/events") return refuse(404, "page not found")
      replays.set(response, recordsOf(url.searchParams))
      if (url.searchParams.has("until")) return options.ring ?? feed([], "end")
      if (options.events === undefined) return live
      tape(response)
      return options.events(scripted++)
    }

    const send = (...records: ReadonlyArray<string>) =>
      Effect.sync(() => {
        if (state.swallows) return
        for (const response of feeds) for (const record of records) response.write(`${record}\n`)
      })

    const dir = yield* TempFolder.make("stand-in")
    const server = yield* Effect.acquireRelease(
      Effect.sync(() => (options.tls === undefined ? Http.createServer() : Https.createServer(options.tls))),
      close
    )
    const run = yield* FiberSet.makeRuntime()
    server.on("connection", (socket) => {
      sockets.add(socket)
      socket.once("close", () => sockets.delete(socket))
    })
    server.on("request", (request, response) => {
      const path = request.url ?? ""
      requests.push({ path, headers: request.headers })
      const answering = run(answerOf(path, response)(response))
      response.once("close", () => run(Fiber.interrupt(answering)))
    })

    const path = Path.join(dir, "engine.sock")
    yield* listen(server, options.tcp === true || options.tls !== undefined ? { host: "127.0.0.1", port: 0 } : { path })
    const address = server.address()
    return {
      endpoint:
        typeof address === "object" && address !== null
          ? { _tag: "Tcp", host: address.address, port: address.port, basePath: "" }
          : { _tag: "Unix", path },
      requests: Effect.sync(() => [...requests]),
      connections: Effect.sync(() => sockets.size),
      feeds: Effect.sync(() => feeds.size),
      state,
      emit: (...records) =>
        Effect.suspend(() => {
          records.forEach(keep)
          return send(...records)
        }),
      send,
      cut: Effect.sync(() => {
        for (const response of feeds) response.socket?.destroy()
      })
    }
  })
