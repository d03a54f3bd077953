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
      let skipped = 0

      const skip = Effect.sync(() => {
        skipped++
      })

      const runGuarded = (due: Attempts.Due) =>
        Effect.gen(function* () {
          const key = `${due.script.path} ${actorOf(due.event)}`
          const generation = guard.generation(key, timeOf(due.event))
          if (generation > LoopGuard.longest) {
            return yield* Effect.logError(
              `Script ${due.script.path} is not run for ${describeEvent(due.event)} of ${due.event.Actor.ID}: each of its last ${LoopGuard.longest} runs brought about the next such event, so it runs in a loop. Let it act on another event, or give it a cooldown`
            )
          }
          const from = yield* Clock.currentTimeMillis
          yield* runAttempts(due, stopping)
          guard.ran(key, { from, to: yield* Clock.currentTimeMillis, generation })
        })

      /** Runs a script now, or keeps its event until the cooldown is over. */
      const runCooled = (due: Attempts.Due): Effect.Effect<void> =>
        Effect.gen(function* () {
          const cooldown = due.script.options.cooldown ?? Duration.toMillis(options.cooldown ?? 0)
          if (cooldown === 0) return yield* runGuarded(due)
          const key = `${due.script.path} ${actorOf(due.event)}`
          const wait = cooldowns.begin(key, cooldown, yield* Clock.currentTimeMillis)
          if (wait === 0) return yield* runGuarded(due)
          if (cooldowns.hold(key, due)) yield* order.fork(runHeldAfter(wait, key))
        })

      const runHeldAfter = (wait: number, key: string) =>
        Effect.gen(function* () {
          yield* Effect.raceFirst(Effect.sleep(wait), Deferred.await(stopping))
          const held = cooldowns.release(key)
          if (held === undefined) return
          if (yield* Deferred.isDone(stopping)) return yield* skip
          const { newest } = held
          yield* order.submit(
            actorOf(newest.event),
            runCooled({ ...newest, coalesced: newest.coalesced + held.coalesced })
          )
        })

      const runEvent = Effect.fn("Dispatch.runEvent")(function* ({ event, scripts }: Accepted) {
        yield* Effect.logDebug(`Detected actionable event ${describeEvent(event)}: ${event.record}`)
        for (const script of scripts) {
          if (yield* Deferred.isDone(stopping)) return yield* skip
          yield* runCooled({ script, event, coalesced: 0 })
        }
        yield* Effect.logDebug(`Finished handling ${describeEvent(event)}`)
      })

      const next = Effect.flatMap(
        journal.take,
        Option.match({
          onNone: () => Effect.succeed(false),
          onSome: (entry) =>
            order.submit(actorOf(entry.event), runEvent(entry)).pipe(
              Effect.as(true),
              Effect.onInterrupt(() => skip)
            )
        })
      )

      const countLeft: Effect.Effect<void> = Effect.flatMap(
        Effect.zipRight(journal.close, journal.take),
        Option.match({ onNone: () => Effect.void, onSome: () => Effect.zipRight(skip, countLeft) })
      )

      const stop = Effect.gen(function* () {
        yield* Deferred.succeed(stopping, undefined)
        yield* Effect.raceFirst(order.awaitIdle, options.hurry ?? Effect.never).pipe(
          Effect.interruptible,
          Effect.timeoutOption(options.drain ?? "30 seconds")
        )
        yield* Scope.close(scope, Exit.void)
        yield* countLeft
        if (skipped > 0) yield* Effect.logWarning(`des stops; ${skipped} accepted events did not run to their end`)
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
