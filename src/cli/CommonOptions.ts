import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as DurationText from "../DurationText.ts"
import * as Endpoint from "../endpoint/Endpoint.ts"
import * as CliOption from "./CliOption.ts"

/** An engine on the command line: `TEXT`, or `NAME=TEXT` to give it a name. */
export interface Named {
  readonly name?: string
  readonly text: string
}

/** Splits off the name before `=`. No scheme, host, port or context has this form. */
const parseNamed = (text: string): Named => {
  const [, name, rest] = /^([A-Za-z0-9][A-Za-z0-9_.-]*)=(.*)$/s.exec(text) ?? []
  return name === undefined || rest === undefined ? { text } : { name, text: rest }
}

/** Checks an endpoint. EndpointSearch parses it again later, when it knows the TLS settings. */
const parseEndpoint: CliOption.Parser<Named> = (text, source) => {
  const named = parseNamed(text)
  return Effect.mapBoth(Endpoint.parse(named.text, { source }), {
    onFailure: ({ message }) => CliOption.invalid(message),
    onSuccess: () => named
  })
}

/** The option that names the script directory. */
export const directory = CliOption.withDefault({
  name: "directory",
  short: "d",
  placeholder: "DIR",
  example: "/srv/events.d",
  completes: "directory",
  common: true,
  description: "script directory; DIR/TYPE/ACTION runs for each event",
  fallback: "/etc/docker/events.d",
  parse: CliOption.anyText
})

/** The option that turns the check of trust off. */
export const insecureScripts = CliOption.flag({
  name: "insecure-scripts",
  common: true,
  description:
    "also run scripts that others could have changed; without it des runs a script only if it belongs to root or to this user, with every directory above it, and nobody else can write there"
})

/** The option that prints results for machines. */
export const json = CliOption.flag({ name: "json", description: "print one JSON object a line" })

/** Parses a time, a duration before now or a date, to milliseconds since 1970. */
const parseTime: CliOption.Parser<number> = (text, name) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const ago = DurationText.parse(text)
    const at = ago === undefined ? Date.parse(text) : now - ago
    return Number.isNaN(at)
      ? Effect.fail(
          CliOption.refuse(
            name,
            text,
            "expected a duration before now, such as 2h, or a date, such as 2026-11-23T10:00"
          )
        )
      : Effect.succeed(at)
  })

const times = "a duration before now (2h) or a date (2026-11-23T10:00)"

/** The option that names the earliest time. */
export const since = (what: string) =>
  CliOption.optional({
    name: "since",
    placeholder: "TIME",
    example: "2h",
    description: `${what}; ${times}`,
    parse: parseTime
  })

/** The option that names the latest time. */
export const until = CliOption.optional({
  name: "until",
  placeholder: "TIME",
  example: "10m",
  description: `end at this time; ${times}`,
  parse: parseTime
})

/** The option that names a file of records. */
export const from = (description: string) =>
  CliOption.optional({
    name: "from",
    placeholder: "FILE",
    example: "feed.jsonl",
    completes: "file",
    common: true,
    description,
    parse: CliOption.anyText
  })

/** The options that name engines. */
export const ofEngine = {
  endpoint: CliOption.repeatable({
    name: "endpoint",
    short: "e",
    placeholder: "[NAME=]URL",
    example: "ssh://root@web1",
    common: true,
    description:
      "the engine (usually unix:///var/run/docker.sock); URL is unix:///path/to/docker.sock, tcp://host[:port] or ssh://[user@]host, and can have a NAME. Without this option and --context, des looks at DOCKER_HOST, DOCKER_CONTEXT, the current context of docker, and unix:///var/run/docker.sock",
    parse: parseEndpoint
  }),
  context: CliOption.repeatable({
    name: "context",
    placeholder: "[NAME=]CONTEXT",
    example: "prod",
    description: "the engine of this context of the docker command",
    parse: (text) => Effect.succeed(parseNamed(text))
  })
}
