import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { afterAll, beforeAll } from "vitest"

/** Starts one engine, or what a group needs with it, before the group's first test and ends it after the last one. */
export const shareEngine = <A, E>(start: Effect.Effect<A, E, Scope.Scope>): Effect.Effect<A> => {
  const scope = Effect.runSync(Scope.make())
  let shared: { readonly engine: A } | undefined
  beforeAll(async () => {
    shared = { engine: await Effect.runPromise(Scope.extend(start, scope)) }
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return Effect.suspend(() =>
    shared === undefined ? Effect.dieMessage("no engine runs") : Effect.succeed(shared.engine)
  )
}
