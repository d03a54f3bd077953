import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { afterAll, beforeAll } from "vitest"
import type { Engine, EngineError } from "./Engines.ts"

/** Starts one engine before the first test of a group and ends it after the last one. */
export const shareEngine = (start: Effect.Effect<Engine, EngineError, Scope.Scope>): Effect.Effect<Engine> => {
  const scope = Effect.runSync(Scope.make())
  let shared: Engine | undefined
  beforeAll(async () => {
    shared = await Effect.runPromise(Scope.extend(start, scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  return Effect.suspend(() => (shared === undefined ? Effect.dieMessage("no engine runs") : Effect.succeed(shared)))
}
