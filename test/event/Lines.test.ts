import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Fingerprint from "../../src/event/Fingerprint.ts"
import * as Lines from "../../src/event/Lines.ts"
import { heapInUse } from "../support/Heap.ts"

const cut = (bytes: Uint8Array, places: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b)
  return [...at, bytes.length].map((end, index) => bytes.subarray(at[index - 1] ?? 0, end))
}

const split = (pieces: Iterable<Uint8Array>, longest: number): ReadonlyArray<Lines.Line> => {
  const splitter = Lines.makeSplitter(longest)
  return [...splitter.pushAll(pieces), ...splitter.end()]
}

const longest = 12

/** What a splitter gives for whole text, said the simple way. */
const expected = (text: string): ReadonlyArray<Lines.Line> => {
  const lines = text.split("\n")
  if (lines.at(-1) === "") lines.pop()
  return lines.map((line) => {
    const bytes = Buffer.byteLength(line)
    return bytes > longest
      ? { _tag: "TooLong", bytes, fingerprint: Fingerprint.ofLine(line) }
      : { _tag: "Text", text: line.replace(/\r$/, "") }
  })
}

describe("the lines of a feed", () => {
  it.prop(
    "are the same wherever the bytes are cut, as are the size and the fingerprint of a line that is too long",
    [
      FastCheck.array(FastCheck.constantFrom("\n", "\r\n", "é", "🐳", "x", "{}", "long enough to be dropped"), {
        maxLength: 40
      }),
      FastCheck.array(FastCheck.nat(), { maxLength: 20 })
    ],
    ([parts, places]) => {
      const text = parts.join("")
      assert.deepStrictEqual(split(cut(new TextEncoder().encode(text), places), longest), expected(text))
    },
    { fastCheck: { numRuns: 1000 } }
  )

  it("are not kept in memory beyond the longest length", () => {
    const mebibyte = Buffer.alloc(1_048_576, "x")
    const splitter = Lines.makeSplitter()
    const inUse = () => heapInUse() + process.memoryUsage().arrayBuffers
    const before = inUse()
    for (let count = 0; count < 300; count++) assert.deepStrictEqual([...splitter.pushAll([mebibyte])], [])
    assert.isBelow(inUse() - before, 8_000_000)
    const [line] = [...splitter.pushAll([Buffer.from("\n")])]
    assert.deepInclude(line, { _tag: "TooLong", bytes: 300 * 1_048_576 })
  })

  it("take little more memory than their bytes if they come byte by byte", () => {
    const splitter = Lines.makeSplitter()
    const inUse = () => heapInUse() + process.memoryUsage().arrayBuffers
    const before = inUse()
    const piece = Buffer.from("x")
    for (let count = 0; count < 1_000_000; count++) for (const _ of splitter.pushAll([piece])) assert.fail("no line")
    assert.isBelow(inUse() - before, 4_000_000)
  })
})
