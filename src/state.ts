/**
 * The journal on disk, which outlives des: a state directory with one SQLite file, and the history of runs. It needs
 * `@effect/sql` and `@effect/sql-libsql`.
 *
 * @since 1.0.0
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Layer from "effect/Layer"
import type { Journal, JournalError } from "./journal/Journal.ts"
import * as JournalSql from "./journal/sqlite/JournalSql.ts"
import * as StateDirectory from "./journal/sqlite/StateDirectory.ts"

export * as History from "./journal/sql/History.ts"
/** @internal */
export * as Failure from "./journal/sqlite/Failure.ts"
export * as StateDirectory from "./journal/sqlite/StateDirectory.ts"

/**
 * The journal in a state directory: `DIR/journal.sqlite`.
 *
 * - `keep`: how much is kept of events that have run (default 30 days, 100,000 events and 1 GiB).
 * - `maxAge`: events that happened more than so many milliseconds ago are skipped (default: no limit).
 * - `engines`: by name, the engines whose events run. Events of other engines stay in the journal and wait (default:
 *   all run).
 *
 * @example
 * import { Des, ScriptRunner } from "docker-event-scripts"
 * import * as State from "docker-event-scripts/state"
 * import * as Layer from "effect/Layer"
 *
 * export const DesLive = Des.layer({ directory: "/etc/docker/events.d", base: { PATH: "/usr/bin:/bin" } }).pipe(
 *   Layer.provide(ScriptRunner.layer),
 *   Layer.provideMerge(State.layer({ directory: "/var/lib/des" }))
 * )
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: {
  readonly directory: string
  readonly keep?: JournalSql.Keep
  readonly maxAge?: number
  readonly engines?: ReadonlyArray<string>
}): Layer.Layer<Journal, JournalError, FileSystem.FileSystem> =>
  JournalSql.layer({
    file: StateDirectory.journalFile(options.directory),
    keep: options.keep ?? JournalSql.defaultKeep,
    maxAge: options.maxAge ?? Number.POSITIVE_INFINITY,
    ...(options.engines === undefined ? {} : { engines: options.engines }),
    durably: StateDirectory.durably
  }).pipe(Layer.provide(StateDirectory.layer(options)))
