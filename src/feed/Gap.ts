import * as Effect from "effect/Effect"
import type { DockerEvent } from "../event/DockerEvent.ts"
import * as OwnEvent from "../event/OwnEvent.ts"

/**
 * Why a stretch of the feed cannot be replayed. `overrun`: more happened than the engine keeps; `restart`: the engine
 * forgot what it had, as a restart makes it; `other-engine`: another one answers at the endpoint.
 *
 * @since 1.0.0
 * @category models
 */
export type Reason = "overrun" | "restart" | "other-engine"

/**
 * How many records an engine keeps to replay them (moby `daemon/events/events.go`, since 17.06).
 *
 * @since 1.0.0
 * @category models
 */
export const ringSize = 256

const because: Readonly<Record<Reason, string>> = {
  overrun: "more happened than the engine keeps",
  restart: "the engine has restarted and forgot them",
  "other-engine": "another engine answers there now"
}

/** An event's time may be any number. */
const iso = (nanoseconds: bigint): string => {
  const date = new Date(Number(nanoseconds / 1_000_000n))
  return Number.isNaN(date.getTime()) ? `${nanoseconds} ns` : date.toISOString()
}

/**
 * Says a gap, the `count`th of this engine, in the log, and gives the event `des/gap`. `from` is the time of the last event
 * that is known (0: none), `to` the engine's clock now, both in nanoseconds since 1970.
 *
 * @since 1.0.0
 * @category combinators
 */
export const say = (gap: {
  readonly engine: string
  readonly reason: Reason
  readonly from: bigint
  readonly to: bigint
  readonly count: number
}): Effect.Effect<DockerEvent> => {
  const { count, engine, from, reason, to } = gap
  const since = from === 0n ? "" : ` since ${iso(from)}`
  return Effect.zipRight(
    Effect.logWarning(
      `Gap ${count} in the feed of ${engine} (${reason}): events${since} until ${iso(to)} may be lost, as ${because[reason]}; its containers are compared`
    ),
    OwnEvent.make({
      action: "gap",
      id: engine,
      engine,
      attributes: { reason, from: String(from), to: String(to), count: String(count), engine }
    })
  )
}
