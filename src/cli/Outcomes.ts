import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Journal } from "../journal/Journal.ts"

/** How many events were accepted, and for how many of them a script failed in the end. */
export interface Counts {
  accepted: number
  failed: number
}

/** The same journal, which also counts. */
export const counted = <E, R>(
  journal: Layer.Layer<Journal, E, R>
): { readonly counts: Readonly<Counts>; readonly layer: Layer.Layer<Journal, E, R> } => {
  const counts: Counts = { accepted: 0, failed: 0 }
  const layer = Layer.map(journal, (context) => {
    const { accept, finish, ...others } = Context.get(context, Journal)
    return Context.make(Journal, {
      ...others,
      // What a full queue refused comes again.
      accept: (batch) =>
        Effect.tap(accept(batch), (stored) => {
          counts.accepted += stored.accepted.length
        }),
      finish: (id, state) =>
        Effect.suspend(() => {
          if (state === "failed") counts.failed++
          return finish(id, state)
        })
    })
  })
  return { counts, layer }
}
