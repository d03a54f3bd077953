import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import type { PlatformError } from "@effect/platform/Error"
import * as Terminal from "@effect/platform/Terminal"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Stream from "effect/Stream"
import * as Log from "../Log.ts"
import { parseDuration } from "../scripts/ScriptOptions.ts"
import type * as State from "../state.ts"
import * as CommonOptions from "./CommonOptions.ts"
import * as Failed from "./Failed.ts"
import * as StateOptions from "./State.ts"

/** A time as `--since` takes it: a duration before now, or a date; in milliseconds since 1970. */
const parseSince = (text: string) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const ago = parseDuration(text)
    const at = ago === undefined ? Date.parse(text) : now - ago
    return Number.isNaN(at)
      ? Effect.fail(
          CommonOptions.invalid(
            `--since ${JSON.stringify(text)}: it is a duration before now, such as 2h, or a date, such as 2026-11-23T10:00`
          )
        )
      : Effect.succeed(at)
  })

const historyOptions = {
  ...StateOptions.ofState,
  failed: Options.boolean("failed").pipe(Options.withDescription("only runs that did not succeed")),
  since: Options.text("since").pipe(
    Options.withPseudoName("TIME"),
    Options.withDescription("only runs that began since then: 2h ago (2h), or a date (2026-11-23T10:00)"),
    Options.mapEffect(parseSince),
    Options.optional
  ),
  json: Options.boolean("json").pipe(Options.withDescription("print one JSON object a line")),
  ...CommonOptions.ofLog
}

const two = (number: number) => String(number).padStart(2, "0")

/** In local time, as the log has it. */
const formatTime = (milliseconds: number): string => {
  const date = new Date(milliseconds)
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

const verbOf = (action: string): string => action.split(":")[0] ?? ""

const formatRun = (run: State.History.Run): ReadonlyArray<string> => [
  String(run.id),
  formatTime(run.began),
  `${run.type}/${verbOf(run.action)}`,
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

/** Goes on when its reader has them: a history can be longer than memory. */
const print = (lines: ReadonlyArray<string>) =>
  Effect.flatMap(Terminal.Terminal, ({ display }) => display(lines.map((line) => `${line}\n`).join("")))

const notWritten = ({ cause, message }: PlatformError) => {
  const code = Predicate.hasProperty(cause, "code") ? cause.code : undefined
  // A reader that is gone (`des history | head`) has what it wanted.
  if (code === "EPIPE") return Effect.void
  const why = cause instanceof Error ? cause.message : message
  return Failed.withCode(1)({ message: `the history cannot be written (${why}); nothing in the journal has changed` })
}

/** `des history`: the runs of the journal. */
export const history = Command.make("history", historyOptions, (given) =>
  Effect.gen(function* () {
    const directory = yield* StateOptions.required(given.state)
    const { Failure, History, StateDirectory } = yield* StateOptions.load
    const runs = History.list({ failed: given.failed, since: Option.getOrElse(given.since, () => 0) })
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
  }).pipe(
    Effect.catchTag("JournalError", Failed.withCode(1)),
    Effect.catchAllDefect(Failed.onDefect),
    Effect.provide(Log.layer({ format: given.logFormat, verbose: given.verbose }))
  )
).pipe(Command.withDescription("Prints the runs that the journal has: time, event, script, exit, duration."))

const ids = Args.integer({ name: "ID" }).pipe(
  Args.withDescription("a run, as des history numbers them"),
  Args.atLeast(1)
)

/** `des retry`: queues runs again. */
export const retry = Command.make("retry", { ...StateOptions.ofState, ...CommonOptions.ofLog, ids }, (given) =>
  Effect.gen(function* () {
    const directory = yield* StateOptions.required(given.state)
    const { Failure, History, StateDirectory } = yield* StateOptions.load
    const { cut, unknown } = yield* History.retry(given.ids).pipe(
      Failure.explained(StateDirectory.journalFile(directory)),
      Effect.provide(StateDirectory.layerShared({ directory }))
    )
    if (unknown.length > 0) {
      yield* Failed.withCode(1)({
        message: `no run ${unknown.join(", ")} is in the journal, so nothing is queued; des history lists them`
      })
    }
    if (cut.length > 0) {
      yield* Failed.withCode(1)({
        message: `run ${cut.join(", ")} cannot be retried, so nothing is queued: its event has run without a failure, and of such events records over 64 KiB are not kept`
      })
    }
    const { size } = new Set(given.ids)
    yield* Effect.logInfo(`queued ${size} ${size === 1 ? "run" : "runs"} again`)
  }).pipe(
    Effect.catchTag("JournalError", Failed.withCode(1)),
    Effect.catchAllDefect(Failed.onDefect),
    Effect.provide(Log.layer({ format: given.logFormat, verbose: given.verbose }))
  )
).pipe(
  Command.withDescription("Queues runs again: a des that runs takes them up within a second, else the next start does.")
)
