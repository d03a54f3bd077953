import type * as Cause from "effect/Cause"
import type * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Engine, EngineError, EngineIdentity as Identity } from "../engine/Engine.ts"
import type { DockerEvent } from "../event/DockerEvent.ts"
import { decodeRecords } from "../event/Records.ts"
import * as SkippedLines from "../event/SkippedLines.ts"
import type * as KnownRecords from "./KnownRecords.ts"

/**
 * A feed that is open and is read, whether or not somebody takes its events.
 *
 * - `take`: gives what has come, and waits while there is nothing.
 * - `fail`: ends the feed for who takes from it.
 * - `heardAt`: when the engine sent something last, in milliseconds.
 * - `isAwaited`: whether somebody waits for the next event now.
 *
 * @since 1.0.0
 * @category models
 */
export interface LiveFeed {
  readonly take: Effect.Effect<Chunk.Chunk<DockerEvent>, EngineError>
  readonly fail: (cause: Cause.Cause<EngineError>) => Effect.Effect<unknown>
  readonly heardAt: () => number
  readonly isAwaited: () => boolean
}

/**
 * How long podman's answer is awaited before the feed counts as open. 5.2 answers with its first event (podman #23712);
 * what happens meanwhile is in its store.
 */
const heldBack = "2 seconds"

/** So many events are read ahead while the engine is asked for its containers; a feed that is not read slows the engine. */
const aheadEvents = 2048

/** So much of records is read ahead, and one read more: see {@link aheadEvents}. */
export const aheadBytes = 16_777_216

/** Counts bytes that are held, and makes who adds to them wait while they are too many. */
const makeHold = Effect.map(Effect.makeLatch(true), (room) => {
  let held = 0
  return {
    add: (events: Chunk.Chunk<DockerEvent>) =>
      Effect.zipRight(
        room.await,
        Effect.sync(() => {
          for (const { record } of events) held += record.length
          if (held >= aheadBytes) room.unsafeClose()
        })
      ),
    clear: Effect.suspend(() => {
      held = 0
      return room.open
    })
  }
})

/**
 * Opens the feed of an engine from a time on, in nanoseconds (0: all that dockerd's ring has).
 *
 * @since 1.0.0
 * @category constructors
 */
export const open = (
  engine: Engine["Type"],
  kind: Identity["kind"],
  since: bigint,
  known: KnownRecords.KnownRecords
): Effect.Effect<LiveFeed, EngineError, Scope.Scope> =>
  Effect.gen(function* () {
    const { name } = engine
    const answered = yield* Effect.forkScoped(engine.feed({ since }))
    const bytes =
      kind === "docker"
        ? yield* answered
        : Option.getOrElse(yield* Effect.timeoutOption(answered, heldBack), () => Stream.unwrap(answered))
    const mailbox = yield* Mailbox.make<DockerEvent, EngineError>(aheadEvents)
    const hold = yield* makeHold
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
            // What was cut off with the feed comes again, whole.
            if (isOver) return Effect.logDebug(skipped.message)
            return known.add(skipped.fingerprint) ? logSkipped(skipped) : Effect.void
          })
      }),
      Stream.catchAllCause((cause) => Stream.execute(mailbox.failCause(cause))),
      Stream.runForEachChunk((events) => Effect.zipRight(hold.add(events), mailbox.offerAll(events))),
      Effect.forkScoped
    )
    const take = Effect.suspend(() => {
      isAwaited = true
      return mailbox.takeAll
    }).pipe(
      Effect.tap(() => {
        isAwaited = false
        return hold.clear
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
