import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Loss } from "../../feed/Gap.ts"
import { isLarge, largeFrom } from "../Admission.ts"
import * as Behind from "../Behind.ts"
import { type Accepted, actorOf } from "../Journal.ts"
import * as Losses from "../Losses.ts"
import * as Shares from "../Shares.ts"
import { type Actor, withoutNul } from "./Rows.ts"
import { sizeOfEvent } from "./Size.ts"

/** How many bytes of large records of one actor may wait on the disk. Smaller records may wait without a bound. */
const mostLarge = 16_777_216

/**
 * Bounds the large events of each actor that wait on the disk. Each costs much more time than the engine needs to send
 * it, so without a bound one actor's storm would delay the events of all others.
 *
 * - `admit`: separates the events that may be written from those that are lost.
 * - `finished`: notes that an event of an actor does not wait any more, with the length and the size of its record.
 * - `lost`: waits for the next report of losses.
 * - `unwanted`: the actors whose large events are lost now.
 */
export interface LargeBacklog {
  readonly admit: (accepted: ReadonlyArray<Accepted>) => Effect.Effect<
    {
      readonly kept: ReadonlyArray<Accepted>
      readonly lost: ReadonlyArray<Accepted>
    },
    SqlError
  >
  readonly finished: (actor: Actor, record: { readonly length: number; readonly size: number }) => void
  readonly lost: Effect.Effect<Loss>
  readonly unwanted: Losses.Losses["unwanted"]
}

const nameOf = ({ actor, engine, type }: Actor): string =>
  actorOf({ engine, Type: type, Actor: { ID: actor, Attributes: {} } })

/** `isShared`: other nodes also finish events, so what waits is counted in the table each time. */
export const make = (
  sql: SqlClient.SqlClient,
  { isShared }: { readonly isShared: boolean }
): Effect.Effect<LargeBacklog, never, Scope.Scope> =>
  Effect.gen(function* () {
    const shares = Shares.make(mostLarge)
    /** What is counted of each actor, if it is counted each time. */
    const counted = new Map<string, number>()
    const losses = yield* Losses.make({
      isMuch: shares.isMuch,
      first: `records over ${largeFrom / 1024} KiB of this actor fill its share of the journal (${mostLarge / 1_048_576} MiB), and further ones are lost for a minute, and until its scripts catch up. Make them faster, or let them run for fewer events`
    })
    const behind = Behind.make()

    const isStored = ({ event }: Accepted) =>
      Effect.map(
        sql`SELECT id FROM event WHERE engine = ${event.engine} AND fingerprint = ${event.fingerprint}`,
        (rows) => rows.length > 0
      )

    /** Counts what waits of an actor, also what waited before a restart. */
    const count = Effect.fnUntraced(function* (actor: Actor) {
      const name = nameOf(actor)
      if (!isShared && shares.isCounted(name)) return
      const [waiting] = yield* sql<{ size: number }>`SELECT coalesce(sum(size), 0) AS size FROM event
        WHERE state = 'waiting' AND engine = ${actor.engine} AND type = ${actor.type} AND actor = ${actor.actor}
          AND length(record) > ${largeFrom}`
      const size = waiting?.size ?? 0
      shares.add(name, size - (counted.get(name) ?? 0))
      if (isShared && size > 0) counted.set(name, size)
      else counted.delete(name)
    })

    /** Returns `"share"` or `"behind"`, which has no room for an event, or nothing if it is accepted. */
    const lostBy = Effect.fnUntraced(function* (accepted: Accepted) {
      const { event } = accepted
      // An event that is stored already is not written again.
      if (yield* isStored(accepted)) return undefined
      const actor = { engine: event.engine, type: event.Type, actor: withoutNul(event.Actor.ID) }
      yield* count(actor)
      const name = nameOf(actor)
      const size = sizeOfEvent(event.record)
      const now = yield* Clock.currentTimeMillis
      const record = { actor: name, bytes: size, engine: event.engine, timeNano: event.timeNano }
      if (losses.isLosing(name) || shares.isOver(name, size)) return "share"
      if (behind.isTooFast(record, now)) return "behind"
      behind.add(record, now)
      shares.add(name, size)
      if (isShared) counted.set(name, (counted.get(name) ?? 0) + size)
      return undefined
    })

    const admit = Effect.fnUntraced(function* (accepted: ReadonlyArray<Accepted>) {
      // This is the usual case, and it costs nothing.
      if (!accepted.some(({ event }) => isLarge(event))) return { kept: accepted, lost: [] }
      const kept: Array<Accepted> = []
      const lost: Array<Accepted> = []
      for (const one of accepted) {
        const by = isLarge(one.event) ? yield* lostBy(one) : undefined
        if (by === undefined) kept.push(one)
        else {
          lost.push(one)
          yield* losses.add(one.event, by === "behind" ? Behind.first : undefined)
        }
      }
      return { kept, lost }
    })

    return {
      admit,
      finished: (actor, { length, size }) => {
        if (length > largeFrom) shares.add(nameOf(actor), -size)
      },
      lost: losses.next,
      unwanted: losses.unwanted
    }
  })
