import type { PlatformError } from "@effect/platform/Error"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as ParseResult from "effect/ParseResult"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as DockerEvent from "./DockerEvent.ts"
import * as Endpoint from "./Endpoint.ts"
import { Engine, type EngineError } from "./Engine.ts"
import type { Missed } from "./Missed.ts"

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
 * is empty where it is recorded. `missed` tells of events that could not be kept: a gap, which is said and healed as any other.
 *
 * @since 1.0.0
 * @category services
 */
export class EventFeed extends Context.Tag("des/EventFeed")<
  EventFeed,
  {
    readonly engines: ReadonlyArray<string>
    readonly missed: (missed: Missed) => Effect.Effect<void>
    readonly events: Stream.Stream<DockerEvent.DockerEvent, EventFeedError>
  }
>() {}

const explain = (error: ParseResult.ParseError): string =>
  ParseResult.ArrayFormatter.formatErrorSync(error)
    .map(({ message, path }) => (path.length === 0 ? message : `${path.join(".")}: ${message}`))
    .join("; ")

/** application/json-seq puts this before every record (RFC 7464). */
const recordSeparator = "\u001e"

/**
 * Reads a feed's bytes, split wherever they like, as events. What is no event is reported with its line number and
 * skipped; an empty line is nothing. `source` names the feed in that report.
 *
 * @since 1.0.0
 * @category combinators
 */
export const decodeRecords =
  (source: string) =>
  <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<DockerEvent.DockerEvent, E, R> =>
    Stream.suspend(() => {
      let line = 0
      const decodeChunk = (lines: Chunk.Chunk<string>) => {
        const events: Array<DockerEvent.DockerEvent> = []
        const reports: Array<string> = []
        for (const text of lines) {
          line++
          const record = text.startsWith(recordSeparator) ? text.slice(1) : text
          if (record.trim() === "") continue
          const decoded = DockerEvent.decode(record)
          if (Either.isRight(decoded)) events.push(decoded.right)
          else reports.push(`Skipped line ${line} of ${source}, which is no event: ${explain(decoded.left)}`)
        }
        return Effect.as(
          Effect.forEach(reports, (report) => Effect.logWarning(report), { discard: true }),
          Chunk.unsafeFromArray(events)
        )
      }
      return bytes.pipe(Stream.decodeText(), Stream.splitLines, Stream.mapChunksEffect(decodeChunk))
    })

const firstDelay = Duration.millis(500)
const longestDelay = Duration.seconds(30)
/** A feed that was open this many milliseconds counts as a success, after which the delays begin anew. */
const lasting = 5000

/** Doubles with every failure in a row, and is spread so that many watchers do not come back at the same moment. */
const backoff = (failures: number) =>
  Effect.map(Random.nextRange(0.75, 1.25), (spread) =>
    Duration.times(Duration.min(Duration.times(firstDelay, 2 ** Math.min(failures, 16)), longestDelay), spread)
  )

const watch = (engine: Engine["Type"]): Stream.Stream<DockerEvent.DockerEvent> =>
  Stream.suspend(() => {
    const name = Endpoint.format(engine.endpoint)
    let failures = 0
    let lastSaid = ""
    let connectedAt = Number.POSITIVE_INFINITY

    const connected = Effect.gen(function* () {
      connectedAt = yield* Clock.currentTimeMillis
      lastSaid = ""
      yield* Effect.logInfo(`watching ${name} for container events`)
    })

    const wait = (error: EngineError) =>
      Effect.gen(function* () {
        // What opens a feed and ends it at once, as a broken proxy does, is no engine that came back.
        if ((yield* Clock.currentTimeMillis) - connectedAt >= lasting) failures = 0
        connectedAt = Number.POSITIVE_INFINITY
        const delay = yield* backoff(failures++)
        // One line a change, not one a try.
        if (error.message !== lastSaid) {
          lastSaid = error.message
          yield* Effect.logWarning(`${error.message}; des goes on trying`)
        }
        yield* Effect.sleep(delay)
      })

    return Stream.unwrap(Effect.tap(engine.feed, connected)).pipe(
      decodeRecords(name),
      Stream.catchAll((error) => Stream.execute(wait(error))),
      Stream.forever
    )
  })

/**
 * The feed of an engine. An engine that is away is waited for, and one that ends or breaks its feed is connected again,
 * after 0.5 s at first and 30 s at most; each change is logged once.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer: Layer.Layer<EventFeed, never, Engine> = Layer.effect(
  EventFeed,
  Effect.map(Engine, (engine) => ({
    engines: [Endpoint.format(engine.endpoint)],
    missed: () => Effect.void,
    events: watch(engine)
  }))
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
      decodeRecords(options.source)
    )
  })
