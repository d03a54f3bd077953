import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { DockerEvent } from "../event/DockerEvent.ts"
import { eventName } from "../event/EventName.ts"
import * as FeedMemory from "../feed/FeedMemory.ts"
import type { Outlived } from "../scripts/Outlived.ts"
import type { Script } from "../scripts/ScriptDirectory.ts"
import type { Outcome } from "../scripts/ScriptRunner.ts"
import * as MemoryQueue from "./MemoryQueue.ts"

/**
 * The journal on disk could not be used.
 *
 * - `Unusable`: its directory cannot be created, read or written, or others could change it.
 * - `InUse`: another des uses it.
 * - `Damaged`: the file is not a journal, or is damaged.
 * - `Full`: there is no room on the disk.
 * - `Failed`: anything else.
 *
 * @since 1.0.0
 * @category errors
 */
export class JournalError extends Schema.TaggedError<JournalError>()("JournalError", {
  reason: Schema.Literal("Unusable", "InUse", "Damaged", "Full", "Failed"),
  detail: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    return this.detail
  }
}

/**
 * An event and its scripts, in the order in which they run.
 *
 * @since 1.0.0
 * @category models
 */
export interface Accepted {
  readonly event: DockerEvent
  readonly scripts: ReadonlyArray<Script>
}

/**
 * The events of one read: all of them, so that they are known again, and those that have scripts.
 *
 * @since 1.0.0
 * @category models
 */
export interface Batch {
  readonly events: ReadonlyArray<DockerEvent>
  readonly accepted: ReadonlyArray<Accepted>
}

/**
 * What became of a script for an event before: how many runs began, how the last one ended if no attempt follows, and the
 * runs that may still go on.
 *
 * @since 1.0.0
 * @category models
 */
export interface Earlier {
  readonly attempts: number
  readonly settled: "succeeded" | "failed" | undefined
  readonly outlived: ReadonlyArray<Outlived>
}

/**
 * An accepted event, taken to be run. `earlier` says what became of each script, by its path, in an earlier life of des.
 *
 * @since 1.0.0
 * @category models
 */
export interface Entry extends Accepted {
  readonly id: number
  readonly earlier: Readonly<Record<string, Earlier>>
}

/**
 * A run that is kept.
 *
 * - `variables`: make its process known again.
 * - `started`: its process has started. Before that, what ends des may be des's own handling of the event.
 * - `ended`: its outcome, with the last of its output (`last`: no attempt follows).
 * - `interrupted`: des was told to stop before its end.
 *
 * @since 1.0.0
 * @category models
 */
export interface KeptRun {
  readonly variables: Readonly<Record<string, string>>
  readonly started: (pid: number) => Effect.Effect<void>
  readonly ended: (outcome: Outcome, output: string, last: boolean) => Effect.Effect<void, JournalError>
  readonly interrupted: Effect.Effect<void>
}

/**
 * The order in which a journal gives events. `total`: as they were accepted, the next one when nothing of the last is left to
 * do. `fair`: the next event of the actor that was served longest ago, for as many actors beside each other as there
 * are takers; the events of one actor as they were accepted, one after the other.
 *
 * @since 1.0.0
 * @category models
 */
export type TakeOrder = "total" | "fair"

/**
 * What was accepted and what became of it. It stands between the reader and the scripts, so that the reader never waits for
 * one.
 *
 * - `durable`: true if what was not finished is given again when des starts the next time.
 * - `accept`: keeps a batch. False if there is no room for all of it: it then kept the events before the first one that did
 *   not fit, and knows nothing of the others.
 * - `room`: waits until it can keep more again.
 * - `memory`: what the feed remembers, which is of each engine the events that were accepted.
 * - `close`: nothing more is accepted. `take` then ends with the last event.
 * - `take`: gives the next event, and waits while there is none. An event that was given is out, until it is finished or
 *   parked; while one is out, `total` gives no other, and `fair` gives no other of the same actor.
 * - `park`: drops an event from memory that has work left for later. Its actor's next event is given meanwhile. Of an event
 *   that is finished it does nothing.
 * - `reload`: gives a parked event again.
 * - `begin`: keeps that a run begins now. It is called before des does anything for the run.
 * - `finish`: the last script of an event has come to its end.
 * - `unfinished`: counts the accepted events that are not finished.
 *
 * @since 1.0.0
 * @category services
 */
export class Journal extends Context.Tag("des/Journal")<
  Journal,
  {
    readonly durable: boolean
    readonly accept: (batch: Batch) => Effect.Effect<boolean, JournalError>
    readonly room: Effect.Effect<void>
    readonly memory: FeedMemory.FeedMemory
    readonly close: Effect.Effect<void>
    readonly take: (order: TakeOrder) => Effect.Effect<Option.Option<Entry>, JournalError>
    readonly park: (id: number) => Effect.Effect<void>
    readonly reload: (id: number) => Effect.Effect<Entry, JournalError>
    readonly begin: (entry: Entry, script: Script, attempt: number) => Effect.Effect<KeptRun, JournalError>
    readonly finish: (id: number, state: "done" | "failed") => Effect.Effect<void, JournalError>
    readonly unfinished: Effect.Effect<number, JournalError>
  }
>() {}

/** All events are in one lane for a total order, else those of an actor. */
const laneOf = (order: TakeOrder, event: DockerEvent): string => (order === "total" ? "" : actorOf(event))

/**
 * Names an event's actor apart from all others: an ID is one of an engine and a type only.
 *
 * @internal
 */
export const actorOf = (event: Pick<DockerEvent, "engine" | "Type" | "Actor">): string =>
  `${event.engine} ${event.Type} ${event.Actor.ID}`

/**
 * About how many bytes of memory an accepted event takes: its record as UTF-16, the same decoded, and objects.
 *
 * @internal
 */
export const weigh = ({ event }: { readonly event: Pick<DockerEvent, "record"> }): number =>
  1024 + 4 * event.record.length

/**
 * Splits off the events that happened more than `maxAge` milliseconds ago, and says that they are skipped. An event without
 * a time is not old.
 *
 * @internal
 */
export const splitByAge = (accepted: ReadonlyArray<Accepted>, maxAge: number) =>
  Effect.gen(function* () {
    if (maxAge === Number.POSITIVE_INFINITY) return { fresh: accepted, tooOld: [] }
    const oldest = BigInt(Math.floor((yield* Clock.currentTimeMillis) - maxAge)) * 1_000_000n
    const [tooOld, fresh] = Arr.partition(accepted, ({ event }) => event.timeNano >= oldest || event.timeNano === 0n)
    if (tooOld.length > 0) yield* sayTooOld(tooOld.length, maxAge)
    return { fresh, tooOld }
  })

/** @internal */
export const sayTooOld = (count: number, maxAge: number): Effect.Effect<void> =>
  Effect.logWarning(
    `${count} ${count === 1 ? "event is" : "events are"} skipped: older than --max-age (${Duration.format(maxAge)})`
  )

/**
 * How many bytes of accepted events are in memory at most, by default: 256 MiB.
 *
 * @since 1.0.0
 * @category models
 */
export const defaultCapacity = 268_435_456

/**
 * A run that nobody keeps.
 *
 * @since 1.0.0
 * @category constructors
 */
export const unkept: KeptRun = {
  variables: {},
  started: () => Effect.void,
  ended: () => Effect.void,
  interrupted: Effect.void
}

/** An event that was given and is not finished. */
interface Given {
  readonly entry: Entry
  readonly lane: string
  parked: boolean
}

/**
 * A journal in memory. What it remembers of engines ends with des: every start is its first.
 *
 * - `capacity`: how many bytes of events it holds, waiting and running (256 MiB, about 80,000 events of the usual size).
 * - `whenFull`: `"refuse"` (default) refuses what there is no room for. This is right for an engine's feed, which is closed
 *   until there is room: a reader that waits slows every docker command, and the engine then drops events without a word. One
 *   actor can fill a quarter of the capacity. What comes of it beyond that is lost, and said, so that its storm closes the
 *   feed for nobody. `"wait"` makes the reader wait, which is right for a file.
 * - `maxAge`: what happened more milliseconds ago is not accepted (default: however old).
 *
 * @since 1.0.0
 * @category layers
 */
export const layerMemory = (
  options: { readonly capacity?: number; readonly whenFull?: "refuse" | "wait"; readonly maxAge?: number } = {}
): Layer.Layer<Journal> =>
  Layer.effect(
    Journal,
    Effect.gen(function* () {
      const weights = MemoryQueue.makeWeights(options.capacity ?? defaultCapacity)
      const lanes = MemoryQueue.makeLanes<Entry>()
      const given = new Map<number, Given>()
      /** How many events of an actor were lost since it took its whole share. */
      const lost = new Map<string, number>()
      const memory = FeedMemory.make()
      const room = yield* Effect.makeLatch(true)
      const muchRoom = yield* Effect.makeLatch(true)
      const wake = yield* Effect.makeLatch(false)
      let closed = false
      let unfinished = 0
      let lastId = 0

      const put = (accepted: Accepted) => {
        weights.add(actorOf(accepted.event), weigh(accepted))
        unfinished++
        lanes.add({ ...accepted, id: ++lastId, earlier: {} })
        wake.unsafeOpen()
      }

      const lose = (event: DockerEvent) =>
        Effect.suspend(() => {
          const actor = actorOf(event)
          const before = lost.get(actor) ?? 0
          lost.set(actor, before + 1)
          if (before > 0) return Effect.void
          return Effect.logWarning(
            `${eventName(event)}: a quarter of the queue has events of this actor, and more of them are lost until its scripts catch up. Make them faster, set a cooldown, or keep the queue on disk (--state)`
          )
        })

      /** An actor that has caught up with half of its share. */
      const sayLost = (event: DockerEvent) =>
        Effect.suspend(() => {
          const actor = actorOf(event)
          const count = lost.get(actor)
          if (count === undefined || weights.isOverShare(actor, weights.share / 2)) return Effect.void
          lost.delete(actor)
          return Effect.logWarning(
            `${eventName(event)}: the queue has room for events of this actor again; ${count} ${count === 1 ? "was" : "were"} lost`
          )
        })

      // The check and the closing are one step: a finish between them would open the latch too early.
      const putWhenRoom = (accepted: Accepted): Effect.Effect<void> =>
        Effect.suspend(() => {
          if (!weights.isFull(weigh(accepted))) return Effect.sync(() => put(accepted))
          room.unsafeClose()
          return Effect.zipRight(room.await, putWhenRoom(accepted))
        })

      const accept = Effect.fnUntraced(function* (batch: Batch) {
        const { fresh } = yield* splitByAge(batch.accepted, options.maxAge ?? Number.POSITIVE_INFINITY)
        // What was lost is not remembered, so that the engine can give it again after the next connection.
        const notKept = new Set<DockerEvent>()
        const remember = (events: ReadonlyArray<DockerEvent>) =>
          memory.accept(notKept.size === 0 ? events : events.filter((event) => !notKept.has(event)))
        for (const accepted of fresh) {
          if (options.whenFull === "wait") yield* putWhenRoom(accepted)
          else if (weights.isFull(weigh(accepted))) {
            muchRoom.unsafeClose()
            remember(batch.events.slice(0, Math.max(0, batch.events.indexOf(accepted.event))))
            return false
          } else if (weights.isOverShare(actorOf(accepted.event), weigh(accepted))) {
            notKept.add(accepted.event)
            yield* lose(accepted.event)
          } else put(accepted)
        }
        remember(batch.events)
        return true
      })

      const take = (order: TakeOrder): Effect.Effect<Option.Option<Entry>> =>
        Effect.suspend(() => {
          wake.unsafeClose()
          const next = lanes.next(({ event }) => laneOf(order, event))
          if (next !== undefined) {
            given.set(next.value.id, { entry: next.value, lane: next.lane, parked: false })
            return Effect.succeed(Option.some(next.value))
          }
          if (closed && lanes.isEmpty()) return Effect.succeed(Option.none())
          return Effect.zipRight(wake.await, take(order))
        })

      const park = (id: number) =>
        Effect.sync(() => {
          const taken = given.get(id)
          if (taken === undefined || taken.parked) return
          taken.parked = true
          lanes.back(taken.lane)
          wake.unsafeOpen()
        })

      // It is nowhere else than in memory.
      const reload = (id: number) =>
        Effect.suspend(() => {
          const taken = given.get(id)
          if (taken === undefined) return Effect.dieMessage(`event ${id} was not given`)
          if (taken.parked) lanes.out(taken.lane)
          taken.parked = false
          return Effect.succeed(taken.entry)
        })

      const finish = (id: number) =>
        Effect.suspend(() => {
          const taken = given.get(id)
          if (taken === undefined) return Effect.void
          given.delete(id)
          unfinished--
          weights.add(actorOf(taken.entry.event), -weigh(taken.entry))
          if (!taken.parked) lanes.back(taken.lane)
          if (weights.isHalfFree()) muchRoom.unsafeOpen()
          room.unsafeOpen()
          wake.unsafeOpen()
          return sayLost(taken.entry.event)
        })

      return {
        durable: false,
        accept,
        room: muchRoom.await,
        memory: { recall: memory.recall, meet: memory.meet },
        close: Effect.sync(() => {
          closed = true
          wake.unsafeOpen()
        }),
        take,
        park,
        reload,
        begin: () => Effect.succeed(unkept),
        finish,
        unfinished: Effect.sync(() => unfinished)
      }
    })
  )
