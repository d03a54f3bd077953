/** What both journals say of what waits and what runs. */

import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { type Accepted, Journal, type JournalStatus } from "../../src/journal/Journal.ts"
import * as JournalInMemory from "../../src/journal/JournalInMemory.ts"
import * as ScriptOptions from "../../src/scripts/ScriptOptions.ts"
import * as State from "../../src/state.ts"
import { makeEvent } from "../../src/testing.ts"
import * as TempFolder from "../support/TempFolder.ts"

const journals = {
  "in memory": JournalInMemory.layer(),
  "on disk": Layer.unwrapScoped(
    Effect.map(TempFolder.make("status"), (directory) => State.layer({ directory }).pipe(Layer.orDie))
  ).pipe(Layer.provide(NodeFileSystem.layer))
}

const script = { path: "/s", options: ScriptOptions.none }

const accepted = (id: string): Accepted => ({ event: makeEvent({ id }), scripts: [script] })

/** How many events are accepted, wait and run, and the seconds of the oldest of each. */
const shown = ({ accepted: all, running, waiting }: JournalStatus) =>
  [all, waiting, running].map(({ events, oldest }) => [events, oldest === undefined ? undefined : oldest / 1000])

for (const [name, layer] of Object.entries(journals)) {
  describe(`the journal ${name}`, () => {
    it.scoped("tells what waits apart from what runs, each with its bytes and its oldest", () =>
      Effect.gen(function* () {
        const journal = yield* Journal
        const now = Effect.map(journal.status, shown)
        assert.deepStrictEqual(yield* now, [
          [0, undefined],
          [0, undefined],
          [0, undefined]
        ])

        yield* TestClock.adjust("5 seconds")
        yield* journal.accept({ events: [], accepted: [accepted("1"), accepted("2")] })
        yield* TestClock.adjust("5 seconds")
        yield* journal.accept({ events: [], accepted: [accepted("3")] })
        const first = yield* Effect.flatten(journal.take("fair"))
        const second = yield* Effect.flatten(journal.take("fair"))
        assert.strictEqual(first.acceptedAt, 5000)
        const idle = [
          [3, 5],
          [3, 5],
          [0, undefined]
        ]
        assert.deepStrictEqual(yield* now, idle, "an event that waits for a free job does not run")

        yield* TestClock.adjust("10 seconds")
        yield* journal.begin(first, script, 1)
        yield* TestClock.adjust("10 seconds")
        yield* journal.begin(second, script, 1)
        yield* journal.begin(first, script, 2)
        assert.deepStrictEqual(yield* now, [
          [3, 5],
          [1, 10],
          [2, 20]
        ])
        const { accepted: all, running, waiting } = yield* journal.status
        assert.isAbove(waiting.bytes, 1000)
        assert.strictEqual(running.bytes, 2 * waiting.bytes)
        assert.strictEqual(all.bytes, 3 * waiting.bytes)

        yield* journal.park(first.id)
        assert.deepStrictEqual(yield* now, [
          [3, 5],
          [2, 5],
          [1, 30]
        ])
        const again = yield* journal.reload(first.id)
        assert.strictEqual(again.acceptedAt, 5000)
        yield* journal.begin(again, script, 3)
        yield* journal.finish(second.id, "succeeded")
        yield* journal.finish(first.id, "failed")
        assert.deepStrictEqual(yield* now, [
          [1, 10],
          [1, 10],
          [0, undefined]
        ])
      }).pipe(Effect.provide(layer))
    )
  })
}
