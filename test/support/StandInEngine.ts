/**
 * A stand-in for an engine on a real socket, for what no real engine does on demand: answers that are split, cut, refused, silent or of another
 * version. Run what uses it with the live clock (`it.scopedLive`).
 */

import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import type * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { Endpoint } from "../../src/docker/Endpoint.ts"

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

/** Answers with a feed: 200 and the headers at once, then every step. */
export const feed =
  (steps: Iterable<Step>, ending: Ending): Answer =>
  (response) =>
    Effect.gen(function* () {
      response.writeHead(200, { "Content-Type": "application/json" }).flushHeaders()
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

/** A stand-in that listens. */
export interface StandInEngine {
  readonly endpoint: Endpoint
  /** What was asked so far, in order. */
  readonly requests: Effect.Effect<ReadonlyArray<Request>>
  /** How many connections are open now. */
  readonly connections: Effect.Effect<number>
}

/** How the stand-in answers. */
export interface StandInOptions {
  /** The answer to every ping; that of an engine with the API 1.41 unless told otherwise. */
  readonly ping?: Answer
  /** The answer to a `GET /events` by its number, from 0. */
  readonly events: (number: number) => Answer
  /** Listens on a TCP port of 127.0.0.1 instead of a unix socket. */
  readonly tcp?: boolean
  /** Speaks TLS there, with these. */
  readonly tls?: Https.ServerOptions
}

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
    const ping = options.ping ?? pong({ "Api-Version": "1.41", Server: "Docker/20.10.24 (linux)" })
    let feeds = 0

    const answerOf = (path: string): Answer => {
      if (path.endsWith("/_ping")) return ping
      return /\/v\d+\.\d+\/events(?:\?|$)/.test(path) ? options.events(feeds++) : refuse(404, "page not found")
    }

    const dir = yield* Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "des-stand-in-"))),
      (dir) => Effect.sync(() => Fs.rmSync(dir, { recursive: true, force: true }))
    )
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
      const answering = run(answerOf(path)(response))
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
      connections: Effect.sync(() => sockets.size)
    }
  })
