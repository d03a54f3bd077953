import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { actorOf, type Entry, type Journal, type JournalError } from "../journal/Journal.ts"
import type { Script } from "../scripts/ScriptDirectory.ts"
import * as Attempts from "./Attempts.ts"
import * as Pace from "./Pace.ts"
import type { Stop } from "./Stop.ts"

/** A script to run for an event. `settle` gets how it ended. */
export interface Work extends Attempts.KeptDue {
  readonly settle: (end: Attempts.End) => Effect.Effect<void, JournalError>
}

/** Work that waits for its run. Only the event's number and scripts are kept here; the journal keeps the event. */
interface Postponed {
  readonly entry: Pick<Entry, "id" | "scripts">
  readonly script: Script
  readonly settle: Work["settle"]
}

/** The longest sleep that the runtime supports, in milliseconds: 24 days. A longer one would end at once. */
const longestSleep = 2 ** 31 - 1

/** `key`: whose cooldown and wait it is. `turn`: the key of the order in which postponed runs are. */
const keysOf = ({ entry, script }: Work) =>
  script.options.per === "script"
    ? { key: script.path, turn: `script ${script.path}` }
    : { key: `${script.path} ${actorOf(entry.event)}`, turn: actorOf(entry.event) }

/**
 * Runs a script now, or postpones its event until its cooldown and its wait are over. Returns how the run ended.
 *
 * `submit` queues postponed work when it is due: as work of its actor or, with `per=script`, of its script. So the runs
 * of such a script never overlap, and no other work of its actor waits for them.
 */
export const make = (options: {
  readonly paceOf: (work: Work) => Pace.Pace
  readonly attempts: Attempts.Attempts
  readonly guarded: (due: Attempts.KeptDue) => Effect.Effect<Attempts.End, JournalError>
  readonly journal: Pick<Journal["Type"], "coalesce" | "cool" | "park" | "reload">
  readonly about: (event: Work["entry"]["event"]) => <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
  readonly stop: Stop
  readonly fork: (effect: Effect.Effect<void>) => Effect.Effect<void>
  readonly submit: (turn: string, work: Effect.Effect<void, JournalError>) => Effect.Effect<void>
}) => {
  const { attempts, journal, stop } = options
  const paces = Pace.make<Postponed>((one, other) => one.entry.id > other.entry.id)
  /** The keys for which a timer runs, or has submitted work that has not begun. */
  const timed = new Set<string>()
  /** By key, what ends with the runs that outlived des. Until then no run of the key begins. */
  const outlived = new Map<string, Deferred.Deferred<void>>()

  /** Waits for the runs that outlived des. An event that is replaced is finished, so nobody would wait for them later. */
  const awaitOutlived = Effect.fnUntraced(function* (key: string, work: Work) {
    if (Attempts.earlierOf(work).outlived.length === 0) return
    const before = outlived.get(key)
    const ended = yield* Deferred.make<void>()
    outlived.set(key, ended)
    yield* attempts.awaitOutlived(work, stop)
    if (before !== undefined) yield* Deferred.await(before)
    if (outlived.get(key) === ended) outlived.delete(key)
    yield* Deferred.succeed(ended, undefined)
  })

  /** Waits until what waits is due, and submits it. */
  const time = Effect.fnUntraced(function* (key: string, turn: string) {
    while (true) {
      const left = paces.left(key, yield* Clock.currentTimeMillis)
      if (left === undefined) {
        timed.delete(key)
        return
      }
      if (left === 0)
        return yield* options.submit(
          turn,
          Effect.suspend(() => resume(key, turn))
        )
      if (!(yield* stop.sleep(Math.min(left, longestSleep)))) return
    }
  })

  /**
   * Begins the cooldown for all des of the journal, and returns how long one that another of them has begun goes on. A run that was cut
   * off with its des does not wait for its own cooldown.
   */
  const coolElsewhere = (key: string, work: Work) => {
    const { cooldown } = options.paceOf(work)
    return cooldown === 0
      ? Effect.succeed(0)
      : journal.cool(key, { cooldown, isAgain: Attempts.earlierOf(work).attempts > 0 })
  }

  /** Runs what waits. If the run of a later event has taken it along, or it has to wait for longer now, it does not. */
  const resume = Effect.fnUntraced(function* (key: string, turn: string): Effect.fn.Return<void, JournalError> {
    // Another job may wait for a run of an earlier event.
    for (let ended = outlived.get(key); ended !== undefined; ended = outlived.get(key)) yield* Deferred.await(ended)
    if (yield* stop.isStopping) return
    const now = yield* Clock.currentTimeMillis
    if (paces.left(key, now) !== 0) return yield* options.fork(time(key, turn))
    timed.delete(key)
    const held = paces.release(key)
    if (held === undefined) return
    const { script, settle } = held.newest
    const entry = yield* journal.reload(held.newest.entry.id)
    const work = { script, settle, entry, coalesced: held.coalesced }
    const left = yield* coolElsewhere(key, work)
    if (left > 0) {
      paces.begin(key, left, now)
      yield* hold(work, undefined, now)
      return yield* journal.park(entry.id)
    }
    paces.begin(key, options.paceOf(work).cooldown, now)
    yield* options.about(entry.event)(Effect.flatMap(attempts.run(work, stop), settle))
    yield* journal.park(entry.id)
  })

  const hold = Effect.fnUntraced(function* (work: Work, wait: Pace.Pace["wait"], now: number) {
    const { coalesced, script, settle } = work
    const entry = { id: work.entry.id, scripts: work.entry.scripts }
    const { key, turn } = keysOf(work)
    const held = paces.hold(key, { entry, script, settle }, { wait, now, coalesced })
    if (held.replaced !== undefined) {
      // The count comes first: if des is killed in between, an event is counted twice, and none is forgotten.
      yield* journal.coalesce(held.newest.entry, held.newest.script, held.coalesced)
      yield* held.replaced.settle("succeeded")
    }
    if (timed.has(key)) return
    timed.add(key)
    yield* options.fork(time(key, turn))
  })

  return Effect.fnUntraced(function* (work: Work): Effect.fn.Return<Attempts.End | "postponed", JournalError> {
    const { cooldown, wait } = options.paceOf(work)
    // The loop guard is for scripts that run for each event: with a cooldown or a wait a loop harms nobody.
    if (cooldown === 0 && wait === undefined) {
      const now = yield* options.guarded(work)
      yield* work.settle(now)
      return now
    }
    const now = yield* Clock.currentTimeMillis
    const { key } = keysOf(work)
    const isFree = wait === undefined && work.script.options.per !== "script" && paces.isFree(key, now)
    const left = isFree ? yield* coolElsewhere(key, work) : 0
    if (left > 0) paces.begin(key, left, now)
    if (!isFree || left > 0) {
      yield* awaitOutlived(key, work)
      if (yield* stop.isStopping) return "left"
      yield* hold(work, wait, yield* Clock.currentTimeMillis)
      return "postponed"
    }
    // The cooldown is over, but this event came first in the actor's order. The postponed, older event becomes part of
    // this run.
    paces.begin(key, cooldown, now)
    const held = paces.release(key)
    const coalesced = work.coalesced + (held === undefined ? 0 : held.coalesced + 1)
    const end = yield* attempts.run({ ...work, coalesced }, stop)
    if (held !== undefined) yield* held.newest.settle(end)
    yield* work.settle(end)
    return end
  })
}
