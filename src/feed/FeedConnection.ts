import * as Chunk from "effect/Chunk"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Engine, EngineError, EngineIdentity } from "../engine/Engine.ts"
import type { DockerEvent } from "../event/DockerEvent.ts"
import { noneUnwanted, type Unwanted } from "../event/RecordHead.ts"
import type * as SkippedLines from "../event/SkippedLines.ts"
import * as Belief from "./Belief.ts"
import * as Continuity from "./Continuity.ts"
import type { FeedMemory } from "./FeedMemory.ts"
import * as Gap from "./Gap.ts"
import * as Liveness from "./Liveness.ts"
import { type Observation, observe } from "./Observation.ts"
import * as Reconcile from "./Reconcile.ts"
import * as Replay from "./Replay.ts"
import * as Resume from "./Resume.ts"

/** How a feed is followed. With `sync`, the first connection emits a start for each container that runs. */
interface Options {
  readonly engine: Engine["Type"]
  readonly memory: FeedMemory
  readonly continuity: Continuity.Continuity
  readonly liveness: Duration.Duration
  readonly sync: boolean
  readonly logSkipped: SkippedLines.Log
}

/** The changes in containers' lives that the feed itself reports next. They need no synthetic event. */
const pendingOf = (
  continuity: Continuity.Continuity,
  { head, identity, replay }: Observation,
  plan: Resume.Plan
): ReadonlyArray<Belief.LifeEvent> => {
  const replayed = new Set(plan.isOver ? replay.fingerprints : [])
  const over = !plan.isOver ? continuity.over : replay.isWhole ? 0n : identity.time
  const isOver = ({ at, fingerprint }: Belief.LifeEvent) => replayed.has(fingerprint) || (at > 0n && at <= over)
  const ofHead = [...head.events].flatMap((event) =>
    Continuity.recognise(continuity, event) ? [] : (Belief.lifeEventOf(event) ?? [])
  )
  return [...replay.lifeEvents, ...ofHead].filter(
    (change) => !continuity.known.has(change.fingerprint) && !isOver(change)
  )
}

/** What des reports first: the reason of a gap, and synthetic events. `running` is what the engine's list of containers says. */
interface Comparison {
  readonly gap: Gap.Reason | undefined
  readonly synthetic: ReadonlyArray<DockerEvent>
  readonly running: Option.Option<Belief.Belief>
}

/** Compares the engine's containers with the belief, if the plan says so. */
const compare = Effect.fnUntraced(function* (
  { continuity, engine }: Options,
  observation: Observation,
  plan: Resume.Plan
) {
  const running = plan.compares ? yield* Reconcile.survey(engine) : Option.none()
  const missed =
    Option.isNone(running) || !plan.synthesises
      ? []
      : Reconcile.compare({
          believed: continuity.belief,
          pending: pendingOf(continuity, observation, plan),
          running: running.value
        })
  const now = observation.identity.time
  const synthetic = yield* Reconcile.synthesise(engine, missed, { name: engine.name, now })
  const gap = plan.gap ?? (missed.length > 0 ? plan.gapIfDifferent : undefined)
  const finding: Comparison = { gap, synthetic, running }
  return finding
})

/** Carries the plan out: changes the state, and returns the events that des reports before those of the feed. */
const begin = Effect.fnUntraced(function* (
  { continuity, engine }: Options,
  { identity, meeting, replay }: Observation,
  plan: Resume.Plan,
  { gap, running, synthetic }: Comparison
) {
  const { belief, known, last } = continuity
  const isDocker = identity.kind === "docker"
  if (plan.isOver) Continuity.meetAnew(continuity, identity, replay)
  // The ring is all that dockerd has. podman may send older records again.
  else if (isDocker && replay.isWhole) known.forgetTexts()
  if (isDocker && gap !== undefined) Continuity.reported(continuity, identity)
  if (identity.id !== "" || continuity.identity === undefined) continuity.identity = identity.id
  if (meeting === "other-engine" && Option.isNone(running)) belief.clear()
  if (Option.isSome(running)) {
    if (!plan.synthesises) for (const [id, container] of running.value) belief.set(id, container)
    Continuity.believe(continuity, synthetic)
    Continuity.forgetDuplicates(continuity, synthetic)
  }
  if (gap === undefined) return synthetic
  const count = ++continuity.gaps
  return [yield* Gap.report({ engine: engine.name, reason: gap, from: last, to: identity.time, count }), ...synthetic]
})

/**
 * The large records that the feed leaves out because nobody wants them. `ofFeed` loses them, and remembers their actors. `ofReplay` leaves
 * out the large records of these actors from a replay: the engine has them, and nobody waits for them.
 */
const makeLeftOut = (unwanted: Unwanted): { readonly ofFeed: Unwanted; readonly ofReplay: Unwanted } => {
  const actors = new Set<string>()
  const keyOf = ({ Actor, Type }: Pick<DockerEvent, "Actor" | "Type">) => `${Type} ${Actor.ID}`
  return {
    ofFeed: {
      has: unwanted.has,
      lose: (head) => {
        actors.add(keyOf(head))
        return unwanted.lose(head)
      }
    },
    ofReplay: { ...noneUnwanted, has: (actor) => actors.has(keyOf(actor)) }
  }
}

/** Gives the fingerprints of the records that the engine has and the feed did not bring. */
const makeMissing = ({ continuity, engine }: Options, kind: EngineIdentity["kind"], unwanted: Unwanted) =>
  Effect.fnUntraced(function* (within: Duration.Duration) {
    const { known } = continuity
    const { time } = yield* engine.identify
    const { fingerprints, isWhole } = yield* kind === "docker"
      ? Replay.ofRing(engine, known, time, within, unwanted)
      : Replay.ofStore(engine, known, Continuity.storeSince(continuity, time), unwanted)
    // podman does not answer before it has an event.
    if (kind === "docker" && !isWhole && fingerprints.length === 0) return "no answer" as const
    return fingerprints.filter((fingerprint) => !known.has(fingerprint))
  })

/** Writes to the memory if `isDue`, and if records of an earlier des, which are known by their text, got their fingerprints. */
const makeRemember =
  ({ continuity, engine, memory }: Options) =>
  (isDue: boolean) =>
    Effect.suspend(() => {
      const texts = continuity.known.textsLeft()
      const isTranslated = texts !== continuity.texts
      continuity.texts = texts
      return isDue || isTranslated ? memory.meet(engine.name, Continuity.recollect(continuity)) : Effect.void
    })

/** The events of an open feed that are new. `accepted` runs when all events before it are accepted. */
const follow = (
  options: Options,
  { head, identity: { kind }, live, replay }: Observation,
  accepted: Effect.Effect<void>
): Stream.Stream<DockerEvent, EngineError> =>
  Stream.unwrapScoped(
    Effect.gen(function* () {
      const { continuity, engine, liveness, memory } = options
      const { name } = engine
      const leftOut = makeLeftOut(memory.unwanted)
      live.leaveOut(leftOut.ofFeed, replay.fingerprints.length)
      const missing = makeMissing(options, kind, leftOut.ofReplay)
      const guarded = Liveness.guard({ ...live, name, interval: liveness, missing, isKnown: continuity.known.has })
      yield* Effect.forkScoped(Effect.catchAllCause(guarded, live.fail))
      const sift = Continuity.makeSift(continuity, { kind, name })
      const siftChunk = (events: Chunk.Chunk<DockerEvent>) => Chunk.unsafeFromArray(sift(events))
      return Stream.concat(
        Stream.mapChunks(Stream.fromChunk(head.events), siftChunk),
        Stream.repeatEffectChunk(Effect.zipRight(accepted, Effect.map(live.take, siftChunk)))
      )
    })
  )

/**
 * Connects to an engine. Either the new feed continues after the known events, or des reports a gap.
 *
 * The effect ends when the feed is open and des knows what to report first: a gap, synthetic events, or nothing. The stream
 * emits that, then the events of the feed. It ends only by failing.
 *
 * The state changes only when the stream runs. So a connection that fails can be tried again.
 */
export const connect = (
  options: Options
): Effect.Effect<
  { readonly identity: EngineIdentity; readonly events: Stream.Stream<DockerEvent, EngineError> },
  EngineError,
  Scope.Scope
> =>
  Effect.gen(function* () {
    const { continuity, engine, logSkipped, sync } = options
    const observation = yield* observe(engine, continuity, sync, logSkipped)
    const plan = Resume.decide(observation.facts)
    const finding = yield* compare(options, observation, plan)

    const remember = makeRemember(options)
    const isDue = finding.gap !== undefined || observation.meeting === "first"
    return {
      identity: observation.identity,
      events: Stream.unwrap(Effect.map(begin(options, observation, plan, finding), Stream.fromIterable)).pipe(
        Stream.concat(Stream.execute(remember(isDue))),
        Stream.concat(follow(options, observation, remember(false)))
      )
    }
  })
