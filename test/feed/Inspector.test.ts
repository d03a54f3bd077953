import { assert, describe, it } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { EngineError } from "../../src/engine/EngineError.ts"
import * as Inspector from "../../src/feed/Inspector.ts"
import { collectLogs } from "../support/Logs.ts"

/** How an engine answers about a container. */
interface Answer {
  readonly after?: Duration.DurationInput
  readonly is?: "gone" | "an error"
}

/** An inspector of an engine whose answers a test sets, and the ids that it asked about. */
const begin = (answers: Record<string, Answer> = {}) => {
  const asked: Array<string> = []
  const logs = collectLogs()
  let most = 0
  let now = 0
  const inspect = Inspector.make({
    name: "e",
    inspectText: (id, largest) =>
      Effect.gen(function* () {
        assert.strictEqual(largest, 65_536)
        asked.push(id)
        most = Math.max(most, ++now)
        const { after = 0, is } = answers[id] ?? {}
        yield* Effect.sleep(after)
        if (is === "an error")
          return yield* new EngineError({ reason: "Refused", endpoint: "e", detail: "no", status: 403 })
        return is === "gone" ? Option.none() : Option.some(`{"Id":"${id}"}\n`)
      }).pipe(Effect.ensuring(Effect.sync(() => now--)))
  })
  const lines = (...ids: ReadonlyArray<string>) =>
    Effect.map(Effect.provide(inspect(ids), logs.layer), (found) =>
      ids.map((id) => JSON.parse(found.get(id) ?? "null") as Record<string, unknown>)
    )
  return {
    asked,
    lines,
    answers,
    most: () => most,
    warnings: () => logs.lines.filter((line) => line.startsWith("WARN"))
  }
}

const late = "the engine did not answer in time"

describe("an inspector", () => {
  it.effect("asks once about each container of a batch, and eight at a time", () =>
    Effect.gen(function* () {
      const ids = Array.from({ length: 20 }, (_, at) => `c${at}`)
      const { asked, lines, most } = begin(Object.fromEntries(ids.map((id) => [id, { after: "100 millis" }])))
      const fiber = yield* Effect.fork(lines(...ids, ...ids))
      yield* TestClock.adjust("300 millis")
      assert.deepStrictEqual(
        yield* Fiber.join(fiber),
        [...ids, ...ids].map((Id) => ({ inspect: { Id } }))
      )
      assert.deepStrictEqual(asked, ids)
      assert.strictEqual(most(), 8)
    })
  )

  it.effect("gives the last data of a container that is gone, marked as stale, and says why", () =>
    Effect.gen(function* () {
      const { answers, lines } = begin({ unknown: { is: "gone" } })
      yield* lines("a")
      answers["a"] = { is: "gone" }
      yield* TestClock.adjust("5 seconds")
      const reason = "the container is gone"
      assert.deepStrictEqual(yield* lines("a", "unknown"), [
        { inspect: { Id: "a" }, stale: true, taken: "1970-01-01T00:00:00.000Z", reason },
        { inspect: null, reason }
      ])
    })
  )

  it.effect("gives the reason if the engine refuses, and asks again the next time", () =>
    Effect.gen(function* () {
      const { answers, lines, warnings } = begin({ a: { is: "an error" } })
      const [line] = yield* lines("a")
      assert.isNull(line?.["inspect"])
      assert.include(String(line?.["reason"]), "no")
      delete answers["a"]
      assert.deepStrictEqual(yield* lines("a"), [{ inspect: { Id: "a" } }])
      assert.deepStrictEqual(warnings(), [])
    })
  )

  it.effect("asks again at once if only the number of containers took up the time of a batch", () =>
    Effect.gen(function* () {
      const ids = Array.from({ length: 100 }, (_, at) => `c${at}`)
      const { lines, warnings } = begin(Object.fromEntries(ids.map((id) => [id, { after: "300 millis" }])))
      const fiber = yield* Effect.fork(lines(...ids))
      yield* TestClock.adjust("2 seconds")
      const found = yield* Fiber.join(fiber)
      assert.lengthOf(
        found.filter(({ inspect }) => inspect !== null),
        24
      )
      for (const { inspect, reason } of found)
        if (inspect === null) assert.match(String(reason), /^too many containers had events at once/)
      assert.deepStrictEqual(warnings(), [])
      const again = yield* Effect.fork(lines("c99"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(again), [{ inspect: { Id: "c99" } }])
    })
  )

  it.effect(
    "takes a second for a batch at most, and then does not ask this engine for 30 seconds, with one warning",
    () =>
      Effect.gen(function* () {
        const ids = Array.from({ length: 20 }, (_, at) => `c${at}`)
        const { answers, asked, lines, warnings } = begin({ stuck: { after: "1 hour" } })
        for (const id of ids) answers[id] = { after: "1 hour" }
        assert.deepStrictEqual(yield* lines("well"), [{ inspect: { Id: "well" } }])
        const fiber = yield* Effect.fork(lines("well", "stuck", ...ids))
        yield* TestClock.adjust("999 millis")
        assert.isNull(fiber.unsafePoll())
        yield* TestClock.adjust("1 millis")
        const [well, ...others] = yield* Fiber.join(fiber)
        assert.deepStrictEqual(well, { inspect: { Id: "well" } })
        for (const { inspect, reason } of others) {
          assert.isNull(inspect)
          assert.isTrue(String(reason).startsWith(late), String(reason))
        }
        assert.lengthOf(warnings(), 1)
        assert.match(
          warnings()[0] ?? "",
          /^WARN e did not describe container \w+ in time: scripts with inspect=yes get what des saw last, and des asks again in 30s$/
        )

        const before = asked.length
        const during = yield* lines("well", "stuck")
        assert.deepStrictEqual(during[0], {
          ...{
            inspect: { Id: "well" },
            stale: true,
            taken: "1970-01-01T00:00:00.000Z",
            reason: `${late}; des asks again in up to 30s`
          }
        })
        assert.strictEqual(asked.length, before)
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual(yield* lines("well"), [{ inspect: { Id: "well" } }])
        assert.lengthOf(warnings(), 1)
      })
  )
})
