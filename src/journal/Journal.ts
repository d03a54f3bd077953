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
 * The journal on disk cannot be used.
 *
 * - `Unusable`: its directory cannot be created, read or written, or other users could change it.
 * - `InUse`: another des uses it.
 * - `Damaged`: the file is not a journal, or is damaged.
 * - `Full`: its disk is full.
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
 * The events of one read. `events` are all of them, so that duplicates can be recognised later; `accepted` are those
 * that have scripts.
 *
 * @since 1.0.0
 * @category models
 */
export interface Batch {
  readonly events: ReadonlyArray<DockerEvent>
  readonly accepted: ReadonlyArray<Accepted>
}

/**
 * What happened to a script for an event in an earlier life of des. `attempts` is how many runs began. `settled` is how
 * the last run ended, if no retry follows. `outlived` are the runs that may still go on.
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
 * An accepted event that was taken to be run. `earlier` says, by the path of each script, what happened to it in an
 * earlier life of des.
 *
 * @since 1.0.0
 * @category models
 */
export interface Entry extends Accepted {
  readonly id: number
  readonly earlier: Readonly<Record<string, Earlier>>
}

/**
 * A run that the journal records.
 *
 * - `variables`: variables for the script's environment, by which des finds the process later.
 * - `started`: records that the script's process has started. If des ends before this, its own handling of the event
 *   may be the cause.
 * - `ended`: records the outcome and the end of the output. With `last` no retry follows.
 * - `interrupted`: records that des was told to stop before the run ended.
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
 * The order in which a journal gives events.
 *
 * - `total`: in the order of acceptance. The next event comes when the last one is finished or parked.
 * - `fair`: the next event of the actor that was served longest ago, so that actors take turns. The events of one actor
 *   come in the order of acceptance, one after the other.
 *
 * @since 1.0.0
 * @category models
 */
export type TakeOrder = "total" | "fair"

/**
 * Stores accepted events and their runs. It stands between the feed and the scripts, so that the feed never waits for a
 * script.
 *
 * - `durable`: true if unfinished events run again after the next start of des.
 * - `accept`: stores a batch. Returns false if there is no room for all of it: it then stored the events before the
 *   first one that did not fit, and remembers nothing of the others.
 * - `room`: waits until there is room again.
 * - `memory`: what the feed remembers of each engine and its accepted events.
 * - `close`: accepts nothing more. `take` then returns none after the last event.
 * - `take`: returns the next event, or waits for one. The event is out until it is finished or parked. While an event
 *   is out, `total` gives no other event, and `fair` no other event of the same actor.
 * - `park`: drops an event from memory whose work waits for later. Then the next event of its actor can be taken. Does
 *   nothing if the event is finished.
 * - `reload`: loads a parked event again.
 * - `begin`: records that a run begins. It is called before des does anything else for the run.
 * - `finish`: records that the last script of an event has ended.
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

/** The lane of an event. In a total order all events share one lane; otherwise each actor has a lane. */
const laneOf = (order: TakeOrder, event: DockerEvent): string => (order === "total" ? "" : actorOf(event))

/**
 * A name for an event's actor that no other actor has. An ID alone is unique only for one engine and type.
 *
 * @internal
 */
export const actorOf = (event: Pick<DockerEvent, "engine" | "Type" | "Actor">): string =>
  `${event.engine} ${event.Type} ${event.Actor.ID}`

/**
 * About how many bytes of memory an accepted event takes: its record as UTF-16, the decoded record, and objects.
 *
 * @internal
 */
export const weigh = ({ event }: { readonly event: Pick<DockerEvent, "record"> }): number =>
  1024 + 4 * event.record.length

/**
 * Separates the events that happened more than `maxAge` milliseconds ago, and logs that they are skipped. An event
 * without a time is never too old.
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
 * How many bytes of accepted events may be in memory by default: 256 MiB.
 *
 * @since 1.0.0
 * @category models
 */
export const defaultCapacity = 268_435_456

/**
 * A run that is not recorded.
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

/** An event that was taken and is not finished. */
interface Given {
  readonly entry: Entry
  readonly lane: string
  parked: boolean
}

/**
 * A journal in memory. It forgets everything when des ends, so each start is a first meeting with every engine.
 *
 * - `capacity`: how many bytes of waiting and running events it holds (256 MiB, about 80,000 events of the usual size).
 * - `whenFull`: `"refuse"` (default) refuses events for which there is no room. This is right for an engine's feed,
 *   which des closes until there is room. A reader that waits would slow every docker command, and the engine would
 *   drop events silently. One actor may fill a quarter of the capacity. Further events of this actor are lost, with a
 *   warning, so that its storm does not close the feed for all others. `"wait"` makes the reader wait, which is right
 *   for a file.
 * - `maxAge`: events that happened more than so many milliseconds ago are not accepted (default: no limit).
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
      /** By actor: how many of its events were lost since it reached its share. */
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
            `${eventName(event)}: events of this actor fill a quarter of the queue, and further ones are lost until its scripts catch up. Make them faster, set a cooldown, or keep the queue on disk (--state)`
          )
        })

      /** Logs how many events of an actor were lost, once the actor takes only half of its share. */
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

      // Checking and closing are one step. A `finish` between them would open the latch too early.
      const putWhenRoom = (accepted: Accepted): Effect.Effect<void> =>
        Effect.suspend(() => {
          if (!weights.isFull(weigh(accepted))) return Effect.sync(() => put(accepted))
          room.unsafeClose()
          return Effect.zipRight(room.await, putWhenRoom(accepted))
        })

      const accept = Effect.fnUntraced(function* (batch: Batch) {
        const { fresh } = yield* splitByAge(batch.accepted, options.maxAge ?? Number.POSITIVE_INFINITY)
        // A lost event is not remembered, so that it is accepted if the engine replays it after the next connection.
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

      // A parked event stays in memory here, because there is no other place for it.
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
