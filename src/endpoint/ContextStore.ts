import { createHash } from "node:crypto"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Endpoint from "./Endpoint.ts"

/**
 * A context of the docker command that does not exist, cannot be read, or names no engine.
 *
 * @since 1.0.0
 * @category errors
 */
export class ContextError extends Schema.TaggedError<ContextError>()("ContextError", {
  reason: Schema.Literal("Absent", "Unreadable", "NoEngine"),
  context: Schema.String,
  source: Schema.String,
  file: Schema.String,
  detail: Schema.optional(Schema.String)
}) {
  override get message(): string {
    const what = `the context ${JSON.stringify(this.context)}, which ${this.source} names,`
    switch (this.reason) {
      case "Absent":
        return `${what} does not exist: there is no ${this.file}; docker context ls shows those that do`
      case "Unreadable":
        return `${what} cannot be read from ${this.file}: ${this.detail}`
      case "NoEngine":
        return `${what} names no engine in ${this.file}; docker context inspect shows what it says`
    }
  }
}

/** Gets a value of a JSON object by its key. As in Go's decoder, upper and lower case are equal, and the last of several keys counts. */
const field = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.entries(value).findLast(([name]) => name.toLowerCase() === key.toLowerCase())?.[1]
    : undefined

const parseJson = Schema.decodeUnknownEither(Schema.parseJson())

/**
 * The part of the docker command's configuration that des reads: the current context, if there is one, and the headers for each request
 * (`HttpHeaders`), which a proxy before an engine may need.
 *
 * @since 1.0.0
 * @category models
 */
export interface Configuration {
  readonly currentContext?: string
  readonly headers: Readonly<Record<string, string>>
}

const isHeader = (entry: readonly [string, unknown]): entry is [string, string] =>
  typeof entry[1] === "string" && /^[\w!#$%&'*+.^`|~-]+$/.test(entry[0]) && /^[\t\x20-\x7e\x80-\xff]*$/.test(entry[1])

/**
 * Reads the docker command's configuration (docker/cli `cli/config/configfile`). If the file is not JSON, des logs a warning and
 * ignores the file, as the docker command does.
 *
 * @example
 * import * as NodeContext from "@effect/platform-node/NodeContext"
 * import { ContextStore } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 *
 * export const current = ContextStore.configuration("/root/.docker").pipe(
 *   Effect.map(({ currentContext }) => currentContext ?? "default"),
 *   Effect.provide(NodeContext.layer)
 * )
 *
 * @since 1.0.0
 * @category constructors
 */
export const configuration = Effect.fn("ContextStore.configuration")(function* (configDir: string) {
  const fileSystem = yield* FileSystem.FileSystem
  const file = `${configDir}/config.json`
  const text = yield* Effect.option(fileSystem.readFileString(file))
  const nothing: Configuration = { headers: {} }
  if (Option.isNone(text)) return nothing
  const config = parseJson(text.value)
  if (Either.isLeft(config)) {
    yield* Effect.logWarning(`${file} is not JSON; it names no context, and des goes on without it`)
    return nothing
  }
  const currentContext = field(config.right, "currentContext")
  const found: Configuration = {
    headers: Object.fromEntries(Object.entries(Object(field(config.right, "HttpHeaders"))).filter(isHeader)),
    ...(typeof currentContext === "string" && currentContext !== "" ? { currentContext } : {})
  }
  return found
})

/**
 * Loads the endpoint that a context names, with the context's own TLS files (docker/cli `cli/context/store`). Errors name the
 * `source` that named the context.
 *
 * @example
 * import * as NodeContext from "@effect/platform-node/NodeContext"
 * import { ContextStore } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 *
 * export const prod = ContextStore.load({
 *   configDir: "/root/.docker",
 *   context: "prod",
 *   source: "the option --context"
 * }).pipe(Effect.provide(NodeContext.layer))
 *
 * @since 1.0.0
 * @category constructors
 */
export const load = Effect.fn("ContextStore.load")(function* (options: {
  readonly configDir: string
  readonly context: string
  readonly source: string
}) {
  const fileSystem = yield* FileSystem.FileSystem
  const { configDir, context, source } = options
  // The name of the context never becomes a part of a path.
  const id = createHash("sha256").update(context).digest("hex")
  const file = `${configDir}/contexts/meta/${id}/meta.json`
  const fail = (reason: ContextError["reason"], detail?: string) =>
    new ContextError({ reason, context, source, file, ...(detail === undefined ? {} : { detail }) })

  const text = yield* Effect.mapError(fileSystem.readFileString(file), (error) =>
    error._tag === "SystemError" && error.reason === "NotFound" ? fail("Absent") : fail("Unreadable", error.message)
  )
  const meta = yield* Either.mapLeft(parseJson(text), () => fail("Unreadable", "it is not JSON"))
  const endpoints = field(meta, "Endpoints")
  const docker: unknown = typeof endpoints === "object" ? Object(endpoints)["docker"] : undefined
  if (typeof docker !== "object" || docker === null) return yield* fail("NoEngine")

  const host = field(docker, "Host")
  const skipVerify = field(docker, "SkipTLSVerify") === true
  const directory = `${configDir}/contexts/tls/${id}/docker`
  const paths = { ca: `${directory}/ca.pem`, cert: `${directory}/cert.pem`, key: `${directory}/key.pem` }
  const present = yield* Effect.filter(Object.entries(paths), ([, path]) =>
    Effect.orElseSucceed(fileSystem.exists(path), () => true)
  )
  const encrypted = present.length > 0 || skipVerify
  const endpoint =
    typeof host === "string" && host !== ""
      ? // The docker command gives a context's host to its HTTP client unchanged, so the default ports are those of the web.
        yield* Endpoint.parse(host, { defaultPort: encrypted ? 443 : 80, source: `the context ${context}` })
      : Endpoint.defaultEndpoint
  if (endpoint._tag !== "Tcp" || !(encrypted || endpoint.tls !== undefined)) return endpoint
  const tls: Endpoint.Tls = { verify: !skipVerify, ...Object.fromEntries(present) }
  return { ...endpoint, tls }
})
