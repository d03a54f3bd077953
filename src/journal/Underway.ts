/**
 * Which of the events that were taken run now, and since when. An event runs from its first run until it is finished or parked; before
 * that it waits for a free job.
 *
 * - `begin`: notes that a run of an event begins at `now`, in milliseconds.
 * - `end`: notes that an event was finished or parked.
 * - `has`: returns true if an event runs.
 * - `ids`: the events that run.
 * - `oldest`: returns when the first of them began; undefined if none runs.
 */
export const make = () => {
  const begunAt = new Map<number, number>()
  return {
    begin: (id: number, now: number): void => {
      if (!begunAt.has(id)) begunAt.set(id, now)
    },
    end: (id: number): void => void begunAt.delete(id),
    has: (id: number): boolean => begunAt.has(id),
    ids: (): ReadonlyArray<number> => [...begunAt.keys()],
    oldest: (): number | undefined => begunAt.values().next().value
  }
}
