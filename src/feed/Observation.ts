import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Engine, EngineError, EngineIdentity } from "../engine/Engine.ts"
import type { DockerEvent } from "../event/DockerEvent.ts"
import type * as SkippedLines from "../event/SkippedLines.ts"
import * as Continuity from "./Continuity.ts"
import * as Gap from "./Gap.ts"
import * as LiveFeed from "./LiveFeed.ts"
import * as Replay from "./Replay.ts"
import * as Resume from "./Resume.ts"

/** The first events of a feed, up to the one that des knows. `isJoined` is false if no such event came: events may be missing. */
interface Head {
  readonly events: Chunk.Chunk<DockerEvent>
  readonly isJoined: boolean
}

/** Nothing needs to be read ahead. */
const noHead: Head = { events: Chunk.empty(), isJoined: true }

/**
 * Reads the first events of a feed. It stops at an event that des knows (`isJoint`), or at one that comes after the place where the
 * known event should be (`isPast`). It gives up when the feed is silent, after as many events as a ring has, or after as many bytes as
 * may be read ahead.
 */
const readHead = (
  takeWithin: LiveFeed.LiveFeed["takeWithin"],
  isJoint: (event: DockerEvent) => boolean,
  isPast: (event: DockerEvent) => boolean
): Effect.Effect<Head, EngineError> =>
  Effect.gen(function* () {
    let events = Chunk.empty<DockerEvent>()
    let bytes = 0
    while (events.length < Gap.ringSize && bytes < LiveFeed.aheadBytes) {
      const taken = yield* takeWithin(Replay.longestSilence)
      if (Chunk.isEmpty(taken)) break
      events = Chunk.appendAll(events, taken)
      for (const event of taken) {
        bytes += event.record.length
        if (isJoint(event)) return { events, isJoined: true }
        if (isPast(event)) return { events, isJoined: false }
      }
    }
    return { events, isJoined: false }
  })

/** What des knows of an engine and of its feed when it connects. */
export interface Observation {
  readonly identity: EngineIdentity
  readonly meeting: Resume.Meeting
  readonly replay: Replay.Replay
  readonly live: LiveFeed.LiveFeed
  readonly head: Head
  /** The facts that decide how the feed goes on. */
  readonly facts: Resume.Facts
}

/**
 * Opens the feed of an engine and gathers the facts. It decides nothing. `sync` is one of the facts. `logSkipped` logs the lines that are no
 * events.
 */
export const observe = (
  engine: Engine["Type"],
  continuity: Continuity.Continuity,
  sync: boolean,
  logSkipped: SkippedLines.Log
): Effect.Effect<Observation, EngineError, Scope.Scope> =>
  Effect.gen(function* () {
    const { known, last } = continuity
    const identity = yield* engine.identify
    const { kind, time } = identity
    const isDocker = kind === "docker"
    const meeting = Resume.meetingOf(continuity.identity, identity.id)
    const isNew = meeting !== "again"

    const replay = isDocker ? yield* Replay.ofRing(engine, known, time) : Replay.none
    const isKnown = isDocker ? replay.fingerprints.some(known.has) : Continuity.hasTime(continuity)
    const since = isDocker ? 0n : isNew ? time : Continuity.storeSince(continuity, time)
    const live = yield* LiveFeed.open(engine, kind, since, known, logSkipped)

    // The feed begins with the replayed records. They prove that nothing is missing if the replay was whole or has a known record.
    const joints = new Set(replay.isWhole || isKnown || isNew ? replay.fingerprints : [])
    const isAwaited = joints.size > 0 || (!isNew && !known.isEmpty() && !(isDocker && replay.isWhole))
    const head = isAwaited
      ? yield* readHead(
          live.takeWithin,
          (event) => joints.has(event.fingerprint) || Continuity.recognise(continuity, event),
          (event) => !isDocker && event.timeNano > last
        )
      : noHead

    const facts: Resume.Facts = {
      meeting,
      kind,
      knowsNothing: known.isEmpty() || !continuity.hasNews,
      replay: { count: replay.fingerprints.length, isKnown, isWhole: replay.isWhole },
      head: { count: head.events.length, isJoined: head.isJoined },
      sync
    }
    return { identity, meeting, replay, live, head, facts }
  })
