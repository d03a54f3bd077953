import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Line from "../../src/journal/Line.ts"

describe("the line of actors", () => {
  it("gives each actor its turn, the one that was served longest ago first", () => {
    const line = Line.make()
    for (const actor of ["a", "b", "a", "c"]) line.arrive(actor)
    const served = []
    for (let turn = 0; turn < 7; turn++) {
      const actor = line.next() ?? ""
      served.push(actor)
      line.out(actor)
      line.back(actor, true)
    }
    assert.strictEqual(served.join(""), "abcabca")
  })

  it("skips an actor as long as one of its events is out", () => {
    const line = Line.make()
    line.arrive("a")
    assert.strictEqual(line.next(), "a")
    line.out("a")
    line.out("a")
    line.arrive("a")
    assert.isUndefined(line.next())
    line.back("a", true)
    assert.isUndefined(line.next())
    line.back("a", true)
    assert.strictEqual(line.next(), "a")
  })

  it("forgets an actor that has no more events", () => {
    const line = Line.make()
    line.arrive("a")
    line.out(line.next() ?? "")
    line.back("a", false)
    assert.isUndefined(line.next())
  })

  it("never serves an actor twice before another one that waits", () => {
    const arrivals = FastCheck.array(FastCheck.tuple(FastCheck.nat(4), FastCheck.integer({ min: 1, max: 5 })))
    FastCheck.assert(
      FastCheck.property(arrivals, (all) => {
        const line = Line.make()
        const left = new Map<string, number>()
        for (const [actor, events] of all) {
          left.set(String(actor), (left.get(String(actor)) ?? 0) + events)
          line.arrive(String(actor))
        }
        const servedAt = new Map<string, number>()
        for (let turn = 0, actor = line.next(); actor !== undefined; turn++, actor = line.next()) {
          for (const [other, events] of left) {
            if (events > 0)
              assert.isAtMost(servedAt.get(actor) ?? -1, servedAt.get(other) ?? -1, `${actor} before ${other}`)
          }
          servedAt.set(actor, turn)
          left.set(actor, (left.get(actor) ?? 0) - 1)
          line.out(actor)
          line.back(actor, (left.get(actor) ?? 0) > 0)
        }
        assert.deepStrictEqual(
          [...left.values()].filter((events) => events !== 0),
          []
        )
      })
    )
  })
})
