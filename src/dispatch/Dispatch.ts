import type * as FileSystem from "@effect/platform/FileSystem"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { type DockerEvent, verb } from "../event/DockerEvent.ts"
import { eventFields } from "../event/EventName.ts"
import { type Accepted, actorOf, type Entry, Journal, type JournalError, type Result } from "../journal/Journal.ts"
import type { Environment } from "../scripts/Environment.ts"
import { defaultBounds, type ScriptRunner } from "../scripts/ScriptRunner.ts"
import type { Trust } from "../scripts/Trust.ts"
import * as Attempts from "./Attempts.ts"
import * as FailedRun from "./FailedRun.ts"
import * as Guarded from "./Guarded.ts"
import * as Order from "./Order.ts"
import * as Paced from "./Paced.ts"
import * as RunOnce from "./RunOnce.ts"
import * as Stop from "./Stop.ts"
import * as StopOnFailure from "./StopOnFailure.ts"

/**
 * Runs the scripts of the events that the journal accepted. The events of one actor stay in order; with one job all
 * events stay in order.
 *
 * - `run`: runs scripts until the journal is closed and the last script has ended. If it is interrupted, or the journal
 *   fails, no further script begins, and running scripts get the drain time to end. It passes an event `des/failed` to
 *   `report` for each script that failed in the end.
 * - `fail`: makes `run` end with an error of the journal that another part met.
 * - `runLast`: runs the scripts of one more event, which is not in the journal, for what is left of the drain time. Their
 *   failures are only logged.
 *
 * @example
 * import { Dispatch } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 *
 * export const runAll = Effect.flatMap(Dispatch.Dispatch, (dispatch) =>
 *   dispatch.run((failed) => Effect.log(`${failed.Actor.ID} failed`))
 * )
 *
 * @since 1.0.0
 * @category services
 */
export class Dispatch extends Context.Tag("des/Dispatch")<
  Dispatch,
  {
    readonly run: (report: Attempts.Report) => Effect.Effect<void, JournalError>
    readonly fail: (error: JournalError) => Effect.Effect<void>
    readonly runLast: (accepted: Accepted) => Effect.Effect<void>
  }
>() {}

/**
 * How scripts are run. The options in a script's head override `timeout`, `retries` and `cooldown`.
 *
 * - `base`: the variables that every script gets in addition to those of its event.
 * - `engines`: by the name of an engine, more variables that scripts get for its events (none).
 * - `jobs`: how many events of different actors are handled at the same time (1).
 * - `timeout`: how long a run may take (10 minutes, `Infinity` for no bound).
 * - `grace`: the time between SIGTERM and SIGKILL when des ends a script (10 seconds).
 * - `retries`: how often a failed run is retried (0): after 1 second, then 2, 4 … up to 5 minutes, each randomly up to
 *   half shorter or longer.
 * - `cooldown`: the shortest time between two runs of a script for one actor (0). Events that come in this time become
 *   one run, of the newest event. Scripts for `des/failed` have a cooldown of at least 1 minute.
 * - `drain`: how long running scripts may go on when des stops (30 seconds).
 * - `hurry`: when this effect ends, a stop waits for no script any more (never).
 *
 * @since 1.0.0
 * @category models
 */
export interface DispatchOptions {
  readonly base: Environment
  readonly engines?: Readonly<Record<string, Environment>>
  readonly jobs?: number
  readonly timeout?: Duration.DurationInput
  readonly grace?: Duration.DurationInput
  readonly retries?: number
  readonly cooldown?: Duration.DurationInput
  readonly drain?: Duration.DurationInput
  readonly hurry?: Effect.Effect<void>
}

/**
 * The options that hold if they are not given.
 *
 * @since 1.0.0
 * @category constructors
 */
export const defaults = {
  ...defaultBounds,
  jobs: 1,
  retries: 0,
  cooldown: 0,
  drain: "30 seconds"
} as const satisfies Partial<DispatchOptions>

const sayDetected = (event: DockerEvent) =>
  Effect.logDebug(`Detected actionable event ${event.Type}/${verb(event)}: ${event.record}`)

const sayFinished = (event: string) => Effect.logDebug(`Finished handling ${event}`)

/** Adds the fields of the event to each log line. */
const about =
  (event: DockerEvent) =>
  <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.annotateLogs(effect, eventFields(event))

/** Tells the journal when the last script of an event has ended. It does not hold the event, which may be parked. */
const makeSettle = (finish: Journal["Type"]["finish"], { event, id, scripts }: Entry): Paced.Work["settle"] => {
  const described = `${event.Type}/${verb(event)}`
  let open = scripts.length
  let result: Result = "succeeded"
  return Effect.fnUntraced(function* (end) {
    if (end === "left") return
    if (end === "failed") result = "failed"
    if (--open > 0) return
    yield* finish(id, result)
    yield* sayFinished(described)
  })
}

const sayLeft = Effect.fnUntraced(function* (journal: Journal["Type"]) {
  const left = yield* Effect.orElseSucceed(journal.unfinished, () => 0)
  if (left === 0) return
  const later = journal.durable ? "; the next start runs them" : ""
  yield* Effect.logWarning(
    `des stops; ${left} accepted ${left === 1 ? "event" : "events"} did not run to the end${later}`
  )
})

/**
 * Ends a dispatch whose journal has failed. Without a journal, nobody would know which scripts still ran.
 *
 * - `await`: waits for the first failure, and fails with it.
 * - `fail`: begins the stop with this failure. Later failures of the same journal are ignored.
 * - `orBreak`: does some work, and calls `fail` if the work fails. Work that another des has taken over is only logged.
 */
const makeBroken = (stop: Stop.Stop) =>
  Effect.map(Deferred.make<never, JournalError>(), (broken) => {
    const fail = Effect.fnUntraced(function* (error: JournalError) {
      const wasStopping = yield* stop.isStopping
      const isFirst = yield* Deferred.fail(broken, error)
      // During a stop nobody waits for the error any more, so it is logged.
      if (isFirst && wasStopping) yield* Effect.logError(error.message)
      yield* stop.begin
    })
    return {
      await: Deferred.await(broken),
      fail,
      orBreak: (work: Effect.Effect<void, JournalError>): Effect.Effect<void> =>
        Effect.catchAll(work, (error) =>
          error.reason === "TakenOver" ? Effect.logWarning(error.message) : fail(error)
        )
    }
  })

/** Runs the scripts of events that the journal gave, each event to its end or until a cooldown or a wait holds what is left of it. */
const makeHandle = (
  options: DispatchOptions,
  parts: {
    readonly journal: Journal["Type"]
    readonly attempts: Attempts.Attempts
    readonly order: Order.Order
    readonly stop: Stop.Stop
    readonly orBreak: (work: Effect.Effect<void, JournalError>) => Effect.Effect<void>
  }
) => {
  const { attempts, journal, orBreak, order, stop } = parts
  const defaultCooldown = Duration.toMillis(options.cooldown ?? defaults.cooldown)
  const cooldownOf = ({ entry, script }: Paced.Work) =>
    script.options.cooldown ??
    (FailedRun.isAbout(entry.event) ? Math.max(defaultCooldown, FailedRun.cooldown) : defaultCooldown)
  const paced = Paced.make({
    paceOf: (work) => ({ cooldown: cooldownOf(work), wait: work.script.options.wait }),
    attempts,
    guarded: Guarded.make(attempts, stop),
    journal,
    about,
    stop,
    fork: order.fork,
    submit: (turn, work) => order.submit(turn, orBreak(work))
  })

  const handle = Effect.fnUntraced(function* (entry: Entry) {
    const { event, scripts } = entry
    const settle = makeSettle(journal.finish, entry)
    yield* sayDetected(event)
    const stopOnFailure = StopOnFailure.make()
    const handleScript = Effect.fnUntraced(function* (work: Paced.Work) {
      const { settled } = Attempts.earlierOf(work)
      if (settled !== undefined) return yield* Effect.as(settle(settled), settled)
      const failed = stopOnFailure.before(work.script)
      if (failed === undefined) return yield* paced(work)
      return yield* Effect.tap(attempts.skip(work, failed), settle)
    })
    for (const script of scripts) {
      if (yield* stop.isStopping) return
      const end = yield* handleScript({ script, entry, coalesced: entry.coalesced[script.path] ?? 0, settle })
      if (end === "failed") stopOnFailure.failed(script)
    }
    yield* journal.park(entry.id)
  })
  // After an internal error the later events of this actor still run.
  return (entry: Entry) => Effect.tapDefect(about(entry.event)(handle(entry)), () => journal.park(entry.id))
}

const make = (options: DispatchOptions) =>
  Effect.gen(function* () {
    const journal = yield* Journal
    const jobs = options.jobs ?? defaults.jobs
    const stop = yield* Stop.make({ drain: options.drain ?? defaults.drain, hurry: options.hurry ?? Effect.never })
    const broken = yield* makeBroken(stop)
    const kernel = yield* RunOnce.kernelLimits
    const services = yield* Effect.context<ScriptRunner | Trust | FileSystem.FileSystem>()
    const attemptsWith = (report: Attempts.Report) =>
      Effect.provide(
        Attempts.make({
          base: options.base,
          engines: options.engines ?? {},
          bounds: { timeout: options.timeout ?? defaults.timeout, grace: options.grace ?? defaults.grace },
          retries: options.retries ?? defaults.retries,
          begin: journal.begin,
          kernel,
          report
        }),
        services
      )

    const run = Effect.fnUntraced(function* (report: Attempts.Report) {
      const scope = yield* Scope.make()
      const order = yield* Scope.extend(Order.make(jobs), scope)
      const { orBreak } = broken
      const handle = makeHandle(options, { journal, attempts: yield* attemptsWith(report), order, stop, orBreak })

      const next = Effect.flatMap(
        journal.take(jobs === 1 ? "total" : "fair"),
        Option.match({
          onNone: () => Effect.succeed(false),
          onSome: (entry) => Effect.as(order.submit(actorOf(entry.event), orBreak(handle(entry))), true)
        })
      )

      const end = Effect.gen(function* () {
        yield* stop.begin
        yield* stop.drain(order.awaitIdle)
        yield* Scope.close(scope, Exit.void)
        yield* sayLeft(journal)
      })

      /** Runs events until the journal has none. Returns false if there was none. */
      const runAll = Effect.flatMap(next, (hasOne) =>
        hasOne
          ? Effect.repeat(next, { while: (more) => more }).pipe(Effect.zipRight(order.awaitIdle), Effect.as(true))
          : Effect.succeed(false)
      )

      // The last scripts may have reported failures, which are events, too.
      yield* Effect.repeat(runAll, { while: (had) => had }).pipe(
        Effect.raceFirst(broken.await),
        Effect.onExit((exit) => (Exit.isSuccess(exit) ? Scope.close(scope, exit) : end))
      )
    })

    const unreported = yield* attemptsWith(() => Effect.void)

    const runLast = (accepted: Accepted) => {
      const { event, inspected, scripts } = accepted
      return Effect.gen(function* () {
        if (!(yield* stop.hasTime)) {
          return yield* Effect.logWarning(
            `The scripts of ${event.Type}/${verb(event)} are not run, since the scripts before them used up the time of --drain`
          )
        }
        const stopOnFailure = StopOnFailure.make()
        const { begin, finish } = yield* journal.unkept(accepted)
        let succeeded = 0
        const runs = Effect.forEach(
          scripts,
          Effect.fnUntraced(function* (script) {
            const failed = stopOnFailure.before(script)
            if (failed !== undefined) return yield* Effect.logWarning(Attempts.sayingSkipped(event, script, failed))
            const which = { number: 1, last: true }
            if (yield* unreported.attempt({ script, event, coalesced: 0, inspected }, yield* begin(script), which))
              succeeded++
            else stopOnFailure.failed(script)
          }),
          { discard: true }
        )
        yield* sayDetected(event)
        // These runs are not kept in the journal, so no journal can fail here.
        yield* stop.drain(Effect.ignore(runs))
        yield* finish(succeeded === scripts.length ? "succeeded" : "failed")
        yield* sayFinished(`${event.Type}/${verb(event)}`)
      }).pipe(about(event))
    }

    return { run, fail: broken.fail, runLast }
  })

/**
 * Runs the scripts of the journal's events with these options.
 *
 * @example
 * import { Dispatch, Journal, ScriptRunner, Trust } from "docker-event-scripts"
 * import * as Layer from "effect/Layer"
 *
 * export const DispatchLive = Dispatch.layer({ base: { PATH: "/usr/bin:/bin" }, retries: 2 }).pipe(
 *   Layer.provide([ScriptRunner.layer, Trust.layer({ directory: "/etc/docker/events.d" })]),
 *   Layer.provideMerge(Journal.layerMemory())
 * )
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (
  options: DispatchOptions
): Layer.Layer<Dispatch, never, Journal | ScriptRunner | Trust | FileSystem.FileSystem> =>
  Layer.effect(Dispatch, make(options))
