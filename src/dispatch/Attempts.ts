import { constants } from "node:os"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type { DockerEvent } from "../docker/DockerEvent.ts"
import * as Environment from "../scripts/Environment.ts"
import type { Script } from "../scripts/ScriptDirectory.ts"
import { type Bounds, Outcome, ScriptRunner } from "../scripts/ScriptRunner.ts"
import { Trust } from "../scripts/Trust.ts"

/** A script that is to run for an event. */
export interface Due {
  readonly script: Script
  readonly event: DockerEvent
  /** How many older events this run stands for as well. */
  readonly coalesced: number
}

const signalNumber = (signal: string): number =>
  Object.entries(constants.signals).find(([name]) => name === signal)?.[1] ?? 0

/**
 * In the original's words, which log scrapers match. It gave the negative number of a signal; timeout(1) and the shell have
 * 124 and 127 for what took too long and what could not be started.
 */
const describeFailure = (outcome: Outcome): Option.Option<string> =>
  Outcome.$match(outcome, {
    Exited: ({ code, message }) =>
      code === 0 ? Option.none() : Option.some(`Failed! Exit=${code} Message=${JSON.stringify(message)}`),
    Killed: ({ message, signal }) =>
      Option.some(`Failed! Exit=${-signalNumber(signal)} Signal=${signal} Message=${JSON.stringify(message)}`),
    TimedOut: ({ after, message }) =>
      Option.some(`Failed! Exit=124 TimedOut=${Duration.toSeconds(after)}s Message=${JSON.stringify(message)}`),
    NotStarted: ({ message }) => Option.some(`Failed! Exit=127 NotStarted Message=${JSON.stringify(message)}`)
  })

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

/**
 * Runs a script for an event until it succeeds or its retries are used up. When `stopping` is done no further attempt
 * begins, and the answer is that it did not come to its end.
 */
export const make = (defaults: {
  readonly base: Environment.Environment
  readonly bounds: Bounds
  readonly retries: number
}) =>
  Effect.gen(function* () {
    const runner = yield* ScriptRunner
    const trust = yield* Trust
    const kernel = yield* limits

    const boundsOf = ({ timeout }: Script["options"]): Bounds =>
      timeout === undefined
        ? defaults.bounds
        : { ...defaults.bounds, timeout: timeout === 0 ? Duration.infinity : timeout }

    /** Whether the script succeeded. */
    const attempt = Effect.fnUntraced(function* ({ coalesced, event, script }: Due, number: number) {
      const own = { DES_ATTEMPT: String(number), ...(coalesced === 0 ? {} : { DES_COALESCED: String(coalesced) }) }
      const environment = Environment.make(event, { ...defaults.base, ...own }, kernel)
      yield* Effect.logDebug("Script ENV:", environment)
      yield* Effect.logInfo(`Running script ${script.path}`)
      const outcome = yield* trust.check(script.path).pipe(
        Effect.zipRight(runner.run({ script: script.path, event, environment, bounds: boundsOf(script.options) })),
        Effect.catchAll(({ message }) => Effect.succeed(Outcome.NotStarted({ message })))
      )
      const failure = describeFailure(outcome)
      if (Option.isSome(failure)) yield* Effect.logError(`Script ${script.path} ${failure.value}`)
      return Option.isNone(failure)
    })

    return (due: Due, stopping: Deferred.Deferred<void>): Effect.Effect<boolean> =>
      Effect.gen(function* () {
        const attempts = 1 + (due.script.options.retries ?? defaults.retries)
        for (let number = 1; !(yield* attempt(due, number)) && number < attempts; number++) {
          if (yield* Deferred.isDone(stopping)) return false
          const delay = yield* backoff(number)
          yield* Effect.logInfo(
            `Script ${due.script.path} is tried again in ${Duration.toSeconds(delay).toFixed(1)} s (attempt ${number + 1} of ${attempts})`
          )
          yield* Effect.raceFirst(Effect.sleep(delay), Deferred.await(stopping))
          if (yield* Deferred.isDone(stopping)) return false
        }
        return true
      })
  })
