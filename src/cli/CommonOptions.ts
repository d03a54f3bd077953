import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Effect from "effect/Effect"
import * as Endpoint from "../endpoint/Endpoint.ts"
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

/** An engine as it is named on the command line: `TEXT`, or `NAME=TEXT` where it shall have a name of its own. */
export interface Named {
  readonly name?: string
  readonly text: string
}

/** No scheme, no host and port and no context can be taken for the name before `=`. */
const parseNamed = (text: string): Named => {
  const [, name, rest] = /^([A-Za-z0-9][A-Za-z0-9_.-]*)=(.*)$/s.exec(text) ?? []
  return name === undefined || rest === undefined ? { text } : { name, text: rest }
}

/** Which engines a command asks. */
export const ofEngine = {
  context: Options.text("context").pipe(
    Options.withPseudoName("[NAME=]CONTEXT"),
    Options.withDescription("the engine of this context of the docker command; repeatable"),
    Options.repeated,
    Options.map((texts) => texts.map(parseNamed))
  ),
  endpoint: Options.text("endpoint").pipe(
    Options.withAlias("e"),
    Options.withPseudoName("[NAME=]URL"),
    Options.withDescription(
      "the engine: unix:///path/to/docker.sock, tcp://host[:port] or ssh://[user@]host; repeatable, and each can have a NAME; without it and --context des finds the engine as the docker command does: DOCKER_HOST, DOCKER_CONTEXT, its current context, unix:///var/run/docker.sock"
    ),
    Options.repeated,
    // The search parses it again, where it also knows of TLS.
    Options.mapEffect((texts) =>
      Effect.forEach(texts.map(parseNamed), (named) =>
        Effect.mapBoth(Endpoint.parse(named.text), {
          onFailure: (error) => invalid(error.message),
          onSuccess: () => named
        })
      )
    )
  )
}
