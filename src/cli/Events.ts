import type * as FileSystem from "@effect/platform/FileSystem"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Des from "../Des.ts"
import * as Engine from "../engine/Engine.ts"
import * as EngineHttp from "../engine/EngineHttp.ts"
import { type DockerEvent, verb } from "../event/DockerEvent.ts"
import * as EventFilter from "../event/EventFilter.ts"
import * as OwnEvent from "../event/OwnEvent.ts"
import * as Records from "../event/Records.ts"
import * as EventFeed from "../feed/EventFeed.ts"
import * as ScriptDirectory from "../scripts/ScriptDirectory.ts"
import * as ScriptOptions from "../scripts/ScriptOptions.ts"
import * as Trust from "../scripts/Trust.ts"
import * as CliCommand from "./CliCommand.ts"
import * as CliOption from "./CliOption.ts"
import { CommandError, UsageError } from "./CommandError.ts"
import * as CommonOptions from "./CommonOptions.ts"
import * as PrintedEvent from "./PrintedEvent.ts"
import * as RecordFile from "./RecordFile.ts"
import * as Results from "./Results.ts"
import * as WatchedEngine from "./WatchedEngine.ts"

/** The times that an event must lie between, in milliseconds since 1970. */
interface Range {
  readonly since: number | undefined
  readonly until: number | undefined
}

const nanos = (milliseconds: number): bigint => BigInt(Math.trunc(milliseconds)) * 1_000_000n

const isIn =
  ({ since, until }: Range) =>
  ({ timeNano }: DockerEvent): boolean =>
    (since === undefined || timeNano >= nanos(since)) && (until === undefined || timeNano <= nanos(until))

type Watched = Effect.Effect.Success<ReturnType<typeof WatchedEngine.find>>[number]

/** What an engine has of a time, and what happens until its end. It is not opened again if the connection is lost. */
const ofRange = (watched: Watched, { since, until }: Range) =>
  Stream.unwrap(
    Effect.gen(function* () {
      const engine = yield* Engine.Engine
      // Without it podman's kind, which decides how long des waits for the answer, is not known.
      yield* engine.identify
      const now = yield* Clock.currentTimeMillis
      const range = {
        since: nanos(since ?? now),
        ...(until === undefined ? {} : { until: nanos(until) })
      }
      return Stream.unwrap(engine.feed(range)).pipe(
        Stream.catchAll((error) =>
          error.reason === "Ended" && until !== undefined ? Stream.empty : Stream.fail(error)
        ),
        Records.decodeRecords({ source: watched.name, engine: watched.name })
      )
    })
  ).pipe(Stream.provideLayer(Layer.provide(Engine.layer(watched), EngineHttp.layer(watched))))

/** What a feed of the engines has, and what is opened again when a connection is lost. */
const live = (engines: ReadonlyArray<Watched>) =>
  Stream.unwrapScoped(
    Effect.map(Layer.build(Des.layerFeeds(engines)), (context) => Context.get(context, EventFeed.EventFeed).events)
  )

const fromFile = (file: string, range: Range) =>
  Stream.unwrap(
    Effect.map(RecordFile.open(file, "--from"), ({ bytes, source }) =>
      bytes.pipe(
        Stream.mapError(({ message }) => new CommandError({ message: `--from ${file} cannot be read: ${message}` })),
        Records.decodeRecords({ source }),
        Stream.filter(isIn(range))
      )
    )
  )

/** Looks up the scripts of events, if there is a script directory. What is wrong with scripts is said by `des check`. */
const finder = (directory: string, insecureScripts: boolean) =>
  Layer.build(
    ScriptDirectory.layer({ directory }).pipe(
      Layer.provide(insecureScripts ? Trust.layerInsecure : Trust.layer({ directory }))
    )
  ).pipe(
    Effect.map((context) => Context.get(context, ScriptDirectory.ScriptDirectory)),
    Effect.option,
    Effect.map((scripts) => (event: DockerEvent) => {
      if (Option.isNone(scripts)) return Effect.succeed([])
      return Effect.map(scripts.value.find(event.Type, verb(event)), (found) =>
        found
          .filter(({ options }) => ScriptOptions.matches(options, event))
          .map(({ path }) => path.slice(directory.length + 1))
      )
    }),
    Effect.map((find) => (event: DockerEvent) => Logger.withMinimumLogLevel(find(event), LogLevel.None)),
    Logger.withMinimumLogLevel(LogLevel.None)
  )

/** A record of an engine: des's own events and what it found out by comparing have none. */
const isOfEngine = (event: DockerEvent): boolean => event.Type !== OwnEvent.type && !event.synthetic

/** `des events`: the feed for people, or as records. */
export const events = CliCommand.make({
  name: "events",
  summary: "Show events as they happen, with the scripts that would run",
  config: {
    directory: CommonOptions.directory,
    ...CommonOptions.ofEngine,
    filter: CliOption.repeatable({
      name: "filter",
      placeholder: "KEY=VALUE",
      example: "type=container,event=die",
      completes: "filter",
      description:
        "show only these events, as docker events does; KEY=VALUE can be a list: type=container,event=die,container=web,image=nginx,label=KEY=VALUE",
      parse: (text, name) => {
        const filters = EventFilter.parse(text)
        return typeof filters === "string"
          ? Effect.fail(CliOption.refuse(name, text, filters))
          : Effect.succeed(filters)
      }
    }),
    since: CommonOptions.since("show also what happened since this time"),
    until: CommonOptions.until,
    from: CommonOptions.from("show the records of FILE (- is stdin) instead of an engine's"),
    json: CliOption.flag({ name: "json", description: "print the raw records, one a line, which --from reads" }),
    insecureScripts: CommonOptions.insecureScripts
  },
  run: Effect.fnUntraced(function* (given) {
    const filters = given.filter.flat()
    const { since, until } = given
    if (since !== undefined && until !== undefined && since > until) {
      return yield* new UsageError({ message: "conflicting options: --since is later than --until" })
    }
    const isRange = since !== undefined || until !== undefined
    const engines = given.from === undefined ? yield* WatchedEngine.find(given) : []
    const directory = Trust.absolute(given.directory)
    const style: PrintedEvent.Style = {
      table: yield* Results.loadTable,
      width: Results.terminalWidth(),
      dated: isRange || given.from !== undefined || process.stdout.isTTY !== true,
      coloured: Results.hasColours(),
      engines: engines.length > 1
    }
    const all: Stream.Stream<
      DockerEvent,
      CommandError | Engine.EngineError | EventFeed.EventFeedError,
      FileSystem.FileSystem
    > =
      given.from !== undefined
        ? fromFile(given.from, given)
        : isRange
          ? Stream.mergeAll(
              engines.map((watched) => ofRange(watched, given)),
              { concurrency: "unbounded" }
            )
          : live(engines)
    const meant = Stream.filter(all, (event) => EventFilter.matches(filters, event))
    const printed = given.json
      ? Stream.runForEachChunk(Stream.filter(meant, isOfEngine), (chunk) =>
          Results.print(Chunk.toReadonlyArray(chunk).map(PrintedEvent.formatJson))
        )
      : Effect.gen(function* () {
          const find = yield* finder(directory, given.insecureScripts)
          yield* Results.print([PrintedEvent.head(style)])
          yield* Stream.runForEachChunk(meant, (chunk) =>
            Effect.flatMap(
              Effect.forEach(chunk, (event) =>
                Effect.map(find(event), (scripts) => PrintedEvent.format(event, scripts, style))
              ),
              Results.print
            )
          )
        }).pipe(Effect.scoped)
    yield* Effect.catchTag(printed, "BadArgument", "SystemError", Results.untilUnread("events"))
    return 0
  })
})
