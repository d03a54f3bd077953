/**
 * Recognises a script that feeds itself: an `exec_start` script that calls `docker exec` causes the event that runs it.
 *
 * Its next event is always there before a run has ended. So is that of a script which is slower than its events, and only a
 * trial tells the two apart: when `suspicious` runs in a row were for an event that was sent before the last one ended, the
 * script is left at rest a few times, three runs long. Others send their events in such a rest too, which clears the
 * script. Where no event comes in any rest, and some from each run after one, they are the script's own. What was sent before
 * the first of those runs is no sign of either: none of them can have caused it.
 */
export const suspicious = 50

const trials = 3

/** Milliseconds: with one job nothing else runs in a rest. */
const longestRest = 30_000

/** How many runs a cleared script is not suspected again: what it has to do takes as long as the rests did. */
const cleared = 1000

/** A rest, and the run after it: times in milliseconds since 1970. */
interface Trial {
  readonly rested: number
  readonly from: number
  readonly to: number
  answered: boolean
}

interface State {
  /** When the first run began that the next event can come from. */
  readonly firstBegin: number
  readonly lastEnd: number
  readonly longestRun: number
  readonly inARow: number
  readonly trials: ReadonlyArray<Trial>
  readonly looping: boolean
}

export interface LoopGuard {
  /** For an event of this time: how long to rest before its run (mostly 0), or that it must not run. */
  readonly judge: (key: string, time: number) => number | "loop"
  /** Remembers a run that has ended, and how long the script rested before. */
  readonly ran: (key: string, run: { readonly rest: number; readonly from: number; readonly to: number }) => void
}

/** A loop is busy: it stays among the keys that ran last. */
const rememberedKeys = 1024

const atRest: State = {
  firstBegin: Number.POSITIVE_INFINITY,
  lastEnd: Number.NEGATIVE_INFINITY,
  longestRun: 0,
  inARow: 0,
  trials: [],
  looping: false
}

export const make = (): LoopGuard => {
  const states = new Map<string, State>()

  const judge = (key: string, time: number): number | "loop" => {
    const state = states.get(key)
    if (state === undefined) return 0
    if (time > state.lastEnd) {
      states.set(key, { ...atRest, inARow: Math.min(state.inARow, 0) })
      return 0
    }
    if (time < state.firstBegin) return 0
    if (state.looping) return "loop"
    // The first third is left out: what a script leaves in the background may act a moment after its end.
    const foreign = state.trials.some(({ from, rested }) => from - (rested * 2) / 3 < time && time < from)
    for (const trial of state.trials) if (trial.from <= time && time <= trial.to) trial.answered = true
    const proved = state.trials.length === trials && state.trials.every(({ answered }) => answered)
    if (proved && !foreign) {
      states.set(key, { ...state, looping: true })
      return "loop"
    }
    const next = foreign ? { ...state, trials: [], inARow: -cleared } : { ...state, inARow: state.inARow + 1 }
    states.set(key, next)
    return next.inARow >= suspicious && next.trials.length < trials ? Math.min(3 * next.longestRun, longestRest) : 0
  }

  return {
    judge,
    ran: (key, { from, rest, to }) => {
      const state = states.get(key) ?? atRest
      states.delete(key)
      states.set(key, {
        ...state,
        firstBegin: Math.min(state.firstBegin, from),
        lastEnd: Math.max(state.lastEnd, to),
        longestRun: Math.max(state.longestRun, to - from),
        trials: rest === 0 ? state.trials : [...state.trials, { rested: rest, from, to, answered: false }]
      })
      const [oldest] = states.keys()
      if (states.size > rememberedKeys && oldest !== undefined) states.delete(oldest)
    }
  }
}
