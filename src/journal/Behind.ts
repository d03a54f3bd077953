import type { DockerEvent } from "../event/DockerEvent.ts"
import { largeFrom } from "./Admission.ts"

/**
 * By how many milliseconds des may fall behind an engine before large records have a bound. It is more than the second
 * for which an engine may hold up the feed while it describes containers (`patience`, feed/Inspector.ts): that is no storm.
 */
const behind = 1_500

/** How many bytes of large records count within an interval at most while des is behind. */
const mostWhileBehind = 33_554_432

/** Which part of what is left of {@link mostWhileBehind} one actor may take. */
const partOfActor = 1 / 2

/** For how long an accepted record counts, in milliseconds: for half of this at least. */
const interval = 60_000

/** How fast a longer delay becomes the usual one: a second a minute. An engine's clock can be set while des runs. */
const drift = 1 / 60

/** The end of the first warning about an actor: which events are lost, and what to do. */
export const first = `des falls behind the engine, and records over ${largeFrom / 1024} KiB of this actor are lost for a minute, so that the events of others are not late. Let its scripts run for fewer events`

/** Counts bytes by actor, and forgets them after {@link interval}. */
const makeRecent = () => {
  let began = 0
  let current = new Map<string, number>()
  let before = new Map<string, number>()
  let total = 0

  const advance = (now: number) => {
    const elapsed = now - began
    if (elapsed >= 0 && elapsed < interval / 2) return
    before = elapsed >= 0 && elapsed < interval ? current : new Map()
    current = new Map()
    total = [...before.values()].reduce((sum, bytes) => sum + bytes, 0)
    began = now
  }

  return {
    add: (actor: string, bytes: number, now: number) => {
      advance(now)
      total += bytes
      current.set(actor, (current.get(actor) ?? 0) + bytes)
    },
    of: (actor: string, now: number) => {
      advance(now)
      return { own: (current.get(actor) ?? 0) + (before.get(actor) ?? 0), total }
    }
  }
}

type Recent = ReturnType<typeof makeRecent>

/**
 * Measures how far des is behind an engine, from the times of events. An engine's clock can differ from that of des. So the
 * smallest delay counts as none.
 */
const makeDelay = () => {
  let least = Number.POSITIVE_INFINITY
  let at = 0

  return (timeNano: DockerEvent["timeNano"], now: number): number => {
    if (timeNano === 0n) return 0
    const delay = now - Number(timeNano / 1_000_000n)
    least = Math.min(delay, least + Math.max(0, now - at) * drift)
    at = now
    return delay - least
  }
}

type DelayOf = ReturnType<typeof makeDelay>

/**
 * Bounds the large records of each engine while des is behind it. Then an actor may take half of what all actors of the
 * engine left. So the actor with the most is given up first, and many actors together have a bound, too.
 *
 * - `add`: counts a large record that is accepted.
 * - `isTooFast`: returns true if a large record is lost: des is behind, and its actor has taken too much. A record always
 *   fits if no other is counted.
 */
export interface Behind {
  readonly add: (record: LargeRecord, now: number) => void
  readonly isTooFast: (record: LargeRecord, now: number) => boolean
}

/** A large record of `bytes` bytes. `actor` is the whole name of its actor, with type and engine. */
export interface LargeRecord extends Pick<DockerEvent, "engine" | "timeNano"> {
  readonly actor: string
  readonly bytes: number
}

/** Begins with no events. `now` is in milliseconds since 1970. */
export const make = (): Behind => {
  const engines = new Map<string, { readonly recent: Recent; readonly delayOf: DelayOf }>()

  const engineOf = (name: string) => {
    const engine = engines.get(name) ?? { recent: makeRecent(), delayOf: makeDelay() }
    engines.set(name, engine)
    return engine
  }

  return {
    add: ({ actor, bytes, engine }, now) => engineOf(engine).recent.add(actor, bytes, now),
    isTooFast: ({ actor, bytes, engine, timeNano }, now) => {
      const { delayOf, recent } = engineOf(engine)
      const isBehind = delayOf(timeNano, now) > behind
      const { own, total } = recent.of(actor, now)
      return isBehind && total > 0 && own + bytes > (mostWhileBehind - total - bytes) * partOfActor
    }
  }
}
