import { assert, describe, it } from "vitest"
import * as Health from "../../src/operate/Health.ts"

const healthy: Health.Facts = {
  now: 1_000_000,
  liveness: 30_000,
  feeds: [{ engine: "one", open: true, aliveAt: 990_000 }],
  journalError: undefined
}

describe("des is", () => {
  const cases: ReadonlyArray<readonly [title: string, facts: Partial<Health.Facts>, reasons: ReadonlyArray<string>]> = [
    ["healthy if each feed is open and alive and the journal can be written", {}, []],
    ["healthy without an engine", { feeds: [] }, []],
    [
      "healthy if another node watches an engine",
      { feeds: [{ engine: "one", open: false, why: "not open", watchedBy: "web-2" }] },
      []
    ],
    [
      "healthy at exactly two intervals after the last proof",
      { feeds: [{ engine: "one", open: true, aliveAt: 940_000 }] },
      []
    ],
    [
      "not healthy later than that",
      { feeds: [{ engine: "one", open: true, aliveAt: 939_999 }] },
      ["the feed of one was not proven alive for 60 s, which is more than two intervals of --liveness (30 s)"]
    ],
    [
      "healthy however long a feed is silent that is never checked",
      { liveness: Number.POSITIVE_INFINITY, feeds: [{ engine: "one", open: true, aliveAt: 1 }] },
      []
    ],
    [
      "not healthy if a feed is not open, with the reason",
      {
        feeds: [
          { engine: "one", open: false, why: "no such socket", aliveAt: 990_000 },
          { engine: "two", open: false },
          { engine: "three", open: true, aliveAt: 990_000 }
        ]
      },
      ["the feed of one is not open: no such socket", "the feed of two is not open"]
    ],
    ["not healthy if the journal cannot be written", { journalError: "the disk is full" }, ["the disk is full"]]
  ]
  for (const [title, facts, reasons] of cases) {
    it(title, () => assert.deepStrictEqual(Health.reasons({ ...healthy, ...facts }), reasons))
  }
})
