import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Pace from "../../src/dispatch/Pace.ts"
import { heapInUse } from "../support/Heap.ts"

describe("a run is due", () => {
  const wait = { quiet: 2, latest: 10 }
  for (const [what, given, arrivals, due] of [
    ["at once without a wait and a cooldown", undefined, { first: 5, newest: 7, cooled: 0 }, 5],
    ["when the cooldown is over", undefined, { first: 5, newest: 7, cooled: 20 }, 20],
    ["when no further event came for the quiet time", wait, { first: 5, newest: 5, cooled: 0 }, 7],
    ["later if a further event came", wait, { first: 5, newest: 6, cooled: 0 }, 8],
    ["at the latest time, however many events come", wait, { first: 5, newest: 14, cooled: 0 }, 15],
    ["at the latest time if both come together", wait, { first: 5, newest: 13, cooled: 0 }, 15],
    ["after the quiet time if the cooldown ends before", wait, { first: 5, newest: 6, cooled: 7 }, 8],
    ["after the cooldown, also beyond the latest time", wait, { first: 5, newest: 6, cooled: 60 }, 60],
    [
      "at a fixed time after the first event if both times are one",
      { quiet: 3, latest: 3 },
      { first: 5, newest: 7, cooled: 0 },
      8
    ]
  ] as const) {
    it(what, () => assert.strictEqual(Pace.dueAt(given, arrivals), due))
  }
})

const make = <A>() => Pace.make<A>((one, other) => one > other)

describe("what waits", () => {
  const at = (now: number, wait: Pace.Pace["wait"] = undefined, coalesced = 0) => ({ now, wait, coalesced })

  it("waits for the rest of the cooldown, and no longer when more comes", () => {
    const paces = make<string>()
    assert.isTrue(paces.isFree("k", 5000))
    paces.begin("k", 1000, 5000)
    assert.isFalse(paces.isFree("k", 5999))
    assert.isTrue(paces.isFree("k", 6000))
    assert.isUndefined(paces.left("k", 5000))
    for (let now = 5000; now < 6000; now += 100) {
      paces.hold("k", "event", at(now))
      assert.strictEqual(paces.left("k", now), 6000 - now)
    }
    assert.strictEqual(paces.left("k", 7000), 0)
  })

  it("waits longer when more comes, up to the latest time after the first", () => {
    const paces = make<string>()
    const wait = { quiet: 100, latest: 250 }
    const left = [0, 90, 180, 240].map((now) => {
      paces.hold("k", "event", at(now, wait))
      return paces.left("k", now)
    })
    assert.deepStrictEqual(left, [100, 100, 70, 10])
    paces.release("k")
    paces.hold("k", "event", at(300, wait))
    assert.strictEqual(paces.left("k", 300), 100)
  })

  it("is that of one key alone", () => {
    const paces = make<string>()
    paces.begin("a", 1000, 0)
    assert.isTrue(paces.isFree("b", 500))
    assert.deepStrictEqual(paces.hold("a", "1", at(0)), { newest: "1", coalesced: 0, replaced: undefined })
    assert.deepStrictEqual(paces.hold("b", "1", at(0)), { newest: "1", coalesced: 0, replaced: undefined })
    assert.deepStrictEqual(paces.hold("a", "2", at(0)), { newest: "2", coalesced: 1, replaced: "1" })
    assert.deepStrictEqual(paces.release("b"), { newest: "1", coalesced: 0 })
    assert.deepStrictEqual(paces.release("a"), { newest: "2", coalesced: 1 })
  })

  it("is the newest value, with the number of older ones, also of those that it replaced before a restart", () => {
    const paces = make<number>()
    assert.isUndefined(paces.release("k"))
    assert.deepStrictEqual(
      [1, 2, 3].map((value) => paces.hold("k", value, at(0, undefined, value === 3 ? 10 : 0)).coalesced),
      [0, 1, 12]
    )
    assert.deepStrictEqual(paces.release("k"), { newest: 3, coalesced: 12 })
    assert.isUndefined(paces.release("k"))
    assert.isUndefined(paces.hold("k", 4, at(0)).replaced)
    assert.deepStrictEqual(paces.release("k"), { newest: 4, coalesced: 0 })
  })

  it("is the newest value, also if it came before an older one", () => {
    const paces = make<number>()
    paces.hold("k", 2, at(0, { quiet: 1, latest: 10 }, 3))
    assert.deepStrictEqual(paces.hold("k", 1, at(5, { quiet: 9, latest: 9 }, 4)), {
      newest: 2,
      coalesced: 8,
      replaced: 1
    })
    assert.strictEqual(paces.left("k", 5), 1)
    assert.deepStrictEqual(paces.release("k"), { newest: 2, coalesced: 8 })
  })

  it("is due once for all events, in any order of events", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(FastCheck.nat(700)),
        FastCheck.record({ quiet: FastCheck.integer({ min: 1, max: 500 }), more: FastCheck.nat(2000) }),
        FastCheck.nat(1000),
        (pauses, { more, quiet }, cooldown) => {
          const paces = make<number>()
          const wait = { quiet, latest: quiet + more }
          let now = 0
          let came = 0
          let counted = 0
          let first = 0
          let last = Number.NEGATIVE_INFINITY
          const run = () => {
            const left = paces.left("k", now)
            if (left !== 0) return
            const held = paces.release("k")
            assert.isAtLeast(now - last, cooldown)
            counted += 1 + (held?.coalesced ?? 0)
            last = now
            paces.begin("k", cooldown, now)
          }
          for (const pause of pauses) {
            for (let step = 0; step < pause; step++) {
              now++
              run()
            }
            if (paces.left("k", now) === undefined) first = now
            paces.hold("k", ++came, at(now, wait))
            assert.isAtMost(paces.left("k", now) ?? 0, quiet + Math.max(0, last + cooldown - now))
            assert.isAtMost(now + (paces.left("k", now) ?? 0), Math.max(first + wait.latest, last + cooldown))
          }
          now += paces.left("k", now) ?? 0
          run()
          assert.strictEqual(counted, came)
        }
      ),
      { numRuns: 50 }
    )
  })
})

describe("a cooldown", () => {
  it("is remembered while it lasts, even if those of other keys are forgotten", () => {
    const paces = make<string>()
    paces.begin("long", 1_000_000, 0)
    paces.begin("held", 10, 0)
    paces.hold("held", "event", { now: 0, wait: undefined, coalesced: 0 })
    for (let at = 0; at < 20_000; at++) paces.begin(`key ${at}`, 10, at)
    assert.isFalse(paces.isFree("key 19999", 20_000))
    assert.isFalse(paces.isFree("long", 999_999))
    assert.strictEqual(paces.left("held", 20_000), 0)
    assert.deepStrictEqual(paces.release("held"), { newest: "event", coalesced: 0 })
  })

  it("is forgotten some time after it is over: 200,000 actors take no memory", () => {
    const paces = make<string>()
    const through = (from: number, to: number) => {
      for (let at = from; at < to; at++) {
        const key = `/etc/docker/events.d/container/start container ${at}`
        paces.begin(key, 10, at)
        paces.hold(key, key, { now: at, wait: undefined, coalesced: 0 })
        paces.release(key)
      }
    }
    through(0, 10_000)
    const before = heapInUse()
    through(10_000, 210_000)
    // A map with an entry a key would be 25 MB.
    assert.isBelow(heapInUse() - before, 1_000_000)
    assert.isFalse(paces.isFree("/etc/docker/events.d/container/start container 209999", 210_000))
  })
})
