import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Leaves from "../../src/event/Leaves.ts"

const whole: Leaves.Bounds = { leaves: 100_000, characters: 100_000_000 }
const nothing: Leaves.OwnKeyTree = new Map()

/** The leaves of parsed JSON, the plain way. */
const leavesOf = (value: unknown, path: ReadonlyArray<string> = []): ReadonlyArray<Leaves.Leaf> => {
  if (typeof value !== "object" || value === null) return [{ path, value: value === null ? "" : String(value) }]
  return Object.entries(value).flatMap(([key, inner]) => leavesOf(inner, [...path, key]))
}

const sorted = (leaves: ReadonlyArray<Leaves.Leaf>): ReadonlyArray<string> =>
  leaves.map((leaf) => JSON.stringify([leaf.path, leaf.value])).toSorted()

const json = FastCheck.dictionary(
  FastCheck.oneof(FastCheck.string({ unit: "binary" }), FastCheck.constantFrom("", "__proto__", '"', "\\", "a\\")),
  FastCheck.jsonValue({ stringUnit: "binary" })
)

describe("the leaves of a record", () => {
  it("are those of JSON.parse, for any JSON with any white space", () => {
    FastCheck.assert(
      FastCheck.property(json, FastCheck.constantFrom(undefined, 1, "\t"), (value, space) => {
        const record = JSON.stringify(value, null, space)
        const { leaves, left } = Leaves.find(record, nothing, whole)
        const all = leavesOf(JSON.parse(record))
        const shallow = all.filter(({ path }) => path.length <= 16)
        // JSON.parse rounds, and writes a large number in another way.
        const comparable = (found: ReadonlyArray<Leaves.Leaf>) =>
          sorted(
            found.map((leaf) => ({
              ...leaf,
              value: /^-?\d[\d.e+-]*$/i.test(leaf.value) ? String(Number(leaf.value)) : leaf.value
            }))
          )
        assert.deepStrictEqual(comparable(leaves), comparable(shallow))
        assert.isAtLeast(left, all.length - shallow.length)
      }),
      { numRuns: 500 }
    )
  })

  it("have every digit of a number that does not fit into a double", () => {
    const record = '{"a":1795453736016879091,"b":[12345678901234567890123,0.10,-1e400],"c":1.0,"d":-7,"e":1e3}'
    assert.deepStrictEqual(
      Leaves.find(record, nothing, whole).leaves.map(({ value }) => value),
      ["1795453736016879091", "12345678901234567890123", "0.10", "-1e400", "1", "-7", "1000"]
    )
  })

  it("are kept up to the bounds; beyond them only the engine's own are kept, and the others are counted", () => {
    FastCheck.assert(
      FastCheck.property(json, FastCheck.nat(20), FastCheck.nat(200), (value, most, characters) => {
        const record = JSON.stringify({ ...value, own: { ...value, name: "web" }, last: "here" })
        const own = new Map([
          ["own", new Map([["name", new Map()]])],
          ["last", new Map()]
        ])
        const all = Leaves.find(record, own, whole)
        const some = Leaves.find(record, own, { leaves: most, characters })
        for (const key of ["name", "last"])
          assert.isTrue(
            some.leaves.some(({ path }) => path.at(-1) === key),
            key
          )
        assert.isAtMost(some.leaves.length, most + 2)
        // An object that is passed whole counts as one where it is empty.
        assert.isAtLeast(some.leaves.length + some.left, all.leaves.length + all.left)
      }),
      { numRuns: 300 }
    )
  })

  it("cut a long text between two characters, never inside an escape", () => {
    for (const unit of ["x", "\\n", "\\u0041", "\\ud83d\\ude00", 'ab\\"', "\\\\"]) {
      for (const before of ["", "a", "ab", "abc"]) {
        const record = `{"a":"${before}${unit.repeat(800_000 / unit.length)}","b":"after"}`
        const { leaves } = Leaves.find(record, nothing, whole)
        assert.deepStrictEqual(
          leaves.map(({ path }) => path[0]),
          ["a", "b"]
        )
        assert.isTrue(JSON.parse(record).a.startsWith(leaves[0]?.value))
        assert.isAtLeast(leaves[0]?.value.length ?? 0, 131_072)
      }
    }
  })

  it("come to an end for a text that is not JSON", () => {
    for (const record of [
      "",
      "x",
      "{",
      "[",
      '{"a',
      '{"a"',
      '{"a":',
      '{"a":1',
      '{"a":"x',
      "{a:1}",
      "[1 2",
      '{"a":}',
      "{]",
      "[,,,",
      "[}1"
    ]) {
      assert.isArray(Leaves.find(record, nothing, whole).leaves, record)
    }
  })
})
