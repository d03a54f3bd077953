import { assert, describe, it } from "@effect/vitest"
import * as Resume from "../../src/feed/Resume.ts"

const docker: Resume.Facts = {
  meeting: "again",
  kind: "docker",
  knowsNothing: false,
  replay: { count: 10, isKnown: true, isWhole: true },
  head: { count: 1, isJoined: true },
  sync: false
}

const podman: Resume.Facts = {
  ...docker,
  kind: "podman",
  replay: { count: 0, isKnown: true, isWhole: true }
}

const none = { gap: undefined, gapIfDifferent: undefined, compares: false, tells: true, isOver: false }
const gapFor = (gap: Resume.Plan["gap"]): Resume.Plan => ({ ...none, gap, compares: true })
const unjoined = (count: number) => ({ count, isJoined: false })
const ring = (count: number, isKnown: boolean, isWhole = true) => ({ count, isKnown, isWhole })

const cases: ReadonlyArray<readonly [what: string, facts: Resume.Facts, plan: Resume.Plan]> = [
  ["goes on where a record of the ring is known", docker, none],
  [
    "takes what an engine did before the first meeting for over, and believes what runs",
    { ...docker, meeting: "first", knowsNothing: true, replay: ring(10, false) },
    { ...none, compares: true, tells: false, isOver: true }
  ],
  [
    "tells what runs at the first meeting where it is asked to",
    { ...docker, meeting: "first", knowsNothing: true, replay: ring(10, false), sync: true },
    { ...none, compares: true, isOver: true }
  ],
  [
    "says a gap for another engine, whatever is known",
    { ...docker, meeting: "other-engine" },
    { ...gapFor("other-engine"), isOver: true }
  ],
  [
    "says a restart for a short ring that has nothing known",
    { ...docker, replay: ring(255, false) },
    gapFor("restart")
  ],
  [
    "says an overrun for a full ring that has nothing known",
    { ...docker, replay: ring(256, false) },
    gapFor("overrun")
  ],
  [
    "lets the containers tell where no record is known",
    { ...docker, knowsNothing: true, replay: ring(3, false) },
    { ...none, gapIfDifferent: "restart", compares: true }
  ],
  [
    "says an overrun for a full ring where no record is known",
    { ...docker, knowsNothing: true, replay: ring(256, false) },
    { ...gapFor("overrun"), gapIfDifferent: "restart" }
  ],
  [
    "says an overrun for a feed that begins behind the ring that was read",
    { ...docker, head: unjoined(256) },
    gapFor("overrun")
  ],
  [
    "says a restart for a feed that begins anew after the ring was read",
    { ...docker, head: unjoined(2) },
    gapFor("restart")
  ],
  ["goes on where the part of a ring that was read is known", { ...docker, replay: ring(4, true, false) }, none],
  [
    "goes on where a part of a ring knows nothing and the feed has a known record",
    { ...docker, replay: ring(4, false, false), head: { count: 80, isJoined: true } },
    none
  ],
  [
    "says an overrun where a part of a ring knows nothing, nor do as many records of the feed as a ring has",
    { ...docker, replay: ring(4, false, false), head: unjoined(256) },
    gapFor("overrun")
  ],
  [
    "says a restart where neither a part of a ring nor all of the feed's beginning is known",
    { ...docker, replay: ring(4, false, false), head: unjoined(5) },
    gapFor("restart")
  ],
  [
    "lets the containers tell where no record is known and a ring could not be read whole",
    { ...docker, knowsNothing: true, replay: ring(300, false, false) },
    { ...none, gapIfDifferent: "restart", compares: true }
  ],
  ["goes on with podman from the last record", podman, none],
  ["says an overrun where podman has the last record no more", { ...podman, head: unjoined(1) }, gapFor("overrun")],
  ["goes on with podman from the meeting where no record came", { ...podman, knowsNothing: true }, none]
]

describe("a feed that is opened", () => {
  for (const [what, facts, plan] of cases) it(what, () => assert.deepStrictEqual(Resume.decide(facts), plan))

  it("is that of the same engine unless both identities are known and differ", () => {
    assert.strictEqual(Resume.meetingOf(undefined, "A"), "first")
    assert.strictEqual(Resume.meetingOf("A", "A"), "again")
    assert.strictEqual(Resume.meetingOf("A", ""), "again")
    assert.strictEqual(Resume.meetingOf("", "A"), "again")
    assert.strictEqual(Resume.meetingOf("A", "B"), "other-engine")
  })
})
