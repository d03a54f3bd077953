/**
 * The line of actors that have events waiting: the one that was served longest ago stands first. An actor whose event is
 * out, which means given and neither finished nor parked, stands aside until that is back.
 *
 * - `arrive`: an event of this actor waits.
 * - `next`: the first in the line, which leaves it; nothing where nobody stands there.
 * - `out`: an event of this actor was given.
 * - `back`: that event was finished or parked. With `more` the actor goes to the end of the line.
 * - `isOut`: true if an event of this actor is out.
 */
export interface Line {
  readonly arrive: (actor: string) => void
  readonly next: () => string | undefined
  readonly out: (actor: string) => void
  readonly back: (actor: string, more: boolean) => void
  readonly isOut: (actor: string) => boolean
}

export const make = (): Line => {
  const waiting = new Set<string>()
  /** How many events of an actor are out: a parked one that was reloaded can be beside another. */
  const served = new Map<string, number>()

  return {
    arrive: (actor) => {
      if (!served.has(actor)) waiting.add(actor)
    },
    next: () => {
      const [first] = waiting
      if (first !== undefined) waiting.delete(first)
      return first
    },
    out: (actor) => {
      waiting.delete(actor)
      served.set(actor, (served.get(actor) ?? 0) + 1)
    },
    back: (actor, more) => {
      const left = (served.get(actor) ?? 1) - 1
      if (left > 0) {
        served.set(actor, left)
        return
      }
      served.delete(actor)
      if (more) waiting.add(actor)
    },
    isOut: (actor) => served.has(actor)
  }
}
