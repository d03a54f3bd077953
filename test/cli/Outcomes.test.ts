import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Outcomes from "../../src/cli/Outcomes.ts"
import { Journal } from "../../src/journal/Journal.ts"
import * as JournalInMemory from "../../src/journal/JournalInMemory.ts"
import * as ScriptOptions from "../../src/scripts/ScriptOptions.ts"
import { makeEvent } from "../../src/testing.ts"

describe("the outcomes", () => {
  it.scoped("count each event once, also if a full queue refused a part of its batch", () =>
    Effect.gen(function* () {
      const accepted = (id: string) => ({
        event: makeEvent({ id }),
        scripts: [{ path: "/s", options: ScriptOptions.none }]
      })
      const capacity = 2 * (1024 + 4 * accepted("1").event.record.length)
      const { counts, layer } = Outcomes.counted(JournalInMemory.layer({ capacity }))
      const journal = Context.get(yield* Layer.build(layer), Journal)
      const accept = (...ids: ReadonlyArray<string>) => {
        const all = ids.map(accepted)
        return journal.accept({ events: all.map(({ event }) => event), accepted: all })
      }
      const refused = yield* accept("1", "2", "3", "4")
      assert.deepStrictEqual([refused.isAll, refused.events.length, refused.accepted.length], [false, 2, 2])
      assert.deepStrictEqual(counts, { accepted: 2, failed: 0 })
      for (const result of ["failed", "succeeded"] as const) {
        yield* journal.finish((yield* Effect.flatten(journal.take("total"))).id, result)
      }
      assert.isTrue((yield* accept("3", "4")).isAll)
      assert.deepStrictEqual(counts, { accepted: 4, failed: 1 })
    })
  )
})
