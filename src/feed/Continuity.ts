import type { EngineIdentity } from "../engine/Engine.ts"
import type { DockerEvent } from "../event/DockerEvent.ts"
import * as Belief from "./Belief.ts"
import { type MetEngine, type Recollection, remembered } from "./FeedMemory.ts"
import * as Gap from "./Gap.ts"
import * as KnownRecords from "./KnownRecords.ts"
import * as Reconcile from "./Reconcile.ts"

/**
 * The state that one connection to an engine hands to the next. {@link Recollection} describes `identity`, `last`, `over` and
 * `gaps`.
 */
export interface Continuity {
  identity: string | undefined
  last: bigint
  over: bigint
  gaps: number
  /** True if an event came since the last gap. */
  hasNews: boolean
  /** How many records the memory still has by their text (journals of an earlier des). */
  texts: number
  /** The records that des has seen. */
  readonly known: KnownRecords.KnownRecords
  /** The containers that des believes to be running. */
  readonly belief: Belief.Belief
  /** The synthetic events whose real ones may still come. */
  readonly duplicates: Reconcile.ExpectedDuplicates
}

/** Begins with what the memory has. */
export const make = ({ fingerprints, gaps, identity, last, over, running }: Recollection): Continuity => {
  const known = KnownRecords.make(fingerprints)
  return {
    identity,
    last,
    over,
    gaps,
    hasNews: true,
    known,
    texts: known.textsLeft(),
    belief: new Map(running.map((container) => [container.id, container])),
    // A dropped duplicate never ran, so the memory does not have its record. It may come again.
    duplicates: new Map(running.map(({ id, startedAt }) => [id, { startedAt }]))
  }
}

/** What the memory has to keep. */
export const recollect = ({ belief, gaps, identity, known, last, over }: Continuity): MetEngine => ({
  identity: identity ?? "",
  fingerprints: known.last(remembered),
  last,
  over,
  gaps,
  running: [...belief.values()]
})

/** Learns the record of an event (see {@link KnownRecords.KnownRecords}), then says if it was seen before. */
export const recognise = ({ known }: Continuity, event: DockerEvent): boolean => {
  known.learn(event.record, event.fingerprint)
  return known.has(event.fingerprint)
}

const second = 1_000_000_000n

/** True if des has the time of an event from which podman's store can be read. */
export const hasTime = ({ last }: Continuity): boolean => last >= second

/**
 * The time from which podman's store is read, a second before the last known event: podman leaves out events at exactly `since`, and
 * rounds it to a double.
 */
export const storeSince = ({ known, last }: Continuity, now: bigint): bigint =>
  last < second ? now : last - (known.isEmpty() ? 0n : second)

/**
 * Starts with no memory, at the first connection to an engine or to another one. The events that it replayed are over and do
 * not run. If the replay was not complete, every event from before this connection is over, too.
 */
export const meetAnew = (
  continuity: Continuity,
  { time }: EngineIdentity,
  replay: { readonly fingerprints: ReadonlyArray<string>; readonly isWhole: boolean }
): void => {
  continuity.known.clear()
  continuity.last = time
  continuity.over = replay.isWhole ? 0n : time
  for (const fingerprint of replay.fingerprints) continuity.known.add(fingerprint)
}

/** Marks a gap as reported. Until the next event, an idle engine whose connection is cut has no other gap. */
export const reported = (continuity: Continuity, { time }: EngineIdentity): void => {
  continuity.hasNews = false
  continuity.last = time
}

/** Believes synthetic events, and expects that the engine may still send the real ones. */
export const believe = ({ belief, duplicates }: Continuity, synthetic: ReadonlyArray<DockerEvent>): void => {
  for (const event of synthetic) {
    Belief.follow(belief, event)
    duplicates.set(event.Actor.ID, { startedAt: event.Action === "start" ? event.timeNano : undefined })
  }
}

/** Expects no more duplicates for containers that do not run and got no synthetic event now. */
export const forgetDuplicates = ({ belief, duplicates }: Continuity, synthetic: ReadonlyArray<DockerEvent>): void => {
  const ids = new Set(synthetic.map((event) => event.Actor.ID))
  for (const id of duplicates.keys()) if (!belief.has(id) && !ids.has(id)) duplicates.delete(id)
}

/**
 * Makes a filter for the events of one connection. The filter must get them in their order. It drops events that are known, over or
 * duplicates of synthetic ones, and applies the others to the belief.
 */
export const makeSift = (
  continuity: Continuity,
  { kind, name }: { readonly kind: EngineIdentity["kind"]; readonly name: string }
): ((events: Iterable<DockerEvent>) => Array<DockerEvent>) => {
  const { belief, duplicates, known } = continuity
  let seen = 0
  /** Only the first events of a feed are replayed ones. Later ones run whatever their time is: swarm events have their leader's time. */
  const isOver = ({ timeNano }: DockerEvent) => seen++ < Gap.ringSize && timeNano > 0n && timeNano <= continuity.over

  return (events) => {
    const fresh: Array<DockerEvent> = []
    for (const event of events) {
      const over = isOver(event)
      known.learn(event.record, event.fingerprint)
      if (!known.add(event.fingerprint) || over) continue
      continuity.hasNews = true
      if (event.timeNano > 0n) continuity.last = event.timeNano
      if (Reconcile.settle(duplicates, event) === "duplicate") continue
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
