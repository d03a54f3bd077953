import { constants } from "node:os"
import * as Command from "@effect/platform/Command"
import * as CommandExecutor from "@effect/platform/CommandExecutor"
import { isPlatformError, type PlatformError } from "@effect/platform/Error"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { DockerEvent } from "../event/DockerEvent.ts"
import * as LogFields from "../LogFields.ts"
import { terminate } from "../Terminate.ts"
import type { Environment } from "./Environment.ts"
import * as HostSpawner from "./HostSpawner.ts"
import * as Output from "./Output.ts"
import * as ProcessGroup from "./ProcessGroup.ts"
import * as RunAs from "./RunAs.ts"
import * as ScriptExecutor from "./ScriptExecutor.ts"
import type { Spawner } from "./Spawner.ts"

/**
 * The bounds of a run.
 *
 * - `timeout`: how long a run may take (default 10 minutes, `Infinity` for no bound).
 * - `grace`: the time between SIGTERM and SIGKILL when des ends a run (default 10 seconds).
 *
 * @since 1.0.0
 * @category models
 */
export interface Bounds {
  readonly timeout: Duration.DurationInput
  readonly grace: Duration.DurationInput
}

/**
 * The bounds of a run if nothing else is set.
 *
 * @since 1.0.0
 * @category constructors
 */
export const defaultBounds: Bounds = { timeout: "10 minutes", grace: "10 seconds" }

/**
 * Watches a run.
 *
 * - `started`: runs when the process has started.
 * - `line`: is called for each line of output.
 *
 * @since 1.0.0
 * @category models
 */
export interface Observer {
  readonly started: (pid: number) => Effect.Effect<void>
  readonly line: (line: string) => void
}

/**
 * One run of one script for one event, before it starts: the script's path, the event, the whole environment of the
 * script, the bounds, and the user that it runs as (default: des's user). `inspected` is the second line of its stdin, if it has one.
 *
 * @since 1.0.0
 * @category models
 */
export interface ScriptRun {
  readonly script: string
  readonly event: DockerEvent
  readonly environment: Environment
  readonly bounds: Bounds
  readonly user?: RunAs.RunAs
  readonly inspected?: string
  readonly observer?: Observer
}

/**
 * How a run ended: it exited with a code, a signal ended it, des ended it after its timeout, it could not be
 * started, or it was a function that failed (see {@link Handlers}). `message` is the last line that the script wrote to stderr; for
 * `NotStarted` and `Failed` it is the reason. It is not escaped, so it is not safe to print as it is.
 *
 * @since 1.0.0
 * @category models
 */
export type Outcome = Data.TaggedEnum<{
  Exited: { readonly code: number; readonly message: string }
  Killed: { readonly signal: string; readonly message: string }
  TimedOut: { readonly after: Duration.Duration; readonly message: string }
  NotStarted: { readonly message: string }
  Failed: { readonly message: string; readonly cause: Cause.Cause<unknown> }
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
 * An outcome as one number: the exit code; the negative number of a signal, as the original had it; 124 after a
 * timeout, as timeout(1) has it; 127 if the script could not be started, as the shell has it.
 *
 * @example
 * import { ScriptRunner } from "docker-event-scripts"
 * import * as Duration from "effect/Duration"
 *
 * // 124
 * export const code = ScriptRunner.exitCode(
 *   ScriptRunner.Outcome.TimedOut({ after: Duration.seconds(30), message: "" })
 * )
 *
 * @since 1.0.0
 * @category combinators
 */
export const exitCode = (outcome: Outcome): number =>
  Outcome.$match(outcome, {
    Exited: ({ code }) => code,
    Killed: ({ signal }) => -signalNumber(signal),
    TimedOut: () => 124,
    NotStarted: () => 127,
    Failed: () => 1
  })

const outcomeNames: Readonly<Record<Outcome["_tag"], string>> = {
  Exited: "exited",
  Killed: "killed",
  TimedOut: "timed out",
  NotStarted: "not started",
  Failed: "failed"
}

/**
 * An outcome as the history and the status call it.
 *
 * @internal
 */
export const outcomeName = ({ _tag }: Outcome): string => outcomeNames[_tag]

/**
 * Runs scripts.
 *
 * - `run`: runs one script to its end. It never fails: whatever a script does is an {@link Outcome}. Interrupting it
 *   ends the script, and returns only after the process has ended.
 *
 * @example
 * import { Environment, ScriptRunner } from "docker-event-scripts"
 * import * as Testing from "docker-event-scripts/testing"
 * import * as Effect from "effect/Effect"
 *
 * const event = Testing.makeEvent()
 *
 * export const outcome = Effect.flatMap(ScriptRunner.ScriptRunner, ({ run }) =>
 *   run({
 *     script: "/etc/docker/events.d/container/start",
 *     event,
 *     environment: Environment.make(event, { PATH: "/usr/bin:/bin" }),
 *     bounds: ScriptRunner.defaultBounds
 *   })
 * )
 *
 * @since 1.0.0
 * @category services
 */
export class ScriptRunner extends Context.Tag("des/ScriptRunner")<
  ScriptRunner,
  { readonly run: (run: ScriptRun) => Effect.Effect<Outcome> }
>() {}

/** The output of a run shorter than this is read once, at its end. The output of a longer run is read as it comes. */
const shortRun = Duration.millis(10)

/** The longest timer that Node accepts, in milliseconds: 24 days. */
const longestTimer = 2 ** 31 - 1

/** Ends a script and every process in its process group. Its steps are made on demand: few runs need them. */
const end = (script: CommandExecutor.Process, grace: Duration.DurationInput): Effect.Effect<void> =>
  Effect.suspend(() =>
    Effect.ignore(terminate({ signal: script.kill, isGone: Effect.sync(() => ProcessGroup.isGone(script.pid)) }, grace))
  )

const logLines = (script: string, stream: "stdout" | "stderr", lines: ReadonlyArray<string>) =>
  Effect.forEach(lines, (line) => Effect.logInfo(line), { discard: true }).pipe(
    Effect.annotateLogs(LogFields.make({ script, stream }))
  )

/** Reads an output to its end, and passes on its lines. An output that has ended is read without waiting. */
const readLines = (
  pull: ScriptExecutor.Pull,
  budget: Output.Budget,
  onLines: (lines: ReadonlyArray<string>) => Effect.Effect<void>
): Effect.Effect<void> => {
  const lines = Output.makeLines(budget)
  const pass = (found: ReadonlyArray<string>) => (found.length === 0 ? Effect.void : onLines(found))
  const readOn: Effect.Effect<void> = Effect.matchEffect(pull, {
    onFailure: () => Effect.suspend(() => pass(lines.end())),
    onSuccess: (chunks) => Effect.zipRight(pass(Array.from(chunks).flatMap(lines.push)), readOn)
  })
  return Effect.onInterrupt(readOn, () => pass(lines.end()))
}

/**
 * Waits for `effect`. If it takes longer than `delay`, runs `late` as well, and waits for both. Returns true beside the
 * value if `late` ran. If `effect` is in time, this costs a timer and no fiber. `late` is never interrupted, because an
 * interrupt would reach its children even if `late` itself is uninterruptible.
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

/** Reads both outputs of a run once: either as the output comes, or at the end of the run. */
const makeReader = (run: ScriptRun, script: CommandExecutor.Process) => {
  const budget: Output.Budget = { left: Output.defaultLimits.run, dropped: 0 }
  let message = ""
  const pass = (stream: "stdout" | "stderr") => (lines: ReadonlyArray<string>) => {
    if (stream === "stderr") message = lines.at(-1) ?? message
    if (run.observer !== undefined) for (const line of lines) run.observer.line(line)
    return logLines(run.script, stream, lines)
  }
  const read = (stream: "stdout" | "stderr") =>
    ScriptExecutor.read(script, stream, (pull) => readLines(pull, budget, pass(stream)))
  let reading: ReadonlyArray<Fiber.RuntimeFiber<void>> | undefined
  return {
    /** Begins to read, in the background. */
    begin: Effect.suspend(() => {
      if (reading !== undefined) return Effect.void
      const forked = Effect.forEach(["stdout", "stderr"] as const, (stream) =>
        Effect.forkDaemon(Effect.interruptible(read(stream)))
      )
      return Effect.map(forked, (fibers) => {
        reading = fibers
      })
    }),
    /** Reads what is left after the script has ended. */
    finish: Effect.suspend(() =>
      reading === undefined ? Effect.zipRight(read("stdout"), read("stderr")) : Effect.asVoid(Fiber.awaitAll(reading))
    ),
    /** Stops reading. */
    stop: Effect.suspend(() => (reading === undefined ? Effect.void : Fiber.interruptAll(reading))),
    /** The last line of stderr. */
    message: () => message,
    dropped: () => budget.dropped
  }
}

const signalIn = (error: PlatformError): string => /signal: (\w+)/.exec(error.message)?.[1] ?? "an unknown signal"

/** The lines that a script gets on stdin. */
export const inputOf = ({ event, inspected }: Pick<ScriptRun, "event" | "inspected">): ReadonlyArray<string> =>
  inspected === undefined ? [event.record] : [event.record, inspected]

/** A script as a command: its own environment, no arguments, and the record as its whole stdin, beside the inspect data that it asks for. */
const commandOf = (run: ScriptRun): Command.Command =>
  Command.make(...(run.user === undefined ? ([run.script] as const) : RunAs.command(run.user, run.script))).pipe(
    Command.env(run.environment, { extendEnv: false }),
    Command.stdin(
      ScriptExecutor.inputOf(
        Buffer.from(
          inputOf(run)
            .map((line) => `${line}\n`)
            .join("")
        ),
        run.user
      )
    )
  )

/**
 * Starts a script; the end of the scope also ends the script. Both are one uninterruptible step. Otherwise a stop in between would send
 * only SIGTERM, and nobody would follow with SIGKILL.
 */
const start = (executor: CommandExecutor.CommandExecutor, run: ScriptRun) =>
  Effect.gen(function* () {
    const script = yield* executor.start(commandOf(run))
    const reader = makeReader(run, script)
    // This finalizer is added last, so it runs first: before the executor's own SIGTERM, and while the last output is
    // still read.
    yield* Effect.addFinalizer(() =>
      Effect.whenEffect(
        Effect.zipRight(reader.begin, end(script, run.bounds.grace)),
        Effect.orElseSucceed(script.isRunning, () => true)
      ).pipe(Effect.zipRight(reader.stop))
    )
    if (!ScriptExecutor.isScript(script)) yield* reader.begin
    if (run.observer !== undefined) yield* run.observer.started(script.pid)
    return { script, reader }
  }).pipe(Effect.uninterruptible)

const execute = (
  executor: CommandExecutor.CommandExecutor,
  run: ScriptRun
): Effect.Effect<Outcome, PlatformError, Scope.Scope> =>
  Effect.gen(function* () {
    const { reader, script } = yield* start(executor, run)
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
    const message = reader.message()
    if (late) return Outcome.TimedOut({ after: timeout, message })
    return Either.match(exit, {
      onLeft: (error) => Outcome.Killed({ signal: signalIn(error), message }),
      onRight: (code) => Outcome.Exited({ code, message })
    })
  })

/** The reason why a script was not started: the executor's own sentence, if there is one. */
const reasonOf = (error: unknown): string =>
  isPlatformError(error) && error.description !== undefined ? error.description : String(error)

const notStarted = (cause: Cause.Cause<PlatformError>): Effect.Effect<Outcome> =>
  Cause.isInterrupted(cause)
    ? Effect.interrupt
    : Effect.succeed(Outcome.NotStarted({ message: reasonOf(Cause.squash(cause)) }))

/**
 * Runs scripts with the executor of the context. That executor must start each process as the leader of its own process
 * group, and must end the outputs soon after the process, even if another process holds them open.
 *
 * @internal
 */
export const layerWithExecutor: Layer.Layer<ScriptRunner, never, CommandExecutor.CommandExecutor> = Layer.effect(
  ScriptRunner,
  Effect.map(CommandExecutor.CommandExecutor, (executor) => ({
    // A span for each run would cost a tenth of the run.
    run: (run: ScriptRun) => execute(executor, run).pipe(Effect.scoped, Effect.catchAllCause(notStarted))
  }))
)

/**
 * Runs scripts as {@link layer} does, with the spawner of the context.
 *
 * @internal
 */
export const layerWithSpawner: Layer.Layer<ScriptRunner, never, Spawner> = Layer.provide(
  layerWithExecutor,
  ScriptExecutor.layer
)

/**
 * Runs scripts as processes of this host: without arguments, in des's working directory, as des's user, each in its own
 * session. The record is one line on stdin, in a file that is complete before the script starts. The output is logged
 * line by line.
 *
 * @example
 * import { Dispatch, ScriptRunner } from "docker-event-scripts"
 * import * as Layer from "effect/Layer"
 *
 * export const DispatchLive = Dispatch.layer({ base: { PATH: "/usr/bin:/bin" } }).pipe(Layer.provide(ScriptRunner.layer))
 *
 * @since 1.0.0
 * @category layers
 */
export const layer: Layer.Layer<ScriptRunner> = layerWithSpawner.pipe(Layer.provide(HostSpawner.layer))
