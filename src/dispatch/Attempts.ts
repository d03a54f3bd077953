import * as FileSystem from "@effect/platform/FileSystem"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type { Earlier, Entry, Journal, JournalError } from "../journal/Journal.ts"
import * as Environment from "../scripts/Environment.ts"
import * as Outlived from "../scripts/Outlived.ts"
import * as Output from "../scripts/Output.ts"
import type { Script } from "../scripts/ScriptDirectory.ts"
import { type Bounds, exitCode, Outcome, ScriptRunner } from "../scripts/ScriptRunner.ts"
import { Trust } from "../scripts/Trust.ts"

/** A script that is to run for an accepted event. */
export interface Due {
  readonly script: Script
  readonly entry: Entry
  /** How many older events this run stands for as well. */
  readonly coalesced: number
}

/** How it ended: `left` is not at all, since a stop came between. */
export type End = "succeeded" | "failed" | "left"

/** In the original's words, which log scrapers match. */
const describeFailure = (outcome: Outcome): Option.Option<string> => {
  const exit = exitCode(outcome)
  const how = Outcome.$match(outcome, {
    Exited: () => "",
    Killed: ({ signal }) => ` Signal=${signal}`,
    TimedOut: ({ after }) => ` TimedOut=${Duration.toSeconds(after)}s`,
    NotStarted: () => " NotStarted"
  })
  return exit === 0 && outcome._tag === "Exited"
    ? Option.none()
    : Option.some(`Failed! Exit=${exit}${how} Message=${JSON.stringify(outcome.message)}`)
}

/** The stack's limit of this process, which bounds the environment of what it starts. Only Linux says it. */
const limits = Effect.gen(function* () {
  const fileSystem = yield* FileSystem.FileSystem
  const text = yield* Effect.orElseSucceed(fileSystem.readFileString("/proc/self/limits"), () => "")
  const soft = /^Max stack size\s+(\S+)/m.exec(text)?.[1]
  if (soft === undefined) return Environment.defaultLimits
  return Environment.limitsFor(soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft))
})

const firstDelay = Duration.seconds(1)
const longestDelay = Duration.minutes(5)

const backoff = (attempt: number) =>
  Effect.map(Random.nextRange(0.5, 1.5), (spread) =>
    Duration.times(Duration.min(Duration.times(firstDelay, 2 ** Math.min(attempt - 1, 16)), longestDelay), spread)
  )

const noneEarlier: Earlier = { attempts: 0, settled: undefined, outlived: [] }

/** What became of a script for this event before. */
export const earlierOf = ({ entry, script }: Due): Earlier => entry.earlier[script.path] ?? noneEarlier

/**
 * `run` runs a script for an event until it succeeds or its retries are used up. When `stopping` is done no further attempt
 * begins, and the answer is that it was left. `refuse` does not run it, for a reason. `begin` keeps each.
 */
export const make = (defaults: {
  readonly base: Environment.Environment
  readonly engines: Readonly<Record<string, Environment.Environment>>
  readonly bounds: Bounds
  readonly retries: number
  readonly begin: Journal["Type"]["begin"]
}) =>
  Effect.gen(function* () {
    const runner = yield* ScriptRunner
    const trust = yield* Trust
    const kernel = yield* limits

    const boundsOf = ({ timeout }: Script["options"]): Bounds =>
      timeout === undefined
        ? defaults.bounds
        : { ...defaults.bounds, timeout: timeout === 0 ? Duration.infinity : timeout }

    /** A run that outlived des gets what is left of its timeout, so that two of one event never run at once. */
    const awaitOutlived = (due: Due) =>
      Effect.forEach(
        earlierOf(due).outlived,
        Effect.fnUntraced(function* (outlived) {
          const { grace, timeout } = boundsOf(due.script.options)
          // A clock that was set back makes nothing older.
          const age = Math.max(0, (yield* Clock.currentTimeMillis) - outlived.began)
          yield* Outlived.awaitEnd(outlived, {
            patience: Math.max(0, Duration.toMillis(timeout) - age),
            grace: Duration.toMillis(grace)
          })
        }),
        { discard: true }
      )

    /** Whether the script succeeded. */
    const attempt = Effect.fnUntraced(function* (due: Due, number: number, last: boolean) {
      const { coalesced, entry, script } = due
      const { event } = entry
      const kept = yield* defaults.begin(entry, script, number)
      const own = {
        DES_ATTEMPT: String(number),
        ...(coalesced === 0 ? {} : { DES_COALESCED: String(coalesced) }),
        ...(event.synthetic ? { DES_SYNTHETIC: "1" } : {}),
        ...kept.variables
      }
      const environment = Environment.make(
        event,
        { ...defaults.base, ...defaults.engines[event.engine], ...own },
        kernel
      )
      yield* Effect.logDebug("Script ENV:", environment)
      yield* Effect.logInfo(`Running script ${script.path}`)
      const tail = Output.makeTail()
      const outcome = yield* trust.check(script.path).pipe(
        Effect.zipRight(
          runner.run({
            script: script.path,
            event,
            environment,
            bounds: boundsOf(script.options),
            observer: { started: kept.started, line: tail.push }
          })
        ),
        Effect.catchAll(({ message }) => Effect.succeed(Outcome.NotStarted({ message })))
      )
      const failure = describeFailure(outcome)
      if (Option.isSome(failure)) yield* Effect.logError(`Script ${script.path} ${failure.value}`)
      yield* kept.ended(outcome, tail.text(), last || Option.isNone(failure))
      return Option.isNone(failure)
    })

    const refuse = Effect.fnUntraced(function* (due: Due, message: string) {
      yield* Effect.logError(message)
      const kept = yield* defaults.begin(due.entry, due.script, earlierOf(due).attempts + 1)
      yield* kept.ended(Outcome.NotStarted({ message }), "", true)
    })

    const run = (due: Due, stopping: Deferred.Deferred<void>): Effect.Effect<End, JournalError> =>
      Effect.gen(function* () {
        yield* Effect.raceFirst(awaitOutlived(due), Deferred.await(stopping))
        if (yield* Deferred.isDone(stopping)) return "left"
        const before = earlierOf(due).attempts
        const attempts = 1 + (due.script.options.retries ?? defaults.retries)
        for (let number = 1; !(yield* attempt(due, before + number, number === attempts)); number++) {
          if (number === attempts) return "failed"
          if (yield* Deferred.isDone(stopping)) return "left"
          const delay = yield* backoff(number)
          yield* Effect.logInfo(
            `Script ${due.script.path} is tried again in ${Duration.toSeconds(delay).toFixed(1)} s (attempt ${number + 1} of ${attempts})`
          )
          yield* Effect.raceFirst(Effect.sleep(delay), Deferred.await(stopping))
          if (yield* Deferred.isDone(stopping)) return "left"
        }
        return "succeeded"
      })

    return { run, refuse }
  })
