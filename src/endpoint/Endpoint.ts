import { dirname } from "node:path"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"

/**
 * The encryption of a connection to an engine. `ca`, `cert` and `key` are paths of PEM files. des reads them for every new connection.
 * Without `ca`, the engine's certificate must come from an authority that this system knows. If `verify` is false, des accepts any
 * certificate, so anybody can pretend to be the engine.
 *
 * @since 1.0.0
 * @category models
 */
export interface Tls {
  readonly verify: boolean
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

/**
 * The address of an engine.
 *
 * - `Unix`: the path of a socket.
 * - `Tcp`: a host and a port that speak HTTP, encrypted if there is `tls`. The API is below `basePath`.
 * - `Ssh`: a host that the user's ssh reaches. The docker command on that host connects to the engine at the socket `path`, or at the
 *   default socket.
 *
 * @since 1.0.0
 * @category models
 */
export type Endpoint =
  | { readonly _tag: "Unix"; readonly path: string }
  | {
      readonly _tag: "Tcp"
      readonly host: string
      readonly port: number
      readonly basePath: string
      readonly tls?: Tls
    }
  | {
      readonly _tag: "Ssh"
      readonly user?: string
      readonly host: string
      readonly port?: number
      readonly path?: string
    }

const accepted =
  "unix:///path/to/docker.sock, tcp://host[:port][/path], http:// and https:// in its place, and ssh://[user@]host[:port][/path/to/docker.sock]"

/**
 * An endpoint is malformed. The message shows the endpoint without its password, the accepted forms, and the `source` of the endpoint if
 * that was not an option.
 *
 * @since 1.0.0
 * @category errors
 */
export class EndpointError extends Schema.TaggedError<EndpointError>()("EndpointError", {
  reason: Schema.Literal("Malformed"),
  source: Schema.optional(Schema.String),
  input: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    const source = this.source === undefined ? "" : `${this.source}: `
    return `${source}the endpoint ${JSON.stringify(this.input)} ${this.detail}; accepted are ${accepted}`
  }
}

/** Hides the password in a malformed endpoint, and the user if it is not ssh's. */
const masked = (input: string): string => {
  const at = input.lastIndexOf("@")
  // A path may hold an @.
  if (at === -1 || /^\s*(?:unix:|\/)/.test(input)) return input
  const scheme = /^\s*\w+:\/\//.exec(input)?.[0] ?? ""
  const [user = "", ...password] = input.slice(scheme.length, at).split(":")
  if (scheme.trim() !== "ssh://") return `${scheme}***${input.slice(at)}`
  return `${scheme}${user}${password.length === 0 ? "" : ":***"}${input.slice(at)}`
}

/**
 * The socket that the docker command uses by default (docker/cli `opts/hosts.go`).
 *
 * @since 1.0.0
 * @category constructors
 */
export const defaultEndpoint: Endpoint = { _tag: "Unix", path: "/var/run/docker.sock" }

// docker/cli opts/hosts.go: this one, with and without TLS.
const defaultTcpPort = 2375

const parseTcp = (address: string, defaultPort: number): Either.Either<Endpoint, string> => {
  const url = URL.canParse(`http://${address}`) ? new URL(`http://${address}`) : undefined
  if (url === undefined) return Either.left("has no valid host and port")
  if (url.username !== "" || url.password !== "") return Either.left("must not hold a user or a password")
  if (url.search !== "" || url.hash !== "") return Either.left("must not hold a query or a fragment")
  // URL drops the default port of http. The same address with https keeps it.
  const port = url.port || new URL(`https://${address}`).port
  return Either.right({
    _tag: "Tcp",
    host: url.hostname,
    port: port === "" ? defaultPort : Number(port),
    basePath: url.pathname.replace(/\/+$/, "")
  })
}

const decoded = (text: string): string | undefined => {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** What ssh refuses in a host and in a user (OpenSSH `ssh.c`, `valid_hostname`), since its own configuration can hand both to a shell. */
const unsafeForSsh = /^-|['`"$\\;&<>|(){}\s\p{Cc}]/u

const parseSsh = (address: string): Either.Either<Endpoint, string> => {
  const url = URL.canParse(`ssh://${address}`) ? new URL(`ssh://${address}`) : undefined
  if (url === undefined) return Either.left("has no valid host and port")
  if (url.password !== "") return Either.left("must not hold a password; ssh takes keys and agents")
  if (url.search !== "" || url.hash !== "") return Either.left("must not hold a query or a fragment")
  const user = decoded(url.username)
  const host = decoded(url.hostname.replace(/^\[(.*)\]$/, "$1"))
  const path = decoded(url.pathname)
  if (host === undefined || host === "") return Either.left("names no host")
  if (user === undefined || path === undefined) return Either.left("holds a % that is no escape")
  if (unsafeForSsh.test(host)) return Either.left("names a host that ssh could take for an option or a command")
  if (unsafeForSsh.test(user)) return Either.left("names a user that ssh could take for an option or a command")
  if (/\p{Cc}/u.test(path)) return Either.left("must not hold control characters")
  return Either.right({
    _tag: "Ssh",
    host,
    ...(user === "" ? {} : { user }),
    ...(url.port === "" ? {} : { port: Number(url.port) }),
    ...(path.replaceAll("/", "") === "" ? {} : { path })
  })
}

const parseAddress = (text: string, defaultPort: number | undefined): Either.Either<Endpoint, string> => {
  const scheme = /^([^/]*?):\/\//.exec(text)?.[1]
  const rest = scheme === undefined ? text : text.slice(scheme.length + 3)
  const tcp = (port: number) => parseTcp(/^(?::|\/|$)/.test(rest) ? `localhost${rest}` : rest, port)
  switch (scheme) {
    case undefined:
      if (rest === "") return Either.left("is empty")
      // `unix:/run/docker.sock`, which would be the host `unix`.
      if (/^[a-z]+:\//i.test(rest)) return Either.left("has one / after its scheme, where two belong")
      // The docker command takes a path as a host until 28, and as a socket since.
      return rest.startsWith("/") ? parseAddress(`unix://${rest}`, undefined) : tcp(defaultPort ?? defaultTcpPort)
    case "unix":
      if (rest === "") return Either.right(defaultEndpoint)
      return rest.startsWith("/") && !rest.includes("\0")
        ? Either.right({ _tag: "Unix", path: rest })
        : Either.left("must hold an absolute path")
    case "tcp":
      return tcp(defaultPort ?? defaultTcpPort)
    case "http":
      return tcp(80)
    case "https":
      return Either.map(tcp(443), (endpoint) => ({ ...endpoint, tls: { verify: true } }))
    case "ssh":
      return parseSsh(rest)
    default:
      return Either.left(scheme === "" ? "names no scheme" : `has the scheme ${scheme}://, which des does not speak`)
  }
}

/**
 * Reads an endpoint from the text that `-e` and DOCKER_HOST take: `unix://PATH` or an absolute path (empty:
 * `/var/run/docker.sock`); `tcp://HOST[:PORT][/PATH]` or the same without `tcp://` (the host defaults to localhost, the
 * port to 2375 or `defaultPort`); `http://` and `https://`, with their own default ports; `ssh://[USER@]HOST[:PORT][/PATH]`.
 * Only `https://` says by itself that the connection is encrypted.
 *
 * @example
 * import { Endpoint } from "docker-event-scripts"
 * import * as Either from "effect/Either"
 *
 * export const endpoint = Endpoint.parse("ssh://root@web1").pipe(Either.getOrThrow)
 *
 * @since 1.0.0
 * @category constructors
 */
export const parse = (
  input: string,
  options: { readonly defaultPort?: number; readonly source?: string } = {}
): Either.Either<Endpoint, EndpointError> =>
  Either.mapLeft(
    parseAddress(input.trim(), options.defaultPort),
    (detail) =>
      new EndpointError({
        reason: "Malformed",
        input: masked(input),
        detail,
        ...(options.source === undefined ? {} : { source: options.source })
      })
  )

/**
 * The text of an endpoint, for DOCKER_HOST and for {@link parse}. It does not include the TLS settings.
 *
 * @example
 * import { Endpoint } from "docker-event-scripts"
 *
 * // unix:///var/run/docker.sock
 * export const text = Endpoint.format(Endpoint.defaultEndpoint)
 *
 * @since 1.0.0
 * @category combinators
 */
export const format = (endpoint: Endpoint): string => {
  switch (endpoint._tag) {
    case "Unix":
      return `unix://${endpoint.path}`
    case "Tcp":
      return `tcp://${endpoint.host}:${endpoint.port}${endpoint.basePath}`
    case "Ssh": {
      const user = endpoint.user === undefined ? "" : `${encodeURIComponent(endpoint.user)}@`
      const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : encodeURIComponent(endpoint.host)
      const port = endpoint.port === undefined ? "" : `:${endpoint.port}`
      const path = endpoint.path === undefined ? "" : endpoint.path.split("/").map(encodeURIComponent).join("/")
      return `ssh://${user}${host}${port}${path}`
    }
  }
}

/**
 * True if anybody on the network could read and change the traffic: TCP without TLS to another host.
 *
 * @example
 * import { Endpoint } from "docker-event-scripts"
 *
 * // Everybody who reaches this port is root there.
 * export const isExposed = Endpoint.isExposed({ _tag: "Tcp", host: "web1", port: 2375, basePath: "" })
 *
 * @since 1.0.0
 * @category combinators
 */
export const isExposed = (endpoint: Endpoint): boolean =>
  endpoint._tag === "Tcp" &&
  endpoint.tls === undefined &&
  !/^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\]|\[::ffff:7f[0-9a-f]{2}:[0-9a-f]+\])$/.test(endpoint.host)

/**
 * The variables with which the docker command reaches an endpoint: DOCKER_HOST, and with TLS the folder of its files, where
 * the docker command looks for ca.pem, cert.pem and key.pem.
 *
 * @example
 * import { Endpoint } from "docker-event-scripts"
 *
 * // { DOCKER_HOST: "unix:///run/podman/podman.sock" }
 * export const variables = Endpoint.dockerVariables({ _tag: "Unix", path: "/run/podman/podman.sock" })
 *
 * @since 1.0.0
 * @category combinators
 */
export const dockerVariables = (endpoint: Endpoint): Readonly<Record<string, string>> => {
  const host = { DOCKER_HOST: format(endpoint) }
  if (endpoint._tag !== "Tcp" || endpoint.tls === undefined) return host
  const { ca, cert, key, verify } = endpoint.tls
  const file = ca ?? cert ?? key
  return {
    ...host,
    [verify ? "DOCKER_TLS_VERIFY" : "DOCKER_TLS"]: "1",
    ...(file === undefined ? {} : { DOCKER_CERT_PATH: dirname(file) })
  }
}
