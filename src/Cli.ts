import { userInfo } from "node:os"
import { stripVTControlCharacters } from "node:util"
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Config from "effect/Config"
import type * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import packageJson from "../package.json" with { type: "json" }
import { normalise } from "./cli/Arguments.ts"
import * as Scaffold from "./cli/Scaffold.ts"
import * as Des from "./Des.ts"
import * as Endpoint from "./docker/Endpoint.ts"
import * as EventFeed from "./docker/EventFeed.ts"
import * as Log from "./Log.ts"
import * as Environment from "./scripts/Environment.ts"
import * as ScriptRunner from "./scripts/ScriptRunner.ts"

const invalid = (message: string): ValidationError.ValidationError => ValidationError.invalidValue(HelpDoc.p(message))

const parseEndpoint = (text: string) => Effect.mapError(Endpoint.parse(text), (error) => invalid(error.message))

const parseVariable = (
  text: string
): Effect.Effect<readonly [string, string | undefined], ValidationError.ValidationError> => {
  const at = text.indexOf("=")
  const name = at === -1 ? text : text.slice(0, at)
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    return Effect.fail(invalid(`--env ${JSON.stringify(text)}: a variable's name is letters, digits and _`))
  }
  if (Environment.isReserved(name)) {
    return Effect.fail(invalid(`--env ${name}: this variable belongs to the event; take another name`))
  }
  return Effect.succeed([name, at === -1 ? undefined : text.slice(at + 1)])
}

const options = {
  create: Options.boolean("create").pipe(
    Options.withAlias("c"),
    Options.withDescription("create DIR with a template script for every event, and end")
  ),
  endpoint: Options.text("endpoint").pipe(
    Options.withAlias("e"),
    Options.withPseudoName("URL"),
    Options.withDescription(
      "the engine: unix:///path/to/docker.sock or tcp://host[:port]; without it DOCKER_HOST, then unix:///var/run/docker.sock"
    ),
    Options.mapEffect(parseEndpoint),
    Options.optional
  ),
  directory: Options.text("directory").pipe(
    Options.withAlias("d"),
    Options.withPseudoName("DIR"),
    Options.withDescription("the script directory: DIR/TYPE/ACTION runs for each event (default /etc/docker/events.d)"),
    Options.withDefault("/etc/docker/events.d"),
    Options.mapEffect((directory) =>
      directory === "" ? Effect.fail(invalid("-d: the script directory has an empty name")) : Effect.succeed(directory)
    )
  ),
  from: Options.text("from").pipe(
    Options.withPseudoName("FILE"),
    Options.withDescription(
      "read the feed from FILE, one JSON record a line (- is stdin), and end with its last script"
    ),
    Options.optional
  ),
  env: Options.text("env").pipe(
    Options.withPseudoName("NAME[=VALUE]"),
    Options.withDescription(
      "give scripts one more variable, with des's own value of it where none is given; repeatable"
    ),
    Options.repeated,
    Options.mapEffect((variables) => Effect.forEach(variables, parseVariable))
  ),
  logFormat: Options.choice("log-format", Log.formats).pipe(
    Options.withDescription("how log lines look on stderr (default text)"),
    Options.withDefault("text" as const)
  ),
  verbose: Options.boolean("verbose").pipe(
    Options.withAlias("v"),
    Options.withDescription("log what des sees and what scripts get, too")
  )
}

type Given = Command.Command.ParseConfig<typeof options>

/** A user without an entry in the password file, as containers have them, is no reason not to start. */
const user = Effect.try(() => userInfo()).pipe(
  Effect.map(({ homedir, shell, username }) => ({ name: username, home: homedir, shell: shell ?? "/bin/sh" })),
  Effect.orElseSucceed(() => ({ name: String(process.getuid?.() ?? ""), home: "/", shell: "/bin/sh" }))
)

const dockerHost = Config.string("DOCKER_HOST").pipe(
  Config.map((text) => text.trim()),
  Config.withDefault("")
)

const findEndpoint = (given: Given) =>
  Effect.gen(function* () {
    if (Option.isSome(given.endpoint)) return given.endpoint.value
    const fromEnvironment = yield* dockerHost
    return fromEnvironment === "" ? Endpoint.defaultEndpoint : yield* Endpoint.parse(fromEnvironment)
  })

const recorded = (file: string) =>
  Effect.gen(function* () {
    const fileSystem = yield* FileSystem.FileSystem
    yield* Effect.logInfo(`reading events from ${file === "-" ? "stdin" : file}`)
    return file === "-"
      ? EventFeed.layerRecords({ source: "stdin", bytes: NodeStream.stdin })
      : EventFeed.layerRecords({ source: file, bytes: fileSystem.stream(file) })
  })

const watch = Effect.fn("Cli.watch")(function* (given: Given) {
  const shared = {
    own: process.env,
    user: yield* user,
    extra: Object.fromEntries(
      given.env.flatMap(([name, value]) => {
        const text = value ?? process.env[name]
        return text === undefined ? [] : [[name, text]]
      })
    )
  }
  const run = (feed: Layer.Layer<EventFeed.EventFeed>, base: Environment.Environment, whenFull: "drop" | "wait") =>
    Des.run.pipe(
      Effect.provide(
        Layer.mergeAll(feed, Des.layer({ directory: given.directory, base, whenFull })).pipe(
          Layer.provide(ScriptRunner.layer())
        )
      )
    )
  if (Option.isSome(given.from)) {
    return yield* run(yield* recorded(given.from.value), Environment.base(shared), "wait")
  }
  const endpoint = yield* findEndpoint(given)
  const base = Environment.base({ ...shared, endpoint: Endpoint.format(endpoint) })
  yield* run(Des.layerFeed({ endpoint }), base, "drop")
})

/** The reason was logged; this is the exit code that goes with it. */
class Failed extends Data.TaggedError("Failed")<{ readonly code: number }> {}

const fail = (code: number) => (error: { readonly message: string }) =>
  Effect.zipRight(Effect.logError(error.message), new Failed({ code }))

const command = Command.make("des", options, (given) =>
  Effect.gen(function* () {
    if (given.create) yield* Scaffold.create(given.directory)
    else yield* watch(given)
  }).pipe(
    Effect.catchTags({
      ConfigError: fail(2),
      EndpointError: (error) => fail(2)({ message: `DOCKER_HOST: ${error.message}` }),
      EventFeedError: fail(1),
      ScaffoldError: fail(1),
      ScriptDirectoryError: fail(1)
    }),
    Effect.provide(Log.layer({ format: given.logFormat, verbose: given.verbose }))
  )
).pipe(Command.withDescription("Runs scripts in response to Docker and podman events."))

/** The CLI library writes colours whatever it writes to, and an empty line after all. */
const plainWhereNoTerminal = (console: Console.Console): Console.Console => {
  const tidy = (stream: NodeJS.WriteStream) => (text: unknown) => {
    const coloured = stream.isTTY && process.env["NO_COLOR"] === undefined
    return (coloured ? String(text) : stripVTControlCharacters(String(text))).trimEnd()
  }
  return {
    ...console,
    log: (...args) => console.log(...args.map(tidy(process.stdout))),
    error: (...args) => console.error(...args.map(tidy(process.stderr)))
  }
}

/**
 * The `des` command, from its arguments (without the program's name) to its exit code: 0 done, 1 an error, 2 a usage
 * error. Results go to stdout, logs and errors to stderr.
 */
export const run = (argv: ReadonlyArray<string>) =>
  Effect.consoleWith((console) =>
    Command.run(command, { name: "des", version: packageJson.version })(["node", "des", ...normalise(argv)]).pipe(
      Effect.as(0),
      Effect.catchTag("Failed", ({ code }) => Effect.succeed(code)),
      // The library has printed what is wrong.
      Effect.catchIf(ValidationError.isValidationError, () => Effect.succeed(2)),
      Effect.withConsole(plainWhereNoTerminal(console)),
      Effect.provide(CliConfig.layer({ isCaseSensitive: true }))
    )
  )
