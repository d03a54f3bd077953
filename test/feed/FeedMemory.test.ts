import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import type { DockerEvent } from "../../src/event/DockerEvent.ts"
import * as Belief from "../../src/feed/Belief.ts"
import * as FeedMemory from "../../src/feed/FeedMemory.ts"
import { makeEvent } from "../../src/testing.ts"
import { anyEvents } from "../support/AnyEvents.ts"

const engine = "unix:///e"

const inPieces = (events: ReadonlyArray<DockerEvent>, size: number) =>
  Array.from({ length: Math.ceil(events.length / size) }, (_, at) => events.slice(at * size, (at + 1) * size))

const recall = (memory: FeedMemory.FeedMemory) => Effect.runSync(memory.recall(engine))

describe("the memory of a feed", () => {
  it.prop(
    "is the same however its events are divided, and believes what the live feed believes",
    [anyEvents, FastCheck.integer({ min: 1, max: 10 })],
    ([events, size]) => {
      const whole = FeedMemory.make()
      whole.accept(events)
      const divided = FeedMemory.make()
      for (const piece of inPieces(events, size)) divided.accept(piece)
      assert.deepStrictEqual(recall(divided).fingerprints, recall(whole).fingerprints)
      assert.strictEqual(recall(divided).last, recall(whole).last)
      const belief: Belief.Belief = new Map()
      for (const event of events) if (event.Type !== "des") Belief.follow(belief, event)
      const sorted = (running: Iterable<Belief.Running>) =>
        [...running].sort((one, other) => (one.id < other.id ? -1 : 1))
      assert.deepStrictEqual(sorted(recall(divided).running), sorted(belief.values()))
      assert.deepStrictEqual(sorted(recall(whole).running), sorted(belief.values()))
    }
  )

  it("has the last 1024 records, but no synthetic events and none of des's own", () => {
    const memory = FeedMemory.make()
    const events = Array.from({ length: 5000 }, (_, at) => ({
      ...makeEvent({ id: String(at), timeNano: BigInt(1000 * at) }),
      engine
    }))
    const last = { ...makeEvent({ id: "made up", timeNano: 9_000_000n }), engine, synthetic: true }
    for (const event of [...events, last]) memory.accept([event])
    const { fingerprints, last: time, running } = recall(memory)
    assert.deepStrictEqual(
      fingerprints,
      events.slice(-1024).map(({ fingerprint }) => fingerprint)
    )
    assert.strictEqual(time, 4_999_000n)
    assert.lengthOf(running, 5001)
  })

  it("is separate for each engine, and has no event that belongs to no engine", () => {
    const memory = FeedMemory.make()
    memory.accept([makeEvent({ id: "of a file" }), { ...makeEvent({ id: "1" }), engine: "other" }])
    assert.deepStrictEqual(recall(memory), FeedMemory.nothing)
  })

  it("is replaced after a first connection or a gap", () => {
    const memory = FeedMemory.make()
    memory.accept([{ ...makeEvent({ id: "before" }), engine }])
    const met = { identity: "I", fingerprints: ["f"], last: 5n, over: 4n, gaps: 3, running: [] }
    Effect.runSync(memory.meet(engine, met))
    assert.deepStrictEqual(recall(memory), met)
  })
})
