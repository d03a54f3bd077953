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
  it.scoped("count a batch that a full queue refused once, when it is accepted", () =>
    Effect.gen(function* () {
      const { counts, layer } = Outcomes.counted(JournalInMemory.layer({ capacity: 1 }))
      const journal = Context.get(yield* Layer.build(layer), Journal)
      const accepted = (id: string) => ({
        event: makeEvent({ id }),
        scripts: [{ path: "/s", options: ScriptOptions.none }]
      })
      const accept = (id: string) => journal.accept({ events: [], accepted: [accepted(id)] })
      assert.isTrue(yield* accept("1"))
      assert.isFalse(yield* accept("2"))
      assert.strictEqual(counts.accepted, 1)
      const { id } = yield* Effect.flatten(journal.take("total"))
      yield* journal.finish(id, "failed")
      assert.isTrue(yield* accept("2"))
      assert.deepStrictEqual(counts, { accepted: 2, failed: 1 })
    })
  )
})
