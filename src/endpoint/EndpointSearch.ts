import { homedir } from "node:os"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as ContextStore from "./ContextStore.ts"
import * as Endpoint from "./Endpoint.ts"

/**
 * The setting that decided on the endpoint: an option, a variable, the docker command's configuration, or the default.
 *
 * @since 1.0.0
 * @category models
 */
export interface Source {
  readonly by: "--endpoint" | "--context" | "DOCKER_HOST" | "DOCKER_CONTEXT" | "currentContext" | "default"
  /** The name of the context, if a context decided. */
  readonly context?: string
}

/**
 * The endpoint that was found.
 *
 * @since 1.0.0
 * @category models
 */
export interface FoundEndpoint {
  readonly endpoint: Endpoint.Endpoint
  readonly source: Source
  /** The headers for every request, from the docker command's configuration. */
  readonly headers: Readonly<Record<string, string>>
  /** Sockets of other engines that exist. They are searched only if nothing names an engine and the default socket does not exist. */
  readonly otherSockets: ReadonlyArray<string>
}

/**
 * The settings that can name an engine: the options, if they are given, and the environment.
 *
 * @since 1.0.0
 * @category models
 */
export interface Hints {
  readonly endpoint?: string
  readonly context?: string
  readonly variables: Readonly<Record<string, string | undefined>>
}

type Variables = Hints["variables"]

/** The docker command's folder (docker/cli `cli/config`): DOCKER_CONFIG, or `.docker` at home. */
const configDirOf = (variables: Variables): string =>
  variables["DOCKER_CONFIG"] || `${variables["HOME"] || homedir()}/.docker`

const isThere = (path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fileSystem) => Effect.orElseSucceed(fileSystem.exists(path), () => false))

/**
 * The TLS of an endpoint that no context names (docker/cli `cli/flags/options.go`): any value of DOCKER_TLS_VERIFY, even `0`,
 * turns it on. Then the CA must exist. The client's certificate and key are optional.
 */
const tlsFrom = Effect.fnUntraced(function* (variables: Variables, caIsNeeded: boolean) {
  const directory = variables["DOCKER_CERT_PATH"] || configDirOf(variables)
  const [ca, cert, key] = [`${directory}/ca.pem`, `${directory}/cert.pem`, `${directory}/key.pem`] as const
  const tls: Endpoint.Tls = {
    verify: Boolean(variables["DOCKER_TLS_VERIFY"]) || !variables["DOCKER_TLS"],
    ...(caIsNeeded || (yield* isThere(ca)) ? { ca } : {}),
    ...((yield* isThere(cert)) ? { cert } : {}),
    ...((yield* isThere(key)) ? { key } : {})
  }
  return tls
})

/** Finds the sockets of the user's own engine and of podman that exist. */
const otherSockets = (variables: Variables) => {
  const runtime = variables["XDG_RUNTIME_DIR"]
  const ofUser = runtime ? [`${runtime}/docker.sock`, `${runtime}/podman/podman.sock`] : []
  return Effect.filter([...ofUser, "/run/podman/podman.sock"], isThere)
}

/** The endpoint if no context is named: the option, DOCKER_HOST, or the default. */
const withoutContext = Effect.fnUntraced(function* (hints: Hints) {
  const { variables } = hints
  const encrypted = Boolean(variables["DOCKER_TLS_VERIFY"] || variables["DOCKER_TLS"])
  const by = hints.endpoint !== undefined ? "--endpoint" : variables["DOCKER_HOST"]?.trim() ? "DOCKER_HOST" : "default"
  const text =
    by === "default" ? (encrypted ? "tcp://localhost:2376" : "") : (hints.endpoint ?? variables["DOCKER_HOST"])
  const endpoint = text ? yield* Endpoint.parse(text, { source: by }) : Endpoint.defaultEndpoint
  const found: Omit<FoundEndpoint, "headers"> = { endpoint, source: { by }, otherSockets: [] }
  if (endpoint._tag === "Tcp" && !/^\s*http:/.test(text ?? "") && (encrypted || endpoint.tls !== undefined)) {
    return { ...found, endpoint: { ...endpoint, tls: yield* tlsFrom(variables, encrypted) } }
  }
  return by === "default" && endpoint._tag === "Unix" && !(yield* isThere(endpoint.path))
    ? { ...found, otherSockets: yield* otherSockets(variables) }
    : found
})

/**
 * Finds the engine's endpoint in the order of the docker command (docker/cli `cli/command/cli.go`, `resolveContextName`):
 * the options, DOCKER_HOST, DOCKER_CONTEXT, the current context of its configuration, the default socket. The context
 * `default` means the endpoint without any context.
 *
 * @example
 * import * as NodeContext from "@effect/platform-node/NodeContext"
 * import { EndpointSearch } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 *
 * export const found = EndpointSearch.find({ variables: process.env }).pipe(Effect.provide(NodeContext.layer))
 *
 * @since 1.0.0
 * @category constructors
 */
export const find = Effect.fn("EndpointSearch.find")(function* (hints: Hints) {
  const { variables } = hints
  const configDir = configDirOf(variables)
  const { currentContext, headers } = yield* ContextStore.configuration(configDir)
  const inContext = (by: Source["by"], name: string, source: string) =>
    name === "default"
      ? withoutContext(hints)
      : Effect.map(ContextStore.load({ configDir, context: name, source }), (endpoint) => ({
          endpoint,
          source: { by, context: name },
          otherSockets: []
        }))
  const context = variables["DOCKER_CONTEXT"]
  const deciding: Effect.Effect<
    Omit<FoundEndpoint, "headers">,
    Endpoint.EndpointError | ContextStore.ContextError,
    FileSystem.FileSystem
  > = hints.context !== undefined
    ? inContext("--context", hints.context, "--context")
    : hints.endpoint !== undefined || variables["DOCKER_HOST"]
      ? withoutContext(hints)
      : context
        ? inContext("DOCKER_CONTEXT", context, "DOCKER_CONTEXT")
        : currentContext === undefined
          ? withoutContext(hints)
          : inContext("currentContext", currentContext, `${configDir}/config.json`)
  const found: FoundEndpoint = { ...(yield* deciding), headers }
  return found
})

/**
 * Says in words what decided which endpoint is used.
 *
 * @example
 * import * as NodeContext from "@effect/platform-node/NodeContext"
 * import { EndpointSearch } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 *
 * export const how = EndpointSearch.find({ context: "prod", variables: process.env }).pipe(
 *   Effect.map(({ source }) => EndpointSearch.describe(source)),
 *   Effect.provide(NodeContext.layer)
 * )
 *
 * @since 1.0.0
 * @category combinators
 */
export const describe = ({ by, context }: Source): string => {
  if (by === "default") return "the default: nothing names another one"
  return context === undefined ? by : `${by} ${context}`
}
