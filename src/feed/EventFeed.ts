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
import * as FeedConnection from "./FeedConnection.ts"
import { FeedMemory } from "./FeedMemory.ts"
import * as Missed from "./Missed.ts"

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
 * The feed of events. An engine's has no end; one from records ends with them. `engines` names those that it watches, and
 * is empty where it is recorded. `missed` tells of events of an engine that could not be kept: a gap, which is said and healed as any other.
 *
 * @since 1.0.0
 * @category services
 */
export class EventFeed extends Context.Tag("des/EventFeed")<
  EventFeed,
  {
    readonly engines: ReadonlyArray<string>
    readonly missed: (engine: string, missed: Missed.Missed) => Effect.Effect<void>
    readonly events: Stream.Stream<DockerEvent.DockerEvent, EventFeedError>
  }
>() {}

const firstDelay = Duration.millis(500)
const longestDelay = Duration.seconds(30)
/** A feed that was open this many milliseconds counts as a success, after which the delays begin anew. */
const lasting = 5000

/** A feed that was open this many milliseconds is missed no longer than it lasted, however often it is cut. */
const worth = 1000

/** Doubles with every failure in a row, and is spread so that many watchers do not come back at the same moment. */
const backoff = (failures: number, lasted: number) =>
  Effect.map(Random.nextRange(0.75, 1.25), (spread) => {
    const delay = Duration.min(Duration.times(firstDelay, 2 ** Math.min(failures, 16)), longestDelay)
    const bounded = lasted < worth ? delay : Duration.min(delay, Duration.millis(lasted))
    return Duration.millis(Math.round(Duration.toMillis(bounded) * spread))
  })

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

const watch = (engine: Engine["Type"], memory: FeedMemory["Type"], options: Options): EventFeed["Type"] => {
  const { name } = engine
  const liveness = Duration.decode(options.liveness ?? "30 seconds")
  const sync = options.sync ?? false

  // What nobody had room for, until a connection heals it.
  let missed = Missed.nothing
  const toHeal = Effect.unsafeMakeLatch(false)
  const heal: FeedConnection.Healing = {
    awaited: toHeal.await,
    missed: Effect.sync(() => missed),
    healed: (said) =>
      Effect.sync(() => {
        // What was missed meanwhile is another gap.
        if (said !== missed) return
        missed = Missed.nothing
        toHeal.unsafeClose()
      })
  }

  const events = Stream.unwrap(
    Effect.map(memory.recall(name), (recalled) => {
      const continuity = FeedConnection.makeContinuity(recalled)
      let failures = 0
      let lastSaid = ""
      // Whether the engine is there, as far as it was told.
      let isThere = false
      let openedAt: number | undefined

      const opened = ({ api, kind, version }: Identity) =>
        Effect.gen(function* () {
          openedAt = yield* Clock.currentTimeMillis
          if (isThere) {
            yield* Effect.logDebug(`the feed of ${name} is open again`)
            return Stream.empty
          }
          isThere = true
          lastSaid = ""
          yield* Effect.logInfo(`watching ${name} for container events`)
          const attributes = { kind, version, api, engine: name }
          return Stream.make(yield* OwnEvent.make({ action: "connected", id: name, engine: name, attributes }))
        })

      const connection = Stream.unwrapScoped(
        Effect.gen(function* () {
          const { events, identity } = yield* FeedConnection.connect({
            engine,
            name,
            memory,
            continuity,
            liveness,
            sync,
            heal
          })
          return Stream.concat(yield* opened(identity), events)
        })
      )

      const lost = (error: EngineError) =>
        Effect.gen(function* () {
          const lasted = openedAt === undefined ? 0 : (yield* Clock.currentTimeMillis) - openedAt
          const wasOpen = openedAt !== undefined
          openedAt = undefined
          if (lasted >= lasting) failures = 0
          const delay = lasted >= lasting ? Duration.zero : yield* backoff(failures++, lasted)
          const wait = Stream.execute(Effect.sleep(delay))
          // What is mended at once and lost nothing is nobody's concern, however often a proxy cuts the feed.
          if (wasOpen && Duration.toMillis(delay) < lasting) {
            const level = error.reason === "Silent" ? LogLevel.Warning : LogLevel.Debug
            yield* Effect.logWithLevel(level, `${error.message}; it is opened again`)
            return wait
          }
          // One line a change, not one a try.
          if (error.message !== lastSaid) {
            lastSaid = error.message
            yield* Effect.logWarning(`${error.message}; des goes on trying`)
          }
          if (!isThere) return wait
          isThere = false
          const attributes = { reason: error.message, engine: name }
          const event = yield* OwnEvent.make({ action: "disconnected", id: name, engine: name, attributes })
          return Stream.concat(Stream.make(event), wait)
        })

      return connection.pipe(
        // What an engine says that nobody thought of is its own outage, and not that of des.
        Stream.catchSomeCause((cause) =>
          Option.map(Cause.dieOption(cause), (defect) =>
            Stream.fail(
              new EngineError({ reason: "NotAnEngine", endpoint: name, detail: String(defect), cause: defect })
            )
          )
        ),
        Stream.catchAll((error) => Stream.unwrap(lost(error))),
        Stream.forever
      )
    })
  )
  return {
    engines: [name],
    missed: (_, more) =>
      Effect.suspend(() => {
        missed = Missed.concat(missed, more)
        return Effect.asVoid(toHeal.open)
      }),
    events
  }
}

/**
 * The feed of an engine. It goes on where it was left, as far as the engine can replay what came meanwhile: each record is
 * given once. What cannot be replayed is a gap, which is said and followed by what the engine's containers show. An engine
 * that is away is waited for, and tried again after 0.5 s at first and 30 s at most; each change is logged once, and told
 * as `des/connected` and `des/disconnected`.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<EventFeed, never, Engine | FeedMemory> =>
  Layer.effect(
    EventFeed,
    Effect.gen(function* () {
      return watch(yield* Engine, yield* FeedMemory, options)
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
}): Layer.Layer<EventFeed> =>
  Layer.succeed(EventFeed, {
    engines: [],
    missed: () => Effect.void,
    events: options.bytes.pipe(
      Stream.mapError((cause) => new EventFeedError({ reason: "Unreadable", source: options.source, cause })),
      decodeRecords({ source: options.source })
    )
  })

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
      (all) => {
        const [first = Stream.empty, ...others] = all.map(({ events }) => events)
        return {
          engines: all.flatMap(({ engines }) => engines),
          missed: (engine, missed) =>
            all.find(({ engines }) => engines.includes(engine))?.missed(engine, missed) ?? Effect.void,
          // One alone is not merged, which would cost each event a little.
          events: others.reduce((one, other) => Stream.merge(one, other), first)
        }
      }
    )
  )
