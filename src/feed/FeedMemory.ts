import * as Effect from "effect/Effect"
import type { DockerEvent } from "../event/DockerEvent.ts"
import * as OwnEvent from "../event/OwnEvent.ts"
import * as Belief from "./Belief.ts"

/**
 * What is known of an engine from earlier.
 *
 * - `identity`: which engine it was; nothing where it was never met.
 * - `fingerprints`: those of its last records, oldest first.
 * - `last`: the time of the last record, or of the meeting where none came yet, in nanoseconds (0: none).
 * - `over`: what an engine replays from before this time does not run, since not all of it could be read when the engine was met;
 *   in nanoseconds (0: all was read, and each record is known by its fingerprint).
 * - `gaps`: how many gaps there were.
 * - `running`: the containers that are believed to run.
 *
 * @since 1.0.0
 * @category models
 */
export interface Recollection {
  readonly identity: string | undefined
  readonly fingerprints: ReadonlyArray<string>
  readonly last: bigint
  readonly over: bigint
  readonly gaps: number
  readonly running: ReadonlyArray<Belief.Running>
}

/**
 * What is remembered once an engine was met.
 *
 * @since 1.0.0
 * @category models
 */
export type Meeting = Recollection & { readonly identity: string }

/**
 * What a feed remembers beyond one reading of it. What follows on a meeting is remembered by whoever accepts the events: see
 * {@link changes}.
 *
 * - `recall`: gives what is known of an engine. It is called once, when the reading of a feed begins.
 * - `meet`: replaces what is known. It is called when an engine was met for the first time, or compared after a gap, and
 *   after the events of that gap were accepted.
 *
 * @since 1.0.0
 * @category models
 */
export interface FeedMemory {
  readonly recall: (engine: string) => Effect.Effect<Recollection>
  readonly meet: (engine: string, met: Meeting) => Effect.Effect<void>
}

/**
 * How many records are remembered: four times what an engine of today replays (moby `daemon/events/events.go`, 256).
 *
 * @since 1.0.0
 * @category models
 */
export const remembered = 1024

/**
 * What is known of an engine that was never met.
 *
 * @since 1.0.0
 * @category constructors
 */
export const nothing: Recollection = { identity: undefined, fingerprints: [], last: 0n, over: 0n, gaps: 0, running: [] }

/**
 * Remembers nothing: every reading of a feed is its first.
 *
 * @since 1.0.0
 * @category constructors
 */
export const none: FeedMemory = { recall: () => Effect.succeed(nothing), meet: () => Effect.void }

/**
 * What accepted events of one engine change of what is known of it: the records that were seen, with their times, the
 * containers that run now or changed their names, and the ids of those that run no more.
 *
 * @since 1.0.0
 * @category models
 */
export interface Changes {
  readonly seen: ReadonlyArray<Pick<DockerEvent, "fingerprint" | "timeNano">>
  readonly running: ReadonlyArray<Belief.Running>
  readonly gone: ReadonlyArray<string>
}

/** Events that des made up, as for a missed death, tell of containers; they are no records that an engine could replay. */
const isRecord = ({ Type, synthetic }: DockerEvent): boolean => Type !== OwnEvent.type && !synthetic

/**
 * The containers that these events tell of, by id: what is believed of them is needed for {@link changes}.
 *
 * @since 1.0.0
 * @category combinators
 */
export const toldOf = (events: ReadonlyArray<DockerEvent>): ReadonlySet<string> =>
  new Set(events.filter(Belief.tells).map(({ Actor }) => Actor.ID))

/**
 * What accepted events of one engine change, where `believed` has what was believed of the containers that they tell of. This
 * is the only rule for it: the live feed follows each event in the same way (`Belief.follow`).
 *
 * @since 1.0.0
 * @category combinators
 */
export const changes = (events: ReadonlyArray<DockerEvent>, believed: ReadonlyMap<string, Belief.Running>): Changes => {
  const told = toldOf(events)
  const belief: Belief.Belief = new Map()
  for (const id of told) {
    const container = believed.get(id)
    if (container !== undefined) belief.set(id, container)
  }
  for (const event of events) Belief.follow(belief, event)
  return {
    seen: events.filter(isRecord).slice(-remembered),
    running: [...belief.values()],
    gone: [...told].filter((id) => !belief.has(id))
  }
}

/**
 * The events of each engine, by its name. What no engine sent, as des's own events or those of a file, is left out.
 *
 * @since 1.0.0
 * @category combinators
 */
export const byEngine = (events: ReadonlyArray<DockerEvent>): ReadonlyMap<string, ReadonlyArray<DockerEvent>> => {
  const all = new Map<string, Array<DockerEvent>>()
  for (const event of events) {
    if (event.engine === "" || event.Type === OwnEvent.type) continue
    const ofEngine = all.get(event.engine)
    if (ofEngine === undefined) all.set(event.engine, [event])
    else ofEngine.push(event)
  }
  return all
}

interface Known {
  meeting: Recollection
  fingerprints: Array<string>
  last: bigint | undefined
  readonly running: Map<string, Belief.Running>
}

/**
 * A memory that lasts as long as the process, and what tells it of accepted events.
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = (): FeedMemory & { readonly accept: (events: ReadonlyArray<DockerEvent>) => void } => {
  const engines = new Map<string, Known>()

  const remember = (engine: string, recollection: Recollection): Known => {
    const { fingerprints, running } = recollection
    const known: Known = {
      meeting: recollection,
      fingerprints: [...fingerprints],
      last: undefined,
      running: new Map(running.map((container) => [container.id, container]))
    }
    engines.set(engine, known)
    return known
  }

  return {
    recall: (engine) =>
      Effect.sync(() => {
        const known = engines.get(engine)
        if (known === undefined) return nothing
        return {
          ...known.meeting,
          last: known.last ?? known.meeting.last,
          fingerprints: known.fingerprints.slice(-remembered),
          running: [...known.running.values()]
        }
      }),
    meet: (engine, met) => Effect.sync(() => void remember(engine, met)),
    accept: (events) => {
      for (const [engine, ofEngine] of byEngine(events)) {
        const known = engines.get(engine) ?? remember(engine, nothing)
        const { gone, running, seen } = changes(ofEngine, known.running)
        for (const { fingerprint, timeNano } of seen) {
          known.fingerprints.push(fingerprint)
          known.last = timeNano
        }
        // Now and then: to move them for each event would cost more than the event.
        if (known.fingerprints.length > 2 * remembered) known.fingerprints = known.fingerprints.slice(-remembered)
        for (const container of running) known.running.set(container.id, container)
        for (const id of gone) known.running.delete(id)
      }
    }
  }
}
