import { userInfo } from "node:os"
import { resolve } from "node:path"
import { stripVTControlCharacters } from "node:util"
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import { BadArgument } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import packageJson from "../../package.json" with { type: "json" }
import * as Des from "../Des.ts"
import type { DispatchOptions } from "../dispatch/Dispatch.ts"
import * as EventFeed from "../feed/EventFeed.ts"
import * as Journal from "../journal/Journal.ts"
import * as Log from "../Log.ts"
import * as Environment from "../scripts/Environment.ts"
import * as ScriptOptions from "../scripts/ScriptOptions.ts"
import * as ScriptRunner from "../scripts/ScriptRunner.ts"
import * as Arguments from "./Arguments.ts"
import * as CommonOptions from "./CommonOptions.ts"
import * as Failed from "./Failed.ts"
import * as History from "./History.ts"
import * as Info from "./Info.ts"
import * as Scaffold from "./Scaffold.ts"
import * as Size from "./Size.ts"
import * as State from "./State.ts"
import * as WatchedEngine from "./WatchedEngine.ts"

const parseVariable = (
  text: string
): Effect.Effect<readonly [string, string | undefined], ValidationError.ValidationError> => {
  const at = text.indexOf("=")
  const name = at === -1 ? text : text.slice(0, at)
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    return Effect.fail(
      CommonOptions.invalid(`--env ${JSON.stringify(text)}: a variable's name is letters, digits and _`)
    )
  }
  if (Environment.isReserved(name)) {
    return Effect.fail(CommonOptions.invalid(`--env ${name}: this variable belongs to the event; take another name`))
  }
  return Effect.succeed([name, at === -1 ? undefined : text.slice(at + 1)])
}

const parseDuration = (name: string) => (text: string) => {
  const parsed = ScriptOptions.parseDuration(text)
  return parsed === undefined
    ? Effect.fail(
        CommonOptions.invalid(
          `--${name} ${JSON.stringify(text)}: a duration is a number with ms, s, m, h or d, such as 30s`
        )
      )
    : Effect.succeed(parsed)
}

const duration = (name: string, fallback: string, description: string) =>
  Options.text(name).pipe(
    Options.withPseudoName("DURATION"),
    Options.withDescription(`${description} (default ${fallback})`),
    Options.withDefault(fallback),
    Options.mapEffect(parseDuration(name))
  )

const parseSize = (text: string) => {
  const bytes = Size.parse(text)
  return bytes === undefined
    ? Effect.fail(
        CommonOptions.invalid(
          `--queue ${JSON.stringify(text)}: a size is a number of bytes, or one with K, M or G, such as 64M`
        )
      )
    : Effect.succeed(bytes)
}

const options = {
  create: Options.boolean("create").pipe(
    Options.withAlias("c"),
    Options.withDescription("create DIR with a template script for every event, and end")
  ),
  ...CommonOptions.ofEngine,
  directory: Options.text("directory").pipe(
    Options.withAlias("d"),
    Options.withPseudoName("DIR"),
    Options.withDescription("the script directory: DIR/TYPE/ACTION runs for each event (default /etc/docker/events.d)"),
    Options.withDefault("/etc/docker/events.d")
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
  jobs: Options.integer("jobs").pipe(
    Options.withPseudoName("N"),
    Options.withDescription(
      "handle the events of N actors beside each other; those of one actor stay in order (default 1: all stay in order)"
    ),
    Options.withDefault(1),
    Options.mapEffect((jobs) =>
      jobs >= 1 && jobs <= 1024
        ? Effect.succeed(jobs)
        : Effect.fail(CommonOptions.invalid(`--jobs ${jobs}: the number of jobs is from 1 to 1024`))
    )
  ),
  timeout: duration("timeout", "10m", "end a script that takes longer; 0 for no limit"),
  grace: duration("grace", "10s", "kill a script that does not end this long after it was told to"),
  retries: Options.integer("retries").pipe(
    Options.withPseudoName("N"),
    Options.withDescription("repeat a failed run up to N times, after 1 s, 2 s, 4 s … (default 0)"),
    Options.withDefault(0),
    Options.mapEffect((retries) =>
      retries >= 0 && retries <= 9999
        ? Effect.succeed(retries)
        : Effect.fail(CommonOptions.invalid(`--retries ${retries}: the number of retries is from 0 to 9999`))
    )
  ),
  cooldown: duration(
    "cooldown",
    "0",
    "run a script at most once in this time for one actor; what comes meanwhile becomes one run of the newest event"
  ),
  drain: duration("drain", "30s", "how long scripts that run may go on when des is told to stop"),
  ...State.ofState,
  keep: State.keep,
  maxAge: Options.text("max-age").pipe(
    Options.withPseudoName("DURATION"),
    Options.withDescription(
      "skip events that happened longer ago, as after an outage (default: run them, however old)"
    ),
    Options.mapEffect(parseDuration("max-age")),
    Options.withDefault(Number.POSITIVE_INFINITY)
  ),
  queue: Options.text("queue").pipe(
    Options.withPseudoName("SIZE"),
    Options.withDescription(
      "how much of accepted events may wait in memory, without --state (default 256M); beyond it des reads on once there is room, and what the engine has lost by then is a gap"
    ),
    Options.withDefault("256M"),
    Options.mapEffect(parseSize)
  ),
  sync: Options.boolean("sync").pipe(
    Options.withDescription(
      "run container/start, as synthetic events, for containers that run when an engine is met for the first time"
    )
  ),
  liveness: duration("liveness", "30s", "prove a feed that has been silent for so long to be alive; 0 never"),
  insecureScripts: Options.boolean("insecure-scripts").pipe(
    Options.withDescription("run scripts that others than root and this user could have changed")
  ),
  ...CommonOptions.ofLog
}

type Given = Command.Command.ParseConfig<typeof options>

/** A user without an entry in the password file, as containers have them, is no reason not to start. */
const user = Effect.try(() => userInfo()).pipe(
  Effect.map(({ homedir, shell, username }) => ({ name: username, home: homedir, shell: shell ?? "/bin/sh" })),
  Effect.orElseSucceed(() => ({ name: String(process.getuid?.() ?? ""), home: "/", shell: "/bin/sh" }))
)

/** The bytes of a file. A pipe has no positions to read at, and to open it blocks what no signal could interrupt. */
const bytesOf = (fileSystem: FileSystem.FileSystem, file: string) =>
  Stream.unwrap(
    Effect.map(fileSystem.stat(file), ({ type }) =>
      type === "FIFO"
        ? Stream.fail(
            new BadArgument({
              module: "FileSystem",
              method: "stream",
              description: "it is a pipe, which can be read as stdin, with --from -"
            })
          )
        : fileSystem.stream(file)
    )
  )

const recorded = (file: string) =>
  Effect.gen(function* () {
    const fileSystem = yield* FileSystem.FileSystem
    yield* Effect.logInfo(`reading events from ${file === "-" ? "stdin" : file}`)
    return file === "-"
      ? EventFeed.layerRecords({ source: "stdin", bytes: NodeStream.stdin })
      : EventFeed.layerRecords({ source: file, bytes: bytesOf(fileSystem, file) })
  })

const watch = Effect.fn("Cli.watch")(function* (given: Given, hurry: Effect.Effect<void>) {
  if (given.insecureScripts) {
    yield* Effect.logWarning("--insecure-scripts: whoever can write to a script runs it as this user")
  }
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
  const bounds = { maxAge: given.maxAge, keep: given.keep, capacity: given.queue }
  const journal = (whenFull: "refuse" | "wait", engines: ReadonlyArray<string>) =>
    Option.match(given.state, {
      onNone: () => Effect.succeed(Journal.layerMemory({ ...bounds, whenFull })),
      onSome: (directory) => State.layer({ ...bounds, directory, engines })
    })
  const run = <E>(
    feed: Layer.Layer<EventFeed.EventFeed>,
    variables: Pick<DispatchOptions, "base" | "engines">,
    journal: Layer.Layer<Journal.Journal, E, FileSystem.FileSystem>
  ) =>
    Des.run.pipe(
      Effect.provide(
        Des.layer({
          ...given,
          // The journal outlives the working directory.
          directory: Option.isSome(given.state) ? resolve(given.directory) : given.directory,
          ...variables,
          hurry,
          timeout: given.timeout === 0 ? Number.POSITIVE_INFINITY : given.timeout
        }).pipe(Layer.provide(ScriptRunner.layer), Layer.merge(feed), Layer.provideMerge(journal))
      )
    )
  if (Option.isSome(given.from)) {
    const base = Environment.base(shared)
    return yield* run(yield* recorded(given.from.value), { base }, yield* journal("wait", []))
  }
  const engines = yield* WatchedEngine.find(given)
  const feeds = engines.map((engine) =>
    Des.layerFeed({
      ...engine,
      sync: given.sync,
      liveness: given.liveness === 0 ? Number.POSITIVE_INFINITY : given.liveness
    })
  )
  const variables = {
    // An engine's variables take the place of those that des itself was given.
    base: Environment.base({ ...shared, engine: {} }),
    engines: Object.fromEntries(
      engines.map((engine) => [engine.name, { ...WatchedEngine.variables(engine), ...shared.extra }])
    )
  }
  yield* run(EventFeed.layerMerged(feeds), variables, yield* journal("refuse", Object.keys(variables.engines)))
})

const watching = (hurry: Effect.Effect<void>) =>
  Command.make("des", options, (given) =>
    Effect.gen(function* () {
      if (given.create) yield* Scaffold.create(given.directory)
      else yield* watch(given, hurry)
    }).pipe(
      Effect.catchTags({
        ContextError: Failed.withCode(1),
        EndpointError: Failed.withCode(2),
        UsageError: Failed.withCode(2),
        EventFeedError: Failed.withCode(1),
        JournalError: Failed.withCode(1),
        ScaffoldError: Failed.withCode(1),
        ScriptDirectoryError: Failed.withCode(1)
      }),
      Effect.catchAllDefect(Failed.onDefect),
      Effect.provide(Log.layer({ format: given.logFormat, verbose: given.verbose }))
    )
  ).pipe(Command.withDescription("Runs scripts in response to Docker and podman events."))

/** The CLI library writes colours whatever it writes to, and an empty line after all. */
const plainWhereNoTerminal = (console: Console.Console): Console.Console => {
  const tidy = (stream: NodeJS.WriteStream) => (text: unknown) => {
    const coloured = stream.isTTY && !process.env["NO_COLOR"]
    return (coloured ? String(text) : stripVTControlCharacters(String(text))).trimEnd()
  }
  return {
    ...console,
    log: (...args) => console.log(...args.map(tidy(process.stdout))),
    error: (...args) => console.error(...args.map(tidy(process.stderr)))
  }
}

const { version } = packageJson

/** Every subcommand, whose spelling is in src/cli/Arguments.ts. One more is one more line here, and in `listed`. */
const subcommands = {
  info: Command.run(Info.command, { name: "des info", version }),
  history: Command.run(History.history, { name: "des history", version }),
  retry: Command.run(History.retry, { name: "des retry", version })
} satisfies Readonly<Record<Arguments.Subcommand, unknown>>

const listed = Command.withSubcommands([Info.command, History.history, History.retry])

const runCommand = (
  { arguments: argv, subcommand }: Exclude<Arguments.Parsed, { readonly problem: string }>,
  hurry: Effect.Effect<void>
) => {
  const args = ["node", "des", ...argv]
  if (subcommand !== undefined) return subcommands[subcommand](args)
  // The library takes a subcommand's name for one wherever it stands, as in `-d info`: it sees them only to list them.
  return argv[0] === "--help" || argv[0] === "--completions"
    ? Command.run(listed(watching(hurry)), { name: "des", version })(args)
    : Command.run(watching(hurry), { name: "des", version })(args)
}

/**
 * The `des` command, from its arguments (without the program's name) to its exit code: 0 done, 1 an error, 2 a usage
 * error. Results go to stdout, logs and errors to stderr. When `hurry` ends, a stop waits for no script any more.
 */
export const run = (argv: ReadonlyArray<string>, hurry: Effect.Effect<void>) =>
  Effect.consoleWith((console) => {
    const parsed = Arguments.parse(argv)
    if ("problem" in parsed) return Effect.as(Console.error(`${parsed.problem}; des --help shows the options`), 2)
    return runCommand(parsed, hurry).pipe(
      Effect.as(0),
      Effect.catchTag("Failed", ({ code }) => Effect.succeed(code)),
      // The library has printed what is wrong.
      Effect.catchIf(ValidationError.isValidationError, () => Effect.succeed(2)),
      Effect.withConsole(plainWhereNoTerminal(console)),
      Effect.provide(CliConfig.layer({ isCaseSensitive: true }))
    )
  })
