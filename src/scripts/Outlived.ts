import * as Effect from "effect/Effect"
import { terminate, untilGone } from "../Terminate.ts"
import * as ProcessGroup from "./ProcessGroup.ts"

/**
 * A run that may still go on after des itself ended.
 *
 * - `variable`: a variable in the environment of its processes, `name=value`.
 * - `process`: the script's own process, if des noted it. Its id is also the id of its process group.
 * - `began`: when the run began, in milliseconds since 1970.
 */
export interface Outlived {
  readonly variable: string
  readonly process: ProcessGroup.Identity | undefined
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
 * Waits for a run that outlived des, for `patience` milliseconds at most. Then it ends the run: SIGTERM, a wait of
 * `grace` milliseconds, SIGKILL.
 */
export const awaitEnd = Effect.fn("Outlived.awaitEnd")(function* (
  outlived: Outlived,
  bounds: { readonly patience: number; readonly grace: number }
) {
  const target = { isGone: isGone(outlived), signal: (name: NodeJS.Signals) => signal(outlived, name) }
  if (yield* target.isGone) return
  yield* Effect.logWarning(
    `A run outlived des (process ${ProcessGroup.find(outlived)[0]?.pid ?? "unknown"}): des waits for it before its event runs again`
  )
  const ended = yield* Effect.timeoutOption(untilGone(target), bounds.patience)
  if (ended._tag === "None") yield* Effect.zipRight(terminate(target, bounds.grace), untilGone(target))
})
