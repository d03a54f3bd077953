import type * as Cause from "effect/Cause"
import type * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Engine, EngineError, EngineIdentity } from "../engine/Engine.ts"
import type { DockerEvent } from "../event/DockerEvent.ts"
import { decodeRecords } from "../event/Records.ts"
import * as SkippedLines from "../event/SkippedLines.ts"
import type * as KnownRecords from "./KnownRecords.ts"

/** An open feed. It is read all the time, also while nobody takes its events. */
export interface LiveFeed {
  /** Gives the events that have come. It waits while there are none. */
  readonly take: Effect.Effect<Chunk.Chunk<DockerEvent>, EngineError>
  /** Makes `take` fail. */
  readonly fail: (cause: Cause.Cause<EngineError>) => Effect.Effect<unknown>
  /** The time when the engine last sent something, in milliseconds. */
  readonly heardAt: () => number
  /** True while somebody waits in `take`. */
  readonly isAwaited: () => boolean
}

/**
 * How long des waits for podman's answer before the feed counts as open. podman 5.2 answers only with its first event (podman
 * #23712). Nothing is lost: podman stores all events.
 */
const podmanAnswer = "2 seconds"

/** How many events are read ahead while des asks the engine for its containers. A feed that nobody reads slows the engine. */
const aheadEvents = 2048

/** How many bytes of records are read ahead, plus one read. See {@link aheadEvents}. */
export const aheadBytes = 16_777_216

/** Counts the bytes that are read ahead. `add` waits while there are too many. */
const makeAhead = Effect.map(Effect.makeLatch(true), (room) => {
  let bytes = 0
  return {
    add: (events: Chunk.Chunk<DockerEvent>) =>
      Effect.zipRight(
        room.await,
        Effect.sync(() => {
          for (const { record } of events) bytes += record.length
          if (bytes >= aheadBytes) room.unsafeClose()
        })
      ),
    clear: Effect.suspend(() => {
      bytes = 0
      return room.open
    })
  }
})

/**
 * Opens the feed of an engine, with the events from `since` on, in nanoseconds since 1970 (0: all that dockerd's ring has).
 */
export const open = (
  engine: Engine["Type"],
  kind: EngineIdentity["kind"],
  since: bigint,
  known: KnownRecords.KnownRecords
): Effect.Effect<LiveFeed, EngineError, Scope.Scope> =>
  Effect.gen(function* () {
    const { name } = engine
    const answered = yield* Effect.forkScoped(engine.feed({ since }))
    const bytes =
      kind === "docker"
        ? yield* answered
        : Option.getOrElse(yield* Effect.timeoutOption(answered, podmanAnswer), () => Stream.unwrap(answered))
    const mailbox = yield* Mailbox.make<DockerEvent, EngineError>(aheadEvents)
    const ahead = yield* makeAhead
    const logSkipped = yield* SkippedLines.makeLog(name)
    let heardAt = yield* Clock.currentTimeMillis
    let isAwaited = false
    let isOver = false

    yield* bytes.pipe(
      Stream.tap(() =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          heardAt = now
        })
      ),
      Stream.tapError(() =>
        Effect.sync(() => {
          isOver = true
        })
      ),
      decodeRecords({
        source: name,
        engine: name,
        report: (skipped) =>
          Effect.suspend(() => {
            // The end of the feed cut this line. The engine sends the whole line again on the next connection.
            if (isOver) return Effect.logDebug(skipped.message)
            return known.add(skipped.fingerprint) ? logSkipped(skipped) : Effect.void
          })
      }),
      Stream.catchAllCause((cause) => Stream.execute(mailbox.failCause(cause))),
      Stream.runForEachChunk((events) => Effect.zipRight(ahead.add(events), mailbox.offerAll(events))),
      Effect.forkScoped
    )
    const take = Effect.suspend(() => {
      isAwaited = true
      return mailbox.takeAll
    }).pipe(
      Effect.tap(() => {
        isAwaited = false
        return ahead.clear
      }),
      Effect.map(([events]) => events)
    )
    return {
      take,
      fail: (cause) => mailbox.failCause(cause),
      heardAt: () => heardAt,
      isAwaited: () => isAwaited
    }
  })
