/** What waits for the end of a cooldown: the newest value, and how many older values it replaces. */
export interface Held<A> {
  readonly newest: A
  readonly coalesced: number
}

/**
 * Remembers when each key ran last.
 *
 * - `begin`: returns how many milliseconds a run has to wait. With 0 it runs now, and its cooldown begins.
 * - `hold`: stores a value that has to wait, and returns the one that it replaces. The value itself may already replace
 *   `coalesced` older ones.
 * - `release`: removes the value that waits, and returns it.
 */
export interface Cooldown<A> {
  readonly begin: (key: string, cooldown: number, now: number) => number
  readonly hold: (key: string, value: A, coalesced?: number) => A | undefined
  readonly release: (key: string) => Held<A> | undefined
}

export const make = <A>(): Cooldown<A> => {
  const until = new Map<string, number>()
  const held = new Map<string, Held<A>>()
  let sweepAt = 1024

  /** Forgets keys whose cooldown is over. It looks at all keys only when their number has doubled, which is cheap. */
  const sweep = (now: number) => {
    if (until.size < sweepAt) return
    for (const [key, end] of until) if (end <= now && !held.has(key)) until.delete(key)
    sweepAt = Math.max(1024, until.size * 2)
  }

  return {
    begin: (key, cooldown, now) => {
      const end = until.get(key) ?? 0
      if (now < end) return end - now
      sweep(now)
      until.set(key, now + cooldown)
      return 0
    },
    hold: (key, newest, coalesced = 0) => {
      const before = held.get(key)
      held.set(key, { newest, coalesced: before === undefined ? coalesced : before.coalesced + 1 + coalesced })
      return before?.newest
    },
    release: (key) => {
      const value = held.get(key)
      held.delete(key)
      return value
    }
  }
}
