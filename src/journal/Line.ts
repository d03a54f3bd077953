/**
 * The line of actors with waiting events. The actor that was served longest ago stands first. While an event of an
 * actor is out (taken, and neither finished nor parked), the actor is not in the line.
 *
 * - `arrive`: notes that an event of this actor waits.
 * - `next`: removes the first actor from the line and returns it. Returns nothing if the line is empty.
 * - `out`: notes that an event of this actor was taken.
 * - `back`: notes that this event was finished or parked. With `more` the actor goes to the end of the line.
 * - `isOut`: returns true if an event of this actor is out.
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
  /** How many events of each actor are out. There can be two: one that was parked and reloaded, and the next one. */
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
