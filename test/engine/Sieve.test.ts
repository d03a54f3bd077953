import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Sieve from "../../src/engine/Sieve.ts"
import * as Lines from "../../src/event/Lines.ts"

const recordOf = (id: string, label: number) =>
  JSON.stringify({ Type: "container", Action: "start", Actor: { ID: id, Attributes: { label: "x".repeat(label) } } })

/** What is left of a feed that comes in pieces of these sizes, which repeat. Records of the actor `storm` are not wanted. */
const sieved = (feed: string, sizes: ReadonlyArray<number>): ReadonlyArray<string> => {
  const pass = Sieve.make(({ Actor }) => Actor.ID === "storm")
  const bytes = Buffer.from(feed)
  const passed: Array<Uint8Array> = []
  for (let at = 0, piece = 0; at < bytes.length; piece++) {
    const size = sizes[piece % sizes.length] ?? 1
    const rest = pass(bytes.subarray(at, at + size))
    assert.instanceOf(rest, Uint8Array)
    passed.push(rest)
    at += size
  }
  return Buffer.concat(passed).toString().split("\n").slice(0, -1)
}

describe("a sieve", () => {
  it.prop(
    "leaves out the rest of large records that are not wanted, and nothing else, however the feed is cut",
    [
      FastCheck.array(
        FastCheck.tuple(
          FastCheck.constantFrom("storm", "other"),
          FastCheck.constantFrom(0, 10, 65_400, 65_536, 200_000, 1_100_000)
        ),
        { maxLength: 8 }
      ),
      FastCheck.constantFrom("\n", ""),
      FastCheck.array(FastCheck.integer({ min: 1000, max: 70_000 }), { minLength: 1, maxLength: 5 })
    ],
    ([records, end, sizes]) => {
      const texts = records.map(([id, label]) => recordOf(id, label))
      const lines = sieved(texts.map((text) => `${text}${end}`).join(""), sizes)
      assert.lengthOf(lines, texts.length)
      for (const [at, line] of lines.entries()) {
        const text = texts[at] ?? ""
        if (line === text) continue
        const mark = String.fromCharCode(Lines.cutMark)
        assert.strictEqual(records[at]?.[0], "storm")
        assert.isAbove(line.length, Lines.longFrom)
        assert.isTrue(line.endsWith(mark) && text.startsWith(line.slice(0, -1)))
      }
      const large = records.filter(([id, label]) => id === "storm" && label >= 200_000)
      assert.isAtLeast(lines.filter((line, at) => line !== texts[at]).length, large.length)
    },
    { fastCheck: { numRuns: 60 } }
  )

  it("asks again about a record whose actor comes late", () => {
    const command = "y".repeat(150_000)
    const late = JSON.stringify({ status: command, Type: "container", Action: "exec_create", Actor: { ID: "storm" } })
    const [line = ""] = sieved(`${late.slice(0, -1)},"x":"${"x".repeat(2_000_000)}"}\n`, [65_536])
    assert.isBelow(line.length, 400_000)
  })

  it("ends a feed with a record that does not end, and no feed with a long record that ends", () => {
    const run = (pieces: ReadonlyArray<string>) => {
      const pass = Sieve.make(undefined, 20)
      return pieces.some((piece) => pass(Buffer.from(piece)) instanceof Sieve.EndlessRecord)
    }
    assert.isTrue(run(['{"a":"', "x".repeat(10), "x".repeat(10)]))
    assert.isFalse(run(['{"a":"', "x".repeat(10), '"}', '{"a":"', "x".repeat(10), '"}\n']))
    // A proxy drops all line ends, and the records are short.
    assert.isFalse(run(Array.from({ length: 100 }, () => '{"a":1}')))
  })
})
