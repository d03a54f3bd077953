import { assert, describe, it } from "@effect/vitest"
import * as LoopGuard from "../../src/dispatch/LoopGuard.ts"
import { heapInUse } from "../support/Heap.ts"

/** Numbers from 0 to 1 that are the same in every run of the test. */
const makeRandom = (seed: number) => () => {
  seed = (seed * 16_807) % 2_147_483_647
  return seed / 2_147_483_647
}

interface Situation {
  /** When the events of others are sent, in milliseconds, ascending. */
  readonly sent: ReadonlyArray<number>
  /** How long a run takes. */
  readonly takes: () => number
  /** How long after its begin a run causes events of its own. */
  readonly causes?: ReadonlyArray<number>
}

/** Runs one script for one actor, one event after the other as one job does, until no event is left or 5,000 runs. */
const play = ({ causes = [], sent, takes }: Situation) => {
  const guard = LoopGuard.make()
  const foreign = [...sent].reverse()
  const own: Array<number> = []
  let now = 0
  let runs = 0
  let stopped = 0
  while (runs < 5000) {
    const time =
      (own[0] ?? Number.POSITIVE_INFINITY) <= (foreign.at(-1) ?? Number.POSITIVE_INFINITY) ? own.shift() : foreign.pop()
    if (time === undefined) break
    now = Math.max(now, time)
    const pause = guard.judge("script actor", Math.floor(time), Math.floor(now))
    if (pause === "loop") {
      stopped++
      continue
    }
    const from = now + pause
    now = from + takes()
    own.push(...causes.map((after) => from + after))
    guard.ran("script actor", { pause, from: Math.floor(from), to: Math.floor(now) })
    runs++
  }
  return { runs, stopped }
}

const periodic = (period: () => number, events = 2000): ReadonlyArray<number> => {
  let time = 0
  return Array.from({ length: events }, () => {
    time += period()
    return time
  })
}

/** How many runs a loop gets: those that make it suspicious, and three that are looked at. */
const longest = LoopGuard.suspicious + 3

describe("a self-triggering script is stopped", () => {
  it("after the suspicious runs and three trials if each run causes the next", () => {
    assert.deepStrictEqual(play({ sent: [0], takes: () => 100, causes: [50] }), { runs: longest, stopped: 1 })
  })

  it("even if its event is sent in the millisecond in which it begins or ends", () => {
    for (const after of [0, 100]) {
      const { stopped } = play({ sent: [0], takes: () => 100, causes: [after] })
      assert.strictEqual(stopped, 1, String(after))
    }
  })

  for (const causes of [
    [40, 60],
    [20, 50, 80],
    [10, 20, 30, 40, 50]
  ]) {
    it(`within 1,000 runs if each run causes ${causes.length} more`, () => {
      const { runs, stopped } = play({ sent: [0], takes: () => 100, causes })
      assert.isAbove(stopped, 0)
      assert.isAtMost(runs, 1000)
    })
  }

  it("but runs again for an event that comes later", () => {
    const { runs, stopped } = play({ sent: [0, 1_000_000, 2_000_000], takes: () => 100, causes: [50] })
    assert.strictEqual(stopped, 3)
    assert.strictEqual(runs, 3 * longest)
  })
})

describe("a script that does not trigger itself is never stopped", () => {
  it("if 10,000 events wait behind a slow run", () => {
    const sent = Array.from({ length: 10_000 }, (_, at) => at / 10)
    assert.strictEqual(play({ sent, takes: () => 5000 }).stopped, 0)
  })

  for (const ratio of [0.1, 0.25, 0.5, 0.6, 0.75, 0.9, 0.95, 0.99, 1, 1.01, 1.05, 1.1, 1.25, 1.5, 2]) {
    it(`if events come with a period of ${ratio} of the run, steadily or not`, () => {
      assert.strictEqual(play({ sent: periodic(() => 1000 * ratio), takes: () => 1000 }).stopped, 0, "steadily")
      for (const spread of [0.05, 0.1, 0.3]) {
        const random = makeRandom(20_261_123)
        const spreadOut = (mean: number) => () => mean * (1 + spread * (2 * random() - 1))
        const { stopped } = play({ sent: periodic(spreadOut(1000 * ratio)), takes: spreadOut(1000) })
        assert.strictEqual(stopped, 0, `spread by ${spread}`)
      }
    })
  }

  it("nor paused if all events of a burst were sent before its first run began", () => {
    const guard = LoopGuard.make()
    const pauses = Array.from({ length: 1000 }, (_, at) => {
      const judged = guard.judge("script actor", 9, 10 + 5 * at)
      guard.ran("script actor", { pause: Number(judged), from: 10 + 5 * at, to: 15 + 5 * at })
      return judged
    })
    assert.deepStrictEqual([...new Set(pauses)], [0])
  })

  it("if 30 events come nearly as fast as it runs, and then none", () => {
    assert.strictEqual(play({ sent: periodic(() => 95, 30), takes: () => 100 }).stopped, 0)
  })
})

describe("a loop that was recognised", () => {
  /** Loops a key until it is refused; every run takes 100 ms and causes the next event in its middle. */
  const loop = (guard: LoopGuard.LoopGuard, key: string, begin: number) => {
    let now = begin
    let time = begin
    for (let runs = 0; runs < 1000; runs++) {
      const pause = guard.judge(key, time, now)
      if (pause === "loop") return now
      const from = now + pause
      now = from + 100
      time = from + 50
      guard.ran(key, { pause, from, to: now })
    }
    return assert.fail("it was not refused")
  }

  it.each([
    ["at once", 0, "loop"],
    ["after some time", LoopGuard.refusedFor - 1, "loop"],
    ["not after five minutes", LoopGuard.refusedFor, 0],
    ["not much later", 100 * LoopGuard.refusedFor, 0],
    ["not where the clock was set back by a day", -86_400_000, 0]
  ] as const)("is refused for a time: %s", (_, later, judged) => {
    const guard = LoopGuard.make()
    const refusedAt = loop(guard, "script actor", 1_000_000_000)
    const now = refusedAt + later
    assert.strictEqual(guard.judge("script actor", now, now), judged)
  })

  it("is refused again if it goes on", () => {
    const guard = LoopGuard.make()
    const refusedAt = loop(guard, "script actor", 1_000_000_000)
    loop(guard, "script actor", refusedAt + LoopGuard.refusedFor)
  })

  it("affects neither the script's other actors nor the actor's other scripts", () => {
    const guard = LoopGuard.make()
    for (const key of ["script stranger", "other actor"]) guard.ran(key, { pause: 0, from: 0, to: 2_000_000_000 })
    const refusedAt = loop(guard, "script actor", 1_000_000_000)
    for (const key of ["script stranger", "other actor"]) assert.strictEqual(guard.judge(key, refusedAt, refusedAt), 0)
  })
})

describe("the guard", () => {
  it("does not grow with 200,000 keys that came and went", () => {
    const guard = LoopGuard.make()
    const through = (from: number, to: number) => {
      for (let at = from; at < to; at++) {
        guard.judge(`script container ${at}`, at, at)
        guard.ran(`script container ${at}`, { pause: 0, from: at, to: at + 1 })
      }
    }
    through(0, 10_000)
    const before = heapInUse()
    through(10_000, 210_000)
    assert.isBelow(heapInUse() - before, 1_000_000)
  })
})
