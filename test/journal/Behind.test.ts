import { assert, describe, it } from "vitest"
import * as Behind from "../../src/journal/Behind.ts"

const mebibyte = 1_048_576
const start = 1_700_000_000_000

const recordOf = (actor: string, size: number, delay: number, now: number) => ({
  actor,
  bytes: size * mebibyte,
  timeNano: BigInt(now - delay) * 1_000_000n,
  engine: "e"
})

/** A pace, and a record of so many MiB that happened `delay` milliseconds before `now`. */
const make = () => {
  const pace = Behind.make()
  const accepts = (actor: string, size: number, delay: number, now = start) => {
    const record = recordOf(actor, size, delay, now)
    if (pace.isTooFast(record, now)) return false
    pace.add(record, now)
    return true
  }
  assert.isTrue(accepts("on time", 0, 0))
  return { accepts, pace }
}

describe("the pace of large records", () => {
  it("has no bound while des keeps up with the engine", () => {
    const { accepts } = make()
    for (let at = 0; at < 100; at++) assert.isTrue(accepts("storm", 2, 1500))
  })

  it("leaves an actor half of what is left while des is behind", () => {
    const { accepts } = make()
    let taken = 0
    for (let at = 0; at < 1000; at++) if (accepts("storm", 0.25, 1501)) taken += 0.25
    assert.strictEqual(taken, 10.5)
  })

  it("gives up the actor with the most first, and has a bound for many actors together", () => {
    const { accepts } = make()
    for (let at = 0; at < 8; at++) assert.isTrue(accepts("storm", 2, 0))
    assert.isFalse(accepts("storm", 0.25, 9000))
    assert.isTrue(accepts("other", 0.25, 9000))
    let taken = 16.25
    for (let at = 0; at < 1000; at++) if (accepts(`actor ${at}`, 0.25, 9000)) taken += 0.25
    assert.isAtMost(taken, 32)
    assert.isAtLeast(taken, 28)
  })

  it("takes one record of any size if no other counts", () => {
    const { accepts } = make()
    assert.isTrue(accepts("large", 60, 9000))
    assert.isFalse(accepts("large", 1, 9000))
  })

  it("forgets a record after a minute", () => {
    const { accepts } = make()
    assert.isTrue(accepts("storm", 16, 0))
    assert.isFalse(accepts("storm", 1, 9000, start + 29_999))
    assert.isTrue(accepts("storm", 1, 9000, start + 60_000))
  })

  it("does not take an engine's clock that is wrong for a delay", () => {
    const pace = Behind.make()
    const storm = (delay: number) => recordOf("storm", 16, delay, start)
    assert.isFalse(pace.isTooFast(storm(3_600_000), start))
    pace.add(storm(3_600_000), start)
    assert.isFalse(pace.isTooFast(storm(3_601_500), start))
    assert.isTrue(pace.isTooFast(storm(3_601_501), start))
  })

  it("takes a longer delay for the usual one after a while, since clocks are set", () => {
    const { accepts } = make()
    assert.isTrue(accepts("storm", 16, 0))
    assert.isFalse(accepts("storm", 16, 2000))
    assert.isTrue(accepts("storm", 16, 2000, start + 60_000))
    assert.isTrue(accepts("storm", 16, 2000, start + 60_001))
  })

  it("has no bound for a record without a time, and counts each engine alone", () => {
    const { accepts, pace } = make()
    assert.isTrue(accepts("storm", 16, 0))
    const late = recordOf("storm", 16, 9000, start)
    assert.isTrue(pace.isTooFast(late, start))
    assert.isFalse(pace.isTooFast({ ...late, timeNano: 0n }, start))
    assert.isFalse(pace.isTooFast({ ...late, engine: "other" }, start))
  })
})
