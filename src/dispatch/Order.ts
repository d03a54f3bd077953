import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"

/**
 * Runs the work of one key in order, and that of different keys beside each other, at most `jobs` at once. It keeps nothing
 * of a key that has no work.
 *
 * - `submit`: returns when the work has begun, or waits behind other work of its key. With one job the order of all work is
 *   therefore that of submission. Who submits bounds how much waits.
 * - `fork`: forks what belongs to the order, such as work that is submitted later.
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
          // In the same step as the look: work that is submitted from now on begins anew.
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
            // Another submission may have begun with this key meanwhile.
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
