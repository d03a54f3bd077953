import * as Args from "@effect/cli/Args"
import type { PlatformError } from "@effect/platform/Error"
import * as Terminal from "@effect/platform/Terminal"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as DurationText from "../DurationText.ts"
import { verb } from "../event/DockerEvent.ts"
import * as Log from "../Log.ts"
import * as SystemReason from "../SystemReason.ts"
import type * as State from "../state.ts"
import * as Arguments from "./Arguments.ts"
import * as CliCommand from "./CliCommand.ts"
import * as CliOption from "./CliOption.ts"
import { CommandError } from "./CommandError.ts"
import * as StateOptions from "./State.ts"

/** Parses the time of `--since`, a duration before now or a date, to milliseconds since 1970. */
const parseSince: CliOption.Parser<number> = (text, name) =>
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

const two = (number: number) => String(number).padStart(2, "0")

/** In local time, as the log has it. */
const formatTime = (milliseconds: number): string => {
  const date = new Date(milliseconds)
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

const formatRun = (run: State.History.Run): ReadonlyArray<string> => [
  String(run.id),
  formatTime(run.began),
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

/** Prints lines, and waits until the reader has taken them: a history can be larger than memory. */
const print = (lines: ReadonlyArray<string>) =>
  Effect.flatMap(Terminal.Terminal, ({ display }) => display(lines.map((line) => `${line}\n`).join("")))

const notWritten = (error: PlatformError) => {
  // A reader that has ended (`des history | head`) is not an error.
  if (SystemReason.codeOf(error.cause) === "EPIPE") return Effect.void
  return new CommandError({
    message: `the history cannot be printed: ${SystemReason.describePlatform(error)}; nothing in the journal has changed`
  })
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
    since: CliOption.optional({
      name: "since",
      placeholder: "TIME",
      description:
        "only runs that began at this time or later: a duration before now (2h) or a date (2026-11-23T10:00)",
      parse: parseSince
    }),
    json: CliOption.flag({ name: "json", description: "print one JSON object a line" })
  },
  run: Effect.fnUntraced(function* (given) {
    const directory = yield* StateOptions.required(given.state)
    const { Failure, History, StateDirectory } = yield* StateOptions.load
    const runs = History.list({ failed: given.failed, since: given.since ?? 0 })
    const explained = Stream.mapError(runs, Failure.explain(StateDirectory.journalFile(directory)))
    const printed = given.json
      ? Stream.runForEachChunk(explained, (page) => print(Chunk.toReadonlyArray(page).map(formatJson)))
      : Stream.runCollect(Stream.map(explained, (run) => formatRun(run).map(Log.escape))).pipe(
          Effect.flatMap((rows) => print(formatTable(rows)))
        )
    yield* printed.pipe(
      Effect.catchTag("BadArgument", "SystemError", notWritten),
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
