import * as Args from "@effect/cli/Args"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as DockerEvent from "../event/DockerEvent.ts"
import * as Log from "../Log.ts"
import * as Environment from "../scripts/Environment.ts"
import type * as State from "../state.ts"
import * as Arguments from "./Arguments.ts"
import * as CliCommand from "./CliCommand.ts"
import * as CliOption from "./CliOption.ts"
import { CommandError, UsageError } from "./CommandError.ts"
import * as CommonOptions from "./CommonOptions.ts"
import * as GivenEvent from "./GivenEvent.ts"
import * as Results from "./Results.ts"
import * as RunTable from "./RunTable.ts"
import * as StateOptions from "./State.ts"

const formatJson = (run: State.History.Run): string => Log.escape(JSON.stringify(run))

/** Prints runs in columns, page by page. The heads come with the first page, which says how wide the columns are. */
const printTable = <E, R>(runs: Stream.Stream<State.History.Run, E, R>, hasNodes: boolean) =>
  Effect.gen(function* () {
    const table = RunTable.make(yield* Results.loadTable, Results.terminalWidth(), hasNodes)
    let isBegun = false
    yield* Stream.runForEachChunk(runs, (page) => {
      const rows = table.rows(Chunk.toReadonlyArray(page))
      const lines = isBegun || rows.length === 0 ? rows : [table.head(), ...rows]
      isBegun ||= rows.length > 0
      return Results.print(lines)
    })
    if (!isBegun) yield* Results.print([table.head()])
  })

const indented = (text: string): ReadonlyArray<string> => text.split("\n").map((line) => `  ${Log.escape(line)}`)

/** Values of --env can be secrets, so the journal has none of them. */
const notKept =
  "  not shown: DES_COALESCED; not kept, since it is not of the event: --env, DES_ENDPOINT, DOCKER_HOST …, PATH, HOME …"

/** The variables that the script got for its event. */
const variablesOf = ({ name, record, run, synthetic }: State.History.Detail): ReadonlyArray<string> => {
  const event = DockerEvent.decode(record, run.engine)
  if (Either.isLeft(event)) return ["  not kept, since the record is not"]
  const variables = Environment.make(event.right, {
    DES_ATTEMPT: String(run.attempt),
    DES_RUN: name,
    ...(run.engine === "" ? {} : { DES_ENGINE: run.engine }),
    ...(synthetic ? { DES_SYNTHETIC: "1" } : {})
  })
  return [
    ...Object.entries(variables)
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([variable, value]) => `  ${variable}=${Log.escape(value)}`),
    notKept
  ]
}

const describe = (detail: State.History.Detail): ReadonlyArray<string> => {
  const { attempts, inspected, record, run } = detail
  const facts = {
    run: String(run.id),
    event: `${run.type}/${run.action}`,
    actor: run.name === null ? run.actor : `${run.name} (${run.actor})`,
    engine: run.engine === "" ? "-" : run.engine,
    script: run.script,
    began: Results.formatTime(run.began),
    attempt: String(run.attempt),
    exit:
      run.exit === null || run.outcome === "exited" ? RunTable.exitOf(run) : `${RunTable.exitOf(run)} (${run.outcome})`,
    duration: RunTable.durationOf(run),
    ...(run.node === undefined ? {} : { node: run.node })
  }
  return [
    ...Object.entries(facts).map(([name, value]) => `${`${name}:`.padEnd(10)}${Log.escape(value)}`),
    "attempts:",
    ...attempts.map(
      (each) =>
        `  ${each.attempt}: run ${each.id}, ${Results.formatTime(each.began)}, exit ${Log.escape(RunTable.exitOf(each))}, ${RunTable.durationOf(each)}`
    ),
    "output:",
    ...indented(run.output ?? ""),
    "environment:",
    ...variablesOf(detail),
    "record:",
    ...indented(record === "" ? "not kept" : record),
    ...(inspected === null ? [] : ["inspect data:", ...indented(inspected)])
  ]
}

/** A run's number. */
const parseId = CliOption.expecting("the number of a run, as des history shows it", (text) =>
  /^\d{1,15}$/.test(text) ? Number(text) : undefined
)

/** The most runs that `--last` takes. */
const mostLast = 1_000_000

/** How many runs `--follow` begins with, if neither --last nor --since says it. */
const lastFollowed = 10

/** What to print: the list, or one run. */
const parseOperands = (operands: ReadonlyArray<string>): Effect.Effect<number | undefined, UsageError> => {
  const [word, text = "", ...others] = operands
  if (word === undefined) return Effect.succeed(undefined)
  return word === "show" && /^\d{1,15}$/.test(text) && others.length === 0
    ? Effect.succeed(Number(text))
    : new UsageError({
        message: `${JSON.stringify(operands.join(" "))}: expected show ID, with the number of a run, such as des history show 12`
      })
}

/** `des history`: the runs of the journal. */
export const history = CliCommand.make({
  name: "history",
  summary:
    "Print the runs in the journal, or all of one run; the list has the time, event, script, exit code and duration",
  operands: { usage: "[show ID]", completes: ["show"] },
  config: {
    ...StateOptions.ofState,
    failed: CliOption.flag({
      name: "failed",
      description: "only runs that failed in the end: no retry follows, and none has fixed it"
    }),
    since: CommonOptions.since("only runs that began at this time or later"),
    script: CliOption.optional({
      name: "script",
      placeholder: "PATH",
      example: "container/die",
      completes: "script",
      description: "only runs of this script: its path, or the end of it, such as container/die",
      parse: CliOption.anyText
    }),
    event: CliOption.optional({
      name: "event",
      placeholder: "TYPE/ACTION",
      example: "container/die",
      completes: "event",
      description: "only runs for such events",
      parse: GivenEvent.parse
    }),
    actor: CliOption.optional({
      name: "actor",
      placeholder: "NAME",
      example: "web",
      description: "only runs for the container, volume … with this name or ID, or with an ID that begins like this",
      parse: CliOption.anyText
    }),
    last: CliOption.optional({
      name: "last",
      placeholder: "N",
      example: "20",
      description: "only the newest N of these runs",
      parse: CliOption.wholeNumber(1, mostLast)
    }),
    follow: CliOption.flag({
      name: "follow",
      short: "f",
      description: `print the newest ${lastFollowed} runs (or those of --last or --since), then each run when it ends`
    }),
    json: CommonOptions.json,
    operands: Args.text({ name: "show ID" }).pipe(
      Args.withDescription("print all that the journal has of one run: record, environment, output, attempts"),
      Args.map(Arguments.unquote),
      Args.repeated
    )
  },
  run: Effect.fnUntraced(function* (given) {
    const shown = yield* parseOperands(given.operands)
    const { explain, History, layer, replaced } = yield* StateOptions.beside(given.state)
    if (given.follow && shown !== undefined) {
      return yield* new UsageError({ message: "conflicting options: --follow prints a list, and show prints one run" })
    }
    const last = given.last ?? (given.since === undefined ? lastFollowed : undefined)
    const runs = Stream.mapError(given.follow ? History.follow({ ...given, last }) : History.list(given), explain)
    const list = given.json
      ? Stream.runForEachChunk(runs, (page) => Results.print(Chunk.toReadonlyArray(page).map(formatJson)))
      : printTable(runs, StateOptions.isUrl(given.state ?? ""))
    const listed = given.follow ? Effect.raceFirst(list, replaced) : list
    const one = Effect.fnUntraced(function* (id: number) {
      const detail = Option.getOrUndefined(yield* Effect.mapError(History.get(id), explain))
      if (detail === undefined) return false
      const { attempts, inspected, record, run } = detail
      const known = { ...run, record, ...(inspected === null ? {} : { inspected }), attempts }
      yield* Results.print(given.json ? [Log.escape(JSON.stringify(known))] : describe(detail))
      return true
    })
    const printed = shown === undefined ? Effect.as(listed, true) : one(shown)
    const isThere = yield* printed.pipe(
      Effect.catchTag("BadArgument", "SystemError", (error) =>
        Effect.as(Results.untilUnread("the history", "; nothing in the journal has changed")(error), true)
      ),
      Effect.provide(layer)
    )
    if (isThere) return 0
    return yield* new CommandError({ message: `the journal has no run ${shown}; des history lists all runs` })
  })
})

/** `des retry`: queues runs again. */
export const retry = CliCommand.make({
  name: "retry",
  summary: "Queue runs again; a running des starts them within a second, otherwise the next start of des does",
  operands: { usage: "ID...", example: "17", completes: [] },
  config: {
    ...StateOptions.ofState,
    runs: Args.text({ name: "ID" }).pipe(
      Args.withDescription("the numbers of one or more runs, as des history shows them"),
      Args.mapEffect((quoted) => Effect.mapError(parseId(Arguments.unquote(quoted), "ID"), ({ error }) => error)),
      Args.atLeast(1)
    )
  },
  run: Effect.fnUntraced(function* (given) {
    const { explain, History, layer } = yield* StateOptions.beside(given.state)
    const { cut, unknown } = yield* History.retry(given.runs).pipe(Effect.mapError(explain), Effect.provide(layer))
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
