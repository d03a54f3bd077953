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
import * as Attempts from "./dispatch/Attempts.ts"
import * as Cooldown from "./dispatch/Cooldown.ts"
import * as LoopGuard from "./dispatch/LoopGuard.ts"
import * as Order from "./dispatch/Order.ts"
import { type DockerEvent, verb } from "./docker/DockerEvent.ts"
import { type Accepted, Journal } from "./Journal.ts"
import type { Environment } from "./scripts/Environment.ts"
import { defaultBounds, type ScriptRunner } from "./scripts/ScriptRunner.ts"
import type { Trust } from "./scripts/Trust.ts"

/**
 * Runs what the journal accepted. The events of one actor stay in order; with one job all events do. `run` ends when the
 * journal is closed and its last script has ended. Interrupting it begins nothing more, and gives what runs the drain time
 * before it is ended.
 *
 * @since 1.0.0
 * @category services
 */
export class Dispatch extends Context.Tag("des/Dispatch")<Dispatch, { readonly run: Effect.Effect<void> }>() {}

/**
 * How scripts are run. What a script's head says stands above `timeout`, `retries` and `cooldown`.
 *
 * - `base`: the variables that every script gets beside its event's.
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
  readonly jobs?: number
  readonly timeout?: Duration.DurationInput
  readonly grace?: Duration.DurationInput
  readonly retries?: number
  readonly cooldown?: Duration.DurationInput
  readonly drain?: Duration.DurationInput
  readonly hurry?: Effect.Effect<void>
}

const describeEvent = (event: DockerEvent): string => `${event.Type}/${verb(event)}`

const actorOf = (event: DockerEvent): string => `${event.Type} ${event.Actor.ID}`

/** Milliseconds since 1970, when the engine saw the event. */
const timeOf = (event: DockerEvent): number => Number(event.timeNano / 1_000_000n)

const make = (options: DispatchOptions) =>
  Effect.gen(function* () {
    const journal = yield* Journal
    const runAttempts = yield* Attempts.make({
      base: options.base,
      bounds: { timeout: options.timeout ?? defaultBounds.timeout, grace: options.grace ?? defaultBounds.grace },
      retries: options.retries ?? 0
    })

    const run = Effect.gen(function* () {
      const scope = yield* Scope.make()
      const order = yield* Scope.extend(Order.make(options.jobs ?? 1), scope)
      const stopping = yield* Deferred.make<void>()
      const cooldowns = Cooldown.make<Attempts.Due>()
      const guard = LoopGuard.make()
      const jobs = options.jobs ?? 1
      // What was taken from the journal or is held by a cooldown, and has not run to its end.
      let unfinished = 0

      /** Settles one unfinished piece of work, unless a stop cut it off. */
      const settling = (work: Effect.Effect<boolean>): Effect.Effect<void> =>
        work.pipe(
          Effect.onExit((exit) =>
            Effect.sync(() => {
              const ended = Exit.isSuccess(exit) ? exit.value : !Exit.isInterrupted(exit)
              if (ended) unfinished--
            })
          ),
          Effect.asVoid
        )

      const sleepUnlessStopping = (milliseconds: number) =>
        Effect.zipRight(
          Effect.raceFirst(Effect.sleep(milliseconds), Deferred.await(stopping)),
          Effect.negate(Deferred.isDone(stopping))
        )

      /** With one job nothing else runs in a rest, so that a loop over ever new actors is seen too. */
      const guardKey = ({ event, script }: Attempts.Due) =>
        jobs === 1 ? script.path : `${script.path} ${actorOf(event)}`

      const runGuarded = (due: Attempts.Due) =>
        Effect.gen(function* () {
          const key = guardKey(due)
          const rest = guard.judge(key, timeOf(due.event))
          if (rest === "loop") {
            yield* Effect.logError(
              `Script ${due.script.path} is not run for ${describeEvent(due.event)} of ${due.event.Actor.ID}: such events came from each of its last runs and none while it was at rest, so it brings them about itself and would run for ever. Let it act on another event, or give it a cooldown`
            )
            return true
          }
          if (rest > 0 && !(yield* sleepUnlessStopping(rest))) return false
          const from = yield* Clock.currentTimeMillis
          const ended = yield* runAttempts(due, stopping)
          guard.ran(key, { rest, from, to: yield* Clock.currentTimeMillis })
          return ended
        })

      /** Runs a script now, or keeps its event until the cooldown is over. Which of the two it was does not matter: true. */
      const runCooled = (due: Attempts.Due): Effect.Effect<boolean> =>
        Effect.gen(function* () {
          const cooldown = due.script.options.cooldown ?? Duration.toMillis(options.cooldown ?? 0)
          if (cooldown === 0) return yield* runGuarded(due)
          const actor = actorOf(due.event)
          const key = `${due.script.path} ${actor}`
          const wait = cooldowns.begin(key, cooldown, yield* Clock.currentTimeMillis)
          if (wait === 0) {
            // What was held is older: its turn came, but this event stood before it in the actor's order.
            const held = cooldowns.release(key)
            const coalesced = due.coalesced + (held === undefined ? 0 : held.coalesced + 1)
            return yield* runAttempts({ ...due, coalesced }, stopping)
          }
          if (cooldowns.hold(key, due, due.coalesced)) {
            unfinished++
            yield* order.fork(
              Effect.whenEffect(
                Effect.suspend(() => order.submit(actor, settling(runHeld(key)))),
                sleepUnlessStopping(wait)
              )
            )
          }
          return true
        })

      const runHeld = (key: string): Effect.Effect<boolean> =>
        Effect.gen(function* () {
          if (yield* Deferred.isDone(stopping)) return false
          const held = cooldowns.release(key)
          return held === undefined || (yield* runCooled({ ...held.newest, coalesced: held.coalesced }))
        })

      /** Whether all its scripts came to their end. */
      const runEvent = Effect.fnUntraced(function* ({ event, scripts }: Accepted) {
        yield* Effect.logDebug(`Detected actionable event ${describeEvent(event)}: ${event.record}`)
        for (const script of scripts) {
          if (yield* Deferred.isDone(stopping)) return false
          if (!(yield* runCooled({ script, event, coalesced: 0 }))) return false
        }
        yield* Effect.logDebug(`Finished handling ${describeEvent(event)}`)
        return true
      })

      const next = Effect.flatMap(
        journal.take,
        Option.match({
          onNone: () => Effect.succeed(false),
          onSome: (entry) => {
            unfinished++
            return Effect.as(
              order.submit(actorOf(entry.event), settling(Effect.ensuring(runEvent(entry), journal.finish(entry)))),
              true
            )
          }
        })
      )

      const countLeft: Effect.Effect<void> = Effect.flatMap(
        Effect.zipRight(journal.close, journal.take),
        Option.match({
          onNone: () => Effect.void,
          onSome: () => {
            unfinished++
            return countLeft
          }
        })
      )

      const stop = Effect.gen(function* () {
        yield* Deferred.succeed(stopping, undefined)
        yield* Effect.raceFirst(order.awaitIdle, options.hurry ?? Effect.never).pipe(
          Effect.interruptible,
          Effect.timeoutOption(options.drain ?? "30 seconds")
        )
        yield* Scope.close(scope, Exit.void)
        yield* countLeft
        if (unfinished > 0) {
          yield* Effect.logWarning(
            `des stops; ${unfinished} accepted ${unfinished === 1 ? "event" : "events"} did not run to the end`
          )
        }
      })

      yield* Effect.repeat(next, { while: (more) => more }).pipe(
        Effect.zipRight(order.awaitIdle),
        Effect.onExit((exit) => (Exit.isInterrupted(exit) ? stop : Scope.close(scope, exit)))
      )
    })

    return { run }
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
