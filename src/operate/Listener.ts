import type { EventEmitter } from "node:events"
import { lstatSync, rmSync, type Stats } from "node:fs"
import { createServer, type Server } from "node:http"
import { connect } from "node:net"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as SystemReason from "../SystemReason.ts"
import * as Address from "./Address.ts"
import type { Served } from "./Operate.ts"

/** des cannot listen. The message says where and why. */
export class ListenError extends Data.TaggedError("ListenError")<{ readonly message: string }> {}

/** How many connections are open at the same time. */
const mostConnections = 64

/** How long a client may take to send a request, in milliseconds. */
const requestPatience = 10_000

/** How long an idle connection stays open, in milliseconds. */
const idlePatience = 5000

/** How many bytes the headers of a request may have. */
const longestHead = 16_384

const whyNot = (address: Address.Address, error: unknown): ListenError =>
  new ListenError({
    message: `des cannot listen at ${Address.format(address)}: ${SystemReason.describe(error)}`
  })

const isInUse = (error: unknown): boolean => SystemReason.codeOf(error) === "EADDRINUSE"

const listenOnce = (server: Server, address: Address.Address): Effect.Effect<void, unknown> =>
  Effect.async((resume) => {
    const fail = (error: unknown) => resume(Effect.fail(error))
    const begin = () =>
      server.listen(address._tag === "Unix" ? { path: address.path } : { host: address.host, port: address.port })
    server.once("error", fail)
    server.once("listening", () => {
      server.off("error", fail)
      resume(Effect.void)
    })
    if (address._tag === "Tcp") return void begin()
    // The socket never exists with other rights. Node creates it before `listen` returns.
    const before = process.umask(0o177)
    begin()
    process.umask(before)
  })

/** True if nobody listens at a socket: a des that was killed has left it. */
const isLeft = (path: string): Effect.Effect<boolean> =>
  Effect.async((resume) => {
    const socket = connect(path)
    const end = (left: boolean) => {
      socket.destroy()
      resume(Effect.succeed(left))
    }
    socket.once("connect", () => end(false))
    socket.once("error", (error) => end(SystemReason.codeOf(error) === "ECONNREFUSED"))
  })

/** What is at a path, in words. */
const kindOf = (found: Stats): string => {
  if (found.isFile()) return "a file"
  if (found.isDirectory()) return "a directory"
  return found.isSymbolicLink() ? "a symbolic link" : "something else"
}

/**
 * Removes a socket at which nobody listens. Nothing else is removed: connect(2) refuses a regular file with the same error as a socket that
 * was left.
 */
const removeLeft = (address: Address.Address & { readonly _tag: "Unix" }, inUse: unknown) =>
  Effect.gen(function* () {
    const { path } = address
    const found = yield* Effect.try({ try: () => lstatSync(path), catch: (error) => whyNot(address, error) })
    if (!found.isSocket()) {
      return yield* whyNot(address, `${kindOf(found)} is there, and not a socket; move it away, or choose another path`)
    }
    if (!(yield* isLeft(path))) return yield* whyNot(address, inUse)
    yield* Effect.try({ try: () => rmSync(path), catch: (error) => whyNot(address, error) })
  })

const listen = (server: Server, address: Address.Address): Effect.Effect<void, ListenError> => {
  const begin = listenOnce(server, address)
  return Effect.catchAll(begin, (error) =>
    address._tag === "Unix" && isInUse(error)
      ? Effect.zipRight(
          removeLeft(address, error),
          Effect.mapError(begin, (again) => whyNot(address, again))
        )
      : whyNot(address, error)
  )
}

/**
 * Says when the system refuses connections (ENFILE and the like), and when it takes them again. Without a listener for its errors, the server
 * would end des.
 */
export const reportRefusals = (server: EventEmitter, place: string, warn: (message: string) => void): void => {
  let refuses = false
  server.on("error", (error) => {
    if (!refuses) {
      warn(`no connection can be taken at ${place}: ${SystemReason.describe(error)}; des keeps trying`)
    }
    refuses = true
  })
  server.on("connection", () => {
    if (refuses) warn(`connections are taken again at ${place}`)
    refuses = false
  })
}

/** Listens, and answers requests until the end of the scope. */
export const open = (served: Served): Effect.Effect<void, ListenError, Scope.Scope> =>
  Effect.gen(function* () {
    const runtime = yield* Effect.runtime<never>()
    const { address } = served
    // Only a des that listens needs this file. It is not loaded later, since an upgrade may have replaced it by then.
    const { makeHandler } = yield* Effect.tryPromise({
      try: () => import("./Server.ts"),
      catch: (error) => whyNot(address, error)
    })
    const server = createServer(
      { headersTimeout: requestPatience, keepAliveTimeout: idlePatience, maxHeaderSize: longestHead },
      yield* makeHandler(served)
    )
    server.requestTimeout = requestPatience
    server.maxConnections = mostConnections
    yield* Effect.acquireRelease(listen(server, address), () =>
      Effect.async<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
    )
    reportRefusals(server, Address.format(address), (message) => Runtime.runFork(runtime, Effect.logWarning(message)))
  })
