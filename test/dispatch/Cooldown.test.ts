import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Cooldown from "../../src/dispatch/Cooldown.ts"
import { heapInUse } from "../support/Heap.ts"

describe("a cooldown", () => {
  it("begins with a run, and tells how long the next run has to wait", () => {
    const cooldown = Cooldown.make<string>()
    assert.strictEqual(cooldown.begin("k", 1000, 5000), 0)
    assert.strictEqual(cooldown.begin("k", 1000, 5000), 1000)
    assert.strictEqual(cooldown.begin("k", 1000, 5999), 1)
    assert.strictEqual(cooldown.begin("k", 1000, 6000), 0)
    assert.strictEqual(cooldown.begin("k", 1000, 6001), 999)
  })

  it("is not made longer by runs that wait", () => {
    const cooldown = Cooldown.make<string>()
    cooldown.begin("k", 1000, 0)
    for (let now = 0; now < 1000; now += 100) assert.strictEqual(cooldown.begin("k", 1000, now), 1000 - now)
    assert.strictEqual(cooldown.begin("k", 1000, 1000), 0)
  })

  it("of one key does not delay another key", () => {
    const cooldown = Cooldown.make<string>()
    cooldown.begin("a", 1000, 0)
    assert.strictEqual(cooldown.begin("b", 1000, 500), 0)
    assert.isUndefined(cooldown.hold("a", "1"))
    assert.isUndefined(cooldown.hold("b", "1"))
    assert.strictEqual(cooldown.hold("a", "2"), "1")
    assert.deepStrictEqual(cooldown.release("b"), { newest: "1", coalesced: 0 })
    assert.deepStrictEqual(cooldown.release("a"), { newest: "2", coalesced: 1 })
  })

  it("keeps the newest value and counts the older ones, until they are released", () => {
    const cooldown = Cooldown.make<number>()
    assert.isUndefined(cooldown.release("k"))
    assert.deepStrictEqual(
      [1, 2, 3].map((value) => cooldown.hold("k", value)),
      [undefined, 1, 2]
    )
    assert.deepStrictEqual(cooldown.release("k"), { newest: 3, coalesced: 2 })
    assert.isUndefined(cooldown.release("k"))
    assert.isUndefined(cooldown.hold("k", 4))
    assert.deepStrictEqual(cooldown.release("k"), { newest: 4, coalesced: 0 })
  })

  it("lets a key run at most once in its time, in any order of events", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(FastCheck.record({ key: FastCheck.constantFrom("a", "b"), pause: FastCheck.nat(700) })),
        (events) => {
          const cooldown = Cooldown.make<number>()
          const ran: Record<string, Array<number>> = { a: [], b: [] }
          let now = 0
          for (const { key, pause } of events) {
            now += pause
            const last = ran[key]?.at(-1)
            const expected = last === undefined ? 0 : Math.max(0, last + 1000 - now)
            const wait = cooldown.begin(key, 1000, now)
            assert.strictEqual(wait, expected)
            if (wait === 0) ran[key]?.push(now)
          }
        }
      )
    )
  })

  it("of a key is remembered while it lasts, even if those of other keys are forgotten", () => {
    const cooldown = Cooldown.make<string>()
    cooldown.begin("long", 1_000_000, 0)
    cooldown.begin("held", 10, 0)
    cooldown.hold("held", "event")
    for (let at = 0; at < 20_000; at++) assert.strictEqual(cooldown.begin(`key ${at}`, 10, at), 0)
    assert.strictEqual(cooldown.begin("key 19999", 10, 20_000), 9)
    assert.strictEqual(cooldown.begin("long", 1_000_000, 20_000), 980_000)
    assert.deepStrictEqual(cooldown.release("held"), { newest: "event", coalesced: 0 })
  })

  it("is forgotten some time after it is over: 200,000 actors take no memory", () => {
    const cooldown = Cooldown.make<string>()
    const through = (from: number, to: number) => {
      for (let at = from; at < to; at++) {
        const key = `/etc/docker/events.d/container/start container ${at}`
        cooldown.begin(key, 10, at)
        cooldown.hold(key, key)
        cooldown.release(key)
      }
    }
    through(0, 10_000)
    const before = heapInUse()
    through(10_000, 210_000)
    // A map with an entry a key would be 25 MB.
    assert.isBelow(heapInUse() - before, 1_000_000)
    assert.isAbove(cooldown.begin("/etc/docker/events.d/container/start container 209999", 10, 210_000), 0)
  })
})
