import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Backoff from "../Backoff.ts"
import type { DockerEvent } from "../event/DockerEvent.ts"
import { eventName } from "../event/EventName.ts"
import type { Earlier, Entry, Journal, JournalError, KeptRun, Result } from "../journal/Journal.ts"
import * as LogFields from "../LogFields.ts"
import * as Metrics from "../Metrics.ts"
import * as Outlived from "../scripts/Outlived.ts"
import type { Script } from "../scripts/ScriptDirectory.ts"
import { exitCode, Outcome } from "../scripts/ScriptRunner.ts"
import * as FailedRun from "./FailedRun.ts"
import * as RunOnce from "./RunOnce.ts"
import type { Stop } from "./Stop.ts"

/** The same for an event that the journal keeps. */
export interface KeptDue extends Omit<RunOnce.Due, "event"> {
  readonly entry: Entry
}

/** How the attempts ended. `left` means that a stop came first, so the script runs after the next start. */
export type End = Result | "left"

/** Describes a failure in the original's words, which log scrapers match. Returns none for a success. */
const describeFailure = (outcome: Outcome): Option.Option<string> => {
  const exit = exitCode(outcome)
  const how = Outcome.$match(outcome, {
    Exited: () => "",
    Killed: ({ signal }) => ` Signal=${signal}`,
    TimedOut: ({ after }) => ` TimedOut=${Duration.toSeconds(after)}s`,
    NotStarted: () => " NotStarted",
    Failed: () => ""
  })
  return exit === 0 && outcome._tag === "Exited"
    ? Option.none()
    : Option.some(`Failed! Exit=${exit}${how} Message=${JSON.stringify(outcome.message)}`)
}

/** Why a function failed, with its stack. A script has no cause but its exit. */
const causeOf = (outcome: Outcome): Cause.Cause<unknown> => (outcome._tag === "Failed" ? outcome.cause : Cause.empty)

/** Logs that a run has failed: as an error if no retry follows. `duration` is in milliseconds. */
const sayFailed = (message: string, outcome: Outcome, duration: number, last: boolean) =>
  (last ? Effect.logError : Effect.logWarning)(message, causeOf(outcome)).pipe(
    Effect.annotateLogs(LogFields.make({ exit: exitCode(outcome), duration, error: RunOnce.kindOf(outcome) }))
  )

/** Logs that a run has succeeded, if such lines are printed. */
const saySucceeded = (path: string, duration: number) =>
  Effect.whenLogLevel(
    Effect.suspend(() =>
      Effect.annotateLogs(
        Effect.logDebug(`Script ${path} succeeded in ${duration} ms`),
        LogFields.make({ exit: 0, duration })
      )
    ),
    LogLevel.Debug
  )

const ofScript = ({ path }: Script) => Effect.annotateLogs(LogFields.make({ script: path }))

/** Lets log lines name the span of the run. */
const inSpan = <A, E>(span: KeptRun["span"], effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  span === undefined ? effect : Effect.withParentSpan(effect, span)

/** The delays between two attempts. */
const backoff: Backoff.Backoff = { first: 1000, longest: 300_000 }

/** Each delay is up to half shorter or longer than computed, so that scripts that failed together are not retried together. */
const spread = Random.nextRange(0.5, 1.5)

const noneEarlier: Earlier = { attempts: 0, settled: undefined, outlived: [] }

/** Says that a script is not run since an earlier one of its directory has failed. */
export const sayingSkipped = (event: DockerEvent, script: Script, failed: string): string =>
  `${eventName(event)}: ${script.path} is not run, since ${failed} has failed and has stop-on-failure=yes`

/** What happened to this script for this event before des was restarted. */
export const earlierOf = ({ entry, script }: KeptDue): Earlier => entry.earlier[script.path] ?? noneEarlier

/**
 * Runs scripts.
 *
 * - `awaitOutlived`: waits for the runs of this script for this event that outlived des, for what is left of their
 *   timeout, and then ends them. A stop ends the wait.
 * - `attempt`: runs a script once, and records that run in the journal. Returns true if it succeeded.
 * - `run`: runs a script until it succeeds or its retries are used up. After a stop no further attempt begins.
 * - `refuse`: records a failed run with this reason, without running the script.
 * - `skip`: records that the script is not run for the event, since `failed`, an earlier script, has failed.
 */
export interface Attempts {
  readonly awaitOutlived: (due: KeptDue, stop: Stop) => Effect.Effect<void>
  readonly attempt: (
    due: RunOnce.Due,
    kept: KeptRun,
    which: { readonly number: number; readonly last: boolean }
  ) => Effect.Effect<boolean, JournalError>
  readonly run: (due: KeptDue, stop: Stop) => Effect.Effect<End, JournalError>
  readonly refuse: (due: KeptDue, reason: string) => Effect.Effect<End, JournalError>
  readonly skip: (due: KeptDue, failed: string) => Effect.Effect<End, JournalError>
}

/** Takes the event `des/failed` about a run that failed in the end. */
export type Report = (event: DockerEvent) => Effect.Effect<void, JournalError>

/** How scripts are attempted if their heads say nothing else. */
interface Defaults extends RunOnce.Defaults {
  readonly retries: number
  readonly begin: Journal["Type"]["begin"]
  readonly report: Report
}

export const make = (defaults: Defaults) =>
  Effect.gen(function* () {
    const runOnce = yield* RunOnce.make(defaults)

    const awaitOutlived: Attempts["awaitOutlived"] = (due, stop) => {
      const all = earlierOf(due).outlived
      // A race costs two fibers, and nearly no run has to wait.
      if (all.length === 0) return Effect.void
      return Effect.forEach(
        all,
        Effect.fnUntraced(function* (outlived) {
          const { grace, timeout } = RunOnce.boundsOf(defaults, due.script.options)
          // If the clock was set back, the age would be negative.
          const age = Math.max(0, (yield* Clock.currentTimeMillis) - outlived.began)
          yield* Outlived.awaitEnd(outlived, {
            patience: Math.max(0, Duration.toMillis(timeout) - age),
            grace: Duration.toMillis(grace)
          })
        }),
        { discard: true }
      ).pipe(Effect.raceFirst(stop.await))
    }

    /**
     * Reports a run that failed in the end. This comes before the run is recorded as ended: if des is killed in between,
     * the script runs again and may be reported twice, but is never forgotten. A failure of a script for des/failed is
     * not reported, because the script would trigger itself.
     */
    const report = (
      due: RunOnce.Due,
      kept: KeptRun,
      failed: Pick<FailedRun.FailedRun, "attempts" | "outcome" | "output">
    ) =>
      FailedRun.isAbout(due.event)
        ? Effect.void
        : Effect.flatMap(
            FailedRun.toEvent({
              script: due.script.path,
              event: due.event,
              run: kept.variables["DES_RUN"],
              ...failed
            }),
            defaults.report
          )

    const attempt: Attempts["attempt"] = Effect.fnUntraced(
      function* (due, kept, { last, number }) {
        const from = yield* Clock.currentTimeMillis
        const { outcome, output } = yield* kept.whileHeld(runOnce(due, kept, number)).pipe(
          Effect.tapError(() => kept.interrupted),
          Effect.onInterrupt(() => kept.interrupted)
        )
        const duration = Math.max(0, Math.round((yield* Clock.currentTimeMillis) - from))
        const failure = describeFailure(outcome)
        const hasFailed = Option.isSome(failure)
        if (hasFailed) {
          yield* sayFailed(`Script ${due.script.path} ${failure.value}`, outcome, duration, last)
          if (last) yield* report(due, kept, { attempts: number, outcome, output })
        } else {
          yield* saySucceeded(due.script.path, duration)
        }
        yield* kept.ended(outcome, output, last || !hasFailed)
        return !hasFailed
      },
      (effect, { script: { path } }, { span, variables }, { number }) =>
        Effect.annotateLogs(
          inSpan(span, effect),
          LogFields.make({ script: path, run: variables["DES_RUN"], attempt: number })
        )
    )

    const run: Attempts["run"] = Effect.fnUntraced(function* (due, stop) {
      const { coalesced, entry, script } = due
      // Two runs for one event never run at once.
      yield* awaitOutlived(due, stop)
      if (yield* stop.isStopping) return "left"
      yield* Metrics.coalesced(script.path, coalesced)
      const before = earlierOf(due).attempts
      const attempts = 1 + (script.options.retries ?? defaults.retries)
      for (let number = 1; number <= attempts; number++) {
        const which = { number: before + number, last: number === attempts }
        const kept = yield* defaults.begin(entry, script, which.number)
        if (yield* attempt({ script, event: entry.event, coalesced, inspected: entry.inspected }, kept, which))
          return "succeeded"
        if (which.last) return "failed"
        if (yield* stop.isStopping) return "left"
        const delay = Backoff.delay(backoff, number) * (yield* spread)
        yield* Effect.logInfo(
          `Script ${script.path} is retried in ${(delay / 1000).toFixed(1)} s, attempt ${number + 1} of ${attempts}`
        ).pipe(ofScript(script), (said) => inSpan(kept.span, said))
        if (!(yield* stop.sleep(delay))) return "left"
        yield* Metrics.retried(script.path)
      }
      return "failed"
    })

    const refuse: Attempts["refuse"] = Effect.fnUntraced(function* (due, reason) {
      const message = `${eventName(due.entry.event)}: ${due.script.path} is ${reason}`
      yield* ofScript(due.script)(Effect.logError(message))
      const attempts = earlierOf(due).attempts + 1
      const kept = yield* defaults.begin(due.entry, due.script, attempts)
      const outcome = Outcome.NotStarted({ message })
      yield* report({ ...due, event: due.entry.event }, kept, { attempts, outcome, output: "" })
      yield* kept.ended(outcome, "", true)
      return "failed" as const
    })

    const skip: Attempts["skip"] = Effect.fnUntraced(function* (due, failed) {
      const message = sayingSkipped(due.entry.event, due.script, failed)
      yield* ofScript(due.script)(Effect.logWarning(message))
      yield* Metrics.refused(due.script.path, "skipped")
      const kept = yield* defaults.begin(due.entry, due.script, earlierOf(due).attempts + 1)
      yield* kept.skipped(message)
      return "failed" as const
    })

    return { awaitOutlived, attempt, run, refuse, skip } satisfies Attempts
  })
