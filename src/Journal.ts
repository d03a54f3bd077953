import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Mailbox from "effect/Mailbox"
import type * as Option from "effect/Option"
import type { DockerEvent } from "./docker/DockerEvent.ts"
import type { Script } from "./scripts/ScriptDirectory.ts"

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
 * What was accepted and has not run to its end, in order. It stands between the reader and the scripts, so that the reader
 * never waits for one.
 *
 * `take` gives the next one, waits while there is none, and gives nothing once the journal is closed and empty. `finish` says
 * that what was taken is done with.
 *
 * @since 1.0.0
 * @category services
 */
export class Journal extends Context.Tag("des/Journal")<
  Journal,
  {
    readonly accept: (entries: ReadonlyArray<Accepted>) => Effect.Effect<void>
    readonly close: Effect.Effect<void>
    readonly take: Effect.Effect<Option.Option<Accepted>>
    readonly finish: (entry: Accepted) => Effect.Effect<void>
  }
>() {}

/** About what an accepted event takes of memory, in bytes: its record as UTF-16, the same again decoded, and objects. */
const weigh = (entry: Accepted): number => 1024 + 4 * entry.event.record.length

const defaultCapacity = 268_435_456

/**
 * A journal in memory: at most `capacity` bytes of events, waiting and running (default 256 MiB, about 80,000 events of the usual size).
 *
 * When it is full, `whenFull: "drop"` (default) loses what comes and says how much, which is right for an engine's feed:
 * a reader that waits slows every docker command and the engine then drops events itself, silently. `"wait"` makes
 * the reader wait, which is right for a feed from a file.
 *
 * @since 1.0.0
 * @category layers
 */
export const layerMemory = (
  options: { readonly capacity?: number; readonly whenFull?: "drop" | "wait" } = {}
): Layer.Layer<Journal> =>
  Layer.effect(
    Journal,
    Effect.gen(function* () {
      const capacity = options.capacity ?? defaultCapacity
      const mailbox = yield* Mailbox.make<Accepted>()
      const room = yield* Effect.makeLatch(true)
      let weight = 0
      let lost = 0

      const isFull = (entry: Accepted) => weight > 0 && weight + weigh(entry) > capacity

      const put = (entry: Accepted) => {
        weight += weigh(entry)
        mailbox.unsafeOffer(entry)
      }

      // The check and the closing are one step: a take between them would open the latch too early.
      const putWhenRoom = (entry: Accepted): Effect.Effect<void> =>
        Effect.suspend(() => {
          if (!isFull(entry)) return Effect.sync(() => put(entry))
          room.unsafeClose()
          return Effect.zipRight(room.await, putWhenRoom(entry))
        })

      const drop = Effect.suspend(() => {
        lost++
        return lost === 1
          ? Effect.logWarning(
              "The queue of accepted events is full: events are lost until scripts catch up. Make the scripts faster, or narrow what they run for"
            )
          : Effect.void
      })

      const accept = Effect.fn("Journal.accept")(function* (entries: ReadonlyArray<Accepted>) {
        for (const entry of entries) {
          if (!isFull(entry)) put(entry)
          else if (options.whenFull === "wait") yield* putWhenRoom(entry)
          else yield* drop
        }
      })

      const sayLost = Effect.suspend(() => {
        if (lost === 0 || weight > capacity / 2) return Effect.void
        const count = lost
        lost = 0
        return Effect.logWarning(`The queue of accepted events has room again: ${count} events were lost`)
      })

      const finish = (entry: Accepted) =>
        Effect.suspend(() => {
          weight -= weigh(entry)
          return Effect.zipRight(room.open, sayLost)
        })

      return { accept, close: Effect.asVoid(mailbox.end), take: Effect.option(mailbox.take), finish }
    })
  )
