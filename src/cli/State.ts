import type * as FileSystem from "@effect/platform/FileSystem"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as DurationText from "../DurationText.ts"
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
    "keep the journal in DIR/journal.sqlite; no accepted event is lost then (default: DES_STATE_DIR, then systemd's STATE_DIRECTORY, otherwise the journal is in memory)",
  parse: CliOption.anyText
})

/** The option that names the state directory. */
export const ofState = { state }

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

/**
 * Loads the journal on disk. It is loaded only if needed, because without it des starts faster and takes less memory.
 */
export const load: Effect.Effect<typeof State, JournalError> = Effect.tryPromise({
  try: () => import("../state.ts"),
  catch: (cause) =>
    new JournalError({
      reason: "Unusable",
      detail: `the journal on disk needs the package libsql, which cannot be loaded here: ${cause instanceof Error ? cause.message.split("\n")[0] : String(cause)}. Install des with its dependencies, or run it without --state`,
      cause
    })
})

/** The journal in a state directory. */
export const layer = (options: {
  readonly directory: string
  readonly keep: Keep.Keep
  readonly maxAge: number
  readonly engines: ReadonlyArray<string>
}): Effect.Effect<Layer.Layer<Journal, JournalError, FileSystem.FileSystem>, JournalError> =>
  Effect.map(load, (loaded) => loaded.layer(options))

/** Returns the state directory. Fails if there is none, for commands that need one. */
export const required = (directory: string | undefined): Effect.Effect<string, UsageError> =>
  directory === undefined
    ? new UsageError({
        message: "the state directory is missing: give --state DIR (or DES_STATE_DIR), as for the des that runs"
      })
    : Effect.succeed(directory)
