/**
 * Recognises a script that feeds itself: an `exec_start` script that calls `docker exec` causes the event that runs it.
 *
 * An event that the engine sent while the script ran for the same actor may be of the script's own making. Such an event is
 * one generation further than that run, and a run for an event from any other time is the first of a new line. Chance makes
 * a few generations; a script that causes its own events makes one with every run, so a line that is longer than `longest`
 * is a loop.
 */
export const longest = 10

interface Run {
  readonly from: number
  readonly to: number
  readonly generation: number
}

export interface LoopGuard {
  /** The generation of a run for an event of this time (milliseconds since 1970); above `longest` it must not happen. */
  readonly generation: (key: string, time: number) => number
  /** Remembers a run that has ended. */
  readonly ran: (key: string, run: Run) => void
}

/** A loop is busy: it stays among the keys that ran last, and its runs among the last runs of its key. */
const rememberedKeys = 1024
const rememberedRuns = 64

export const make = (): LoopGuard => {
  const recent = new Map<string, ReadonlyArray<Run>>()
  return {
    generation: (key, time) =>
      (recent.get(key) ?? []).reduce(
        (highest, run) => (run.from <= time && time <= run.to ? Math.max(highest, run.generation + 1) : highest),
        1
      ),
    ran: (key, run) => {
      const runs = [...(recent.get(key) ?? []), run].slice(-rememberedRuns)
      recent.delete(key)
      recent.set(key, runs)
      const [oldest] = recent.keys()
      if (recent.size > rememberedKeys && oldest !== undefined) recent.delete(oldest)
    }
  }
}
