import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { DockerEvent } from "../event/DockerEvent.ts"
import { eventName } from "../event/EventName.ts"
import * as OwnEvent from "../event/OwnEvent.ts"
import { Journal, type KeptRun } from "../journal/Journal.ts"
import type { Script } from "../scripts/ScriptDirectory.ts"
import { exitCode, outcomeName } from "../scripts/ScriptRunner.ts"
import type * as Status from "./Status.ts"

/** How many runs, failures and gaps are remembered, each. */
const remembered = 20

/** Of how many minutes the events are counted. */
const minutes = 60

const minute = 60_000

/** The newest values, the newest first. */
const makeNewest = <A>() => {
  let values: ReadonlyArray<A> = []
  return {
    add: (value: A) => {
      values = [value, ...values.slice(0, remembered - 1)]
    },
    all: () => values
  }
}

/** Counts by the minute. */
const makeCounts = () => {
  const counts = new Map<number, number>()
  return {
    add: (now: number, count: number) => {
      const at = Math.floor(now / minute)
      counts.set(at, (counts.get(at) ?? 0) + count)
      for (const old of counts.keys()) if (old <= at - minutes) counts.delete(old)
    },
    /** The counts of the last minutes, the current one at the end. */
    last: (now: number) =>
      Array.from({ length: minutes }, (_, at) => counts.get(Math.floor(now / minute) - minutes + 1 + at) ?? 0)
  }
}

/** What des did since its start, as far as it is remembered. */
export interface Recorder {
  readonly running: () => ReadonlyArray<Status.RunningRun>
  readonly runs: () => ReadonlyArray<Status.EndedRun>
  readonly failures: () => ReadonlyArray<Status.EndedRun>
  readonly gaps: () => ReadonlyArray<Status.SeenGap>
  readonly eventsPerMinute: (now: number) => ReadonlyArray<number>
  /** Why the feed of an engine is not open, if that is known. */
  readonly closedBecause: (engine: string) => string | undefined
}

/** The same journal, which also remembers what was done. */
export const recorded = <E, R>(
  journal: Layer.Layer<Journal, E, R>
): { readonly recorder: Recorder; readonly layer: Layer.Layer<Journal, E, R> } => {
  const running = new Set<Status.RunningRun>()
  const runs = makeNewest<Status.EndedRun>()
  const failures = makeNewest<Status.EndedRun>()
  const gaps = makeNewest<Status.SeenGap>()
  const events = makeCounts()
  const lost = new Map<string, string>()
  let isFull = false

  const see = (event: DockerEvent, now: number) => {
    if (event.Type !== OwnEvent.type) return
    const reason = event.Actor.Attributes["reason"] ?? ""
    if (event.Action === "gap") gaps.add({ engine: event.engine, reason, at: now })
    if (event.Action === "disconnected") lost.set(event.engine, reason)
    if (event.Action === "connected") lost.delete(event.engine)
  }

  const keep = (kept: KeptRun, about: Omit<Status.RunningRun, "beganAt">, beganAt: number): KeptRun => {
    const run: Status.RunningRun = { ...about, beganAt }
    running.add(run)
    const end = (how: Pick<Status.EndedRun, "outcome" | "exit" | "output">) =>
      Effect.map(Clock.currentTimeMillis, (endedAt) => {
        running.delete(run)
        const ended = { ...run, ...how, endedAt }
        runs.add(ended)
        if (how.exit !== 0) failures.add(ended)
      })
    return {
      ...kept,
      ended: (outcome, output, last) => {
        const text = outcome._tag === "NotStarted" || outcome._tag === "Failed" ? outcome.message : output
        const how = { outcome: outcomeName(outcome), exit: exitCode(outcome), output: text }
        return Effect.zipRight(end(how), kept.ended(outcome, output, last))
      },
      skipped: (reason) => {
        running.delete(run)
        return kept.skipped(reason)
      },
      interrupted: Effect.zipRight(
        Effect.sync(() => running.delete(run)),
        kept.interrupted
      )
    }
  }

  const observe = <E2>(
    begin: Effect.Effect<KeptRun, E2>,
    event: DockerEvent,
    { path: script }: Script,
    attempt: number
  ): Effect.Effect<KeptRun, E2> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.map(begin, (kept) => keep(kept, { script, event: eventName(event), engine: event.engine, attempt }, now))
    )

  const layer = Layer.map(journal, (context) => {
    const { accept, begin, unkept, ...others } = Context.get(context, Journal)
    return Context.make(Journal, {
      ...others,
      accept: (batch) =>
        Effect.tap(accept(batch), (stored) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            // What is not stored comes again when there is room.
            isFull = !stored.isAll
            events.add(now, stored.events.length)
            for (const event of stored.events) see(event, now)
          })
        ),
      begin: (entry, script, attempt) => observe(begin(entry, script, attempt), entry.event, script, attempt),
      unkept: (accepted) =>
        Effect.map(unkept(accepted), (plain) => ({
          ...plain,
          begin: (script) => observe(plain.begin(script), accepted.event, script, 1)
        }))
    })
  })

  return {
    recorder: {
      running: () => [...running],
      runs: runs.all,
      failures: failures.all,
      gaps: gaps.all,
      eventsPerMinute: events.last,
      // A full queue closes the feed without an event.
      closedBecause: (engine) => lost.get(engine) ?? (isFull ? "the queue is full" : undefined)
    },
    layer
  }
}
