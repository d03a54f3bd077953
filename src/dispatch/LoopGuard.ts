/**
 * Recognises a self-triggering script: one that triggers the event it runs for, such as an `exec_start` script that
 * calls `docker exec`.
 *
 * Such a script always finds the next event of its actor queued when a run has ended. So does a slow script. To tell
 * them apart, pause it. After `suspicious` runs in a row for an event that was sent before the last run ended, the
 * script is paused a few times for that actor, for as long as three runs. If an event comes during a pause, the script
 * did not trigger it, and the script is cleared. If no event comes in any pause, and one comes during each run that
 * follows a pause, the script triggers them itself. Events that were sent before the first of those runs tell nothing:
 * no run can have triggered them.
 *
 * A key is a script and an actor, so that nobody is judged by what another actor does.
 */
export const suspicious = 50

const trials = 3

/** The longest pause, in milliseconds. With one job nothing else runs during a pause. */
const longestPause = 30_000

/** For how many runs a cleared script is not suspected again. So the pauses stay short beside the work. */
const cleared = 1000

/** How long a loop is refused, in milliseconds: 5 minutes. A loop that goes on then gets some 50 runs in that time. */
export const refusedFor = 300_000

/** How many keys are remembered. A loop runs often, so it stays among the keys that ran last. */
const rememberedKeys = 1024

/** A pause, and the run after it: times in milliseconds since 1970. */
interface Trial {
  readonly paused: number
  readonly from: number
  readonly to: number
  answered: boolean
}

interface State {
  /** The beginning of the first run that can have triggered the next event. */
  readonly firstBegin: number
  readonly lastEnd: number
  readonly longestRun: number
  readonly inARow: number
  readonly trials: ReadonlyArray<Trial>
  /** Until when the script is refused. */
  readonly refusedUntil: number | undefined
}

/**
 * Judges each run of a script before it begins.
 *
 * - `judge`: returns how long to pause before a run for an event that was sent at `time`, in milliseconds (mostly 0),
 *   or `"loop"` if the script must not run.
 * - `ran`: remembers a run that has ended, and how long the script was paused before it.
 */
export interface LoopGuard {
  readonly judge: (key: string, time: number, now: number) => number | "loop"
  readonly ran: (key: string, run: { readonly pause: number; readonly from: number; readonly to: number }) => void
}

const fresh: State = {
  firstBegin: Number.POSITIVE_INFINITY,
  lastEnd: Number.NEGATIVE_INFINITY,
  longestRun: 0,
  inARow: 0,
  trials: [],
  refusedUntil: undefined
}

/**
 * The first third of a pause does not count, because a background process of the script may act a moment after its end.
 */
const isDuringPause =
  (time: number) =>
  ({ from, paused }: Trial) =>
    from - (paused * 2) / 3 < time && time < from

const isDuringRun = (time: number, { from, to }: Trial) => from <= time && time <= to

export const make = (): LoopGuard => {
  const states = new Map<string, State>()

  const judge: LoopGuard["judge"] = (key, time, now) => {
    const state = states.get(key)
    if (state === undefined) return 0
    if (state.refusedUntil !== undefined) {
      // If the clock was set back, the script is not refused for longer.
      if (now < state.refusedUntil && now >= state.refusedUntil - refusedFor) return "loop"
      states.set(key, fresh)
      return 0
    }
    if (time > state.lastEnd) {
      states.set(key, { ...fresh, inARow: Math.min(state.inARow, 0) })
      return 0
    }
    if (time < state.firstBegin) return 0
    for (const trial of state.trials) if (isDuringRun(time, trial)) trial.answered = true
    if (state.trials.some(isDuringPause(time))) {
      states.set(key, { ...state, trials: [], inARow: -cleared })
      return 0
    }
    if (state.trials.length === trials && state.trials.every(({ answered }) => answered)) {
      states.set(key, { ...state, refusedUntil: now + refusedFor })
      return "loop"
    }
    const inARow = state.inARow + 1
    states.set(key, { ...state, inARow })
    return inARow >= suspicious && state.trials.length < trials ? Math.min(3 * state.longestRun, longestPause) : 0
  }

  return {
    judge,
    ran: (key, { from, pause, to }) => {
      const state = states.get(key) ?? fresh
      states.delete(key)
      states.set(key, {
        ...state,
        firstBegin: Math.min(state.firstBegin, from),
        lastEnd: Math.max(state.lastEnd, to),
        longestRun: Math.max(state.longestRun, to - from),
        trials: pause === 0 ? state.trials : [...state.trials, { paused: pause, from, to, answered: false }]
      })
      const [oldest] = states.keys()
      if (states.size > rememberedKeys && oldest !== undefined) states.delete(oldest)
    }
  }
}
