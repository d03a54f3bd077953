import { userInfo } from "node:os"
import { resolve } from "node:path"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Record from "effect/Record"
import * as Des from "../Des.ts"
import * as DurationText from "../DurationText.ts"
import * as Dispatch from "../dispatch/Dispatch.ts"
import * as EventFeed from "../feed/EventFeed.ts"
import type { Journal } from "../journal/Journal.ts"
import * as JournalInMemory from "../journal/JournalInMemory.ts"
import * as SystemReason from "../SystemReason.ts"
import * as Environment from "../scripts/Environment.ts"
import * as ScriptRunner from "../scripts/ScriptRunner.ts"
import * as CliCommand from "./CliCommand.ts"
import * as CliOption from "./CliOption.ts"
import { CommandError } from "./CommandError.ts"
import * as CommonOptions from "./CommonOptions.ts"
import * as Scaffold from "./Scaffold.ts"
import * as Size from "./Size.ts"
import * as State from "./State.ts"
import * as WatchedEngine from "./WatchedEngine.ts"

/** The most events of different actors that may be handled at the same time. */
const mostJobs = 1024

/** The most retries of a failed run. */
const mostRetries = 9999

const parseVariable: CliOption.Parser<readonly [name: string, value: string | undefined]> = (text, option) => {
  const at = text.indexOf("=")
  const name = at === -1 ? text : text.slice(0, at)
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    return Effect.fail(CliOption.refuse(option, text, "expected NAME or NAME=VALUE; a name has letters, digits and _"))
  }
  if (Environment.isReserved(name)) {
    return Effect.fail(CliOption.refuse(option, text, `${name} belongs to the event; take another name`))
  }
  return Effect.succeed([name, at === -1 ? undefined : text.slice(at + 1)])
}

const duration = (spec: {
  readonly name: string
  readonly description: string
  readonly fallback: Duration.DurationInput
}) => {
  const fallback = DurationText.format(Duration.toMillis(spec.fallback))
  return CliOption.withDefault({ ...spec, fallback, placeholder: "DURATION", parse: CliOption.duration })
}

const options = {
  create: CliOption.flag({
    name: "create",
    short: "c",
    description: "create DIR with a template script for every event, and end"
  }),
  directory: CommonOptions.directory,
  ...CommonOptions.ofEngine,
  from: CliOption.optional({
    name: "from",
    placeholder: "FILE",
    description: "read the feed from FILE, one JSON record a line (- is stdin), and end after the last script",
    parse: CliOption.anyText
  }),
  env: CliOption.repeatable({
    name: "env",
    placeholder: "NAME[=VALUE]",
    description: "give scripts one more variable; without VALUE it has the value that it has for des",
    parse: parseVariable
  }),
  jobs: CliOption.withDefault({
    name: "jobs",
    placeholder: "N",
    description:
      "handle the events of up to N actors at the same time; the events of one actor stay in order, with 1 all events do",
    fallback: String(Dispatch.defaults.jobs),
    parse: CliOption.wholeNumber(1, mostJobs)
  }),
  timeout: duration({
    name: "timeout",
    description: "end a script that takes longer; 0 is no limit",
    fallback: Dispatch.defaults.timeout
  }),
  grace: duration({
    name: "grace",
    description: "the time between SIGTERM and SIGKILL when des ends a script",
    fallback: Dispatch.defaults.grace
  }),
  retries: CliOption.withDefault({
    name: "retries",
    placeholder: "N",
    description: "retry a failed run up to N times, after 1 s, 2 s, 4 s …",
    fallback: String(Dispatch.defaults.retries),
    parse: CliOption.wholeNumber(0, mostRetries)
  }),
  cooldown: duration({
    name: "cooldown",
    description:
      "run a script at most once in this time for one actor; events that come meanwhile become one run, of the newest event",
    fallback: Dispatch.defaults.cooldown
  }),
  drain: duration({
    name: "drain",
    description: "how long running scripts may go on when des stops",
    fallback: Dispatch.defaults.drain
  }),
  ...State.ofState,
  keep: State.keep,
  maxAge: CliOption.optional({
    name: "max-age",
    placeholder: "DURATION",
    description: "skip events that happened longer ago, for example during an outage (default: no limit)",
    parse: CliOption.duration
  }),
  queue: CliOption.withDefault({
    name: "queue",
    placeholder: "SIZE",
    description:
      "without --state: how much memory accepted events may take; when it is full, des stops reading until there is room, and events that the engine has dropped by then are a gap",
    fallback: Size.format(JournalInMemory.defaultCapacity),
    parse: CliOption.bytes
  }),
  sync: CliOption.flag({
    name: "sync",
    description:
      "run container/start, as synthetic events, for containers that run when an engine is met for the first time"
  }),
  liveness: duration({
    name: "liveness",
    description: "check a feed that has been silent for so long; 0 is never",
    fallback: EventFeed.defaultLiveness
  }),
  insecureScripts: CommonOptions.insecureScripts
}

type Given = CliCommand.Values<typeof options>

/** For these options `0` means no limit. */
const unlessZero = (limit: Duration.Duration): Duration.Duration => (Duration.isZero(limit) ? Duration.infinity : limit)

/**
 * The user that des runs as. In a container a user often has no entry in the password file; des starts all the same.
 */
const user = Effect.try(() => userInfo()).pipe(
  Effect.map(({ homedir, shell, username }) => ({ name: username, home: homedir, shell: shell ?? "/bin/sh" })),
  Effect.orElseSucceed(() => ({ name: String(process.getuid?.() ?? ""), home: "/", shell: "/bin/sh" }))
)

/**
 * A feed from a file or from stdin. A FIFO is refused: it cannot be read at a position, and opening it blocks so that
 * no signal can end des.
 */
const recorded = Effect.fnUntraced(function* (file: string) {
  if (file === "-") {
    yield* Effect.logInfo("reading events from stdin")
    return EventFeed.layerRecords({ source: "stdin", bytes: NodeStream.stdin })
  }
  const fileSystem = yield* FileSystem.FileSystem
  const unreadable = (why: string) => new CommandError({ message: `--from ${file} cannot be read: ${why}` })
  const { type } = yield* Effect.mapError(fileSystem.stat(file), (error) =>
    unreadable(SystemReason.describePlatform(error))
  )
  if (type === "Directory") return yield* unreadable("it is a directory, not a file of records")
  if (type === "FIFO") return yield* unreadable("it is a pipe; give it as stdin, with --from -")
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
    ? Effect.succeed(JournalInMemory.layer({ maxAge, capacity, whenFull: shape.whenFull }))
    : State.layer({ directory, keep, maxAge, engines: shape.engines })
}

const watch = Effect.fn("Watch.watch")(function* (given: Given) {
  if (given.insecureScripts) {
    yield* Effect.logWarning("--insecure-scripts: anybody who can write to a script can run commands as this user")
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
    environments: Pick<Dispatch.DispatchOptions, "base" | "engines">,
    kept: Layer.Layer<Journal, E, FileSystem.FileSystem>
  ) =>
    Des.run.pipe(
      Effect.provide(
        Des.layer({
          ...given,
          // The journal keeps this path, and the next des may start in another working directory.
          directory: given.state === undefined ? given.directory : resolve(given.directory),
          ...environments,
          hurry,
          timeout: unlessZero(given.timeout)
        }).pipe(Layer.provide(ScriptRunner.layer), Layer.merge(feed), Layer.provideMerge(kept))
      )
    )
  if (given.from !== undefined) {
    const feed = yield* recorded(given.from)
    const base = Environment.base(shared)
    return yield* run(feed, { base }, yield* journalOf(given, { whenFull: "wait", engines: [] }))
  }
  const engines = yield* WatchedEngine.find(given)
  const feeds = Des.layerFeeds(
    engines.map((engine) => ({ ...engine, sync: given.sync, liveness: unlessZero(given.liveness) }))
  )
  const variables = {
    // The variables of each engine replace those of des itself.
    base: Environment.base({ ...shared, engine: {} }),
    engines: Record.map(Des.engineVariables(engines), (ofEngine) => ({ ...ofEngine, ...shared.extra }))
  }
  const journal = yield* journalOf(given, { whenFull: "refuse", engines: Object.keys(variables.engines) })
  yield* run(feeds, variables, journal)
})

/** `des` without a subcommand. */
export const des = CliCommand.make({
  name: "des",
  summary:
    "Run scripts in response to Docker and podman events. A DURATION is a number with ms, s, m, h or d; a bare number is seconds",
  config: {
    ...options,
    // The library handles these two itself.
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
