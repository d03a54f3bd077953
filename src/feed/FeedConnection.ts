import type * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type Engine, EngineError, type EngineIdentity as Identity } from "../engine/Engine.ts"
import type { DockerEvent } from "../event/DockerEvent.ts"
import { decodeRecords } from "../event/Records.ts"
import * as SkippedLines from "../event/SkippedLines.ts"
import * as Belief from "./Belief.ts"
import { type FeedMemory, type Recollection, remembered } from "./FeedMemory.ts"
import * as Gap from "./Gap.ts"
import * as KnownRecords from "./KnownRecords.ts"
import * as Liveness from "./Liveness.ts"
import type * as Missed from "./Missed.ts"
import * as Reconcile from "./Reconcile.ts"

/**
 * What is carried from one connection to the next.
 *
 * @since 1.0.0
 * @category models
 */
export interface Continuity {
  /** The engine that was met; nothing before the first meeting. */
  identity: string | undefined
  /** The time of the last record, or of the first meeting where there is none yet. */
  last: bigint
  gaps: number
  readonly known: KnownRecords.KnownRecords
  /** How many records the journal still knows by their text. */
  texts: number
  readonly belief: Belief.Belief
  readonly twins: Reconcile.Twins
}

/**
 * How a connection learns of events that nobody had room for: `awaited` answers when there are any, `missed` gives them,
 * and `healed` is told which have been healed.
 *
 * @since 1.0.0
 * @category models
 */
export interface Healing {
  readonly awaited: Effect.Effect<void>
  readonly missed: Effect.Effect<Missed.Missed>
  readonly healed: (missed: Missed.Missed) => Effect.Effect<void>
}

/** Believes again what was believed before events were missed, as far as no later one has told otherwise. */
const unlearn = (belief: Belief.Belief, missed: Missed.Missed): Belief.Belief => {
  const before = new Map(belief)
  for (const [id, event] of missed.lives) {
    const isDeath = Belief.turn(event) !== "started"
    if (!isDeath && belief.get(id)?.startedAt === event.timeNano) before.delete(id)
    // It ran at some time before; when that was is not known any more.
    if (isDeath && !belief.has(id)) before.set(id, { id, attributes: event.Actor.Attributes, startedAt: 0n })
  }
  return before
}

/**
 * Begins with what is remembered.
 *
 * @since 1.0.0
 * @category constructors
 */
export const makeContinuity = (recalled: Recollection): Continuity => {
  const known = KnownRecords.make(recalled.fingerprints)
  return {
    identity: recalled.identity,
    last: recalled.last,
    gaps: 0,
    known,
    texts: known.textsLeft(),
    belief: new Map(recalled.running.map((container) => [container.id, container])),
    // A record whose twin was told is remembered by no journal: it never ran.
    twins: new Map(recalled.running.map(({ id, startedAt }) => [id, { startedAt }]))
  }
}

/** An answer that should end by itself and is silent for so long has ended: some proxies keep it open (moby #48536). */
const pause = "5 seconds"

/** How long an engine may take to replay its ring, which is in its memory. */
const patience = "20 seconds"

/** How long podman's store is read to see what it has: its answer cannot be bounded. */
const glance = "500 millis"

/**
 * How long podman's answer is awaited before the feed counts as open. 5.2 answers with its first event (podman #23712);
 * what happens meanwhile is in its store.
 */
const heldBack = "2 seconds"

/** What replays without end is no ring; podman's store of a second and what des was away can hold this much. */
const mostReplayed = 100_000

/** So many events are read ahead while the engine is asked for its containers; a feed that is not read slows the engine. */
const ahead = 2048

const second = 1_000_000_000n

/** What an engine can replay: the fingerprints of its records, and those events that tell of a container's life. */
interface Replay {
  readonly fingerprints: ReadonlyArray<string>
  readonly turns: ReadonlyArray<DockerEvent>
}

const replay = (
  engine: Engine["Type"],
  known: KnownRecords.KnownRecords,
  range: { readonly since: bigint; readonly until?: bigint },
  within: Duration.DurationInput
): Effect.Effect<Replay, EngineError> =>
  Effect.gen(function* () {
    const fingerprints: Array<string> = []
    const turns: Array<DockerEvent> = []
    const { name } = engine
    const note = (record: string, fingerprint: string) => {
      known.learn(record, fingerprint)
      fingerprints.push(fingerprint)
    }
    yield* Stream.unwrap(engine.feed(range)).pipe(
      Stream.catchAll((error) => (error.reason === "Ended" ? Stream.empty : Stream.fail(error))),
      // What is no event is said when the feed brings it.
      decodeRecords({
        source: name,
        engine: name,
        report: (skipped) => Effect.sync(() => void fingerprints.push(skipped.fingerprint))
      }),
      Stream.take(mostReplayed),
      Stream.timeout(pause),
      Stream.interruptAfter(within),
      Stream.runForEach((event) => {
        if (Belief.turn(event) !== undefined) turns.push(event)
        return Effect.sync(() => note(event.record, event.fingerprint))
      })
    )
    return { fingerprints, turns }
  })

const replayRing = (engine: Engine["Type"], known: KnownRecords.KnownRecords, until: bigint) =>
  replay(engine, known, { since: 0n, until }, patience)

const replayStore = (engine: Engine["Type"], known: KnownRecords.KnownRecords, since: bigint) =>
  replay(engine, known, { since }, glance)

/** The feed as it comes, read whether or not somebody takes it. */
const open = Effect.fnUntraced(function* (
  engine: Engine["Type"],
  kind: Identity["kind"],
  since: bigint,
  known: KnownRecords.KnownRecords
) {
  const { name } = engine
  const answered = yield* Effect.forkScoped(engine.feed({ since }))
  const bytes =
    kind === "docker"
      ? yield* answered
      : Option.getOrElse(yield* Effect.timeoutOption(answered, heldBack), () => Stream.unwrap(answered))
  const mailbox = yield* Mailbox.make<DockerEvent, EngineError>(ahead)
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
    Stream.runForEachChunk((events) => mailbox.offerAll(events)),
    Effect.forkScoped
  )
  const take = Effect.suspend(() => {
    isAwaited = true
    return mailbox.takeAll
  }).pipe(
    Effect.map(([events]) => {
      isAwaited = false
      return events
    })
  )
  return {
    take,
    fail: (cause: Cause.Cause<EngineError>) => mailbox.failCause(cause),
    heardAt: () => heardAt,
    isAwaited: () => isAwaited
  }
})

/**
 * Reads the head of a feed up to a record that joins it to what is known, and says whether one came: `isJoint` knows it,
 * `isPast` knows one that comes after where it should have been. It gives up when the feed is silent or the ring is over.
 */
const readHead = (
  take: Effect.Effect<Chunk.Chunk<DockerEvent>, EngineError>,
  isJoint: (event: DockerEvent) => boolean,
  isPast: (event: DockerEvent) => boolean
) =>
  Effect.gen(function* () {
    let head = Chunk.empty<DockerEvent>()
    while (true) {
      const taken = yield* Effect.timeoutOption(take, pause)
      if (Option.isNone(taken)) return { head, joined: false }
      head = Chunk.appendAll(head, taken.value)
      for (const event of taken.value) {
        if (isJoint(event)) return { head, joined: true }
        if (isPast(event)) return { head, joined: false }
      }
      if (head.length >= Gap.ringSize) return { head, joined: false }
    }
  })

/**
 * Connects to an engine so that what follows joins what is known, or a gap is said. The effect ends when the feed is open
 * and it is clear what is to be told first; the stream emits that and goes on with the feed until it fails.
 *
 * Nothing is carried over before the stream runs, so what fails can be tried again.
 *
 * @since 1.0.0
 * @category constructors
 */
export const connect = (options: {
  readonly engine: Engine["Type"]
  readonly name: string
  readonly memory: FeedMemory["Type"]
  readonly continuity: Continuity
  readonly liveness: Duration.Duration
  /** Tell what runs when the engine is met first. */
  readonly sync: boolean
  readonly heal: Healing
}): Effect.Effect<
  { readonly identity: Identity; readonly events: Stream.Stream<DockerEvent, EngineError> },
  EngineError,
  Scope.Scope
> =>
  Effect.gen(function* () {
    const { continuity, engine, memory, name } = options
    const { belief, known, twins } = continuity
    const identity = yield* engine.identify
    const unheard = yield* options.heal.missed
    const believed = unlearn(belief, unheard)
    const isDocker = identity.kind === "docker"

    const ring: Replay = isDocker ? yield* replayRing(engine, known, identity.time) : { fingerprints: [], turns: [] }
    const judged = Gap.judge({
      met: continuity.identity,
      answers: identity.id,
      knowsNothing: known.isEmpty(),
      ring: ring.fingerprints.length,
      // podman has no ring: its store goes on from a time, and the head of the feed shows whether it does.
      ringIsKnown: isDocker ? ring.fingerprints.some(known.has) : continuity.last >= second
    })
    const isNew = judged === "first" || judged === "other-engine"
    // What another engine did before it was met is over, as what the first one did.
    const isOver = new Set(isNew ? ring.fingerprints : [])
    const joints = new Set(ring.fingerprints)

    // podman's `since` leaves out that moment itself, and reads it as a double.
    const storeSince = (now: bigint) =>
      continuity.last < second ? now : continuity.last - (known.isEmpty() ? 0n : second)
    const since = isDocker ? 0n : isNew ? identity.time : storeSince(identity.time)
    const live = yield* open(engine, identity.kind, since, known)

    const isKnown = (event: DockerEvent) => {
      known.learn(event.record, event.fingerprint)
      return known.has(event.fingerprint)
    }
    const hasJoint = isDocker ? joints.size > 0 : !isNew && !known.isEmpty()
    const { head, joined } = hasJoint
      ? yield* readHead(
          live.take,
          (event) => (isDocker && joints.has(event.fingerprint)) || isKnown(event),
          (event) => !isDocker && event.timeNano > continuity.last
        )
      : { head: Chunk.empty<DockerEvent>(), joined: true }

    const said =
      judged === "overrun" || judged === "restart" || judged === "other-engine"
        ? judged
        : joined
          ? undefined
          : !isDocker || head.length >= Gap.ringSize
            ? "overrun"
            : "restart"
    const gap = said ?? (unheard.count > 0 ? "queue-full" : undefined)

    const isCompared = gap !== undefined || judged === "first" || judged === "compare"
    const running = isCompared ? yield* Reconcile.survey(engine) : Option.none()
    const pending = [...ring.turns, ...head].filter((event) => !isKnown(event) && !isOver.has(event.fingerprint))
    const missed =
      Option.isNone(running) || (judged === "first" && !options.sync)
        ? []
        : Reconcile.compare({ believed, pending, running: running.value })
    const told = yield* Reconcile.synthesise(engine, missed, { name, now: identity.time })
    // Where nothing was known by which a gap could be told, only a difference tells it.
    const reason = gap ?? (judged === "compare" && missed.length > 0 ? "restart" : undefined)

    const believe = (madeUp: ReadonlyArray<DockerEvent>) => {
      for (const event of madeUp) {
        Belief.follow(belief, event)
        twins.set(event.Actor.ID, { startedAt: event.Action === "start" ? event.timeNano : undefined })
      }
    }

    const begin = Effect.gen(function* () {
      yield* options.heal.healed(unheard)
      const before: Array<DockerEvent> = []
      if (reason !== undefined) {
        const from = reason === "queue-full" ? unheard.from : continuity.last
        const to = reason === "queue-full" ? unheard.to : identity.time
        before.push(yield* Gap.say({ engine: name, reason, from, to, count: ++continuity.gaps }))
      }
      if (isNew) {
        known.clear()
        continuity.last = identity.time
      }
      for (const record of isOver) known.add(record)
      // The ring is all that it has; podman may give older records again.
      if (isDocker) known.forgetTexts()
      if (identity.id !== "" || continuity.identity === undefined) continuity.identity = identity.id
      if (judged === "other-engine" && Option.isNone(running)) belief.clear()
      if (Option.isSome(running)) {
        if (judged === "first" && !options.sync) {
          for (const [id, container] of running.value) belief.set(id, container)
        }
        believe(told)
        const toldNow = new Set(told.map((event) => event.Actor.ID))
        for (const id of twins.keys()) if (!belief.has(id) && !toldNow.has(id)) twins.delete(id)
      }
      return Chunk.fromIterable([...before, ...told])
    })
    const meet = Effect.suspend(() => {
      const isTranslated = known.textsLeft() !== continuity.texts
      continuity.texts = known.textsLeft()
      return reason !== undefined || judged === "first" || isTranslated
        ? memory.meet(name, {
            identity: continuity.identity ?? "",
            fingerprints: known.last(remembered),
            last: continuity.last,
            running: [...belief.values()]
          })
        : Effect.void
    })

    const sift = (events: Chunk.Chunk<DockerEvent>): Chunk.Chunk<DockerEvent> => {
      const fresh: Array<DockerEvent> = []
      for (const event of events) {
        known.learn(event.record, event.fingerprint)
        if (!known.add(event.fingerprint)) continue
        if (event.timeNano > 0n) continuity.last = event.timeNano
        if (Reconcile.isTwin(twins, event)) continue
        Belief.follow(belief, event)
        fresh.push(event)
        if (!isDocker && Belief.endsAll(event)) {
          const deaths = Reconcile.endAll(belief, name, event.timeNano)
          believe(deaths)
          fresh.push(...deaths)
        }
      }
      return Chunk.unsafeFromArray(fresh)
    }

    const missing = Effect.gen(function* () {
      const { time } = yield* engine.identify
      const records = isDocker
        ? yield* replayRing(engine, known, time)
        : yield* replayStore(engine, known, storeSince(time))
      return records.fingerprints.filter((record) => !known.has(record))
    })
    const guarded = Liveness.guard({ ...live, name, interval: options.liveness, missing, isKnown: known.has })

    const events = Stream.unwrapScoped(
      Effect.gen(function* () {
        const healed = Effect.zipRight(
          options.heal.awaited,
          new EngineError({ reason: "Ended", endpoint: name, detail: "" })
        )
        yield* Effect.forkScoped(Effect.catchAllCause(Effect.raceFirst(guarded, healed), live.fail))
        return Stream.concat(
          Stream.mapChunks(Stream.fromChunk(head), sift),
          Stream.repeatEffectChunk(Effect.map(live.take, sift))
        )
      })
    )
    return {
      identity,
      events: Stream.unwrap(Effect.map(begin, Stream.fromChunk)).pipe(
        Stream.concat(Stream.execute(meet)),
        Stream.concat(events)
      )
    }
  })
