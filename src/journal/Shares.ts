/**
 * Counts the bytes that wait of each actor, against the share that one actor may take.
 *
 * - `add`: adds bytes for an actor. A negative number removes them. Removes nothing of an actor that is not counted.
 * - `isCounted`: returns true if bytes of this actor are counted.
 * - `isOver`: returns true if so many more bytes would exceed an actor's share. A single event always fits.
 * - `isMuch`: returns true if an actor takes more than half of its share.
 */
export interface Shares {
  readonly add: (actor: string, bytes: number) => void
  readonly isCounted: (actor: string) => boolean
  readonly isOver: (actor: string, bytes: number) => boolean
  readonly isMuch: (actor: string) => boolean
}

/** `share` is how many bytes one actor may take. */
export const make = (share: number): Shares => {
  const actors = new Map<string, number>()

  return {
    add: (actor, bytes) => {
      const before = actors.get(actor)
      if (before === undefined && bytes <= 0) return
      const now = (before ?? 0) + bytes
      if (now > 0) actors.set(actor, now)
      else actors.delete(actor)
    },
    isCounted: (actor) => actors.has(actor),
    isOver: (actor, bytes) => actors.has(actor) && (actors.get(actor) ?? 0) + bytes > share,
    isMuch: (actor) => (actors.get(actor) ?? 0) > share / 2
  }
}
