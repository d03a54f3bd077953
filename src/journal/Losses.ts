import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { eventFields, eventName } from "../event/EventName.ts"
import type { RecordHead, Unwanted } from "../event/RecordHead.ts"
import type { Loss } from "../feed/Gap.ts"
import * as Metrics from "../Metrics.ts"
import { actorOf } from "./Journal.ts"

/** How often the losses of an actor are reported, and how long its large events are given up at least. */
const interval = "1 minute"

/** How many reports wait to be read. Each was logged already. */
const mostReports = 1024

/** The losses of an actor since the last report. `name` is for the log. */
interface Losing {
  readonly name: string
  readonly fields: Readonly<Record<string, unknown>>
  readonly actor: Pick<Loss, "engine" | "type" | "id">
  from: number
  count: number
}

const were = (count: number): string => `${count} ${count === 1 ? "was" : "were"} lost`

/**
 * Counts events that are lost, and reports them: one warning and one {@link Loss} for each actor and minute. An actor
 * loses events from its first lost event until a whole minute has passed and `isMuch` is false.
 *
 * - `add`: counts a lost event. `first` replaces the one of the options.
 * - `isLosing`: returns true if an actor loses events.
 * - `next`: waits for the next report.
 */
export interface Losses {
  readonly add: (event: RecordHead, first?: string) => Effect.Effect<void>
  readonly isLosing: (actor: string) => boolean
  readonly next: Effect.Effect<Loss>
  /** The actors that lose events, for the feed. */
  readonly unwanted: Unwanted
}

/**
 * `isMuch`: true if so much of an actor waits that its losses are not over. `first` is the end of the first warning:
 * which events are lost, and what to do. At the end of the scope, losses that are not reported are logged.
 */
export const make = (options: {
  readonly isMuch: (actor: string) => boolean
  readonly first: string
}): Effect.Effect<Losses, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const reports = yield* Queue.sliding<Loss>(mostReports)
    const all = new Map<string, Losing>()

    const report = Effect.fnUntraced(function* (losing: Losing) {
      const { actor, count, from } = losing
      const to = yield* Clock.currentTimeMillis
      losing.count = 0
      losing.from = to
      if (count > 0) yield* Queue.offer(reports, { ...actor, count, from, to })
    })

    /** Reports what was lost in the last interval, and ends when the losses are over. */
    const watch = (key: string, losing: Losing): Effect.Effect<void> =>
      Effect.gen(function* () {
        yield* Effect.sleep(interval)
        const { count, name } = losing
        const isOver = !options.isMuch(key)
        if (isOver) all.delete(key)
        yield* report(losing)
        if (isOver) {
          return yield* Effect.logWarning(
            `${name}: there is room for events of this actor again${count === 0 ? "" : `; ${were(count)}`}`
          )
        }
        if (count > 0) yield* Effect.logWarning(`${name}: too many events of this actor still wait; ${were(count)}`)
        yield* watch(key, losing)
      })

    yield* Effect.addFinalizer(() =>
      Effect.forEach(all.values(), (losing) =>
        losing.count === 0
          ? Effect.void
          : Effect.annotateLogs(Effect.logWarning(`${losing.name}: des stops; ${were(losing.count)}`), losing.fields)
      )
    )

    const begin = Effect.fnUntraced(function* (key: string, losing: Losing, first: string) {
      all.set(key, losing)
      yield* Effect.logWarning(`${losing.name}: ${first}`)
      yield* Effect.forkIn(watch(key, losing), scope)
    })

    const add: Losses["add"] = Effect.fnUntraced(function* (event, first = options.first) {
      Metrics.lost(event.engine)
      const key = actorOf(event)
      const before = all.get(key)
      if (before !== undefined) {
        before.count++
        return
      }
      const actor = { engine: event.engine, type: event.Type, id: event.Actor.ID }
      const fields = eventFields(event)
      const from = yield* Clock.currentTimeMillis
      yield* Effect.annotateLogs(begin(key, { name: eventName(event), fields, actor, from, count: 1 }, first), fields)
    })

    return {
      add,
      isLosing: (actor) => all.has(actor),
      next: Queue.take(reports),
      unwanted: { has: (actor) => all.has(actorOf(actor)), lose: (head) => add(head) }
    }
  })
