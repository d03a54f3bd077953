import { userInfo } from "node:os"
import { resolve } from "node:path"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Des from "../Des.ts"
import type { DispatchOptions } from "../dispatch/Dispatch.ts"
import * as EventFeed from "../feed/EventFeed.ts"
import * as Journal from "../journal/Journal.ts"
import * as SystemReason from "../SystemReason.ts"
import * as Environment from "../scripts/Environment.ts"
import * as ScriptRunner from "../scripts/ScriptRunner.ts"
import * as CliCommand from "./CliCommand.ts"
import * as CliOption from "./CliOption.ts"
import { CommandError } from "./CommandError.ts"
import * as CommonOptions from "./CommonOptions.ts"
import * as Scaffold from "./Scaffold.ts"
import * as State from "./State.ts"
import * as WatchedEngine from "./WatchedEngine.ts"

/** How many events of different actors may be handled beside each other. */
const mostJobs = 1024

/** How often a failed run may be repeated. */
const mostRetries = 9999

const parseVariable: CliOption.Parser<readonly [name: string, value: string | undefined]> = (text, option) => {
  const at = text.indexOf("=")
  const name = at === -1 ? text : text.slice(0, at)
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    return Effect.fail(CliOption.refuse(option, text, "expected NAME or NAME=VALUE, the name of letters, digits and _"))
  }
  if (Environment.isReserved(name)) {
    return Effect.fail(CliOption.refuse(option, text, `${name} belongs to the event; take another name`))
  }
  return Effect.succeed([name, at === -1 ? undefined : text.slice(at + 1)])
}

const duration = (spec: { readonly name: string; readonly description: string; readonly fallback: string }) =>
  CliOption.withDefault({ ...spec, placeholder: "DURATION", parse: CliOption.duration })

const options = {
  create: CliOption.flag({
    name: "create",
    short: "c",
    description: "create DIR with a template script for every event, and end"
  }),
  directory: CliOption.withDefault({
    name: "directory",
    short: "d",
    placeholder: "DIR",
    description: "the script directory: DIR/TYPE/ACTION runs for each event",
    fallback: "/etc/docker/events.d",
    parse: CliOption.anyText
  }),
  ...CommonOptions.ofEngine,
  from: CliOption.optional({
    name: "from",
    placeholder: "FILE",
    description: "read the feed from FILE, one JSON record a line (- is stdin), and end with its last script",
    parse: CliOption.anyText
  }),
  env: CliOption.repeatable({
    name: "env",
    placeholder: "NAME[=VALUE]",
    description: "give scripts one more variable; without VALUE it has des's own value",
    parse: parseVariable
  }),
  jobs: CliOption.withDefault({
    name: "jobs",
    placeholder: "N",
    description: "handle the events of N actors beside each other; those of one actor stay in order, with 1 all do",
    fallback: "1",
    parse: CliOption.wholeNumber(1, mostJobs)
  }),
  timeout: duration({
    name: "timeout",
    description: "end a script that takes longer; 0 for no limit",
    fallback: "10m"
  }),
  grace: duration({
    name: "grace",
    description: "kill a script that does not end this long after it was told to",
    fallback: "10s"
  }),
  retries: CliOption.withDefault({
    name: "retries",
    placeholder: "N",
    description: "repeat a failed run up to N times, after 1 s, 2 s, 4 s …",
    fallback: "0",
    parse: CliOption.wholeNumber(0, mostRetries)
  }),
  cooldown: duration({
    name: "cooldown",
    description:
      "run a script at most once in this time for one actor; what comes meanwhile becomes one run of the newest event",
    fallback: "0"
  }),
  drain: duration({
    name: "drain",
    description: "how long scripts that run may go on when des is told to stop",
    fallback: "30s"
  }),
  ...State.ofState,
  keep: State.keep,
  maxAge: CliOption.optional({
    name: "max-age",
    placeholder: "DURATION",
    description: "skip events that happened longer ago, as after an outage; without it they run, however old",
    parse: CliOption.duration
  }),
  queue: CliOption.withDefault({
    name: "queue",
    placeholder: "SIZE",
    description:
      "without --state: how much of accepted events may wait in memory; beyond it des reads on once there is room, and what the engine has lost by then is a gap",
    fallback: "256M",
    parse: CliOption.bytes
  }),
  sync: CliOption.flag({
    name: "sync",
    description:
      "run container/start, as synthetic events, for containers that run when an engine is met for the first time"
  }),
  liveness: duration({
    name: "liveness",
    description: "check a feed that has been silent for so long; 0 never",
    fallback: "30s"
  }),
  insecureScripts: CliOption.flag({
    name: "insecure-scripts",
    description: "run scripts that others than root and this user could have changed"
  })
}

type Given = CliCommand.Values<typeof options>

/** As an option, `0` is no limit. */
const unlessZero = (limit: Duration.Duration): Duration.Duration => (Duration.isZero(limit) ? Duration.infinity : limit)

/** A user without an entry in the password file, as containers have them, is no reason not to start. */
const user = Effect.try(() => userInfo()).pipe(
  Effect.map(({ homedir, shell, username }) => ({ name: username, home: homedir, shell: shell ?? "/bin/sh" })),
  Effect.orElseSucceed(() => ({ name: String(process.getuid?.() ?? ""), home: "/", shell: "/bin/sh" }))
)

/** A feed from a file or from stdin. A pipe has no positions to read at, and to open it blocks what no signal could interrupt. */
const recorded = Effect.fnUntraced(function* (file: string) {
  if (file === "-") {
    yield* Effect.logInfo("reading events from stdin")
    return EventFeed.layerRecords({ source: "stdin", bytes: NodeStream.stdin })
  }
  const fileSystem = yield* FileSystem.FileSystem
  const unreadable = (why: string) => new CommandError({ message: `${file} cannot be read: ${why}` })
  const { type } = yield* Effect.mapError(fileSystem.stat(file), (error) =>
    unreadable(SystemReason.describePlatform(error))
  )
  if (type === "Directory") return yield* unreadable("it is a directory, and not a file of records")
  if (type === "FIFO") return yield* unreadable("it is a pipe, which can be read as stdin, with --from -")
  yield* Effect.mapError(fileSystem.access(file, { readable: true }), (error) =>
    unreadable(SystemReason.describePlatform(error))
  )
  yield* Effect.logInfo(`reading events from ${file}`)
  return EventFeed.layerRecords({ source: file, bytes: fileSystem.stream(file) })
})

const journalOf = (
  given: Given,
  shape: { readonly whenFull: "refuse" | "wait"; readonly engines: ReadonlyArray<string> }
) => {
  const { keep, queue: capacity, state: directory } = given
  const maxAge = given.maxAge === undefined ? Number.POSITIVE_INFINITY : Duration.toMillis(given.maxAge)
  return directory === undefined
    ? Effect.succeed(Journal.layerMemory({ maxAge, capacity, whenFull: shape.whenFull }))
    : State.layer({ directory, keep, maxAge, engines: shape.engines })
}

const watch = Effect.fn("Watch.watch")(function* (given: Given) {
  if (given.insecureScripts) {
    yield* Effect.logWarning("--insecure-scripts: whoever can write to a script runs it as this user")
  }
  const hurry = yield* CliCommand.Hurry
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
          directory: given.state === undefined ? given.directory : resolve(given.directory),
          ...variables,
          hurry,
          timeout: unlessZero(given.timeout)
        }).pipe(Layer.provide(ScriptRunner.layer), Layer.merge(feed), Layer.provideMerge(journal))
      )
    )
  if (given.from !== undefined) {
    const feed = yield* recorded(given.from)
    const base = Environment.base(shared)
    return yield* run(feed, { base }, yield* journalOf(given, { whenFull: "wait", engines: [] }))
  }
  const engines = yield* WatchedEngine.find(given)
  const feeds = engines.map((engine) =>
    Des.layerFeed({ ...engine, sync: given.sync, liveness: unlessZero(given.liveness) })
  )
  const variables = {
    // An engine's variables take the place of those that des itself was given.
    base: Environment.base({ ...shared, engine: {} }),
    engines: Object.fromEntries(
      engines.map((engine) => [engine.name, { ...WatchedEngine.variables(engine), ...shared.extra }])
    )
  }
  const journal = yield* journalOf(given, { whenFull: "refuse", engines: Object.keys(variables.engines) })
  yield* run(EventFeed.layerMerged(feeds), variables, journal)
})

/** `des` without a subcommand. */
export const des = CliCommand.make({
  name: "des",
  summary:
    "Run scripts in response to Docker and podman events. A DURATION is a number with ms, s, m, h or d; a bare number is seconds",
  config: {
    ...options,
    // The library acts on these two by itself.
    completions: CliOption.choice({
      name: "completions",
      description: "print completions for a shell, and end",
      words: ["bash", "zsh", "fish"]
    }),
    version: CliOption.flag({ name: "version", description: "print the version, and end" })
  },
  run: Effect.fnUntraced(function* (given) {
    if (given.create) yield* Scaffold.create(given.directory)
    else yield* watch(given)
    return 0
  })
})
