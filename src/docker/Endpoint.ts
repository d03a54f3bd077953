import * as Either from "effect/Either"
import * as Schema from "effect/Schema"

/**
 * An engine's address: a unix socket by its path, or a host and port that speak HTTP, with the path that its API is
 * served under.
 *
 * @since 1.0.0
 * @category models
 */
export type Endpoint =
  | { readonly _tag: "Unix"; readonly path: string }
  | { readonly _tag: "Tcp"; readonly host: string; readonly port: number; readonly basePath: string }

/**
 * An endpoint that cannot be understood: names what was given and the forms that are accepted.
 *
 * @since 1.0.0
 * @category errors
 */
export class EndpointError extends Schema.TaggedError<EndpointError>()("EndpointError", {
  reason: Schema.Literal("Malformed"),
  input: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    return `the endpoint ${JSON.stringify(this.input)} ${this.detail}; accepted are unix:///path/to/docker.sock and tcp://host[:port][/path]`
  }
}

/**
 * The socket that the docker command uses by default (docker/cli `opts/hosts.go`).
 *
 * @since 1.0.0
 * @category constructors
 */
export const defaultEndpoint: Endpoint = { _tag: "Unix", path: "/var/run/docker.sock" }

// docker/cli opts/hosts.go: the port without TLS.
const defaultTcpPort = 2375

const parseTcp = (address: string): Either.Either<Endpoint, string> => {
  const url = URL.canParse(`http://${address}`) ? new URL(`http://${address}`) : undefined
  if (url === undefined) return Either.left("has no valid host and port")
  if (url.username !== "" || url.password !== "") return Either.left("must not hold a user or a password")
  if (url.search !== "" || url.hash !== "") return Either.left("must not hold a query or a fragment")
  // URL drops its scheme's default port, which is none of an engine's; the other scheme keeps it.
  const port = url.port || new URL(`https://${address}`).port
  return Either.right({
    _tag: "Tcp",
    host: url.hostname,
    port: port === "" ? defaultTcpPort : Number(port),
    basePath: url.pathname.replace(/\/+$/, "")
  })
}

/**
 * Reads an endpoint from the text that `-e` and DOCKER_HOST take: `unix://PATH` (empty: `/var/run/docker.sock`) or
 * `tcp://HOST[:PORT][/PATH]` (the host defaults to localhost, the port to 2375).
 *
 * @since 1.0.0
 * @category constructors
 */
export const parse = (input: string): Either.Either<Endpoint, EndpointError> => {
  const text = input.trim()
  const fail = (detail: string) => Either.left(new EndpointError({ reason: "Malformed", input, detail }))
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1]
  if (scheme === undefined) return fail("names no scheme")
  const rest = text.slice(scheme.length + 3)
  switch (scheme) {
    case "unix":
      if (rest === "") return Either.right(defaultEndpoint)
      return rest.startsWith("/") && !rest.includes("\0")
        ? Either.right({ _tag: "Unix", path: rest })
        : fail("must hold an absolute path")
    case "tcp":
      return Either.mapLeft(
        parseTcp(/^(?::|\/|$)/.test(rest) ? `localhost${rest}` : rest),
        (detail) => new EndpointError({ reason: "Malformed", input, detail })
      )
    default:
      return fail(`has the scheme ${scheme}://, which des does not speak`)
  }
}

/**
 * The text of an endpoint, which {@link parse} reads again and DOCKER_HOST takes.
 *
 * @since 1.0.0
 * @category combinators
 */
export const format = (endpoint: Endpoint): string =>
  endpoint._tag === "Unix" ? `unix://${endpoint.path}` : `tcp://${endpoint.host}:${endpoint.port}${endpoint.basePath}`
