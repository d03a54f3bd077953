import type * as FileSystem from "@effect/platform/FileSystem"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { type DockerEvent, verb } from "../event/DockerEvent.ts"
import { type Accepted, type Entry, Journal, type JournalError, unkept } from "../journal/Journal.ts"
import type { Environment } from "../scripts/Environment.ts"
import { defaultBounds, type ScriptRunner } from "../scripts/ScriptRunner.ts"
import type { Trust } from "../scripts/Trust.ts"
import * as Attempts from "./Attempts.ts"
import * as Cooldown from "./Cooldown.ts"
import * as LoopGuard from "./LoopGuard.ts"
import * as Order from "./Order.ts"

/**
 * Runs what the journal accepted. The events of one actor stay in order; with one job all events do. `run` ends when the
 * journal is closed and its last script has ended. Interrupting it begins nothing more, and gives what runs the drain time
 * before it is ended; so does a journal that fails, which is then its error. `runLast` runs the scripts of one more event
 * that no journal keeps, for what is left of the drain time.
 *
 * @since 1.0.0
 * @category services
 */
export class Dispatch extends Context.Tag("des/Dispatch")<
  Dispatch,
  {
    readonly run: Effect.Effect<void, JournalError>
    readonly runLast: (accepted: Accepted) => Effect.Effect<void>
  }
>() {}

/**
 * How scripts are run. What a script's head says stands above `timeout`, `retries` and `cooldown`.
 *
 * - `base`: the variables that every script gets beside its event's.
 * - `engines`: by an engine's name, the variables that scripts get beside those for its events (none).
 * - `jobs`: how many events are handled beside each other (1).
 * - `timeout`: how long a run may take (10 minutes, `Infinity` for no bound).
 * - `grace`: how long a script that is told to end may take (10 seconds).
 * - `retries`: how often a failed run is repeated (0): after 1 second, then 2, 4 … up to 5 minutes, each spread by half.
 * - `cooldown`: how long a script rests after it began for an actor (0); what comes meanwhile becomes one run of the newest.
 * - `drain`: how long what runs may go on when des stops (30 seconds).
 * - `hurry`: ends when a stop shall not wait any more (never).
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

const describeEvent = (event: DockerEvent): string => `${event.Type}/${verb(event)}`

const actorOf = (event: DockerEvent): string => `${event.engine} ${event.Type} ${event.Actor.ID}`

/** What one script has to do for an event, and whom to tell how it ended. */
interface Work extends Attempts.Due {
  readonly settle: (end: Attempts.End) => Effect.Effect<void, JournalError>
}

/** Work that waits for a cooldown: the journal keeps its event meanwhile. */
interface Held extends Pick<Work, "script" | "settle"> {
  readonly entry: Effect.Effect<Entry, JournalError>
}

/** Milliseconds since 1970, when the engine saw the event. */
const timeOf = (event: DockerEvent): number => Number(event.timeNano / 1_000_000n)

const sayDetected = (event: DockerEvent) =>
  Effect.logDebug(`Detected actionable event ${describeEvent(event)}: ${event.record}`)

const sayFinished = (described: string) => Effect.logDebug(`Finished handling ${described}`)

const make = (options: DispatchOptions) =>
  Effect.gen(function* () {
    const journal = yield* Journal
    const kept = {
      base: options.base,
      engines: options.engines ?? {},
      bounds: { timeout: options.timeout ?? defaultBounds.timeout, grace: options.grace ?? defaultBounds.grace },
      retries: options.retries ?? 0,
      begin: journal.begin
    }
    const attempts = yield* Attempts.make(kept)
    const unkeptAttempts = yield* Attempts.make({ ...kept, retries: 0, begin: () => Effect.succeed(unkept) })
    const hurry = options.hurry ?? Effect.never
    const drain = Duration.toMillis(options.drain ?? "30 seconds")
    let stopBegan: number | undefined

    const run = Effect.gen(function* () {
      const scope = yield* Scope.make()
      const order = yield* Scope.extend(Order.make(options.jobs ?? 1), scope)
      const stopping = yield* Deferred.make<void>()
      const broken = yield* Deferred.make<never, JournalError>()
      const cooldowns = Cooldown.make<Held>()
      const guard = LoopGuard.make()
      const jobs = options.jobs ?? 1
      // What was taken from the journal and is not finished.
      let unfinished = 0

      /** Where the journal fails nothing more may begin: nobody would know of it. */
      const orBreak = (work: Effect.Effect<void, JournalError>): Effect.Effect<void> =>
        Effect.catchAll(work, (error) =>
          // Who stops already waits for no error any more.
          Effect.whenEffect(Effect.logError(error.message), Deferred.isDone(stopping)).pipe(
            Effect.zipRight(Deferred.succeed(stopping, undefined)),
            Effect.zipRight(Deferred.fail(broken, error))
          )
        )

      const sleepUnlessStopping = (milliseconds: number) =>
        Effect.zipRight(
          Effect.raceFirst(Effect.sleep(milliseconds), Deferred.await(stopping)),
          Effect.negate(Deferred.isDone(stopping))
        )

      /** With one job nothing else runs in a rest, so that a loop over ever new actors is seen too. */
      const guardKey = ({ entry, script }: Work) =>
        jobs === 1 ? script.path : `${script.path} ${actorOf(entry.event)}`

      const runGuarded = (work: Work) =>
        Effect.gen(function* () {
          const key = guardKey(work)
          const { event } = work.entry
          const rest = guard.judge(key, timeOf(event))
          if (rest === "loop") {
            yield* attempts.refuse(
              work,
              `Script ${work.script.path} is not run for ${describeEvent(event)} of ${event.Actor.ID}: such events came from each of its last runs and none while it was at rest, so it brings them about itself and would run for ever. Let it act on another event, or give it a cooldown`
            )
            return yield* work.settle("failed")
          }
          if (rest > 0 && !(yield* sleepUnlessStopping(rest))) return
          const from = yield* Clock.currentTimeMillis
          const end = yield* attempts.run(work, stopping)
          guard.ran(key, { rest, from, to: yield* Clock.currentTimeMillis })
          yield* work.settle(end)
        })

      /** Runs a script now, or keeps its event until the cooldown is over. */
      const runCooled = (work: Work): Effect.Effect<void, JournalError> =>
        Effect.gen(function* () {
          const cooldown = work.script.options.cooldown ?? Duration.toMillis(options.cooldown ?? 0)
          if (cooldown === 0) return yield* runGuarded(work)
          const actor = actorOf(work.entry.event)
          const key = `${work.script.path} ${actor}`
          const wait = cooldowns.begin(key, cooldown, yield* Clock.currentTimeMillis)
          if (wait === 0) {
            // What was held is older: its turn came, but this event stood before it in the actor's order.
            const held = cooldowns.release(key)
            const coalesced = work.coalesced + (held === undefined ? 0 : held.coalesced + 1)
            const end = yield* attempts.run({ ...work, coalesced }, stopping)
            if (held !== undefined) yield* held.newest.settle(end)
            return yield* work.settle(end)
          }
          const { script, settle } = work
          const replaced = cooldowns.hold(
            key,
            { script, settle, entry: yield* journal.rest(work.entry) },
            work.coalesced
          )
          if (replaced !== undefined) return yield* replaced.settle("succeeded")
          yield* order.fork(
            Effect.whenEffect(
              Effect.suspend(() => order.submit(actor, orBreak(runHeld(key)))),
              // Longer sleeps than 24 days are none to the runtime; what wakes too early sleeps again.
              sleepUnlessStopping(Math.min(wait, 2 ** 31 - 1))
            )
          )
        })

      const runHeld = (key: string): Effect.Effect<void, JournalError> =>
        Effect.gen(function* () {
          if (yield* Deferred.isDone(stopping)) return
          const held = cooldowns.release(key)
          if (held === undefined) return
          yield* runCooled({ ...held.newest, entry: yield* held.newest.entry, coalesced: held.coalesced })
        })

      /** Apart from its event, which need not be in memory as long as this. */
      const makeSettle = (id: number, scripts: number, described: string): Work["settle"] => {
        let open = scripts
        let state: "done" | "failed" = "done"
        return Effect.fnUntraced(function* (end) {
          if (end === "left") return
          if (end === "failed") state = "failed"
          if (--open > 0) return
          unfinished--
          yield* journal.finish(id, state)
          yield* sayFinished(described)
        })
      }

      const runEvent = Effect.fnUntraced(function* (entry: Entry) {
        const { event, scripts } = entry
        const settle = makeSettle(entry.id, scripts.length, describeEvent(event))
        yield* sayDetected(event)
        for (const script of scripts) {
          if (yield* Deferred.isDone(stopping)) return
          const work: Work = { script, entry, coalesced: 0, settle }
          const { settled } = Attempts.earlierOf(work)
          yield* settled === undefined ? runCooled(work) : settle(settled)
        }
      })

      const next = Effect.flatMap(
        journal.take,
        Option.match({
          onNone: () => Effect.succeed(false),
          onSome: (entry) => {
            unfinished++
            return Effect.as(order.submit(actorOf(entry.event), orBreak(runEvent(entry))), true)
          }
        })
      )

      const stop = Effect.gen(function* () {
        stopBegan = yield* Clock.currentTimeMillis
        yield* Deferred.succeed(stopping, undefined)
        yield* Effect.raceFirst(order.awaitIdle, hurry).pipe(Effect.interruptible, Effect.timeoutOption(drain))
        yield* Scope.close(scope, Exit.void)
        const left = unfinished + (yield* Effect.orElseSucceed(journal.waiting, () => 0))
        if (left > 0) {
          const later = journal.durable ? "; the next start runs them" : ""
          yield* Effect.logWarning(
            `des stops; ${left} accepted ${left === 1 ? "event" : "events"} did not run to the end${later}`
          )
        }
      })

      yield* Effect.repeat(next, { while: (more) => more }).pipe(
        Effect.zipRight(order.awaitIdle),
        Effect.raceFirst(Deferred.await(broken)),
        Effect.onExit((exit) => (Exit.isSuccess(exit) ? Scope.close(scope, exit) : stop))
      )
    })

    const runLast = (accepted: Accepted) =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        const left = drain - (now - (stopBegan ?? now))
        if (left <= 0) {
          return yield* Effect.logWarning(
            `The scripts of ${describeEvent(accepted.event)} are not run: those that ran before used up the time of --drain`
          )
        }
        const stopping = yield* Deferred.make<void>()
        const runs = Effect.forEach(
          accepted.scripts,
          (script) =>
            unkeptAttempts.run({ script, entry: { ...accepted, id: 0, earlier: {} }, coalesced: 0 }, stopping),
          { discard: true }
        )
        yield* sayDetected(accepted.event)
        yield* Effect.raceFirst(runs, hurry).pipe(Effect.interruptible, Effect.timeoutOption(left))
        yield* sayFinished(describeEvent(accepted.event))
      }).pipe(
        // No journal that could fail has a part in it.
        Effect.ignore
      )

    return { run, runLast }
  })

/**
 * The dispatch of this host.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (
  options: DispatchOptions
): Layer.Layer<Dispatch, never, Journal | ScriptRunner | Trust | FileSystem.FileSystem> =>
  Layer.effect(Dispatch, make(options))
