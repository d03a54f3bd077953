import * as Chunk from "effect/Chunk"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Engine, EngineError, EngineIdentity } from "../engine/Engine.ts"
import type { DockerEvent } from "../event/DockerEvent.ts"
import * as Belief from "./Belief.ts"
import * as Continuity from "./Continuity.ts"
import type { FeedMemory } from "./FeedMemory.ts"
import * as Gap from "./Gap.ts"
import * as LiveFeed from "./LiveFeed.ts"
import * as Liveness from "./Liveness.ts"
import * as Reconcile from "./Reconcile.ts"
import * as Replay from "./Replay.ts"
import * as Resume from "./Resume.ts"

/** How long the feed may be silent while des waits for a record that it knows. */
const pause = "5 seconds"

const second = 1_000_000_000n

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
  take: LiveFeed.LiveFeed["take"],
  isJoint: (event: DockerEvent) => boolean,
  isPast: (event: DockerEvent) => boolean
): Effect.Effect<Head, EngineError> =>
  Effect.gen(function* () {
    let events = Chunk.empty<DockerEvent>()
    let bytes = 0
    while (events.length < Gap.ringSize && bytes < LiveFeed.aheadBytes) {
      const taken = yield* Effect.timeoutOption(take, pause)
      if (Option.isNone(taken)) break
      events = Chunk.appendAll(events, taken.value)
      for (const event of taken.value) {
        bytes += event.record.length
        if (isJoint(event)) return { events, isJoined: true }
        if (isPast(event)) return { events, isJoined: false }
      }
    }
    return { events, isJoined: false }
  })

/**
 * The time from which podman's store is read, a second before the last known event: podman leaves out events at exactly `since`, and
 * rounds it to a double.
 */
const storeSince = ({ known, last }: Continuity.Continuity, now: bigint): bigint =>
  last < second ? now : last - (known.isEmpty() ? 0n : second)

/** Gathers the facts about an engine. It decides nothing. */
const observe = Effect.fnUntraced(function* (engine: Engine["Type"], continuity: Continuity.Continuity) {
  const { known, last } = continuity
  const identity = yield* engine.identify
  const isDocker = identity.kind === "docker"
  const meeting = Resume.meetingOf(continuity.identity, identity.id)
  const isNew = meeting !== "again"

  const replay = isDocker ? yield* Replay.ofRing(engine, known, identity.time) : Replay.none
  const isKnown = isDocker ? replay.fingerprints.some(known.has) : last >= second
  const since = isDocker ? 0n : isNew ? identity.time : storeSince(continuity, identity.time)
  const live = yield* LiveFeed.open(engine, identity.kind, since, known)

  // The feed begins with the replayed records. They prove that nothing is missing if the replay was whole or has a known record.
  const joints = new Set(replay.isWhole || isKnown || isNew ? replay.fingerprints : [])
  const isAwaited = joints.size > 0 || (!isNew && !known.isEmpty() && !(isDocker && replay.isWhole))
  const head = isAwaited
    ? yield* readHead(
        live.take,
        (event) => joints.has(event.fingerprint) || Continuity.recognise(continuity, event),
        (event) => !isDocker && event.timeNano > last
      )
    : noHead
  return { identity, meeting, replay, isKnown, live, head }
})

/** The changes in containers' lives that the feed itself reports next. They need no synthetic event. */
const pendingOf = (
  continuity: Continuity.Continuity,
  replay: Replay.Replay,
  head: Head,
  isOver: (change: Belief.LifeEvent) => boolean
): ReadonlyArray<Belief.LifeEvent> => {
  const ofHead = [...head.events].flatMap((event) =>
    Continuity.recognise(continuity, event) ? [] : (Belief.lifeEventOf(event) ?? [])
  )
  return [...replay.lifeEvents, ...ofHead].filter(
    (change) => !continuity.known.has(change.fingerprint) && !isOver(change)
  )
}

/**
 * Connects to an engine. Either the new feed continues after the known events, or des reports a gap.
 *
 * The effect ends when the feed is open and des knows what to report first: a gap, synthetic events, or nothing. The stream
 * emits that, then the events of the feed. It ends only by failing.
 *
 * The state changes only when the stream runs. So a connection that fails can be tried again.
 *
 * @since 1.0.0
 * @category constructors
 */
export const connect = (options: {
  readonly engine: Engine["Type"]
  readonly memory: FeedMemory
  readonly continuity: Continuity.Continuity
  readonly liveness: Duration.Duration
  /** At the first connection, emit a start for each container that runs. */
  readonly sync: boolean
}): Effect.Effect<
  { readonly identity: EngineIdentity; readonly events: Stream.Stream<DockerEvent, EngineError> },
  EngineError,
  Scope.Scope
> =>
  Effect.gen(function* () {
    const { continuity, engine, memory, sync } = options
    const { belief, known } = continuity
    const { name } = engine
    const { head, identity, isKnown, live, meeting, replay } = yield* observe(engine, continuity)
    const { kind } = identity
    const plan = Resume.decide({
      meeting,
      kind,
      knowsNothing: known.isEmpty() || !continuity.hasNews,
      replay: { count: replay.fingerprints.length, isKnown, isWhole: replay.isWhole },
      head: { count: head.events.length, isJoined: head.isJoined },
      sync
    })

    const replayed = new Set(plan.isOver ? replay.fingerprints : [])
    const over = !plan.isOver ? continuity.over : replay.isWhole ? 0n : identity.time
    const isOver = ({ at, fingerprint }: Belief.LifeEvent) => replayed.has(fingerprint) || (at > 0n && at <= over)
    const running = plan.compares ? yield* Reconcile.survey(engine) : Option.none()
    const missed =
      Option.isNone(running) || !plan.synthesises
        ? []
        : Reconcile.compare({
            believed: belief,
            pending: pendingOf(continuity, replay, head, isOver),
            running: running.value
          })
    const synthetic = yield* Reconcile.synthesise(engine, missed, { name, now: identity.time })
    const gap = plan.gap ?? (missed.length > 0 ? plan.gapIfDifferent : undefined)

    const begin = Effect.gen(function* () {
      const from = continuity.last
      if (gap !== undefined) continuity.gaps++
      if (plan.isOver) Continuity.meetAnew(continuity, identity, replay)
      // The ring is all that dockerd has. podman may send older records again.
      else if (kind === "docker" && replay.isWhole) known.forgetTexts()
      if (kind === "docker" && gap !== undefined) Continuity.reported(continuity, identity)
      if (identity.id !== "" || continuity.identity === undefined) continuity.identity = identity.id
      if (meeting === "other-engine" && Option.isNone(running)) belief.clear()
      if (Option.isSome(running)) {
        if (!plan.synthesises) for (const [id, container] of running.value) belief.set(id, container)
        Continuity.believe(continuity, synthetic)
        Continuity.forgetDuplicates(continuity, synthetic)
      }
      if (gap === undefined) return synthetic
      const { gaps: count } = continuity
      return [yield* Gap.report({ engine: name, reason: gap, from, to: identity.time, count }), ...synthetic]
    })
    // When this runs, all events that the stream emitted before are accepted.
    const remember = (isMeeting: boolean) =>
      Effect.suspend(() => {
        const isTranslated = known.textsLeft() !== continuity.texts
        continuity.texts = known.textsLeft()
        return isMeeting || isTranslated ? memory.meet(name, Continuity.recollect(continuity)) : Effect.void
      })

    const missing = Effect.fnUntraced(function* (within: Duration.Duration) {
      const { time } = yield* engine.identify
      const { fingerprints, isWhole } = yield* kind === "docker"
        ? Replay.ofRing(engine, known, time, within)
        : Replay.ofStore(engine, known, storeSince(continuity, time))
      // podman does not answer before it has an event.
      if (kind === "docker" && !isWhole && fingerprints.length === 0) return "no answer" as const
      return fingerprints.filter((fingerprint) => !known.has(fingerprint))
    })
    const guarded = Liveness.guard({ ...live, name, interval: options.liveness, missing, isKnown: known.has })

    const following = Stream.unwrapScoped(
      Effect.gen(function* () {
        yield* Effect.forkScoped(Effect.catchAllCause(guarded, live.fail))
        const sift = Continuity.makeSift(continuity, { kind, name })
        const siftChunk = (events: Chunk.Chunk<DockerEvent>) => Chunk.unsafeFromArray(sift(events))
        return Stream.concat(
          Stream.mapChunks(Stream.fromChunk(head.events), siftChunk),
          Stream.repeatEffectChunk(Effect.zipRight(remember(false), Effect.map(live.take, siftChunk)))
        )
      })
    )
    return {
      identity,
      events: Stream.unwrap(Effect.map(begin, Stream.fromIterable)).pipe(
        Stream.concat(Stream.execute(remember(gap !== undefined || meeting === "first"))),
        Stream.concat(following)
      )
    }
  })
