import * as FileSystem from "@effect/platform/FileSystem"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { DockerEvent } from "../event/DockerEvent.ts"
import type { KeptRun } from "../journal/Journal.ts"
import * as Metrics from "../Metrics.ts"
import * as Environment from "../scripts/Environment.ts"
import * as Heads from "../scripts/Heads.ts"
import * as Output from "../scripts/Output.ts"
import * as RunAs from "../scripts/RunAs.ts"
import type { Script } from "../scripts/ScriptDirectory.ts"
import { type Bounds, exitCode, Outcome, ScriptRunner } from "../scripts/ScriptRunner.ts"
import { Trust } from "../scripts/Trust.ts"

/** A script to run for an event. */
export interface Due {
  readonly script: Script
  readonly event: DockerEvent
  /** The line for a script with `inspect=yes`. */
  readonly inspected?: string | undefined
  /** How many older events this run stands for as well. */
  readonly coalesced: number
}

/**
 * The limits of this process for the environment of a program. They follow from its stack limit, which only Linux
 * tells.
 */
export const kernelLimits = Effect.gen(function* () {
  const fileSystem = yield* FileSystem.FileSystem
  const text = yield* Effect.orElseSucceed(fileSystem.readFileString("/proc/self/limits"), () => "")
  const soft = /^Max stack size\s+(\S+)/m.exec(text)?.[1]
  if (soft === undefined) return Environment.defaultLimits
  return Environment.limitsFor(soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft))
})

/** How scripts run if their heads say nothing else. */
export interface Defaults {
  readonly base: Environment.Environment
  readonly engines: Readonly<Record<string, Environment.Environment>>
  readonly bounds: Bounds
  readonly kernel: Environment.Limits
}

/** The bounds of a script's run. The script's head can set its timeout. */
export const boundsOf = ({ bounds }: Pick<Defaults, "bounds">, { timeout }: Script["options"]): Bounds =>
  timeout === undefined ? bounds : { ...bounds, timeout: timeout === 0 ? Duration.infinity : timeout }

const environmentOf = (
  defaults: Defaults,
  { coalesced, event }: Due,
  kept: KeptRun,
  number: number,
  user: RunAs.RunAs | undefined
) =>
  Environment.make(
    event,
    {
      ...defaults.base,
      ...defaults.engines[event.engine],
      DES_ATTEMPT: String(number),
      ...(coalesced === 0 ? {} : { DES_COALESCED: String(coalesced) }),
      ...(event.synthetic ? { DES_SYNTHETIC: "1" } : {}),
      ...kept.variables,
      ...(user === undefined ? {} : RunAs.variables(user))
    },
    defaults.kernel
  )

/** The head of a script has changed since the look-up, and the script cannot run with it. */
class HeadError extends Data.TaggedError("HeadError")<{ readonly message: string }> {}

/**
 * Makes what finds the user that a script's head names now. An event can wait for hours, and meanwhile the head can get
 * this option, which must hold at once. The other options are those of the look-up.
 */
const makeUserOf = ({ readIfThere }: ReturnType<typeof Heads.make>) =>
  Effect.fnUntraced(function* ({ options, path }: Script) {
    const head = yield* Effect.mapError(
      readIfThere(path),
      (error) => new HeadError({ message: Heads.sayUnreadable(error) })
    )
    // Where there is no file, the runner says so, or it runs something else than files.
    const now = head?.options ?? options
    if (!("conditions" in now)) {
      return yield* new HeadError({ message: `its head is wrong: line ${now.line}: ${now.message}` })
    }
    return now.user === undefined ? undefined : yield* RunAs.find(now.user)
  })

/** How a run ended, for its metric. An exit with the code 0 has succeeded. */
const metricNames: Readonly<Record<Outcome["_tag"], Metrics.RunOutcome>> = {
  Exited: "failed",
  Killed: "killed",
  TimedOut: "timed_out",
  NotStarted: "not_started",
  Failed: "failed"
}

/** How a run ended, as a word for its metric and for the log. */
export const kindOf = (outcome: Outcome): Metrics.RunOutcome =>
  exitCode(outcome) === 0 && outcome._tag === "Exited" ? "succeeded" : metricNames[outcome._tag]

/** Makes what runs a script once, if it is trusted. It returns the outcome and the end of the output. */
export const make = (defaults: Defaults) =>
  Effect.gen(function* () {
    const runner = yield* ScriptRunner
    const trust = yield* Trust
    const userOf = makeUserOf(Heads.make(yield* FileSystem.FileSystem))
    return Effect.fnUntraced(function* (due: Due, kept: KeptRun, number: number) {
      const { event, script } = due
      const user = yield* Effect.either(userOf(script))
      const environment = environmentOf(defaults, due, kept, number, Option.getOrUndefined(Either.getRight(user)))
      yield* Effect.logDebug("Script ENV:", environment)
      yield* Effect.logInfo(`Running script ${script.path}`)
      const tail = Output.makeTail()
      const observer = { started: kept.started, line: tail.push }
      const bounds = boundsOf(defaults, script.options)
      const inspected =
        script.options.inspect === true && due.inspected !== undefined ? { inspected: due.inspected } : {}
      const run = { script: script.path, event, environment, bounds, observer, ...inspected }
      const outcome = yield* trust.check(script.path).pipe(
        Effect.zipRight(user),
        Effect.flatMap((as) =>
          Metrics.ran(script.path, kindOf)(runner.run(as === undefined ? run : { ...run, user: as }))
        ),
        Effect.catchAll(({ _tag, message }) =>
          Effect.as(
            Metrics.refused(script.path, _tag === "UntrustedError" ? "not_trusted" : "not_started"),
            Outcome.NotStarted({ message })
          )
        )
      )
      return { outcome, output: tail.text() }
    })
  })
