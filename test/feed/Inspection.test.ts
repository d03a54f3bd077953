import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Inspection from "../../src/feed/Inspection.ts"

describe("inspect data", () => {
  it("is one line with the engine's own text, also of numbers that a double cannot hold", () => {
    const text = `{"Id":"a",\r\n  "Memory": 9223372036854771712,\n"Env":["A=b\\nc"]}\n`
    const line = Either.getOrThrow(Inspection.onOneLine(text))
    assert.strictEqual(line, `{"Id":"a",   "Memory": 9223372036854771712, "Env":["A=b\\nc"]}`)
    assert.deepStrictEqual(JSON.parse(line), JSON.parse(text))
  })

  it("is none if the engine answers something else", () => {
    for (const [text, why] of [
      ["", "it is not JSON"],
      ["<html>", "it is not JSON"],
      ['{"a":"\n"}', "it is not JSON"],
      ["[1]", "it is JSON of another kind"],
      ["null", "it is JSON of another kind"],
      ['"text"', "it is JSON of another kind"],
      ["[".repeat(65_000), "it is nested too deeply|it is not JSON"]
    ] as const) {
      const found = Either.getOrThrow(Either.flip(Inspection.onOneLine(text)))
      assert.match(found, new RegExp(`^the answer of the engine is not understood: (${why})`), text.slice(0, 20))
    }
  })
})

describe("the line of a script with inspect=yes", () => {
  const seen = { text: '{"Id":"a"}', at: Date.UTC(2026, 10, 26, 12) }

  it("has the data, or the last data marked as stale, or null; the latter two with the reason", () => {
    const reason = 'the "engine" is gone'
    for (const [line, expected] of [
      [Inspection.lineOf(Either.right(seen), { text: "{}", at: 0 }), { inspect: { Id: "a" } }],
      [
        Inspection.lineOf(Either.left(reason), seen),
        { inspect: { Id: "a" }, stale: true, taken: "2026-11-26T12:00:00.000Z", reason }
      ],
      [Inspection.lineOf(Either.left(reason), undefined), { inspect: null, reason }]
    ] as const) {
      assert.deepStrictEqual(JSON.parse(line), expected)
      assert.notInclude(line, "\n")
    }
  })

  it("has no long reason, whatever an engine writes", () => {
    const reason = "x\n".repeat(50_000)
    assert.isBelow(Inspection.lineOf(Either.left(reason), undefined).length, 400)
    assert.isBelow(Inspection.lineOf(Either.left(reason), seen).length, 400)
  })
})

describe("what des remembers of containers", () => {
  const of = (length: number) => ({ text: "x".repeat(length), at: 0 })

  it("is the newest of each, and what is oldest is forgotten first", () => {
    const memory = Inspection.makeMemory(10)
    memory.put("a", of(4))
    memory.put("b", of(4))
    memory.put("a", of(5))
    assert.strictEqual(memory.get("a")?.text.length, 5)
    memory.put("c", of(4))
    assert.isUndefined(memory.get("b"))
    assert.isDefined(memory.get("a"))
    memory.put("d", of(11))
    assert.deepStrictEqual(
      ["a", "b", "c", "d"].map((id) => memory.get(id)),
      [undefined, undefined, undefined, undefined]
    )
    memory.put("e", of(10))
    assert.isDefined(memory.get("e"))
  })
})
