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

/** The method of Node's agents that makes each connection; their types do not show it. */
interface Connector {
  createConnection: (options: TcpNetConnectOpts, connected: Connected) => void
}

const closed = (connection: Duplex): Effect.Effect<void> =>
  Effect.async((resume) => {
    connection.once("close", () => resume(Effect.void))
    if (connection.destroyed) resume(Effect.void)
  })

/** Makes one connection and hands it over, or fails. The effect goes on as long as the connection needs something from it. */
type Connect = (
  options: TcpNetConnectOpts,
  connected: Connected
) => Effect.Effect<void, Ssh.SshError | TlsFiles.TlsFilesError, CommandExecutor.CommandExecutor | FileSystem.FileSystem>

/**
 * After so many milliseconds without a byte the kernel asks whether the other end is still there, as often as for the docker
 * command (docker/cli, `client/hijack.go`). Otherwise proxies and address translations forget an idle connection.
 */
const idle = 30_000

/** The agent's own `keepAlive` is something else: it shares connections. A socket takes the setting only once it is connected. */
const keptAlive = <S extends Socket>(socket: S): S => socket.once("connect", () => socket.setKeepAlive(true, idle))

/**
 * Whether a certificate is for this host, as the docker command decides it (Go's `crypto/x509/verify.go`): the common name
 * counts for nothing. Node takes it where there is no other name.
 */
const verifyHost = (host: string, certificate: PeerCertificate): Error | undefined =>
  certificate.subjectaltname === undefined
    ? new ConnectionFailure.CommonNameOnly()
    : checkServerIdentity(host, { ...certificate, subject: { ...certificate.subject, CN: "" } })

/** What TLS verifies is the endpoint's host. Node would take it from a `Host` header. */
const serverOf = ({ host = "" }: TcpNetConnectOpts) => ({
  servername: isIP(host) === 0 ? host : "",
  checkServerIdentity: (_: string, certificate: PeerCertificate) => verifyHost(host, certificate)
})

/** How the connections of an endpoint are made; nothing where Node's agent makes them right. */
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

const makeAgent = (endpoint: Endpoint) =>
  Effect.gen(function* () {
    const direct: Https.AgentOptions & { readonly socketPath?: string } =
      endpoint._tag === "Unix" ? { socketPath: endpoint.path } : {}
    const agent = yield* NodeHttpClient.makeAgent(direct)
    const connect = connectorOf(endpoint)
    if (connect === undefined) return agent
    // The connections end with the scope, and so does what they hold.
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
 * The HTTP client that reaches an endpoint. It is Node's own, since the global fetch ends an answer that is silent for five
 * minutes. Its connections are not shared: a feed holds one for ever. The ssh processes that they need end with them.
 *
 * It is a client of its own wherever it stands: a layer graph shares what is built from the same layer value, and then requests of
 * the user's own client would go to the engine, or the engine's to the network.
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
