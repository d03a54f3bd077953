import * as Effect from "effect/Effect"
import type { DockerEvent } from "../event/DockerEvent.ts"
import * as OwnEvent from "../event/OwnEvent.ts"
import * as LogFields from "../LogFields.ts"

/**
 * The reason why events cannot be replayed.
 *
 * - `overrun`: more events happened than the engine keeps.
 * - `restart`: the engine was restarted and forgot its events.
 * - `other-engine`: another engine answers at the endpoint.
 */
export type Reason = "overrun" | "restart" | "other-engine"

/** How many records dockerd keeps and can replay (moby `daemon/events/events.go`, since 17.06). */
export const ringSize = 256

const because: Readonly<Record<Reason, string>> = {
  overrun: "more happened than the engine keeps",
  restart: "the engine has restarted and forgot them",
  "other-engine": "another engine answers there now"
}

/** A time as a log line shows it. An engine can send any number, also one that is not a date. */
const iso = (nanoseconds: bigint): string => {
  const date = new Date(Number(nanoseconds / 1_000_000n))
  return Number.isNaN(date.getTime()) ? `${nanoseconds} ns` : date.toISOString()
}

/**
 * Events of one actor that are lost, because too much of this actor waited.
 *
 * - `engine`, `type`, `id`: the actor.
 * - `count`: how many events were lost.
 * - `from`, `to`: the time in which they were lost, in milliseconds since 1970, by des's clock.
 *
 * @since 1.0.0
 * @category models
 */
export interface Loss {
  readonly engine: string
  readonly type: string
  readonly id: string
  readonly count: number
  readonly from: number
  readonly to: number
}

/**
 * Makes the event `des/gap` for events of one actor that des lost itself. The reason is `backlog`. Whoever lost them has logged it.
 */
export const ofBacklog = (loss: Loss): Effect.Effect<DockerEvent> => {
  const { count, engine, from, id, to, type } = loss
  const nanoseconds = (milliseconds: number) => String(BigInt(Math.trunc(milliseconds)) * 1_000_000n)
  return OwnEvent.make({
    action: "gap",
    id: engine,
    engine,
    attributes: {
      reason: "backlog",
      from: nanoseconds(from),
      to: nanoseconds(to),
      type,
      id,
      lost: String(count),
      engine
    }
  })
}

/** Logs a gap and makes its event `des/gap`. */
export const report = (gap: {
  /** The name of the engine. */
  readonly engine: string
  readonly reason: Reason
  /** The time of the last known event, in nanoseconds since 1970 (0: there is none). */
  readonly from: bigint
  /** The engine's clock now, in nanoseconds since 1970. */
  readonly to: bigint
  /** The number of this gap, counted for each engine. */
  readonly count: number
}): Effect.Effect<DockerEvent> => {
  const { count, engine, from, reason, to } = gap
  const since = from === 0n ? "" : ` since ${iso(from)}`
  return Effect.zipRight(
    Effect.logWarning(
      `Gap ${count} in the feed of ${engine} (${reason}): events${since} until ${iso(to)} may be lost, since ${because[reason]}; des compares its containers`
    ).pipe(Effect.annotateLogs(LogFields.make({ engine }))),
    OwnEvent.make({
      action: "gap",
      id: engine,
      engine,
      attributes: { reason, from: String(from), to: String(to), count: String(count), engine }
    })
  )
}
