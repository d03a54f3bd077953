import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"

/**
 * Runs work in order within a key, and beside each other for different keys, at most `jobs` at once. It keeps nothing of a
 * key that has no work.
 *
 * `submit` returns when the work has begun or waits behind other work of its key; with one job that makes the order of all
 * work the order of submission.
 */
export interface Order {
  readonly submit: (key: string, work: Effect.Effect<void>) => Effect.Effect<void>
  /** Forks what belongs to the order, such as work that is submitted later. */
  readonly fork: (effect: Effect.Effect<void>) => Effect.Effect<void>
  readonly awaitIdle: Effect.Effect<void>
}

/** How much work may wait behind busy keys before no more is taken: it is in memory, and what was not taken need not be. */
const mostWaiting = 10_000

export const make = (jobs: number): Effect.Effect<Order, never, Scope.Scope> =>
  Effect.gen(function* () {
    const free = yield* Effect.makeSemaphore(jobs)
    const room = yield* Effect.makeSemaphore(mostWaiting)
    const fibers = yield* FiberSet.make<void>()
    const busy = new Map<string, Array<Effect.Effect<void>>>()

    const runAll = (key: string, work: Effect.Effect<void>): Effect.Effect<void> =>
      Effect.flatMap(
        Effect.catchAllCause(work, (cause) => Effect.logError("des failed to run a script", cause)),
        () => {
          const next = busy.get(key)?.shift()
          if (next !== undefined) return Effect.zipRight(room.release(1), runAll(key, next))
          // In the same step as the look: work that is submitted from now on begins anew.
          busy.delete(key)
          return Effect.void
        }
      )

    const begin = (key: string, work: Effect.Effect<void>) => {
      busy.set(key, [])
      return FiberSet.run(fibers, Effect.ensuring(runAll(key, work), free.release(1)))
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
        return room.take(1)
      })

    return {
      submit: (key, work) => Effect.asVoid(submit(key, work)),
      fork: (effect) => Effect.asVoid(FiberSet.run(fibers, effect)),
      awaitIdle: FiberSet.awaitEmpty(fibers)
    }
  })
