import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { actorOf, type JournalError } from "../journal/Journal.ts"
import type { Script } from "../scripts/ScriptDirectory.ts"
import type * as Attempts from "./Attempts.ts"
import * as Cooldown from "./Cooldown.ts"
import type { Stop } from "./Stop.ts"

/** A script to run for an event. `settle` gets how it ended. */
export interface Work extends Attempts.KeptDue {
  readonly settle: (end: Attempts.End) => Effect.Effect<void, JournalError>
}

/** Work that waits for the end of a cooldown. Only the event's number is kept here; the journal keeps the event. */
export interface Postponed {
  readonly id: number
  readonly actor: string
  readonly script: Script
  readonly settle: Work["settle"]
}

/** The longest sleep that the runtime supports, in milliseconds: 24 days. A longer one would end at once. */
const longestSleep = 2 ** 31 - 1

/**
 * Runs a script now, or postpones its event until the cooldown of the script and the actor is over. Returns how the run
 * ended.
 *
 * `later` queues postponed work when its cooldown is over. `release` then returns that work and the number of older
 * events that it replaces. It returns nothing if the run of a later event has taken the work along.
 */
export const make = (options: {
  readonly cooldownOf: (work: Work) => number
  readonly attempts: Attempts.Attempts
  readonly guarded: (due: Attempts.KeptDue) => Effect.Effect<Attempts.End, JournalError>
  readonly stop: Stop
  readonly fork: (effect: Effect.Effect<void>) => Effect.Effect<void>
  readonly later: (actor: string, release: () => Cooldown.Held<Postponed> | undefined) => Effect.Effect<void>
}) => {
  const { attempts, stop } = options
  const cooldowns = Cooldown.make<Postponed>()

  const hold = Effect.fnUntraced(function* (key: string, work: Work, wait: number) {
    const { entry, script, settle } = work
    const actor = actorOf(entry.event)
    const replaced = cooldowns.hold(key, { id: entry.id, actor, script, settle }, work.coalesced)
    if (replaced !== undefined) return yield* replaced.settle("succeeded")
    yield* options.fork(
      Effect.whenEffect(
        options.later(actor, () => cooldowns.release(key)),
        // If the sleep was cut to the longest one, the work is postponed again.
        stop.sleep(Math.min(wait, longestSleep))
      )
    )
  })

  return Effect.fnUntraced(function* (work: Work): Effect.fn.Return<Attempts.End | "postponed", JournalError> {
    const cooldown = options.cooldownOf(work)
    // The loop guard is for scripts without a cooldown: with a cooldown a loop harms nobody.
    if (cooldown === 0) {
      const now = yield* options.guarded(work)
      yield* work.settle(now)
      return now
    }
    const key = `${work.script.path} ${actorOf(work.entry.event)}`
    const wait = cooldowns.begin(key, cooldown, yield* Clock.currentTimeMillis)
    if (wait > 0) {
      yield* hold(key, work, wait)
      return "postponed"
    }
    // The cooldown is over, but this event came first in the actor's order. The postponed, older event becomes part of
    // this run.
    const held = cooldowns.release(key)
    const coalesced = work.coalesced + (held === undefined ? 0 : held.coalesced + 1)
    const end = yield* attempts.run({ ...work, coalesced }, stop)
    if (held !== undefined) yield* held.newest.settle(end)
    yield* work.settle(end)
    return end
  })
}
