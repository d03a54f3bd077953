import * as Effect from "effect/Effect"
import * as ProcessGroup from "./ProcessGroup.ts"
import { terminate, untilGone } from "./Terminate.ts"

/**
 * A run whose end nobody saw, since des was gone before. Its processes are known by a variable of their environment,
 * `name=value`, and by the script's own process where it was noted: its id, which is its process group, and when it was
 * started, in ticks since the machine was.
 *
 * @since 1.0.0
 * @category models
 */
export interface Outlived {
  readonly variable: string
  readonly process: ProcessGroup.Identity | undefined
  /** When the run began, in milliseconds since 1970. */
  readonly began: number
}

const isGone = (outlived: Outlived) => Effect.sync(() => ProcessGroup.find(outlived).length === 0)

const signal = (outlived: Outlived, name: NodeJS.Signals) =>
  Effect.sync(() => {
    for (const { pid } of ProcessGroup.find(outlived)) {
      try {
        process.kill(pid, name)
      } catch {
        // It has ended by itself.
      }
    }
  })

/**
 * Waits for a run that outlived des, for `patience` milliseconds at most, and then ends it: asks, waits for the grace (in
 * milliseconds), and kills what is left.
 */
export const awaitEnd = Effect.fn("Outlived.awaitEnd")(function* (
  outlived: Outlived,
  bounds: { readonly patience: number; readonly grace: number }
) {
  const target = { isGone: isGone(outlived), signal: (name: NodeJS.Signals) => signal(outlived, name) }
  if (yield* target.isGone) return
  yield* Effect.logWarning(
    `A run outlived des (process ${ProcessGroup.find(outlived)[0]?.pid ?? "unknown"}): it is waited for before its event runs again`
  )
  const ended = yield* Effect.timeoutOption(untilGone(target), bounds.patience)
  if (ended._tag === "None") yield* Effect.zipRight(terminate(target, bounds.grace), untilGone(target))
})
