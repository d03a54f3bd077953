import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { DockerEvent } from "../event/DockerEvent.ts"
import * as FeedMemory from "../feed/FeedMemory.ts"
import { isLarge, splitByAge, weigh } from "./Admission.ts"
import * as Behind from "./Behind.ts"
import {
  type Accepted,
  actorOf,
  type Batch,
  type Entry,
  Journal,
  type JournalStatus,
  type TakeOrder,
  unkept,
  unkeptEvent
} from "./Journal.ts"
import * as Losses from "./Losses.ts"
import * as MemoryQueue from "./MemoryQueue.ts"
import * as Underway from "./Underway.ts"

/**
 * How many bytes of accepted events may be in memory by default: 256 MiB.
 *
 * @since 1.0.0
 * @category models
 */
export const defaultCapacity = 268_435_456

/** The lane of an event. In a total order all events share one lane; otherwise each actor has a lane. */
const laneOf = (order: TakeOrder, event: DockerEvent): string => (order === "total" ? "" : actorOf(event))

/** An event that was taken and is not finished. */
interface Given {
  readonly entry: Entry
  readonly lane: string
  parked: boolean
}

/**
 * The accepted events that are not finished, and whose turn it is.
 *
 * - `add`: queues an event.
 * - `take`, `park`, `reload`: as the journal promises.
 * - `begin`: notes that a run of an event begins.
 * - `remove`: removes a finished event and returns it.
 * - `status`: what waits and what runs, of `bytes` in all.
 * - `close`: no further event is queued.
 */
const makeTurns = Effect.map(Effect.makeLatch(false), (wake) => {
  const lanes = MemoryQueue.makeLanes<Entry>()
  const given = new Map<number, Given>()
  /** When each event was queued, in that order. */
  const queuedAt = new Map<number, number>()
  const underway = Underway.make()
  let closed = false
  let lastId = 0

  /** When the first event that waits was queued. Few events run, so it is found soon. */
  const firstWaiting = (): number | undefined => {
    for (const [id, at] of queuedAt) if (!underway.has(id)) return at
    return undefined
  }

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

  return {
    add: (accepted: Accepted, now: number) => {
      lanes.add({ ...accepted, id: ++lastId, acceptedAt: now, earlier: {}, coalesced: {} })
      queuedAt.set(lastId, now)
      wake.unsafeOpen()
    },
    take,
    park: (id: number) =>
      Effect.sync(() => {
        const taken = given.get(id)
        if (taken === undefined || taken.parked) return
        taken.parked = true
        underway.end(id)
        lanes.back(taken.lane)
        wake.unsafeOpen()
      }),
    // A parked event stays in memory here, because there is no other place for it.
    reload: (id: number) =>
      Effect.suspend(() => {
        const taken = given.get(id)
        if (taken === undefined) return Effect.dieMessage(`event ${id} was not given`)
        if (taken.parked) lanes.out(taken.lane)
        taken.parked = false
        return Effect.succeed(taken.entry)
      }),
    begin: underway.begin,
    remove: (id: number): Entry | undefined => {
      const taken = given.get(id)
      if (taken === undefined) return undefined
      given.delete(id)
      queuedAt.delete(id)
      underway.end(id)
      if (!taken.parked) lanes.back(taken.lane)
      wake.unsafeOpen()
      return taken.entry
    },
    status: (bytes: number): JournalStatus => {
      const running = underway.ids()
      const runningBytes = running.reduce((sum, id) => {
        const entry = given.get(id)?.entry
        return entry === undefined ? sum : sum + weigh(entry)
      }, 0)
      return {
        accepted: { events: queuedAt.size, bytes, oldest: queuedAt.values().next().value },
        waiting: { events: queuedAt.size - running.length, bytes: bytes - runningBytes, oldest: firstWaiting() },
        running: { events: running.length, bytes: runningBytes, oldest: underway.oldest() },
        size: 0
      }
    },
    close: Effect.sync(() => {
      closed = true
      wake.unsafeOpen()
    })
  }
})

/**
 * A journal in memory. It forgets everything when des ends, so each start is a first connection to every engine.
 *
 * - `capacity`: how many bytes of waiting and running events it holds (256 MiB, about 80,000 events of the usual size).
 * - `whenFull`: `"refuse"` (default) refuses events for which there is no room. This is right for an engine's feed,
 *   which des closes until there is room. A reader that waits would slow every docker command, and the engine would
 *   drop events silently. One actor may fill a quarter of the capacity. Further events of this actor are lost, with a
 *   warning, so that its storm does not close the feed for all others. `"wait"` makes the reader wait, which is right
 *   for a file.
 * - `maxAge`: events that happened more than so many milliseconds ago are not accepted (default: no limit).
 *
 * @example
 * import { Journal } from "docker-event-scripts"
 *
 * export const JournalLive = Journal.layerMemory({ capacity: 67_108_864, maxAge: 3_600_000 })
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (
  options: { readonly capacity?: number; readonly whenFull?: "refuse" | "wait"; readonly maxAge?: number } = {}
): Layer.Layer<Journal> =>
  Layer.scoped(
    Journal,
    Effect.gen(function* () {
      const weights = MemoryQueue.makeWeights(options.capacity ?? defaultCapacity)
      const losses = yield* Losses.make({
        isMuch: weights.shares.isMuch,
        first:
          "events of this actor fill a quarter of the queue, and further ones are lost until its scripts catch up. Make them faster, set a cooldown, or keep the queue on disk (--state)"
      })
      const behind = Behind.make()

      /** Returns `"share"` or `"behind"`, which has no room for an event, or nothing if it is accepted. */
      const lostBy = (accepted: Accepted, now: number) => {
        const { event } = accepted
        const actor = actorOf(event)
        if (weights.shares.isOver(actor, weigh(accepted))) return "share"
        if (!isLarge(event)) return undefined
        if (losses.isLosing(actor)) return "share"
        const record = { actor, bytes: event.record.length, engine: event.engine, timeNano: event.timeNano }
        if (behind.isTooFast(record, now)) return "behind"
        behind.add(record, now)
        return undefined
      }
      const turns = yield* makeTurns
      const memory = FeedMemory.make()
      const room = yield* Effect.makeLatch(true)
      const muchRoom = yield* Effect.makeLatch(true)
      let unfinished = 0

      const put = (accepted: Accepted, now: number) => {
        weights.add(actorOf(accepted.event), weigh(accepted))
        unfinished++
        turns.add(accepted, now)
      }

      // Checking and closing are one step. A `finish` between them would open the latch too early.
      const putWhenRoom = (accepted: Accepted): Effect.Effect<void> =>
        Effect.suspend(() => {
          if (!weights.isFull(weigh(accepted))) return Effect.map(Clock.currentTimeMillis, (now) => put(accepted, now))
          room.unsafeClose()
          return Effect.zipRight(room.await, putWhenRoom(accepted))
        })

      const accept = Effect.fnUntraced(function* (batch: Batch) {
        const { fresh } = yield* splitByAge(batch.accepted, options.maxAge ?? Number.POSITIVE_INFINITY)
        const now = yield* Clock.currentTimeMillis
        // A lost event is not remembered, so that it is accepted if the engine replays it after the next connection.
        const notKept = new Set<DockerEvent>()
        const remember = (events: ReadonlyArray<DockerEvent>) =>
          memory.accept(notKept.size === 0 ? events : events.filter((event) => !notKept.has(event)))
        for (const accepted of fresh) {
          if (options.whenFull === "wait") {
            yield* putWhenRoom(accepted)
            continue
          }
          if (weights.isFull(weigh(accepted))) {
            muchRoom.unsafeClose()
            const stored = {
              events: batch.events.slice(0, Math.max(0, batch.events.indexOf(accepted.event))),
              accepted: batch.accepted.slice(0, batch.accepted.indexOf(accepted))
            }
            remember(stored.events)
            return { ...stored, isAll: false }
          }
          const by = lostBy(accepted, now)
          if (by === undefined) put(accepted, now)
          else {
            notKept.add(accepted.event)
            yield* losses.add(accepted.event, by === "behind" ? Behind.first : undefined)
          }
        }
        remember(batch.events)
        return { ...batch, isAll: true }
      })

      const acceptOwn = (accepted: Accepted) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const bytes = weigh(accepted)
          if (weights.isFull(bytes) || weights.shares.isOver(actorOf(accepted.event), bytes)) return false
          put(accepted, now)
          return true
        })

      const finish = (id: number) =>
        Effect.sync(() => {
          const finished = turns.remove(id)
          if (finished === undefined) return
          unfinished--
          weights.add(actorOf(finished.event), -weigh(finished))
          if (weights.isHalfFree()) muchRoom.unsafeOpen()
          room.unsafeOpen()
        })

      return {
        durable: false,
        accept,
        acceptOwn,
        room: muchRoom.await,
        memory: { recall: memory.recall, meet: memory.meet, unwanted: losses.unwanted },
        close: turns.close,
        take: turns.take,
        park: turns.park,
        reload: turns.reload,
        // After a restart this journal is empty, so the count is not needed.
        coalesce: () => Effect.void,
        cool: () => Effect.succeed(0),
        begin: ({ id }) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            turns.begin(id, now)
            return unkept
          }),
        unkept: () => Effect.succeed(unkeptEvent),
        finish,
        lost: losses.next,
        unfinished: Effect.sync(() => unfinished),
        status: Effect.sync(() => turns.status(weights.all())),
        probe: Effect.void
      }
    })
  )
