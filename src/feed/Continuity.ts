import type { EngineIdentity as Identity } from "../engine/Engine.ts"
import type { DockerEvent } from "../event/DockerEvent.ts"
import * as Belief from "./Belief.ts"
import { type Meeting, type Recollection, remembered } from "./FeedMemory.ts"
import * as Gap from "./Gap.ts"
import * as KnownRecords from "./KnownRecords.ts"
import * as Reconcile from "./Reconcile.ts"

/**
 * What is carried from one connection to the next: what is remembered (see {@link Recollection}), and what is made of it.
 *
 * @since 1.0.0
 * @category models
 */
export interface Continuity {
  identity: string | undefined
  last: bigint
  over: bigint
  gaps: number
  /** How many records whoever remembers still knows by their text. */
  texts: number
  readonly known: KnownRecords.KnownRecords
  readonly belief: Belief.Belief
  readonly twins: Reconcile.Twins
}

/**
 * Begins with what is remembered.
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = ({ fingerprints, gaps, identity, last, over, running }: Recollection): Continuity => {
  const known = KnownRecords.make(fingerprints)
  return {
    identity,
    last,
    over,
    gaps,
    known,
    texts: known.textsLeft(),
    belief: new Map(running.map((container) => [container.id, container])),
    // A record whose twin was told is remembered by nobody: it never ran.
    twins: new Map(running.map(({ id, startedAt }) => [id, { startedAt }]))
  }
}

/**
 * What is to be remembered of it.
 *
 * @since 1.0.0
 * @category combinators
 */
export const recollect = ({ belief, gaps, identity, known, last, over }: Continuity): Meeting => ({
  identity: identity ?? "",
  fingerprints: known.last(remembered),
  last,
  over,
  gaps,
  running: [...belief.values()]
})

/**
 * Whether a record is known.
 *
 * @since 1.0.0
 * @category combinators
 */
export const knows = ({ known }: Continuity, event: DockerEvent): boolean => {
  known.learn(event.record, event.fingerprint)
  return known.has(event.fingerprint)
}

/**
 * Begins anew with another engine, or the first one: what it replayed is over. Where that was not all of it, what it brings from before
 * the meeting is over, too.
 *
 * @since 1.0.0
 * @category combinators
 */
export const meetAnew = (
  continuity: Continuity,
  { time }: Identity,
  replay: { readonly fingerprints: ReadonlyArray<string>; readonly isWhole: boolean }
): void => {
  continuity.known.clear()
  continuity.last = time
  continuity.over = replay.isWhole ? 0n : time
  for (const fingerprint of replay.fingerprints) continuity.known.add(fingerprint)
}

/**
 * Believes what des made up, and expects what the engine may still send of the same.
 *
 * @since 1.0.0
 * @category combinators
 */
export const believe = ({ belief, twins }: Continuity, madeUp: ReadonlyArray<DockerEvent>): void => {
  for (const event of madeUp) {
    Belief.follow(belief, event)
    twins.set(event.Actor.ID, { startedAt: event.Action === "start" ? event.timeNano : undefined })
  }
}

/**
 * Forgets the twins of containers that neither run nor were just told of.
 *
 * @since 1.0.0
 * @category combinators
 */
export const forgetTwins = ({ belief, twins }: Continuity, told: ReadonlyArray<DockerEvent>): void => {
  const toldNow = new Set(told.map((event) => event.Actor.ID))
  for (const id of twins.keys()) if (!belief.has(id) && !toldNow.has(id)) twins.delete(id)
}

/**
 * Leaves out what is known or over of the events that one feed of an engine brings, in their order, and follows the others.
 *
 * @since 1.0.0
 * @category combinators
 */
export const makeSift = (
  continuity: Continuity,
  { kind, name }: { readonly kind: Identity["kind"]; readonly name: string }
): ((events: Iterable<DockerEvent>) => Array<DockerEvent>) => {
  const { belief, known, twins } = continuity
  let brought = 0
  /** A feed begins with what the ring has. Later the time says nothing: swarm events have that of their leader. */
  const isOver = ({ timeNano }: DockerEvent) => brought++ < Gap.ringSize && timeNano > 0n && timeNano <= continuity.over

  return (events) => {
    const fresh: Array<DockerEvent> = []
    for (const event of events) {
      const over = isOver(event)
      known.learn(event.record, event.fingerprint)
      if (!known.add(event.fingerprint) || over) continue
      if (event.timeNano > 0n) continuity.last = event.timeNano
      if (Reconcile.isTwin(twins, event)) continue
      Belief.follow(belief, event)
      fresh.push(event)
      if (kind === "podman" && Belief.endsAll(event)) {
        const deaths = Reconcile.endAll(belief, name, event.timeNano)
        believe(continuity, deaths)
        fresh.push(...deaths)
      }
    }
    return fresh
  }
}
