import type * as Https from "node:https"
import { connect as connectTcp, type Socket, type TcpNetConnectOpts } from "node:net"
import type { Duplex } from "node:stream"
import { connect as connectTls } from "node:tls"
import type * as CommandExecutor from "@effect/platform/CommandExecutor"
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as HttpClient from "@effect/platform/HttpClient"
import * as NodeCommandExecutor from "@effect/platform-node/NodeCommandExecutor"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import type { Endpoint } from "../endpoint/Endpoint.ts"
import * as TlsFiles from "../endpoint/TlsFiles.ts"
import * as Ssh from "./Ssh.ts"

type Connected = (error: Error | null, connection?: Duplex) => void

/** What Node's agents call for every connection, which their types do not say. */
interface Connecting {
  createConnection: (options: TcpNetConnectOpts, connected: Connected) => void
}

const closed = (connection: Duplex): Effect.Effect<void> =>
  Effect.async((resume) => {
    connection.once("close", () => resume(Effect.void))
    if (connection.destroyed) resume(Effect.void)
  })

/** Makes one connection and hands it over, or fails; it goes on as long as the connection needs something from it. */
type Connect = (
  options: TcpNetConnectOpts,
  connected: Connected
) => Effect.Effect<void, Ssh.SshError | TlsFiles.TlsFilesError, CommandExecutor.CommandExecutor | FileSystem.FileSystem>

/**
 * A connection on which nothing came for so many milliseconds is asked whether its other end is there, as often as the
 * docker command asks (docker/cli, `client/hijack.go`). Proxies and address translations forget an idle one otherwise.
 */
const idle = 30_000

/** Not by the agent's own `keepAlive`, which means that connections are shared. Before it is connected there is nothing to set it on. */
const keptAlive = <S extends Socket>(socket: S): S => socket.once("connect", () => socket.setKeepAlive(true, idle))

/** What makes an endpoint's connections where Node's agent does not make them as they should be. */
const connecting = (endpoint: Endpoint): Connect | undefined => {
  if (endpoint._tag === "Ssh") {
    return (_options, connected) =>
      Ssh.connect(endpoint).pipe(
        Effect.tap((connection) => Effect.sync(() => connected(null, connection))),
        Effect.flatMap(closed),
        Effect.scoped
      )
  }
  if (endpoint._tag === "Unix") return undefined
  const { tls } = endpoint
  if (tls === undefined) {
    return (options, connected) => Effect.sync(() => connected(null, keptAlive(connectTcp(options))))
  }
  return (options, connected) =>
    Effect.map(TlsFiles.read(tls), (files) =>
      connected(null, keptAlive(connectTls({ ...options, ...files, rejectUnauthorized: tls.verify })))
    )
}

const makeAgent = (endpoint: Endpoint) =>
  Effect.gen(function* () {
    const direct: Https.AgentOptions & { readonly socketPath?: string } =
      endpoint._tag === "Unix" ? { socketPath: endpoint.path } : {}
    const agent = yield* NodeHttpClient.makeAgent(direct)
    const connect = connecting(endpoint)
    if (connect === undefined) return agent
    // Ended with the scope, and what they hold with them.
    const run = yield* FiberSet.makeRuntime<CommandExecutor.CommandExecutor | FileSystem.FileSystem>()
    const own: Connecting = {
      createConnection: (options, connected) => {
        run(Effect.catchAll(connect(options, connected), (error) => Effect.sync(() => connected(error))))
      }
    }
    Object.assign(agent.http, own)
    Object.assign(agent.https, own)
    return agent
  })

/**
 * The HTTP client that reaches an endpoint: Node's own, since the global fetch ends an answer that is silent for five
 * minutes. Its connections are not shared: a feed holds one for ever. With them end the ssh processes that they need.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: { readonly endpoint: Endpoint }): Layer.Layer<HttpClient.HttpClient> =>
  NodeHttpClient.layerWithoutAgent.pipe(
    Layer.provide(Layer.scoped(NodeHttpClient.HttpAgent, makeAgent(options.endpoint))),
    Layer.provide(Layer.provideMerge(NodeCommandExecutor.layer, NodeFileSystem.layer))
  )
