import * as Effect from "effect/Effect"
import type { DockerEvent } from "../event/DockerEvent.ts"
import * as OwnEvent from "../event/OwnEvent.ts"

/**
 * Why a stretch of the feed cannot be replayed. `overrun`: more happened than the engine keeps; `restart`: the engine
 * forgot what it had, as a restart makes it; `other-engine`: another one answers at the endpoint; `queue-full`: what it
 * brought found no room here.
 *
 * @since 1.0.0
 * @category models
 */
export type Reason = "overrun" | "restart" | "other-engine" | "queue-full"

/**
 * How many records an engine keeps to replay them (moby `daemon/events/events.go`, since 17.06).
 *
 * @since 1.0.0
 * @category models
 */
export const ringSize = 256

/**
 * How what an engine can replay follows on what is known. `compare`: nothing speaks against it, and nothing was known by
 * which it could be told.
 *
 * @since 1.0.0
 * @category combinators
 */
export const judge = (facts: {
  /** The engine that was met before, if any, and the one that answers; empty where it cannot be told. */
  readonly met: string | undefined
  readonly answers: string
  readonly knowsNothing: boolean
  /** How many records the engine can replay, and whether one of them is known. */
  readonly ring: number
  readonly ringIsKnown: boolean
}): "first" | "continuous" | "compare" | Exclude<Reason, "queue-full"> => {
  if (facts.met === undefined) return "first"
  if (facts.met !== "" && facts.answers !== "" && facts.met !== facts.answers) return "other-engine"
  if (facts.ringIsKnown) return "continuous"
  if (facts.ring >= ringSize) return "overrun"
  return facts.knowsNothing ? "compare" : "restart"
}

const because: Readonly<Record<Reason, string>> = {
  overrun: "more happened than the engine keeps",
  restart: "the engine has restarted and forgot them",
  "other-engine": "another engine answers there now",
  "queue-full": "the queue had no room for them"
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
