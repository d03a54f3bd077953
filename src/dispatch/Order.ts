import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"

/**
 * Runs the work of one key in order, and the work of different keys at the same time, at most `jobs` at once. It stores
 * nothing for a key that has no work.
 *
 * - `submit`: returns when the work has begun, or when it waits behind other work of its key. So with one job all work
 *   runs in the order of submission. The caller limits how much work waits.
 * - `fork`: runs an effect in the background, such as one that submits work later. `awaitIdle` waits for it, too.
 * - `awaitIdle`: waits until no work runs or waits.
 */
export interface Order {
  readonly submit: (key: string, work: Effect.Effect<void>) => Effect.Effect<void>
  readonly fork: (effect: Effect.Effect<void>) => Effect.Effect<void>
  readonly awaitIdle: Effect.Effect<void>
}

export const make = (jobs: number): Effect.Effect<Order, never, Scope.Scope> =>
  Effect.gen(function* () {
    const free = yield* Effect.makeSemaphore(jobs)
    const fibers = yield* FiberSet.make<void>()
    const busy = new Map<string, Array<Effect.Effect<void>>>()

    const runAll = (key: string, work: Effect.Effect<void>): Effect.Effect<void> =>
      Effect.flatMap(
        Effect.catchAllCause(work, (cause) => Effect.logError("des failed to run a script", cause)),
        () => {
          const next = busy.get(key)?.shift()
          if (next !== undefined) return runAll(key, next)
          // Check and delete are one step, so work that is submitted later begins a new queue.
          busy.delete(key)
          return Effect.void
        }
      )

    const begin = (key: string, work: Effect.Effect<void>) => {
      busy.set(key, [])
      return Effect.asVoid(FiberSet.run(fibers, Effect.ensuring(runAll(key, work), free.release(1))))
    }

    const submit = (key: string, work: Effect.Effect<void>): Effect.Effect<void> =>
      Effect.suspend(() => {
        const waiting = busy.get(key)
        if (waiting === undefined) {
          return Effect.zipRight(
            free.take(1),
            // Meanwhile another submission of this key may have begun.
            Effect.suspend(() =>
              busy.has(key) ? Effect.zipRight(free.release(1), submit(key, work)) : begin(key, work)
            )
          )
        }
        waiting.push(work)
        return Effect.void
      })

    return {
      submit,
      fork: (effect) => Effect.asVoid(FiberSet.run(fibers, effect)),
      awaitIdle: FiberSet.awaitEmpty(fibers)
    }
  })
