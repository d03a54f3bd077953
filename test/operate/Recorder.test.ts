import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as OwnEvent from "../../src/event/OwnEvent.ts"
import { Journal } from "../../src/journal/Journal.ts"
import * as JournalInMemory from "../../src/journal/JournalInMemory.ts"
import * as Recorder from "../../src/operate/Recorder.ts"

/** A recorder over a journal that accepts batches as long as `room` says so, and what tells it of an own event. */
const make = Effect.gen(function* () {
  const room = { isLeft: true }
  const inMemory = Layer.map(JournalInMemory.layer(), (context) =>
    Context.make(Journal, {
      ...Context.get(context, Journal),
      accept: (batch) =>
        Effect.sync(() => (room.isLeft ? { ...batch, isAll: true } : { events: [], accepted: [], isAll: false }))
    })
  )
  const { layer, recorder } = Recorder.recorded(inMemory)
  const { accept } = Context.get(yield* Layer.build(layer), Journal)
  const tell = (action: string, reason: string) =>
    Effect.flatMap(OwnEvent.make({ action, id: "east", engine: "east", attributes: { reason } }), (event) =>
      accept({ events: [event], accepted: [] })
    )
  const count = () => recorder.eventsPerMinute(0).reduce((sum, events) => sum + events)
  return { room, recorder, tell, count }
})

describe("what des remembers for its status", () => {
  it.scoped("counts a batch that a full queue refused once, when it is accepted", () =>
    Effect.gen(function* () {
      const { count, recorder, room, tell } = yield* make
      room.isLeft = false
      yield* tell("gap", "pruned")
      yield* tell("gap", "pruned")
      assert.strictEqual(count(), 0)
      assert.deepStrictEqual(recorder.gaps(), [])
      room.isLeft = true
      yield* tell("gap", "pruned")
      assert.strictEqual(count(), 1)
      assert.lengthOf(recorder.gaps(), 1)
    })
  )

  it.scoped("has the reason why a feed is closed until the engine is connected again", () =>
    Effect.gen(function* () {
      const { recorder, room, tell } = yield* make
      assert.isUndefined(recorder.closedBecause("east"))
      yield* tell("disconnected", "it is away")
      assert.strictEqual(recorder.closedBecause("east"), "it is away")
      yield* tell("connected", "")
      assert.isUndefined(recorder.closedBecause("east"))
      room.isLeft = false
      yield* tell("gap", "")
      assert.strictEqual(recorder.closedBecause("east"), "the queue is full")
      room.isLeft = true
      yield* tell("gap", "")
      assert.isUndefined(recorder.closedBecause("east"))
    })
  )
})
