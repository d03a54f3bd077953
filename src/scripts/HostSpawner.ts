import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as NodeSpawner from "./NodeSpawner.ts"
import * as PosixSpawner from "./PosixSpawner.ts"
import type { Spawner } from "./Spawner.ts"

/** Starts scripts with posix_spawn, or with Node's child_process if posix_spawn cannot be called here. */
export const layer: Layer.Layer<Spawner> = Layer.catchAll(PosixSpawner.layer, ({ detail = "for an unknown reason" }) =>
  Layer.tap(NodeSpawner.layer, () =>
    Effect.logDebug(
      `Scripts are started with Node's child_process, since posix_spawn cannot be called: ${detail.split("\n", 1)[0]}`
    )
  )
)
