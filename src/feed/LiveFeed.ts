import type * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Engine, EngineError, EngineIdentity } from "../engine/Engine.ts"
import type * as Sieve from "../engine/Sieve.ts"
import type { DockerEvent } from "../event/DockerEvent.ts"
import { noneUnwanted, type Unwanted } from "../event/RecordHead.ts"
import { decodeRecords } from "../event/Records.ts"
import type * as SkippedLines from "../event/SkippedLines.ts"
import * as Metrics from "../Metrics.ts"
import type * as KnownRecords from "./KnownRecords.ts"

/** An open feed. It is read all the time, also while nobody takes its events. */
export interface LiveFeed {
  /** Gives the events that have come. It waits while there are none. */
  readonly take: Effect.Effect<Chunk.Chunk<DockerEvent>, EngineError>
  /**
   * Gives the events that have come. If there are none, it waits for at most `duration`, then gives an empty chunk. An event that comes at the
   * end of that time is not lost.
   */
  readonly takeWithin: (duration: Duration.DurationInput) => Effect.Effect<Chunk.Chunk<DockerEvent>, EngineError>
  /** Makes `take` fail. */
  readonly fail: (cause: Cause.Cause<EngineError>) => Effect.Effect<unknown>
  /** The time when the engine last sent something, in milliseconds. */
  readonly heardAt: () => number
  /** True while somebody waits in `take`. */
  readonly isAwaited: () => boolean
  /**
   * Leaves out what is unwanted, after so many records from the beginning of the feed. Those are replayed ones, which may be known and
   * would not count as lost.
   */
  readonly leaveOut: (unwanted: Unwanted, after: number) => void
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
 * Opens the feed of an engine, with the events from `since` on, in nanoseconds since 1970 (0: all that dockerd's ring has). `logSkipped`
 * logs the lines that are not events.
 */
export const open = (
  engine: Engine["Type"],
  kind: EngineIdentity["kind"],
  since: bigint,
  known: KnownRecords.KnownRecords,
  logSkipped: SkippedLines.Log
): Effect.Effect<LiveFeed, EngineError, Scope.Scope> =>
  Effect.gen(function* () {
    const { name } = engine
    let unwanted = noneUnwanted
    let replayed = 0
    /** How many records have come. */
    let count = 0
    const isUnwanted: Sieve.IsUnwanted = (record) => count >= replayed && unwanted.has({ ...record, engine: name })
    const answered = yield* Effect.forkScoped(engine.feed({ since }, isUnwanted))
    const bytes =
      kind === "docker"
        ? yield* answered
        : Option.getOrElse(yield* Effect.timeoutOption(answered, podmanAnswer), () => Stream.unwrap(answered))
    const mailbox = yield* Mailbox.make<DockerEvent, EngineError>(aheadEvents)
    /** Open if something may be in the mailbox. */
    const arrived = yield* Effect.makeLatch(false)
    const fail = (cause: Cause.Cause<EngineError>) => Effect.zipLeft(mailbox.failCause(cause), arrived.open)
    const ahead = yield* makeAhead
    let heardAt = yield* Clock.currentTimeMillis
    let isAwaited = false
    let isOver = false

    yield* bytes.pipe(
      Stream.mapChunksEffect((pieces) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          heardAt = now
          Metrics.feedAlive(name, now)
          return pieces
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
        lose: (head) => Effect.suspend(() => unwanted.lose(head)),
        report: (skipped) =>
          Effect.suspend(() => {
            count++
            // The end of the feed cut this line. The engine sends the whole line again on the next connection.
            if (isOver) return Effect.logDebug(skipped.message)
            return known.add(skipped.fingerprint) ? logSkipped(skipped) : Effect.void
          })
      }),
      Stream.catchAllCause((cause) => Stream.execute(fail(cause))),
      Stream.runForEachChunk((events) => {
        count += events.length
        return Effect.zipRight(Effect.zipRight(ahead.add(events), arrived.open), mailbox.offerAll(events))
      }),
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
    const takeNow = Effect.zipLeft(mailbox.clear, ahead.clear)
    // It takes events only after the wait. A race between a take and a timer could drop the taken events.
    const takeWithin: LiveFeed["takeWithin"] = Effect.fnUntraced(function* (duration) {
      while (true) {
        arrived.unsafeClose()
        const events = yield* takeNow
        if (Chunk.isNonEmpty(events)) return events
        if (Option.isNone(yield* Effect.timeoutOption(arrived.await, duration))) return yield* takeNow
      }
    })
    return {
      take,
      takeWithin,
      fail,
      heardAt: () => heardAt,
      isAwaited: () => isAwaited,
      leaveOut: (what, after) => {
        unwanted = what
        replayed = after
      }
    }
  })
