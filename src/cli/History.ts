import * as Args from "@effect/cli/Args"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { verb } from "../event/DockerEvent.ts"
import * as Log from "../Log.ts"
import type * as State from "../state.ts"
import * as Arguments from "./Arguments.ts"
import * as CliCommand from "./CliCommand.ts"
import * as CliOption from "./CliOption.ts"
import * as CommonOptions from "./CommonOptions.ts"
import * as Results from "./Results.ts"
import * as StateOptions from "./State.ts"

const formatRun = (run: State.History.Run): ReadonlyArray<string> => [
  String(run.id),
  Results.formatTime(run.began),
  `${run.type}/${verb({ Action: run.action })}`,
  run.actor.slice(0, 12),
  run.script,
  String(run.attempt),
  run.exit === null ? (run.outcome ?? "-") : String(run.exit),
  run.duration === null ? "-" : `${(run.duration / 1000).toFixed(2)}s`
]

const heads = ["RUN", "BEGAN", "EVENT", "ACTOR", "SCRIPT", "ATTEMPT", "EXIT", "DURATION"]

const formatJson = (run: State.History.Run): string => Log.escape(JSON.stringify(run))

const formatTable = (runs: Iterable<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const rows = [heads, ...runs]
  const widths = heads.map((_, column) => rows.reduce((widest, row) => Math.max(widest, row[column]?.length ?? 0), 0))
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd()
  )
}

/** A run's number. */
const parseId = CliOption.expecting("the number of a run, as des history shows it", (text) =>
  /^\d{1,15}$/.test(text) ? Number(text) : undefined
)

/** `des history`: the runs of the journal. */
export const history = CliCommand.make({
  name: "history",
  summary: "Print the runs in the journal: time, event, script, exit, duration",
  config: {
    ...StateOptions.ofState,
    failed: CliOption.flag({ name: "failed", description: "only runs that did not succeed" }),
    since: CommonOptions.since("only runs that began at this time or later"),
    json: CommonOptions.json
  },
  run: Effect.fnUntraced(function* (given) {
    const directory = yield* StateOptions.required(given.state)
    const { Failure, History, StateDirectory } = yield* StateOptions.load
    const runs = History.list({ failed: given.failed, since: given.since ?? 0 })
    const explained = Stream.mapError(runs, Failure.explain(StateDirectory.journalFile(directory)))
    const printed = given.json
      ? Stream.runForEachChunk(explained, (page) => Results.print(Chunk.toReadonlyArray(page).map(formatJson)))
      : Stream.runCollect(Stream.map(explained, (run) => formatRun(run).map(Log.escape))).pipe(
          Effect.flatMap((rows) => Results.print(formatTable(rows)))
        )
    yield* printed.pipe(
      Effect.catchTag(
        "BadArgument",
        "SystemError",
        Results.untilUnread("the history", "; nothing in the journal has changed")
      ),
      Effect.provide(StateDirectory.layerShared({ directory }))
    )
    return 0
  })
})

/** `des retry`: queues runs again. */
export const retry = CliCommand.make({
  name: "retry",
  summary: "Queue runs again: a running des starts them within a second, otherwise the next start of des does",
  config: {
    ...StateOptions.ofState,
    runs: Args.text({ name: "ID" }).pipe(
      Args.withDescription("the numbers of one or more runs, as des history shows them"),
      Args.mapEffect((quoted) => Effect.mapError(parseId(Arguments.unquote(quoted), "ID"), ({ error }) => error)),
      Args.atLeast(1)
    )
  },
  run: Effect.fnUntraced(function* (given) {
    const directory = yield* StateOptions.required(given.state)
    const { Failure, History, StateDirectory } = yield* StateOptions.load
    const { cut, unknown } = yield* History.retry(given.runs).pipe(
      Failure.explained(StateDirectory.journalFile(directory)),
      Effect.provide(StateDirectory.layerShared({ directory }))
    )
    if (unknown.length > 0) {
      const missing = `nothing is queued: the journal has no run ${unknown.join(", ")}; des history lists all runs`
      yield* Effect.logError(missing)
      return 1
    }
    if (cut.length > 0) {
      yield* Effect.logError(
        `nothing is queued: run ${cut.join(", ")} cannot be retried, since its event ran without a failure, and the journal does not keep records over 64 KiB of such events`
      )
      return 1
    }
    const { size } = new Set(given.runs)
    yield* Effect.logInfo(`queued ${size} ${size === 1 ? "run" : "runs"} again`)
    return 0
  })
})
