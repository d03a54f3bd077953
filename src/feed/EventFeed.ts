import type { PlatformError } from "@effect/platform/Error"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Engine, EngineError, type EngineIdentity as Identity } from "../engine/Engine.ts"
import type * as DockerEvent from "../event/DockerEvent.ts"
import * as OwnEvent from "../event/OwnEvent.ts"
import { decodeRecords } from "../event/Records.ts"
import * as Continuity from "./Continuity.ts"
import * as FeedConnection from "./FeedConnection.ts"
import * as FeedMemory from "./FeedMemory.ts"
import * as Outage from "./Outage.ts"

/**
 * A feed that was recorded could not be read to its end.
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
 * The feed of events. An engine's has no end; one from records ends with them.
 *
 * - `engines`: the names of the engines that it watches. There are none where it is recorded.
 * - `events`: the feed as if its engines were never met before.
 * - `resume`: the feed as it goes on from what is remembered of its engines. Who accepts its events remembers them.
 *
 * Each can be run again.
 *
 * @since 1.0.0
 * @category services
 */
export class EventFeed extends Context.Tag("des/EventFeed")<
  EventFeed,
  {
    readonly engines: ReadonlyArray<string>
    readonly events: Stream.Stream<DockerEvent.DockerEvent, EventFeedError>
    readonly resume: (memory: FeedMemory.FeedMemory) => Stream.Stream<DockerEvent.DockerEvent, EventFeedError>
  }
>() {}

/**
 * How an engine's feed is watched.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options {
  /** After so long without an event the feed is proved to be alive (default: 30 seconds). */
  readonly liveness?: Duration.DurationInput
  /** Give `container/start` for what runs when an engine is met for the first time (default: no). */
  readonly sync?: boolean
}

const logLevels = { Debug: LogLevel.Debug, Info: LogLevel.Info, Warning: LogLevel.Warning }

/**
 * After how long without an event a feed is checked by default.
 *
 * @since 1.0.0
 * @category constructors
 */
export const defaultLiveness: Duration.DurationInput = "30 seconds"

const say = ({ level, message }: Outage.Line) => Effect.logWithLevel(logLevels[level], message)

/** The next delay is up to a quarter shorter or longer. */
const spread = Random.nextRange(0.75, 1.25)

/** What an engine says that nobody thought of is its own outage, and not that of des. */
const asOutage =
  (name: string) =>
  (cause: Cause.Cause<EngineError>): Option.Option<Stream.Stream<never, EngineError>> =>
    Option.map(Cause.dieOption(cause), (defect) =>
      Stream.fail(new EngineError({ reason: "NotAnEngine", endpoint: name, detail: String(defect), cause: defect }))
    )

/** Reads the feed of an engine, and opens it again whenever it is lost. */
const watch = (engine: Engine["Type"], options: Options) => (memory: FeedMemory.FeedMemory) =>
  Stream.unwrap(
    Effect.gen(function* () {
      const { name } = engine
      const liveness = Duration.decode(options.liveness ?? defaultLiveness)
      const continuity = Continuity.make(yield* memory.recall(name))
      let outage = Outage.begin

      const opened = Effect.fnUntraced(function* ({ api, kind, version }: Identity) {
        const change = Outage.opened(outage, name, yield* Clock.currentTimeMillis)
        outage = change.outage
        yield* say(change.line)
        if (!change.isConnected) return Stream.empty
        const attributes = { kind, version, api, engine: name }
        return Stream.make(yield* OwnEvent.make({ action: "connected", id: name, engine: name, attributes }))
      })

      const lost = Effect.fnUntraced(function* (error: EngineError) {
        const change = Outage.lost(outage, error, yield* Clock.currentTimeMillis, yield* spread)
        outage = change.outage
        if (change.line !== undefined) yield* say(change.line)
        const wait = Stream.execute(Effect.sleep(Duration.millis(change.delay)))
        if (!change.isDisconnected) return wait
        const attributes = { reason: error.message, engine: name }
        const event = yield* OwnEvent.make({ action: "disconnected", id: name, engine: name, attributes })
        return Stream.concat(Stream.make(event), wait)
      })

      return Stream.unwrapScoped(
        Effect.gen(function* () {
          const sync = options.sync ?? false
          const { events, identity } = yield* FeedConnection.connect({ engine, memory, continuity, liveness, sync })
          return Stream.concat(yield* opened(identity), events)
        })
      ).pipe(
        Stream.catchSomeCause(asOutage(name)),
        Stream.catchAll((error) => Stream.unwrap(lost(error))),
        Stream.forever
      )
    })
  )

/**
 * The feed of an engine. It goes on where it was left, as far as the engine can replay what came meanwhile: each record is
 * given once. What cannot be replayed is a gap, which is said and followed by what the engine's containers show. An engine
 * that is away is waited for, and tried again after 0.5 s at first and 30 s at most; each change is logged once, and told
 * as `des/connected` and `des/disconnected`.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<EventFeed, never, Engine> =>
  Layer.effect(
    EventFeed,
    Effect.map(Engine, (engine) => {
      const resume = watch(engine, options)
      return { engines: [engine.name], events: resume(FeedMemory.none), resume }
    })
  )

/**
 * A feed from recorded bytes, one JSON record a line, as `docker events --format '{{json .}}'` prints them. `source`
 * names it in reports and errors.
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

/**
 * Several feeds as one: each engine connects, fails and is waited for by itself.
 *
 * @since 1.0.0
 * @category layers
 */
export const layerMerged = <E, R>(feeds: ReadonlyArray<Layer.Layer<EventFeed, E, R>>): Layer.Layer<EventFeed, E, R> =>
  Layer.scoped(
    EventFeed,
    Effect.map(
      Effect.forEach(feeds, (feed) => Effect.map(Layer.build(feed), (context) => Context.get(context, EventFeed))),
      (feeds) => {
        // One alone is not merged, which would cost each event a little.
        const merged = ([first = Stream.empty, ...others]: ReadonlyArray<
          Stream.Stream<DockerEvent.DockerEvent, EventFeedError>
        >) => others.reduce((one, other) => Stream.merge(one, other), first)
        return {
          engines: feeds.flatMap(({ engines }) => engines),
          events: merged(feeds.map(({ events }) => events)),
          resume: (memory) => merged(feeds.map(({ resume }) => resume(memory)))
        }
      }
    )
  )
