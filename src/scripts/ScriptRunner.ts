import { constants } from "node:os"
import * as Command from "@effect/platform/Command"
import * as CommandExecutor from "@effect/platform/CommandExecutor"
import { isPlatformError, type PlatformError } from "@effect/platform/Error"
import * as Cause from "effect/Cause"
import type * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { DockerEvent } from "../event/DockerEvent.ts"
import type { Environment } from "./Environment.ts"
import * as HostSpawner from "./HostSpawner.ts"
import * as Output from "./Output.ts"
import * as ProcessGroup from "./ProcessGroup.ts"
import * as ScriptExecutor from "./ScriptExecutor.ts"
import { terminate } from "./Terminate.ts"

/**
 * The bounds of a run: how long it may take (default 10 minutes, `Infinity` for no bound), and how long what is told to end
 * (SIGTERM) may take before it is killed (default 10 seconds).
 *
 * @since 1.0.0
 * @category models
 */
export interface Bounds {
  readonly timeout: Duration.DurationInput
  readonly grace: Duration.DurationInput
}

/**
 * The bounds of a run that nobody bounds otherwise.
 *
 * @since 1.0.0
 * @category constructors
 */
export const defaultBounds: Bounds = { timeout: "10 minutes", grace: "10 seconds" }

/**
 * Who wants to know of a run while it runs: that its process has started, and each line of its output.
 *
 * @since 1.0.0
 * @category models
 */
export interface Observer {
  readonly started: (pid: number) => Effect.Effect<void>
  readonly line: (line: string) => void
}

/**
 * One execution of one script for one event, about to happen: the script's path, the event, the whole environment that the
 * script gets, and its bounds.
 *
 * @since 1.0.0
 * @category models
 */
export interface ScriptRun {
  readonly script: string
  readonly event: DockerEvent
  readonly environment: Environment
  readonly bounds: Bounds
  readonly observer?: Observer
}

/**
 * What became of a run: it exited with a code, a signal ended it, it took too long and des ended it, or it could not be started. `message` is the last line
 * that the script wrote to stderr (`NotStarted`: the system's reason), as it came: not safe to print unescaped.
 *
 * @since 1.0.0
 * @category models
 */
export type Outcome = Data.TaggedEnum<{
  Exited: { readonly code: number; readonly message: string }
  Killed: { readonly signal: string; readonly message: string }
  TimedOut: { readonly after: Duration.Duration; readonly message: string }
  NotStarted: { readonly message: string }
}>

/**
 * Constructors and matchers of {@link Outcome}.
 *
 * @since 1.0.0
 * @category constructors
 */
export const Outcome = Data.taggedEnum<Outcome>()

const signalNumber = (signal: string): number =>
  Object.entries(constants.signals).find(([name]) => name === signal)?.[1] ?? 0

/**
 * An outcome as one number: the exit code, the negative number of a signal as the original gave it, and for what took too
 * long and what could not be started 124 and 127, as timeout(1) and the shell have them.
 *
 * @since 1.0.0
 * @category combinators
 */
export const exitCode = (outcome: Outcome): number =>
  Outcome.$match(outcome, {
    Exited: ({ code }) => code,
    Killed: ({ signal }) => -signalNumber(signal),
    TimedOut: () => 124,
    NotStarted: () => 127
  })

/**
 * Runs one script to its end. It never fails: whatever a script does is an {@link Outcome}. Interrupting it ends the
 * script, and does not return before the process is gone.
 *
 * @since 1.0.0
 * @category services
 */
export class ScriptRunner extends Context.Tag("des/ScriptRunner")<
  ScriptRunner,
  { readonly run: (run: ScriptRun) => Effect.Effect<Outcome> }
>() {}

/** How long a script runs before its output is read as it comes; that of a shorter run is read once, at its end. */
const shortRun = Duration.millis(10)

/** Timers of Node take no longer time than this, in milliseconds: 24 days. */
const longestTimer = 2 ** 31 - 1

/** Ends a script and all that it started in its process group. */
const end = (script: CommandExecutor.Process, grace: Duration.DurationInput): Effect.Effect<void> =>
  Effect.ignore(terminate({ signal: script.kill, isGone: Effect.sync(() => ProcessGroup.isGone(script.pid)) }, grace))

const logLines = (script: string, stream: "stdout" | "stderr", lines: ReadonlyArray<string>) =>
  Effect.forEach(lines, (line) => Effect.logInfo(`${script}: ${line}`), { discard: true }).pipe(
    Effect.annotateLogs({ script, stream })
  )

/** Logs an output stream to its end. Pulled by hand: running a stream takes two more fibers and as many scopes. */
const drain = (
  script: string,
  stream: "stdout" | "stderr",
  pull: Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<PlatformError>>,
  budget: Output.Budget,
  onLines: (lines: ReadonlyArray<string>) => void
) => {
  const lines = Output.makeLines(budget)
  const log = (found: ReadonlyArray<string>) => {
    if (found.length === 0) return Effect.void
    onLines(found)
    return logLines(script, stream, found)
  }
  return Effect.forever(Effect.flatMap(pull, (chunks) => log(Array.from(chunks).flatMap(lines.push)))).pipe(
    Effect.ignore,
    Effect.ensuring(Effect.suspend(() => log(lines.end())))
  )
}

const signalIn = (error: PlatformError): string => /signal: (\w+)/.exec(error.message)?.[1] ?? "an unknown signal"

/**
 * Waits for `effect`, and does `late` to its end where that takes longer than `delay`; says whether it did. Where it is not
 * late this takes a timer and no fiber. What has begun is awaited: an interrupt would reach the children of `late` even
 * where it cannot be interrupted itself.
 */
const orLate = <A>(effect: Effect.Effect<A>, delay: Duration.Duration, late: Effect.Effect<void>) =>
  Effect.flatMap(Effect.runtime<never>(), (runtime) => {
    let begun: Fiber.RuntimeFiber<void> | undefined
    const milliseconds = Duration.toMillis(delay)
    const timer =
      milliseconds > longestTimer
        ? undefined
        : setTimeout(() => {
            begun = Runtime.runFork(runtime, late)
          }, milliseconds)
    const settle = Effect.suspend(() => {
      clearTimeout(timer)
      return begun === undefined ? Effect.void : Effect.asVoid(Fiber.await(begun))
    })
    return Effect.map(Effect.ensuring(effect, settle), (value) => [value, begun !== undefined] as const)
  })

/** What a run has written: both streams are read once, either as it comes or at its end. */
const makeReader = (
  run: ScriptRun,
  script: CommandExecutor.Process,
  onLines: (stream: "stdout" | "stderr", lines: ReadonlyArray<string>) => void
) => {
  const budget: Output.Budget = { left: Output.defaultLimits.run, dropped: 0 }
  const read = (stream: "stdout" | "stderr") =>
    Effect.scoped(
      Effect.flatMap(Stream.toPull(script[stream]), (pull) =>
        drain(run.script, stream, pull, budget, (lines) => onLines(stream, lines))
      )
    )
  let reading: ReadonlyArray<Fiber.RuntimeFiber<void>> | undefined
  return {
    /** Reads from now on, beside what else is done. */
    begin: Effect.suspend(() => {
      if (reading !== undefined) return Effect.void
      const forked = Effect.forEach(["stdout", "stderr"] as const, (stream) =>
        Effect.forkDaemon(Effect.interruptible(read(stream)))
      )
      return Effect.map(forked, (fibers) => {
        reading = fibers
      })
    }),
    /** Reads to the end of a script that has ended. */
    finish: Effect.suspend(() =>
      reading === undefined ? Effect.zipRight(read("stdout"), read("stderr")) : Effect.asVoid(Fiber.awaitAll(reading))
    ),
    /** Reads no more. */
    stop: Effect.suspend(() => (reading === undefined ? Effect.void : Fiber.interruptAll(reading))),
    dropped: () => budget.dropped
  }
}

/**
 * Starts a script and sees to its end with the scope: one step, since a stop in between would leave the script to a SIGTERM
 * that nobody follows up.
 */
const start = (
  executor: CommandExecutor.CommandExecutor,
  run: ScriptRun,
  onLines: (stream: "stdout" | "stderr", lines: ReadonlyArray<string>) => void
) =>
  Effect.gen(function* () {
    const script = yield* executor.start(
      Command.make(run.script).pipe(
        Command.env(run.environment, { extendEnv: false }),
        Command.feed(`${run.event.record}\n`)
      )
    )
    const reader = makeReader(run, script, onLines)
    // Added last, so it runs first: before the executor's own SIGTERM, and while the script's last words are still read.
    yield* Effect.addFinalizer(() =>
      Effect.whenEffect(
        Effect.zipRight(reader.begin, end(script, run.bounds.grace)),
        Effect.orElseSucceed(script.isRunning, () => true)
      ).pipe(Effect.zipRight(reader.stop))
    )
    if (run.observer !== undefined) yield* run.observer.started(script.pid)
    return { script, reader }
  }).pipe(Effect.uninterruptible)

const execute = (
  executor: CommandExecutor.CommandExecutor,
  run: ScriptRun
): Effect.Effect<Outcome, PlatformError, Scope.Scope> =>
  Effect.gen(function* () {
    let message = ""
    const { reader, script } = yield* start(executor, run, (stream, lines) => {
      if (stream === "stderr") message = lines.at(-1) ?? message
      if (run.observer !== undefined) for (const line of lines) run.observer.line(line)
    })
    const timeout = Duration.decode(run.bounds.timeout)
    const [[exit], late] = yield* orLate(
      orLate(Effect.either(script.exitCode), shortRun, reader.begin),
      timeout,
      end(script, run.bounds.grace)
    )
    yield* reader.finish
    if (reader.dropped() > 0) {
      yield* Effect.logWarning(`${run.script}: ${reader.dropped()} bytes of its output were not logged`)
    }
    if (late) return Outcome.TimedOut({ after: timeout, message })
    return Either.match(exit, {
      onLeft: (error) => Outcome.Killed({ signal: signalIn(error), message }),
      onRight: (code) => Outcome.Exited({ code, message })
    })
  })

/** Why it was not started, in the executor's own sentence where it has one. */
const reasonOf = (error: unknown): string =>
  isPlatformError(error) && error.description !== undefined ? error.description : String(error)

const notStarted = (cause: Cause.Cause<PlatformError>): Effect.Effect<Outcome> =>
  Cause.isInterrupted(cause)
    ? Effect.interrupt
    : Effect.succeed(Outcome.NotStarted({ message: reasonOf(Cause.squash(cause)) }))

/**
 * Runs scripts with another executor. Its processes lead a process group of their own, and their outputs end a moment after
 * them at the latest, whoever holds them open.
 *
 * @internal
 */
export const layerWithExecutor: Layer.Layer<ScriptRunner, never, CommandExecutor.CommandExecutor> = Layer.effect(
  ScriptRunner,
  Effect.map(CommandExecutor.CommandExecutor, (executor) => ({
    run: Effect.fn("ScriptRunner.run")((run: ScriptRun) =>
      execute(executor, run).pipe(Effect.scoped, Effect.catchAllCause(notStarted))
    )
  }))
)

/**
 * Runs scripts as processes of this host: without arguments, in des's working directory and as its user, each in a session
 * of its own. The record is one line on stdin, in a file that is complete before the script starts. The output is logged line
 * by line as it comes.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer: Layer.Layer<ScriptRunner> = layerWithExecutor.pipe(
  Layer.provide(ScriptExecutor.layer),
  Layer.provide(HostSpawner.layer)
)
