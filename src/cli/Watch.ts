import { resolve } from "node:path"
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Record from "effect/Record"
import * as Des from "../Des.ts"
import * as Dispatch from "../dispatch/Dispatch.ts"
import * as EventFeed from "../feed/EventFeed.ts"
import type { Journal } from "../journal/Journal.ts"
import * as JournalInMemory from "../journal/JournalInMemory.ts"
import * as Environment from "../scripts/Environment.ts"
import * as ScriptRunner from "../scripts/ScriptRunner.ts"
import * as CliCommand from "./CliCommand.ts"
import * as CliOption from "./CliOption.ts"
import * as CommonOptions from "./CommonOptions.ts"
import * as Completions from "./Completions.ts"
import * as Operated from "./Operated.ts"
import * as Outcomes from "./Outcomes.ts"
import * as RecordFile from "./RecordFile.ts"
import * as RunOptions from "./RunOptions.ts"
import * as Scaffold from "./Scaffold.ts"
import * as ServiceManager from "./ServiceManager.ts"
import * as Size from "./Size.ts"
import * as State from "./State.ts"
import * as Telemetry from "./Telemetry.ts"
import * as WatchedEngine from "./WatchedEngine.ts"

/** The most events of different actors that may be handled at the same time. */
const mostJobs = 1024

const options = {
  create: CliOption.flag({
    name: "create",
    short: "c",
    common: true,
    description: "create DIR with a template script for every event; then des ends. An existing DIR is refused"
  }),
  directory: CommonOptions.directory,
  ...CommonOptions.ofEngine,
  from: CommonOptions.from(
    "run the records of FILE (- is stdin), then end; FILE has one JSON record a line. des ends after the last script"
  ),
  ...RunOptions.ofRuns,
  jobs: CliOption.withDefault({
    name: "jobs",
    placeholder: "N",
    example: "4",
    common: true,
    description: "handle up to N actors at once; the events of one actor stay in order, with 1 all events do",
    fallback: String(Dispatch.defaults.jobs),
    parse: CliOption.wholeNumber(1, mostJobs)
  }),
  cooldown: RunOptions.duration({
    name: "cooldown",
    example: "1m",
    description:
      "run a script at most once in this time for one actor; events that come meanwhile become one run, of the newest event",
    fallback: Dispatch.defaults.cooldown
  }),
  drain: RunOptions.duration({
    name: "drain",
    example: "5m",
    description: "how long running scripts may go on when des stops",
    fallback: Dispatch.defaults.drain
  }),
  ...State.ofState,
  ...State.ofNode,
  keep: State.keep,
  maxAge: CliOption.optional({
    name: "max-age",
    placeholder: "DURATION",
    example: "1h",
    description: "skip events that happened longer ago, for example during an outage (default: no limit)",
    parse: CliOption.duration
  }),
  queue: CliOption.withDefault({
    name: "queue",
    placeholder: "SIZE",
    example: "64M",
    description:
      "without --state: how much memory accepted events may take; when it is full, des stops reading until there is room, and events that the engine has dropped by then are a gap",
    fallback: Size.format(JournalInMemory.defaultCapacity),
    parse: CliOption.bytes
  }),
  sync: CliOption.flag({
    name: "sync",
    description:
      "run container/start, as synthetic events, for containers that run at the first connection to an engine"
  }),
  liveness: RunOptions.duration({
    name: "liveness",
    example: "1m",
    description: "check a feed that has been silent for so long; 0 is never",
    fallback: EventFeed.defaultLiveness
  }),
  ...Operated.ofListening,
  insecureScripts: CommonOptions.insecureScripts
}

type Given = CliCommand.Values<typeof options>

const feedOf = Effect.fnUntraced(function* (file: string) {
  const records = yield* RecordFile.open(file, "--from")
  yield* Effect.logInfo(`reading events from ${records.source}`)
  return EventFeed.layerRecords(records)
})

const journalOf = (
  given: Given,
  shape: { readonly whenFull: "refuse" | "wait"; readonly engines: ReadonlyArray<string> }
) => {
  const { keep, queue: capacity, state } = given
  const maxAge = given.maxAge === undefined ? Number.POSITIVE_INFINITY : Duration.toMillis(given.maxAge)
  return State.layer(
    { state, keep, maxAge, engines: shape.engines, scripts: given.directory, shared: given },
    JournalInMemory.layer({ maxAge, capacity, whenFull: shape.whenFull })
  )
}

const watch = Effect.fnUntraced(function* (given: Given) {
  if (given.insecureScripts) {
    yield* Effect.logWarning("--insecure-scripts: anybody who can write to a script can run commands as this user")
  }
  const hurry = yield* CliCommand.Hurry
  const shared = yield* RunOptions.shared(given.env)
  const run = <E>(
    feed: Layer.Layer<EventFeed.EventFeed>,
    environments: Pick<Dispatch.DispatchOptions, "base" | "engines">,
    kept: Layer.Layer<Journal, E, FileSystem.FileSystem>,
    manager: ServiceManager.ServiceManager,
    operated: Operated.Operated
  ) =>
    Effect.flatMap(Telemetry.begin(process.env), ({ logs, traced }) =>
      operated.during(manager.during(Des.run)).pipe(
        Effect.provide(
          Des.layer({
            ...given,
            // The journal keeps this path, and the next des may start in another working directory.
            directory: given.state === undefined ? given.directory : resolve(given.directory),
            ...environments,
            hurry,
            timeout: RunOptions.unlessZero(given.timeout)
          }).pipe(
            Layer.provide(ScriptRunner.layer),
            Layer.merge(feed),
            Layer.provideMerge(traced(operated.observed(manager.observed(kept))))
          )
        ),
        Effect.provide(logs)
      )
    ).pipe(Effect.scoped)
  if (given.from !== undefined) {
    const feed = yield* feedOf(given.from)
    const base = Environment.base(shared)
    const journal = yield* journalOf(given, { whenFull: "wait", engines: [] })
    const { counts, layer } = Outcomes.counted(journal)
    yield* run(feed, { base }, layer, ServiceManager.none, yield* Operated.make(given, []))
    return counts.failed === 0 ? 0 : 1
  }
  const engines = yield* WatchedEngine.find(given)
  yield* State.checkNames(given.state, engines)
  const feeds = Des.layerFeeds(
    engines.map((engine) => ({ ...engine, sync: given.sync, liveness: RunOptions.unlessZero(given.liveness) }))
  )
  const variables = {
    // The variables of each engine replace those of des itself.
    base: Environment.base({ ...shared, engine: {} }),
    engines: Record.map(Des.engineVariables(engines), (ofEngine) => ({ ...ofEngine, ...shared.extra }))
  }
  const journal = yield* journalOf(given, { whenFull: "refuse", engines: Object.keys(variables.engines) })
  const names = Object.keys(variables.engines)
  const liveness = RunOptions.unlessZero(given.liveness)
  const operating = yield* Operated.make({ ...given, liveness }, names)
  yield* run(feeds, variables, journal, yield* ServiceManager.make(names, process.env), operating)
  return 0
})

/** `des` without a subcommand. */
export const des = CliCommand.make({
  name: "des",
  summary:
    "Run scripts in response to Docker and podman events; for each event the executable DIR/TYPE/ACTION runs, with the event in its environment. A DURATION is a number with ms, s, m, h or d; a bare number is seconds",
  config: {
    ...options,
    // The library handles these two itself.
    completions: CliOption.choice({
      name: "completions",
      common: true,
      description: `print completions for bash, zsh or fish; to install them: ${Completions.installation}`,
      example: "bash",
      label: "SHELL",
      words: Completions.shells
    }),
    version: CliOption.flag({ name: "version", common: true, description: "print the version" })
  },
  run: Effect.fnUntraced(function* (given) {
    if (!given.create) return yield* watch(given)
    yield* Scaffold.create(given.directory)
    return 0
  })
})
