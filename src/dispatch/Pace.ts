import type { Wait } from "../scripts/ScriptOptions.ts"

/**
 * When the runs of a script for one key may begin, in milliseconds.
 *
 * - `cooldown`: the shortest time between the beginnings of two runs (0 is none).
 * - `wait`: how long no further event must have come. Without it a run begins with its first event.
 */
export interface Pace {
  readonly cooldown: number
  readonly wait: Wait | undefined
}

/** When the first and the newest event came that wait for a run, and when the cooldown of the last run is over. */
export interface Arrivals {
  readonly first: number
  readonly newest: number
  readonly cooled: number
}

/** When the run of events that wait is due. The cooldown counts more than the latest time of a wait. */
export const dueAt = (wait: Wait | undefined, { cooled, first, newest }: Arrivals): number =>
  Math.max(cooled, wait === undefined ? first : Math.min(newest + wait.quiet, first + wait.latest))

/** What waits for its run: the newest value, and how many older values it replaces. */
export interface Held<A> {
  readonly newest: A
  readonly coalesced: number
}

/**
 * Remembers of each key when its last run began, and what waits for the next one.
 *
 * - `isFree`: returns true if a run may begin now: the last cooldown is over.
 * - `begin`: begins the cooldown of a run.
 * - `hold`: stores a value that has to wait, which may already replace `coalesced` older ones. If another one waits, the
 *   newer of the two stays. Returns the one that stays, how many older values it replaces then, and the one that does not
 *   stay, if there is one.
 * - `left`: returns how many milliseconds what waits still has to wait. Returns nothing if nothing waits.
 * - `release`: removes the value that waits, and returns it.
 */
export interface Paces<A> {
  readonly isFree: (key: string, now: number) => boolean
  readonly begin: (key: string, cooldown: number, now: number) => void
  readonly hold: (
    key: string,
    value: A,
    how: { readonly wait: Wait | undefined; readonly now: number; readonly coalesced: number }
  ) => Held<A> & { readonly replaced: A | undefined }
  readonly left: (key: string, now: number) => number | undefined
  readonly release: (key: string) => Held<A> | undefined
}

interface Waiting<A> extends Held<A> {
  readonly wait: Wait | undefined
  readonly first: number
  readonly at: number
}

/** `isNewer` compares two values that wait for one key. Values can come in another order than that of their events. */
export const make = <A>(isNewer: (one: A, other: A) => boolean): Paces<A> => {
  const cooledAt = new Map<string, number>()
  const waiting = new Map<string, Waiting<A>>()
  let sweepAt = 1024

  /** Forgets keys whose cooldown is over. It looks at all keys only when their number has doubled, which is cheap. */
  const sweep = (now: number) => {
    if (cooledAt.size < sweepAt) return
    for (const [key, end] of cooledAt) if (end <= now) cooledAt.delete(key)
    sweepAt = Math.max(1024, cooledAt.size * 2)
  }

  return {
    isFree: (key, now) => now >= (cooledAt.get(key) ?? 0),
    begin: (key, cooldown, now) => {
      if (cooldown === 0) return
      sweep(now)
      cooledAt.set(key, now + cooldown)
    },
    hold: (key, value, { coalesced, now, wait }) => {
      const before = waiting.get(key)
      if (before === undefined) {
        waiting.set(key, { newest: value, coalesced, wait, first: now, at: now })
        return { newest: value, coalesced, replaced: undefined }
      }
      const all = coalesced + before.coalesced + 1
      const stays = isNewer(value, before.newest) ? { newest: value, wait } : before
      const replaced = stays === before ? value : before.newest
      waiting.set(key, { newest: stays.newest, coalesced: all, wait: stays.wait, first: before.first, at: now })
      return { newest: stays.newest, coalesced: all, replaced }
    },
    left: (key, now) => {
      const held = waiting.get(key)
      if (held === undefined) return undefined
      const cooled = cooledAt.get(key) ?? 0
      return Math.max(0, dueAt(held.wait, { first: held.first, newest: held.at, cooled }) - now)
    },
    release: (key) => {
      const held = waiting.get(key)
      waiting.delete(key)
      return held === undefined ? undefined : { newest: held.newest, coalesced: held.coalesced }
    }
  }
}
