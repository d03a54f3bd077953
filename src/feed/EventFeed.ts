import type { PlatformError } from "@effect/platform/Error"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Function from "effect/Function"
import * as Layer from "effect/Layer"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Endpoint from "../endpoint/Endpoint.ts"
import { Engine, EngineError, type EngineIdentity, programs } from "../engine/Engine.ts"
import type * as DockerEvent from "../event/DockerEvent.ts"
import * as OwnEvent from "../event/OwnEvent.ts"
import { decodeRecords } from "../event/Records.ts"
import * as SkippedLines from "../event/SkippedLines.ts"
import * as LogFields from "../LogFields.ts"
import * as Metrics from "../Metrics.ts"
import * as Continuity from "./Continuity.ts"
import * as FeedConnection from "./FeedConnection.ts"
import * as FeedMemory from "./FeedMemory.ts"
import * as Inspector from "./Inspector.ts"
import * as Outage from "./Outage.ts"

/**
 * A recorded feed could not be read to its end.
 *
 * @since 1.0.0
 * @category errors
 */
export class EventFeedError extends Schema.TaggedError<EventFeedError>()("EventFeedError", {
  reason: Schema.Literal("Unreadable"),
  source: Schema.String,
  cause: Schema.Defect
}) {
  override get message(): string {
    const why = this.cause instanceof Error ? this.cause.message : String(this.cause)
    return `the records of ${this.source} cannot be read: ${why}`
  }
}

/**
 * The feed of events. The feed of an engine has no end. A recorded feed ends with its records. Each stream can be run again.
 *
 * @example
 * import { EventFeed } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 *
 * export const firstDeath = Effect.flatMap(EventFeed.EventFeed, ({ events }) =>
 *   events.pipe(
 *     Stream.filter(({ Action, Type }) => Type === "container" && Action === "die"),
 *     Stream.runHead
 *   )
 * )
 *
 * @since 1.0.0
 * @category services
 */
export class EventFeed extends Context.Tag("des/EventFeed")<
  EventFeed,
  {
    /** The names of the watched engines. A recorded feed has none. */
    readonly engines: ReadonlyArray<string>
    /** The events, as if des connected to its engines for the first time. */
    readonly events: Stream.Stream<DockerEvent.DockerEvent, EventFeedError>
    /** The events that follow what `memory` has of the engines. Whoever accepts the events updates the memory. */
    readonly resume: (memory: FeedMemory.FeedMemory) => Stream.Stream<DockerEvent.DockerEvent, EventFeedError>
    /**
     * For scripts with `inspect=yes`: what an engine says of containers, each as the line that the scripts get. It takes at most two
     * seconds and never fails. A feed without it has no engine to ask.
     */
    readonly inspect?: (engine: string, ids: Iterable<string>) => Effect.Effect<ReadonlyMap<string, string>>
  }
>() {}

/**
 * How des watches the feed of an engine.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options {
  /** If no event comes for this long, des checks that the feed is alive (default: 30 seconds). */
  readonly liveness?: Duration.DurationInput
  /** At the first connection, emit a `container/start` for each container that runs (default: false). */
  readonly sync?: boolean
}

const logLevels = { Debug: LogLevel.Debug, Info: LogLevel.Info, Warning: LogLevel.Warning }

/** How much of an engine's version the log shows, in characters. */
const shownVersion = 40

/**
 * After how long without an event a feed is checked by default.
 *
 * @since 1.0.0
 * @category constructors
 */
export const defaultLiveness: Duration.DurationInput = "30 seconds"

/** What an engine is, for the log: its endpoint, if its name does not say it, and its kind and version. */
const describe = ({ endpoint, name }: Engine["Type"], { kind, version }: EngineIdentity): string => {
  const address = Endpoint.format(endpoint)
  const program = `${programs[kind]} ${LogFields.cut(version, shownVersion)}`.trimEnd()
  return address === name ? program : `${address}, ${program}`
}

/** Each delay is up to a quarter shorter or longer than computed. */
const spread = Random.nextRange(0.75, 1.25)

/** Treats an internal error about one engine as an outage of that engine. The other engines go on. */
const asOutage =
  (name: string) =>
  (cause: Cause.Cause<EngineError>): Option.Option<Stream.Stream<never, EngineError>> =>
    Option.map(Cause.dieOption(cause), (defect) =>
      Stream.fail(new EngineError({ reason: "NotAnEngine", endpoint: name, detail: String(defect), cause: defect }))
    )

/** Reads the feed of an engine. If another des may read it instead, it begins again, which waits until it may. */
const watch = (engine: Engine["Type"], options: Options) => (memory: FeedMemory.FeedMemory) => {
  const watched = watchOnce(engine, options)(memory)
  return memory.revoked === undefined ? watched : Stream.forever(watched)
}

/** Reads the feed of an engine. It opens the feed again whenever the feed is lost. */
const watchOnce = (engine: Engine["Type"], options: Options) => (memory: FeedMemory.FeedMemory) =>
  Stream.unwrapScoped(
    Effect.gen(function* () {
      const { name } = engine
      const liveness = Duration.decode(options.liveness ?? defaultLiveness)
      yield* Metrics.feedClosed(name)
      const continuity = Continuity.make(yield* memory.recall(name))
      // One for all connections: an engine that comes back again and again must not fill the log.
      const logSkipped = yield* SkippedLines.makeLog(name)
      let outage = Outage.begin
      const annotate = Effect.annotateLogs(LogFields.make({ engine: name }))
      const log = ({ level, message }: Outage.LogLine) => annotate(Effect.logWithLevel(logLevels[level], message))

      const opened = Effect.fnUntraced(function* (identity: EngineIdentity) {
        const { api, kind, version } = identity
        const change = Outage.opened(outage, name, describe(engine, identity), yield* Clock.currentTimeMillis)
        outage = change.outage
        yield* log(change.line)
        if (!change.isNewlyConnected) return Stream.empty
        const attributes = { kind, version, api, engine: name }
        return Stream.make(yield* OwnEvent.make({ action: "connected", id: name, engine: name, attributes }))
      })

      const lost = Effect.fnUntraced(function* (error: EngineError) {
        const change = Outage.lost(outage, error, yield* Clock.currentTimeMillis, yield* spread)
        outage = change.outage
        if (change.line !== undefined) yield* log(change.line)
        const wait = Stream.execute(Effect.sleep(Duration.millis(change.delay)))
        if (!change.isNewlyDisconnected) return wait
        const attributes = { reason: error.message, engine: name }
        const event = yield* OwnEvent.make({ action: "disconnected", id: name, engine: name, attributes })
        return Stream.concat(Stream.make(event), wait)
      })

      return Stream.unwrapScoped(
        Effect.gen(function* () {
          const sync = options.sync ?? false
          const { events, identity } = yield* annotate(
            FeedConnection.connect({ engine, memory, continuity, liveness, sync, logSkipped })
          )
          yield* Effect.acquireRelease(Metrics.feedOpened(name), () => Metrics.feedClosed(name))
          return Stream.concat(yield* opened(identity), events)
        })
      ).pipe(
        Stream.catchSomeCause(asOutage(name)),
        Stream.catchAll((error) => Stream.unwrap(lost(error))),
        Stream.forever,
        memory.revoked === undefined ? Function.identity : Stream.interruptWhen(memory.revoked(name))
      )
    })
  )

/**
 * The feed of an engine.
 *
 * After each connection the engine replays the events that it still has, and des emits each event once. If events may be missing,
 * the feed emits `des/gap`, then synthetic events for the containers that changed.
 *
 * If the engine is away, des retries after 0.5 s at first and 30 s at most. Each change is one log line, and one event
 * `des/connected` or `des/disconnected`.
 *
 * @example
 * import { Endpoint, Engine, EngineHttp, EventFeed } from "docker-event-scripts"
 * import * as Layer from "effect/Layer"
 *
 * const options = { endpoint: Endpoint.defaultEndpoint }
 *
 * export const FeedLive = EventFeed.layer({ liveness: "1 minute" }).pipe(
 *   Layer.provide(Engine.layer(options)),
 *   Layer.provide(EngineHttp.layer(options))
 * )
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<EventFeed, never, Engine> =>
  Layer.effect(
    EventFeed,
    Effect.map(Engine, (engine) => {
      const resume = watch(engine, options)
      const inspect = Inspector.make(engine)
      return { engines: [engine.name], events: resume(FeedMemory.none), resume, inspect: (_, ids) => inspect(ids) }
    })
  )

/**
 * A recorded feed: bytes with one JSON record in each line, as `docker events --format '{{json .}}'` prints them. Warnings and
 * errors call it `source`.
 *
 * @example
 * import { EventFeed } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import * as FileSystem from "@effect/platform/FileSystem"
 *
 * export const RecordedLive = Layer.unwrapEffect(
 *   Effect.map(FileSystem.FileSystem, (fileSystem) =>
 *     EventFeed.layerRecords({ source: "feed.jsonl", bytes: fileSystem.stream("feed.jsonl") })
 *   )
 * )
 *
 * @since 1.0.0
 * @category layers
 */
export const layerRecords = (options: {
  readonly source: string
  readonly bytes: Stream.Stream<Uint8Array, PlatformError>
}): Layer.Layer<EventFeed> => {
  const events = options.bytes.pipe(
    Stream.mapError((cause) => new EventFeedError({ reason: "Unreadable", source: options.source, cause })),
    decodeRecords({ source: options.source })
  )
  return Layer.succeed(EventFeed, { engines: [], events, resume: () => events })
}

type Events = Stream.Stream<DockerEvent.DockerEvent, EventFeedError>

/**
 * Merges feeds in pairs, so that an event passes few merges, however many feeds there are. A feed is pulled again when its last events were
 * handled: a merge through a queue would pull it before.
 */
const merged = (feeds: ReadonlyArray<Events>): Events => {
  const [only = Stream.empty] = feeds
  if (feeds.length <= 1) return only
  const half = Math.ceil(feeds.length / 2)
  return Stream.merge(merged(feeds.slice(0, half)), merged(feeds.slice(half)))
}

/**
 * Merges several feeds into one. Each engine connects, fails and is retried by itself.
 *
 * @example
 * import { Des, Endpoint, EventFeed } from "docker-event-scripts"
 * import * as Testing from "docker-event-scripts/testing"
 *
 * export const FeedLive = EventFeed.layerMerged([
 *   Des.layerFeed({ endpoint: Endpoint.defaultEndpoint }),
 *   Testing.layerFeed([Testing.makeEvent()])
 * ])
 *
 * @since 1.0.0
 * @category layers
 */
export const layerMerged = <E, R>(feeds: ReadonlyArray<Layer.Layer<EventFeed, E, R>>): Layer.Layer<EventFeed, E, R> =>
  Layer.scoped(
    EventFeed,
    Effect.map(
      Effect.forEach(feeds, (feed) => Effect.map(Layer.build(feed), (context) => Context.get(context, EventFeed))),
      (built) => ({
        engines: built.flatMap(({ engines }) => engines),
        events: merged(built.map(({ events }) => events)),
        resume: (memory) => merged(built.map(({ resume }) => resume(memory))),
        inspect: (engine, ids) => {
          const one = built.find(({ engines }) => engines.includes(engine))
          return one?.inspect === undefined ? Effect.succeed(new Map()) : one.inspect(engine, ids)
        }
      })
    )
  )
