import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Output from "../../src/scripts/Output.ts"

const limits = { line: 10, run: 300 }

/** What is logged of these chunks, and how many bytes are not. */
const read = (chunks: ReadonlyArray<Uint8Array>, bounds = limits) => {
  const budget: Output.Budget = { left: bounds.run, dropped: 0 }
  const lines = Output.makeLines(budget, bounds)
  return { lines: [...chunks.flatMap(lines.push), ...lines.end()], dropped: budget.dropped }
}

const bytes = (text: string) => Buffer.from(text)

describe("lines of output", () => {
  it("are the same however the output is split, also inside a character", () => {
    const whole = bytes("one\ntwo ⟶ é\r\n\nlast")
    for (let at = 0; at <= whole.length; at++) {
      const { lines } = read([whole.subarray(0, at), whole.subarray(at)])
      assert.deepStrictEqual(lines, ["one", "two ⟶ é", "", "last"])
    }
  })

  it("are cut at the limit, and say how much is missing", () => {
    const { dropped, lines } = read([bytes("0123456789ab"), bytes("cd\nnext\n")])
    assert.deepStrictEqual(lines, ["0123456789… (4 more characters)", "next"])
    assert.strictEqual(dropped, 4)
  })

  it("end when the run's budget is spent, which counts a head of 64 bytes for each, and the rest is counted", () => {
    const { dropped, lines } = read([bytes("a\n".repeat(1000))])
    assert.strictEqual(lines.length, Math.ceil(300 / 65))
    assert.strictEqual(dropped, (1000 - lines.length) * 2)
  })

  it("never hold more than one line of the limit, however long it is", () => {
    const budget: Output.Budget = { left: 300, dropped: 0 }
    const lines = Output.makeLines(budget, limits)
    for (let at = 0; at < 1000; at++) assert.deepStrictEqual(lines.push(bytes("x".repeat(1000))), [])
    assert.deepStrictEqual(lines.end(), [`xxxxxxxxxx… (${1_000_000 - 10} more characters)`])
    assert.strictEqual(budget.dropped, 1_000_000 - 10)
  })

  it("account for every byte of any output", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(FastCheck.stringMatching(/^[a-c\n]{0,40}$/)), (chunks) => {
        const { dropped, lines } = read(chunks.map(bytes))
        const logged = lines.map((line) => line.replace(/… .*/, "").length).reduce((a, b) => a + b, 0)
        const total = chunks.join("").length
        const ends = lines.length
        // The line end of the last line may not be there.
        assert.isTrue(total === logged + dropped + ends || total === logged + dropped + ends - 1)
      })
    )
  })
})
