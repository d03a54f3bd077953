import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as Tracer from "effect/Tracer"
import { Journal } from "../../src/journal/Journal.ts"
import * as JournalInMemory from "../../src/journal/JournalInMemory.ts"
import * as Traces from "../../src/operate/Traces.ts"
import * as ScriptOptions from "../../src/scripts/ScriptOptions.ts"
import { makeEvent } from "../../src/testing.ts"

/** A tracer that writes down each span that has ended: its name, its begin and its end in seconds, and how it ended. */
const makeTracer = () => {
  const ended: Array<string> = []
  const tracer = Tracer.make({
    span: (name, parent, context, links, startTime, kind) => ({
      _tag: "Span",
      name,
      parent,
      context,
      links,
      kind,
      spanId: "0123456789abcdef",
      traceId: "0123456789abcdef0123456789abcdef",
      sampled: true,
      attributes: new Map(),
      status: { _tag: "Started", startTime },
      addLinks: () => undefined,
      attribute: () => undefined,
      event: () => undefined,
      end: (endTime, exit) => {
        const [from, to] = [startTime, endTime].map((time) => Number(time / 1_000_000_000n))
        ended.push(`${name} ${from} ${to} ${Exit.isSuccess(exit) ? "succeeded" : "failed"}`)
      }
    }),
    context: (run) => run()
  })
  return { ended, tracer }
}

const script = { path: "/s", options: ScriptOptions.none }

const accepted = (id: string) => ({ event: makeEvent({ id, action: id }), scripts: [script] })

/** What a journal with room for two events does while it is traced, and the spans that have ended. */
const spansOf = (use: (journal: Journal["Type"]) => Effect.Effect<unknown, unknown>) =>
  Effect.gen(function* () {
    const { ended, tracer } = makeTracer()
    const capacity = 2 * (1024 + 4 * accepted("one").event.record.length)
    const layer = Traces.traced(tracer)(JournalInMemory.layer({ capacity }))
    yield* Effect.scoped(Effect.flatMap(Layer.build(layer), (context) => use(Context.get(context, Journal))))
    return ended
  })

describe("the span of an event", () => {
  it.effect("begins when the event was accepted, also if a full queue refused it before", () =>
    Effect.gen(function* () {
      const ended = yield* spansOf((journal) =>
        Effect.gen(function* () {
          yield* TestClock.adjust("10 seconds")
          const late = { events: [], accepted: [accepted("one"), accepted("two"), accepted("three")] }
          assert.isFalse((yield* journal.accept(late)).isAll)
          yield* TestClock.adjust("10 seconds")
          for (const id of ["one", "two"]) {
            const { event, id: number } = Option.getOrThrow(yield* journal.take("total"))
            assert.strictEqual(event.Action, id)
            yield* journal.finish(number, "succeeded")
          }
          yield* journal.accept({ events: [], accepted: [accepted("three")] })
          yield* TestClock.adjust("10 seconds")
          yield* journal.finish(Option.getOrThrow(yield* journal.take("total")).id, "failed")
        })
      )
      assert.deepStrictEqual(ended, [
        "container/one 10 20 succeeded",
        "container/two 10 20 succeeded",
        "container/three 20 30 failed"
      ])
    })
  )

  it.effect("ends with des if the event is not finished, and then has failed", () =>
    Effect.gen(function* () {
      const ended = yield* spansOf((journal) =>
        Effect.gen(function* () {
          yield* journal.accept({ events: [], accepted: [accepted("one")] })
          const entry = Option.getOrThrow(yield* journal.take("total"))
          const kept = yield* journal.begin(entry, script, 1)
          yield* TestClock.adjust("5 seconds")
          yield* kept.interrupted
        })
      )
      assert.deepStrictEqual(ended, ["run /s 0 5 failed", "container/one 0 5 failed"])
    })
  )
})
