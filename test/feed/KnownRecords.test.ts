import { assert, describe, it } from "@effect/vitest"
import * as KnownRecords from "../../src/feed/KnownRecords.ts"

const names = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `record ${from + at}`)

describe("known records", () => {
  it("are listed once each, oldest first", () => {
    const known = KnownRecords.make(["a", "b", "a"])
    assert.isFalse(known.add("b"))
    assert.isTrue(known.add("c"))
    assert.deepStrictEqual(known.last(10), ["a", "b", "c"])
    assert.deepStrictEqual(known.last(2), ["b", "c"])
  })

  it("forget the oldest first, also after many others", () => {
    const known = KnownRecords.make(names(0, 4096))
    assert.isTrue(known.has("record 0"))
    for (const name of names(4096, 20_000)) {
      assert.isTrue(known.add(name))
      // Known already, and no younger for it.
      assert.isFalse(known.add(name))
    }
    assert.deepStrictEqual(known.last(100_000), names(20_000 - 4096, 20_000))
    assert.isFalse(known.has(`record ${20_000 - 4097}`))
  })

  it("are empty after clear, and have their full capacity again", () => {
    const known = KnownRecords.make(names(0, 5000))
    known.clear()
    assert.isTrue(known.isEmpty())
    assert.isFalse(known.has("record 4999"))
    for (const name of names(0, 9000)) assert.isTrue(known.add(name))
    assert.deepStrictEqual(known.last(100_000), names(9000 - 4096, 9000))
  })
})
