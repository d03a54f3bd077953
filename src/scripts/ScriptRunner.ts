import { constants } from "node:os"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import type { DockerEvent } from "../event/DockerEvent.ts"
import { terminate } from "../Terminate.ts"
import type { Environment } from "./Environment.ts"
import * as HostSpawner from "./HostSpawner.ts"
import * as Output from "./Output.ts"
import type { OutputPipe } from "./OutputPipe.ts"
import * as ProcessGroup from "./ProcessGroup.ts"
import * as ScriptProcess from "./ScriptProcess.ts"
import { Spawner } from "./Spawner.ts"

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
 * script, and the bounds.
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

/**
 * Runs scripts.
 *
 * - `run`: runs one script to its end. It never fails: whatever a script does is an {@link Outcome}. Interrupting it
 *   ends the script, and returns only after the process has ended.
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

/** Ends a script and every process in its process group. */
const end = (script: ScriptProcess.ScriptProcess, grace: Duration.DurationInput): Effect.Effect<void> =>
  terminate(
    {
      signal: (name) => ScriptProcess.kill(script, name),
      isGone: Effect.sync(() => ProcessGroup.isGone(script.pid))
    },
    grace
  )

const logLines = (script: string, stream: "stdout" | "stderr", lines: ReadonlyArray<string>) =>
  Effect.forEach(lines, (line) => Effect.logInfo(`${script}: ${line}`), { discard: true }).pipe(
    Effect.annotateLogs({ script, stream })
  )

/** Reads an output to its end, and passes on its lines. An output that has ended is read without waiting. */
const readLines = (
  output: OutputPipe,
  budget: Output.Budget,
  onLines: (lines: ReadonlyArray<string>) => Effect.Effect<void>
): Effect.Effect<void> => {
  const lines = Output.makeLines(budget)
  const pass = (found: ReadonlyArray<string>) => (found.length === 0 ? Effect.void : onLines(found))
  const readable = Effect.async<void>((resume) => output.whenReadable(() => resume(Effect.void)))
  const readOn: Effect.Effect<void> = Effect.suspend(() => {
    const read = output.read()
    if (read === "end") return Effect.void
    return Effect.zipRight(read === "nothing yet" ? readable : pass(lines.push(read)), readOn)
  })
  return Effect.ensuring(
    readOn,
    Effect.suspend(() => pass(lines.end()))
  )
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
const makeReader = (run: ScriptRun, script: ScriptProcess.ScriptProcess) => {
  const budget: Output.Budget = { left: Output.defaultLimits.run, dropped: 0 }
  let message = ""
  const read = (stream: "stdout" | "stderr") =>
    readLines(script[stream], budget, (lines) => {
      if (stream === "stderr") message = lines.at(-1) ?? message
      if (run.observer !== undefined) for (const line of lines) run.observer.line(line)
      return logLines(run.script, stream, lines)
    })
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

/** A started script and the reader of its outputs. */
interface Started {
  readonly script: ScriptProcess.ScriptProcess
  readonly reader: ReturnType<typeof makeReader>
}

const start = (spawner: Spawner["Type"], run: ScriptRun): Effect.Effect<Started, ScriptProcess.CannotStartError> => {
  const environment = Object.entries(run.environment)
  const stdin = Buffer.from(`${run.event.record}\n`)
  return Effect.map(ScriptProcess.start(spawner, { path: run.script, args: [], environment, stdin }), (script) => ({
    script,
    reader: makeReader(run, script)
  }))
}

const follow = (run: ScriptRun, { reader, script }: Started): Effect.Effect<Outcome> =>
  Effect.gen(function* () {
    if (run.observer !== undefined) yield* Effect.uninterruptible(run.observer.started(script.pid))
    const timeout = Duration.decode(run.bounds.timeout)
    const [[{ code, signal }], late] = yield* orLate(
      orLate(Deferred.await(script.exit), shortRun, reader.begin),
      timeout,
      end(script, run.bounds.grace)
    )
    yield* reader.finish
    if (reader.dropped() > 0) {
      yield* Effect.logWarning(`${run.script}: ${reader.dropped()} bytes of its output were not logged`)
    }
    const message = reader.message()
    if (late) return Outcome.TimedOut({ after: timeout, message })
    return signal === undefined ? Outcome.Exited({ code, message }) : Outcome.Killed({ signal, message })
  })

/** Ends a script if it still runs. Its last output is read meanwhile. */
const release = (run: ScriptRun, { reader, script }: Started): Effect.Effect<void> =>
  Effect.flatMap(Deferred.isDone(script.exit), (hasEnded) =>
    hasEnded ? reader.stop : Effect.zipRight(reader.begin, Effect.zipRight(end(script, run.bounds.grace), reader.stop))
  ).pipe(Effect.zipRight(script.release))

/** The start is one uninterruptible step, so a stop never leaves a process behind. */
const execute = (spawner: Spawner["Type"], run: ScriptRun): Effect.Effect<Outcome, ScriptProcess.CannotStartError> =>
  Effect.acquireUseRelease(
    start(spawner, run),
    (started) => follow(run, started),
    (started) => release(run, started)
  )

const notStarted = (cause: Cause.Cause<ScriptProcess.CannotStartError>): Effect.Effect<Outcome> => {
  if (Cause.isInterrupted(cause)) return Effect.interrupt
  const error = Cause.squash(cause)
  return Effect.succeed(Outcome.NotStarted({ message: error instanceof Error ? error.message : String(error) }))
}

/**
 * Runs scripts as {@link layer} does, with the spawner of the context.
 *
 * @internal
 */
export const layerWithSpawner: Layer.Layer<ScriptRunner, never, Spawner> = Layer.effect(
  ScriptRunner,
  Effect.map(Spawner, (spawner) => ({
    // A span for each run would cost a tenth of the run.
    run: (run: ScriptRun) => Effect.catchAllCause(execute(spawner, run), notStarted)
  }))
)

/**
 * Runs scripts as processes of this host: without arguments, in des's working directory, as des's user, each in its own
 * session. The record is one line on stdin, in a file that is complete before the script starts. The output is logged
 * line by line.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer: Layer.Layer<ScriptRunner> = layerWithSpawner.pipe(Layer.provide(HostSpawner.layer))
