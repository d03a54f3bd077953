import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Endpoint from "../docker/Endpoint.ts"
import * as Log from "../Log.ts"

/** A value that an option does not take, as a usage error. */
export const invalid = (message: string): ValidationError.ValidationError =>
  ValidationError.invalidValue(HelpDoc.p(message))

/** How a command logs. */
export const ofLog = {
  logFormat: Options.choice("log-format", Log.formats).pipe(
    Options.withDescription("how log lines look on stderr (default text)"),
    Options.withDefault("text" as const)
  ),
  verbose: Options.boolean("verbose").pipe(
    Options.withAlias("v"),
    Options.withDescription("log what des sees and what scripts get, too")
  )
}

/** Which engine a command asks. */
export const ofEngine = {
  endpoint: Options.text("endpoint").pipe(
    Options.withAlias("e"),
    Options.withPseudoName("URL"),
    Options.withDescription(
      "the engine: unix:///path/to/docker.sock or tcp://host[:port]; without it DOCKER_HOST, then unix:///var/run/docker.sock"
    ),
    Options.mapEffect((text) => Effect.mapError(Endpoint.parse(text), (error) => invalid(error.message))),
    Options.optional
  )
}

const dockerHost = Config.string("DOCKER_HOST").pipe(
  Config.map((text) => text.trim()),
  Config.withDefault("")
)

/** The engine that the options, then the environment name. */
export const findEndpoint = (given: { readonly endpoint: Option.Option<Endpoint.Endpoint> }) =>
  Effect.gen(function* () {
    if (Option.isSome(given.endpoint)) return given.endpoint.value
    const fromEnvironment = yield* dockerHost
    return fromEnvironment === "" ? Endpoint.defaultEndpoint : yield* Endpoint.parse(fromEnvironment)
  })
