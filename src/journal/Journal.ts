import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Mailbox from "effect/Mailbox"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { DockerEvent } from "../event/DockerEvent.ts"
import * as FeedMemory from "../feed/FeedMemory.ts"
import type { Outlived } from "../scripts/Outlived.ts"
import type { Script } from "../scripts/ScriptDirectory.ts"
import type { Outcome } from "../scripts/ScriptRunner.ts"

/**
 * The journal on disk could not be used.
 *
 * `Unusable`: its directory cannot be created, read or written, or others could change it; `InUse`: another des has it;
 * `Damaged`: the file is no journal, or is one no more; `Full`: there is no room on the disk; `Failed`: anything else.
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
 * What the reader hands over of one read: every event, so that it is known again, and of them those that have scripts.
 *
 * @since 1.0.0
 * @category models
 */
export interface Batch {
  readonly events: ReadonlyArray<DockerEvent>
  readonly accepted: ReadonlyArray<Accepted>
}

/**
 * What became of a script for an event before: how often it was begun, how it came to its end if it did, and what may still run.
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
 * A run that is kept: the variables that make its process known again, and what is told of it: that its process has
 * started, and its outcome with the last of its output (`last`: no attempt follows).
 *
 * @since 1.0.0
 * @category models
 */
export interface KeptRun {
  readonly variables: Readonly<Record<string, string>>
  readonly started: (pid: number) => Effect.Effect<void>
  readonly ended: (outcome: Outcome, output: string, last: boolean) => Effect.Effect<void, JournalError>
}

/**
 * What was accepted and what became of it, in order. It stands between the reader and the scripts, so that the reader
 * never waits for one.
 *
 * `accept` keeps a batch, and says whether it had room for all of it: if not, it kept the events before the first one that did
 * not fit, and knows nothing of the others. `room` answers when it can keep
 * more again. `memory` is what the feed remembers: of each engine the events that were accepted. `take` gives the next one, waits
 * while there is none, and gives nothing once the journal is closed and empty. `rest` says of what was taken that it is not
 * needed for a while, and gives what brings it back. `begin` is said before each run, `finish` of an entry, by its id, when
 * its last script is done with. `waiting` counts what was not taken. `durable` journals give what was
 * not finished again when des starts the next time.
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
    readonly take: Effect.Effect<Option.Option<Entry>, JournalError>
    readonly begin: (entry: Entry, script: Script, attempt: number) => Effect.Effect<KeptRun, JournalError>
    readonly rest: (entry: Entry) => Effect.Effect<Effect.Effect<Entry, JournalError>>
    readonly finish: (id: number, state: "done" | "failed") => Effect.Effect<void, JournalError>
    readonly waiting: Effect.Effect<number, JournalError>
  }
>() {}

/**
 * About what an accepted event takes of memory, in bytes: its record as UTF-16, the same again decoded, and objects.
 *
 * @internal
 */
export const weigh = ({ event }: Accepted): number => 1024 + 4 * event.record.length

/**
 * Tells what happened more than `maxAge` milliseconds ago, and is skipped, from the rest; and says so. What has no time is
 * not old.
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
 * How much of accepted events is in memory at most, in bytes, where nothing else is said: 256 MiB.
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
export const unkept: KeptRun = { variables: {}, started: () => Effect.void, ended: () => Effect.void }

/**
 * A journal in memory: at most `capacity` bytes of events, waiting and running (default 256 MiB, about 80,000 events of the usual size).
 *
 * When it is full, `whenFull: "refuse"` (default) refuses what comes, which is right for an engine's feed: it is closed until
 * there is room, since a reader that waits slows every docker command, and the engine then drops events itself, silently. `"wait"` makes
 * the reader wait, which is right for a feed from a file. What happened more than `maxAge` milliseconds ago is not accepted
 * (default: however old). What is remembered of engines ends with des: every start is its first.
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
      const capacity = options.capacity ?? defaultCapacity
      const mailbox = yield* Mailbox.make<Entry>()
      const memory = FeedMemory.make()
      const room = yield* Effect.makeLatch(true)
      const muchRoom = yield* Effect.makeLatch(true)
      const weights = new Map<number, number>()
      let weight = 0
      let waiting = 0
      let id = 0

      const isFull = (accepted: Accepted) => weight > 0 && weight + weigh(accepted) > capacity

      const put = (accepted: Accepted) => {
        weight += weigh(accepted)
        weights.set(id, weigh(accepted))
        waiting++
        mailbox.unsafeOffer({ ...accepted, id: id++, earlier: {} })
      }

      // The check and the closing are one step: a take between them would open the latch too early.
      const putWhenRoom = (accepted: Accepted): Effect.Effect<void> =>
        Effect.suspend(() => {
          if (!isFull(accepted)) return Effect.sync(() => put(accepted))
          room.unsafeClose()
          return Effect.zipRight(room.await, putWhenRoom(accepted))
        })

      const accept = Effect.fnUntraced(function* (batch: Batch) {
        const { fresh } = yield* splitByAge(batch.accepted, options.maxAge ?? Number.POSITIVE_INFINITY)
        for (const accepted of fresh) {
          if (options.whenFull === "wait") yield* putWhenRoom(accepted)
          else if (!isFull(accepted)) put(accepted)
          else {
            muchRoom.unsafeClose()
            memory.accept(batch.events.slice(0, Math.max(0, batch.events.indexOf(accepted.event))))
            return false
          }
        }
        memory.accept(batch.events)
        return true
      })

      const finish = (finished: number) =>
        Effect.suspend(() => {
          weight -= weights.get(finished) ?? 0
          weights.delete(finished)
          if (weight <= capacity / 2) muchRoom.unsafeOpen()
          return Effect.asVoid(room.open)
        })

      return {
        durable: false,
        accept,
        room: muchRoom.await,
        memory: { recall: memory.recall, meet: memory.meet },
        close: Effect.asVoid(mailbox.end),
        take: Effect.option(Effect.tap(mailbox.take, () => Effect.sync(() => waiting--))),
        // It is nowhere else.
        rest: (entry) => Effect.succeed(Effect.succeed(entry)),
        begin: () => Effect.succeed(unkept),
        finish,
        waiting: Effect.sync(() => waiting)
      }
    })
  )
