import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Table from "../../src/cli/Table.ts"

describe("a table", () => {
  it("is as wide as its cells, if there is room", () => {
    assert.deepStrictEqual(
      Table.format(
        [
          ["A", "B"],
          ["long", "x"]
        ],
        80
      ),
      ["A     B", "long  x"]
    )
  })

  it("counts the columns that a terminal takes, not the characters", () => {
    assert.deepStrictEqual(
      Table.format(
        [
          ["日本", "x"],
          ["e\u0301", "y"]
        ],
        80
      ),
      ["日本  x", "e\u0301     y"]
    )
  })

  it("narrows its widest column first, and marks what it cuts", () => {
    const rows = [["short", "a text that is far too long"]]
    assert.deepStrictEqual(Table.format(rows, 20), ["short  a text that …"])
  })

  it("never cuts a character in two", () => {
    assert.strictEqual(Table.cut("日本語", 4), "日…")
    assert.strictEqual(Table.cut("👩‍👩‍👧x", 2), "…")
  })

  it("is never wider than it may be, for any text", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.string({ unit: "grapheme" }),
        FastCheck.integer({ min: 1, max: 40 }),
        (text, columns) => {
          assert.isAtMost(Table.widthOf(Table.cut(text, columns)), columns)
          assert.strictEqual(Table.widthOf(Table.pad(text, columns)), columns)
        }
      )
    )
  })
})
