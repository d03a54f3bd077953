import type * as Https from "node:https"
import { connect as connectTcp, isIP, type Socket, type TcpNetConnectOpts } from "node:net"
import type { Duplex } from "node:stream"
import { checkServerIdentity, connect as connectTls, type PeerCertificate } from "node:tls"
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
import * as ConnectionFailure from "./ConnectionFailure.ts"
import * as Ssh from "./Ssh.ts"

type Connected = (error: Error | null, connection?: Duplex) => void

/** The method of Node's agents that makes each connection. Their types do not have it. */
interface Connector {
  createConnection: (options: TcpNetConnectOpts, connected: Connected) => void
}

const closed = (connection: Duplex): Effect.Effect<void> =>
  Effect.async((resume) => {
    connection.once("close", () => resume(Effect.void))
    if (connection.destroyed) resume(Effect.void)
  })

/** Makes one connection and passes it to `connected`, or fails. The effect runs as long as the connection needs it. */
type Connect = (
  options: TcpNetConnectOpts,
  connected: Connected
) => Effect.Effect<void, Ssh.SshError | TlsFiles.TlsFilesError, CommandExecutor.CommandExecutor | FileSystem.FileSystem>

/**
 * After this many milliseconds without a byte, the kernel checks that the other end still exists (TCP keep-alive), as for the docker
 * command (docker/cli, `client/hijack.go`). Otherwise proxies and address translation forget an idle connection.
 */
const idle = 30_000

/** Turns TCP keep-alive on. The agent's own `keepAlive` option shares connections instead. A socket must be connected first. */
const keptAlive = <S extends Socket>(socket: S): S => socket.once("connect", () => socket.setKeepAlive(true, idle))

/**
 * Checks that a certificate is for this host, as the docker command does (Go's `crypto/x509/verify.go`): the common name does not
 * count. Node would accept the common name if there is no other name.
 */
const verifyHost = (host: string, certificate: PeerCertificate): Error | undefined =>
  certificate.subjectaltname === undefined
    ? new ConnectionFailure.CommonNameOnly()
    : checkServerIdentity(host, { ...certificate, subject: { ...certificate.subject, CN: "" } })

/** Makes TLS verify the endpoint's host. Node would take the host from a `Host` header. */
const serverOf = ({ host = "" }: TcpNetConnectOpts) => ({
  servername: isIP(host) === 0 ? host : "",
  checkServerIdentity: (_: string, certificate: PeerCertificate) => verifyHost(host, certificate)
})

/** Makes the connections of an endpoint; undefined if Node's agent can do it. */
const connectorOf = (endpoint: Endpoint): Connect | undefined => {
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
      connected(
        null,
        keptAlive(connectTls({ ...options, ...files, ...serverOf(options), rejectUnauthorized: tls.verify }))
      )
    )
}

/**
 * How many bytes of an answer Node reads ahead. With its own 16 KiB it would stop the socket after each piece. On a busy machine the engine
 * and des would then wait for each other 30 times in a label of 2 MB.
 */
const readAhead = 1_048_576

const makeAgent = (endpoint: Endpoint) =>
  Effect.gen(function* () {
    const direct: Https.AgentOptions & { readonly socketPath?: string; readonly highWaterMark: number } = {
      highWaterMark: readAhead,
      ...(endpoint._tag === "Unix" ? { socketPath: endpoint.path } : {})
    }
    const agent = yield* NodeHttpClient.makeAgent(direct)
    const connect = connectorOf(endpoint)
    if (connect === undefined) return agent
    // All connections end with the scope, and so do their processes.
    const run = yield* FiberSet.makeRuntime<CommandExecutor.CommandExecutor | FileSystem.FileSystem>()
    const own: Connector = {
      createConnection: (options, connected) => {
        run(Effect.catchAll(connect(options, connected), (error) => Effect.sync(() => connected(error))))
      }
    }
    Object.assign(agent.http, own)
    Object.assign(agent.https, own)
    return agent
  })

/**
 * The HTTP client for an endpoint. It uses Node's own client, since the global fetch ends an answer that is silent for five minutes. Its
 * connections are not shared, since a feed keeps one for ever. An ssh process ends with its connection.
 *
 * Each use of the layer builds a new client. Effect shares layers of the same value. A shared client would send the user's own requests to
 * the engine, or the engine's requests to the network.
 *
 * @example
 * import { Engine, EngineHttp } from "docker-event-scripts"
 * import * as Layer from "effect/Layer"
 *
 * const options = { endpoint: { _tag: "Ssh", host: "web1", user: "root" } } as const
 *
 * export const EngineLive = Engine.layer(options).pipe(Layer.provide(EngineHttp.layer(options)))
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: { readonly endpoint: Endpoint }): Layer.Layer<HttpClient.HttpClient> =>
  NodeHttpClient.layerWithoutAgent.pipe(
    Layer.provide(Layer.scoped(NodeHttpClient.HttpAgent, makeAgent(options.endpoint))),
    Layer.provide(Layer.provideMerge(NodeCommandExecutor.layer, NodeFileSystem.layer)),
    Layer.fresh
  )
