import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Effect from "effect/Effect"
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
  context: Options.text("context").pipe(
    Options.withPseudoName("NAME"),
    Options.withDescription("the engine of this context of the docker command"),
    Options.optional
  ),
  endpoint: Options.text("endpoint").pipe(
    Options.withAlias("e"),
    Options.withPseudoName("URL"),
    Options.withDescription(
      "the engine: unix:///path/to/docker.sock, tcp://host[:port] or ssh://[user@]host; without it and --context des finds the engine as the docker command does: DOCKER_HOST, DOCKER_CONTEXT, its current context, unix:///var/run/docker.sock"
    ),
    // The search parses it again, where it also knows of TLS.
    Options.mapEffect((text) =>
      Effect.mapBoth(Endpoint.parse(text), { onFailure: (error) => invalid(error.message), onSuccess: () => text })
    ),
    Options.optional
  )
}
