import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Framing from "../../src/engine/Framing.ts"

const encoder = new TextEncoder()

/** The text after each of these pieces, as they come. */
const separated = (pieces: ReadonlyArray<Uint8Array>): ReadonlyArray<string> => {
  const decoder = new TextDecoder()
  const separate = Framing.makeSeparator()
  return pieces.map((bytes) => decoder.decode(separate(bytes), { stream: true }))
}

const linesOf = (text: string): ReadonlyArray<string> =>
  text
    .split(/\r?\n/)
    .map((line) => (line.startsWith("\u001e") ? line.slice(1) : line))
    .filter((line) => line !== "")

const cut = (bytes: Uint8Array, places: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [...at, bytes.length].map((end, index) => bytes.subarray(at[index - 1] ?? 0, end))
}

describe("Framing", () => {
  const nasty = FastCheck.stringOf(
    FastCheck.constantFrom("{", "}", "}{", '"', "\\", "[", "]", "é", "\n", "\u001e", " ")
  )
  const record = FastCheck.dictionary(
    nasty,
    FastCheck.oneof(nasty, FastCheck.integer(), FastCheck.dictionary(nasty, nasty), FastCheck.array(nasty))
  ).map((value) => JSON.stringify(value))

  it.prop(
    "every record becomes one line, however the records are separated and cut",
    [
      FastCheck.array(FastCheck.tuple(record, FastCheck.constantFrom("\n", "", "\r\n"))),
      FastCheck.constantFrom("", "\u001e"),
      FastCheck.array(FastCheck.nat(), { maxLength: 12 })
    ],
    ([records, before, places]) => {
      // A record separator stands before its record, whose line end then is never missing.
      const text = records.map(([json, after]) => `${before}${json}${before === "" ? after : "\n"}`).join("")
      const pieces = cut(encoder.encode(text), places)
      assert.deepStrictEqual(
        linesOf(separated(pieces).join("")),
        records.map(([json]) => json)
      )
    },
    { fastCheck: { numRuns: 1000 } }
  )

  it("a record without a line end is complete at once, not with the next record", () => {
    assert.deepStrictEqual(separated([encoder.encode('{"a":{"b":"}"}}'), encoder.encode('{"c":1}')]), [
      '{"a":{"b":"}"}}\n',
      '{"c":1}\n'
    ])
  })

  it("complete lines are passed on without a copy", () => {
    const bytes = encoder.encode('{"a":"x"}\n{"b":1}\n')
    assert.strictEqual(Framing.makeSeparator()(bytes), bytes)
  })

  it.prop(
    "a line that is not JSON does not damage the other lines",
    [FastCheck.stringOf(FastCheck.constantFrom("{", "}", '"', "\\", "x"))],
    ([bad]) => {
      const after = separated([
        encoder.encode(`x${bad}`),
        encoder.encode('\n{"a":1}'),
        encoder.encode('{"b":2}\n')
      ]).join("")
      assert.deepStrictEqual(linesOf(after).slice(-2), ['{"a":1}', '{"b":2}'])
    }
  )
})
