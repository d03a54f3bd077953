import * as Effect from "effect/Effect"
import type { DockerEvent } from "../event/DockerEvent.ts"
import * as OwnEvent from "../event/OwnEvent.ts"
import { noneUnwanted, type Unwanted } from "../event/RecordHead.ts"
import * as Belief from "./Belief.ts"

/**
 * What des remembers of an engine.
 *
 * @since 1.0.0
 * @category models
 */
export interface Recollection {
  /** The engine's ID; undefined if des never connected to it. */
  readonly identity: string | undefined
  /** The fingerprints of its last records, oldest first. */
  readonly fingerprints: ReadonlyArray<string>
  /**
   * The time of its last record, in nanoseconds since 1970. Before the first record it is the time of the first connection
   * (0: never connected).
   */
  readonly last: bigint
  /**
   * Replayed events up to this time do not run, in nanoseconds since 1970. It is set only if des could not read the whole replay
   * at the first connection (0: des read all of it and knows each record by its fingerprint).
   */
  readonly over: bigint
  /** How many gaps this engine's feed had. */
  readonly gaps: number
  /** The containers that des believes to be running. */
  readonly running: ReadonlyArray<Belief.Running>
}

/**
 * What des remembers of an engine that it has connected to.
 *
 * @since 1.0.0
 * @category models
 */
export type MetEngine = Recollection & { readonly identity: string }

/**
 * The memory of a feed. It lasts longer than one reading of the feed. The feed itself writes to it only after a first connection
 * or a gap. In between, whoever accepts the events updates it: see {@link changes}.
 *
 * @since 1.0.0
 * @category models
 */
export interface FeedMemory {
  /** Loads what des remembers of an engine. The feed calls it once, when somebody begins to read the feed. */
  readonly recall: (engine: string) => Effect.Effect<Recollection>
  /**
   * Replaces what des remembers of an engine. The feed calls it after the first connection, and after a gap, once the events of
   * that gap were accepted.
   */
  readonly meet: (engine: string, met: MetEngine) => Effect.Effect<void>
  /** The actors whose large records are not accepted now. The feed need not read them. */
  readonly unwanted: Unwanted
  /**
   * Waits until another des may read the feed of an engine that was recalled. Then the feed here ends, and is recalled again. A memory of
   * one des does not have it.
   */
  readonly revoked?: (engine: string) => Effect.Effect<void>
}

/**
 * How many records of an engine des remembers: four times what an engine of today replays (moby `daemon/events/events.go`, 256).
 *
 * @since 1.0.0
 * @category models
 */
export const remembered = 1024

/**
 * What des remembers of an engine that it never connected to.
 *
 * @since 1.0.0
 * @category constructors
 */
export const nothing: Recollection = { identity: undefined, fingerprints: [], last: 0n, over: 0n, gaps: 0, running: [] }

/**
 * A memory that keeps nothing. Every reading of the feed begins like the first one.
 *
 * @since 1.0.0
 * @category constructors
 */
export const none: FeedMemory = {
  recall: () => Effect.succeed(nothing),
  meet: () => Effect.void,
  unwanted: noneUnwanted
}

/**
 * How the accepted events of one engine change what des remembers of it.
 *
 * @since 1.0.0
 * @category models
 */
export interface Changes {
  /** The records that were seen, with their times. */
  readonly seen: ReadonlyArray<Pick<DockerEvent, "fingerprint" | "timeNano">>
  /** The containers that have started or have a new name. */
  readonly running: ReadonlyArray<Belief.Running>
  /** The ids of the containers that do not run any more. */
  readonly gone: ReadonlyArray<string>
}

/** True if an engine can replay the event. It cannot replay des's own events and synthetic ones. */
const isRecord = ({ Type, synthetic }: DockerEvent): boolean => Type !== OwnEvent.type && !synthetic

/**
 * The ids of the containers that these events are about. {@link changes} needs the belief about these.
 *
 * @example
 * import { FeedMemory } from "docker-event-scripts"
 * import * as Testing from "docker-event-scripts/testing"
 *
 * // Set { "c0ffee" }
 * export const ids = FeedMemory.containersOf([Testing.makeEvent({ action: "start" })])
 *
 * @since 1.0.0
 * @category combinators
 */
export const containersOf = (events: ReadonlyArray<DockerEvent>): ReadonlySet<string> =>
  new Set(events.filter(Belief.concerns).map(({ Actor }) => Actor.ID))

/**
 * Computes how the accepted events of one engine change what des remembers of it. `believed` has the belief about the containers
 * that the events are about. The live feed follows the same rule (`Belief.follow`).
 *
 * @example
 * import { FeedMemory } from "docker-event-scripts"
 * import * as Testing from "docker-event-scripts/testing"
 *
 * // What a journal of your own writes to its tables beside these events.
 * export const changes = FeedMemory.changes([Testing.makeEvent({ action: "start" })], new Map())
 *
 * @since 1.0.0
 * @category combinators
 */
export const changes = (events: ReadonlyArray<DockerEvent>, believed: ReadonlyMap<string, Belief.Running>): Changes => {
  const ids = containersOf(events)
  const belief: Belief.Belief = new Map()
  for (const id of ids) {
    const container = believed.get(id)
    if (container !== undefined) belief.set(id, container)
  }
  for (const event of events) Belief.follow(belief, event)
  return {
    seen: events.filter(isRecord).slice(-remembered),
    running: [...belief.values()],
    gone: [...ids].filter((id) => !belief.has(id))
  }
}

/**
 * Groups events by the name of their engine. Events that belong to no engine are left out: des's own, and those from a file.
 *
 * @example
 * import { DockerEvent, FeedMemory } from "docker-event-scripts"
 *
 * export const perEngine = (events: ReadonlyArray<DockerEvent.DockerEvent>) =>
 *   Array.from(FeedMemory.byEngine(events), ([engine, own]) => `${engine}: ${own.length}`)
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

/** What the memory of this process has of one engine since it was last replaced. */
interface KnownEngine {
  replacedBy: Recollection
  fingerprints: Array<string>
  last: bigint | undefined
  readonly running: Map<string, Belief.Running>
}

/**
 * Makes a memory that lasts as long as the process. `accept` updates it with accepted events.
 *
 * @example
 * import { EventFeed, FeedMemory } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 *
 * // After an error, the same stream goes on behind the last accepted event.
 * export const remembered = Effect.map(EventFeed.EventFeed, ({ resume }) => {
 *   const memory = FeedMemory.make()
 *   return Stream.tap(resume(memory), (event) => Effect.sync(() => memory.accept([event])))
 * })
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = (): FeedMemory & {
  readonly accept: (events: ReadonlyArray<DockerEvent>) => void
} => {
  const engines = new Map<string, KnownEngine>()

  const remember = (engine: string, recollection: Recollection): KnownEngine => {
    const { fingerprints, running } = recollection
    const known: KnownEngine = {
      replacedBy: recollection,
      fingerprints: [...fingerprints],
      last: undefined,
      running: new Map(running.map((container) => [container.id, container]))
    }
    engines.set(engine, known)
    return known
  }

  return {
    unwanted: noneUnwanted,
    recall: (engine) =>
      Effect.sync(() => {
        const known = engines.get(engine)
        if (known === undefined) return nothing
        return {
          ...known.replacedBy,
          last: known.last ?? known.replacedBy.last,
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
        // Cutting the list at each event would cost more than the event.
        if (known.fingerprints.length > 2 * remembered) known.fingerprints = known.fingerprints.slice(-remembered)
        for (const container of running) known.running.set(container.id, container)
        for (const id of gone) known.running.delete(id)
      }
    }
  }
}
