import * as Effect from "effect/Effect"
import * as Endpoint from "../endpoint/Endpoint.ts"
import * as CliOption from "./CliOption.ts"

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

/** The search parses the endpoint again, where it also knows of TLS. */
const parseEndpoint: CliOption.Parser<Named> = (text, source) => {
  const named = parseNamed(text)
  return Effect.mapBoth(Endpoint.parse(named.text, { source }), {
    onFailure: ({ message }) => CliOption.invalid(message),
    onSuccess: () => named
  })
}

/** Which engines a command asks. */
export const ofEngine = {
  endpoint: CliOption.repeatable({
    name: "endpoint",
    short: "e",
    placeholder: "[NAME=]URL",
    description:
      "the engine: unix:///path/to/docker.sock, tcp://host[:port] or ssh://[user@]host; each can have a NAME. Without it and --context des finds the engine as the docker command does: DOCKER_HOST, DOCKER_CONTEXT, its current context, unix:///var/run/docker.sock",
    parse: parseEndpoint
  }),
  context: CliOption.repeatable({
    name: "context",
    placeholder: "[NAME=]CONTEXT",
    description: "the engine of this context of the docker command",
    parse: (text) => Effect.succeed(parseNamed(text))
  })
}
