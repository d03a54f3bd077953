import { hostname } from "node:os"
import { resolve } from "node:path"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as DurationText from "../DurationText.ts"
import * as Endpoint from "../endpoint/Endpoint.ts"
import type * as Fleet from "../fleet.ts"
import { type Journal, JournalError } from "../journal/Journal.ts"
import * as Keep from "../journal/Keep.ts"
import type * as State from "../state.ts"
import * as CliOption from "./CliOption.ts"
import { UsageError } from "./CommandError.ts"
import * as Size from "./Size.ts"

/** The state directory that systemd gives a service. The variable can name several (systemd.exec(5)). */
const fromSystemd = Config.map(Config.nonEmptyString("STATE_DIRECTORY"), (directories) => ({
  source: "STATE_DIRECTORY",
  value: directories.split(":", 1).join()
}))

const state = CliOption.optional({
  instead: fromSystemd,
  name: "state",
  placeholder: "DIR",
  example: "/var/lib/des",
  completes: "directory",
  common: true,
  description:
    "keep the journal in DIR/journal.sqlite; no accepted event is lost then (default: DES_STATE_DIR, then systemd's STATE_DIRECTORY, otherwise the journal is in memory); postgresql://USER@HOST/DATABASE is a journal that several des share",
  parse: CliOption.anyText
})

/** The option that names the state directory. */
export const ofState = { state }

/** The options of a des that shares its journal with others. */
export const ofNode = {
  node: CliOption.optional({
    name: "node",
    placeholder: "NAME",
    example: "web-1",
    description: "with --state postgresql://…: the name of this des in the history (default: the name of the host)",
    parse: CliOption.expecting("a name of letters, digits, dots, - and _ with up to 64 characters", (text) =>
      /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(text) ? text : undefined
    )
  }),
  watchOnly: CliOption.flag({
    name: "watch-only",
    description: "with --state postgresql://…: read the feeds of engines, and let others run the scripts"
  }),
  runOnly: CliOption.flag({
    name: "run-only",
    description: "with --state postgresql://…: run scripts, and let others read the feeds of engines"
  })
}

/** True for a `--state` that names a database. */
export const isUrl = (named: string): boolean => /^postgres(ql)?:\/\//.test(named)

/** Parses AGE[,COUNT[,SIZE]]. A part that is left out has its default. */
const parseKeep = (text: string): Keep.Keep | undefined => {
  const [age = "", count, size, ...more] = text.split(",")
  const milliseconds = DurationText.parse(age)
  const events = count === undefined ? Keep.defaults.count : /^\d{1,9}$/.test(count) ? Number(count) : undefined
  const bytes = size === undefined ? Keep.defaults.size : Size.parse(size)
  if (milliseconds === undefined || events === undefined || bytes === undefined || more.length > 0) return undefined
  return { age: milliseconds, count: events, size: bytes }
}

const { age, count, size } = Keep.defaults

const defaultKeep = `${DurationText.format(age)},${count},${Size.format(size)}`

/** The option that says how much the journal keeps of events that have run. */
export const keep = CliOption.withDefault({
  name: "keep",
  placeholder: "AGE[,COUNT[,SIZE]]",
  example: "7d,10000",
  description:
    "with --state: of events that have run, keep at most COUNT, at most SIZE on the disk, and none older than AGE",
  fallback: defaultKeep,
  parse: CliOption.expecting("an age, and if wanted a number of events and a size, such as 30d,100000,1G", parseKeep)
})

const cannotLoad = (what: string) => (cause: unknown) =>
  new JournalError({
    reason: "Unusable",
    detail: `${what}, which cannot be loaded here: ${cause instanceof Error ? cause.message.split("\n")[0] : String(cause)}. Install des with its dependencies, or run it without --state`,
    cause
  })

/**
 * Loads the journal on disk. It is loaded only if needed, because without it des starts faster and takes less memory.
 */
const load: Effect.Effect<typeof State, JournalError> = Effect.tryPromise({
  try: () => import("../state.ts"),
  catch: cannotLoad("the journal on disk needs the package libsql")
})

/** Loads the journal in a database, in the same way. */
export const loadFleet: Effect.Effect<typeof Fleet, JournalError> = Effect.tryPromise({
  try: () => import("../fleet.ts"),
  catch: cannotLoad("the journal in PostgreSQL needs a part of des")
})

/** The database that a URL names. */
export const databaseOf = (conninfo: typeof Fleet.Conninfo, url: string) =>
  Effect.mapError(conninfo.parse(url, conninfo.surroundings()), ({ message }) => new UsageError({ message }))

/** How a des shares its journal with others. */
export interface Shared {
  readonly node: string | undefined
  readonly watchOnly: boolean
  readonly runOnly: boolean
  readonly jobs: number
}

const checkShared = (named: string | undefined, { node, runOnly, watchOnly }: Shared) => {
  const given = node !== undefined ? "--node" : watchOnly ? "--watch-only" : runOnly ? "--run-only" : undefined
  if (given !== undefined && (named === undefined || !isUrl(named))) {
    return new UsageError({ message: `${given} is for a journal that several des share: add --state postgresql://…` })
  }
  return watchOnly && runOnly
    ? new UsageError({ message: "conflicting options: --watch-only and --run-only; with neither, des does both" })
    : Effect.void
}

/**
 * Refuses an engine without a name of its own at a socket of this host, if several des share the journal: on another host the same socket
 * is another engine, and one of the two would never be watched.
 */
export const checkNames = (
  named: string | undefined,
  engines: ReadonlyArray<{ readonly name: string; readonly endpoint: Endpoint.Endpoint }>
): Effect.Effect<void, UsageError> => {
  const unnamed = engines.find(({ endpoint, name }) => endpoint._tag === "Unix" && name === Endpoint.format(endpoint))
  return named === undefined || !isUrl(named) || unnamed === undefined
    ? Effect.void
    : new UsageError({
        message: `${unnamed.name} is another engine on each host: give it a name that means the same engine for every des of this journal, such as -e ${hostname()}=${unnamed.name}`
      })
}

/** The journal that `--state` names: in a directory, in a database, or `otherwise`. */
export const layer = Effect.fnUntraced(function* (
  options: {
    readonly state: string | undefined
    readonly keep: Keep.Keep
    readonly maxAge: number
    readonly engines: ReadonlyArray<string>
    readonly scripts: string
    readonly shared: Shared
  },
  otherwise: Layer.Layer<Journal>
) {
  const { engines, keep: kept, maxAge, scripts, shared, state: named } = options
  yield* checkShared(named, shared)
  if (named === undefined) return otherwise
  if (!isUrl(named)) {
    const loaded = yield* load
    return loaded.layer({ directory: named, keep: kept, maxAge, engines })
  }
  const fleet = yield* loadFleet
  return fleet.JournalPostgres.layer({
    info: yield* databaseOf(fleet.Conninfo, named),
    node: shared.node ?? hostname(),
    directory: resolve(scripts),
    keep: kept,
    maxAge,
    engines,
    jobs: shared.jobs,
    watches: !shared.runOnly,
    runs: !shared.watchOnly
  })
})

/** The journal that `--state` names, for short reads and writes beside a des that runs. */
export const beside = Effect.fnUntraced(function* (given: string | undefined) {
  const named = yield* required(given)
  if (!isUrl(named)) {
    const { Failure, History, StateDirectory } = yield* load
    const explain = Failure.explain(StateDirectory.journalFile(named))
    const replaced: Effect.Effect<never, JournalError> = StateDirectory.replaced({ directory: named })
    return { History, explain, replaced, layer: StateDirectory.layerShared({ directory: named }) }
  }
  const fleet = yield* loadFleet
  const info = yield* databaseOf(fleet.Conninfo, named)
  const explain = fleet.Failure.explain(fleet.Conninfo.format(info))
  const replaced: Effect.Effect<never, JournalError> = Effect.never
  return { History: fleet.History, explain, replaced, layer: Layer.mapError(fleet.Client.layer(info), explain) }
})

/** Returns the state directory. Fails if there is none, for commands that need one. */
export const required = (directory: string | undefined): Effect.Effect<string, UsageError> =>
  directory === undefined
    ? new UsageError({
        message: "the state directory is missing: give --state DIR (or DES_STATE_DIR), as for the des that runs"
      })
    : Effect.succeed(directory)
