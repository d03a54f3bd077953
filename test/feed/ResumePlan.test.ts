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
  replay: { count: 0, isKnown: true, isWhole: false }
}

const none = { gap: undefined, gapIfDifferent: undefined, compares: false, synthesises: true, isOver: false }
const gapFor = (gap: Resume.Plan["gap"]): Resume.Plan => ({ ...none, gap, compares: true })
const unjoined = (count: number) => ({ count, isJoined: false })
const ring = (count: number, isKnown: boolean, isWhole = true) => ({ count, isKnown, isWhole })

const cases: ReadonlyArray<readonly [what: string, facts: Resume.Facts, plan: Resume.Plan]> = [
  ["continues if a record of the ring is known", docker, none],
  [
    "takes events before the first connection as over, and believes the running containers",
    { ...docker, meeting: "first", knowsNothing: true, replay: ring(10, false) },
    { ...none, compares: true, synthesises: false, isOver: true }
  ],
  [
    "emits a start for each running container at the first connection if asked to",
    { ...docker, meeting: "first", knowsNothing: true, replay: ring(10, false), sync: true },
    { ...none, compares: true, isOver: true }
  ],
  [
    "reports a gap for another engine, also if a record is known",
    { ...docker, meeting: "other-engine" },
    { ...gapFor("other-engine"), isOver: true }
  ],
  ["reports a restart if a short ring has no known record", { ...docker, replay: ring(255, false) }, gapFor("restart")],
  ["reports an overrun if a full ring has no known record", { ...docker, replay: ring(256, false) }, gapFor("overrun")],
  [
    "reports a gap only if the containers differ, with no remembered records",
    { ...docker, knowsNothing: true, replay: ring(3, false) },
    { ...none, gapIfDifferent: "restart", compares: true }
  ],
  [
    "reports an overrun for a full ring, with no remembered records",
    { ...docker, knowsNothing: true, replay: ring(256, false) },
    { ...gapFor("overrun"), gapIfDifferent: "restart" }
  ],
  [
    "reports an overrun if the feed begins after the end of the ring that was read",
    { ...docker, head: unjoined(256) },
    gapFor("overrun")
  ],
  [
    "reports a restart if the feed begins again after the ring was read",
    { ...docker, head: unjoined(2) },
    gapFor("restart")
  ],
  [
    "continues if the part of the ring that was read has a known record",
    { ...docker, replay: ring(4, true, false) },
    none
  ],
  [
    "continues if a part of the ring has no known record and the feed has one",
    { ...docker, replay: ring(4, false, false), head: { count: 80, isJoined: true } },
    none
  ],
  [
    "reports an overrun if neither a part of the ring nor 256 records of the feed have a known one",
    { ...docker, replay: ring(4, false, false), head: unjoined(256) },
    gapFor("overrun")
  ],
  [
    "reports a restart if neither a part of the ring nor the few first records of the feed have a known one",
    { ...docker, replay: ring(4, false, false), head: unjoined(5) },
    gapFor("restart")
  ],
  [
    "reports a gap only if the containers differ, with no remembered records and a ring that was read in part",
    { ...docker, knowsNothing: true, replay: ring(300, false, false) },
    { ...none, gapIfDifferent: "restart", compares: true }
  ],
  ["continues with podman after the last record", podman, none],
  [
    "reports an overrun if podman does not have the last record any more",
    { ...podman, head: unjoined(1) },
    gapFor("overrun")
  ],
  ["continues with podman from the first connection if no record came since", { ...podman, knowsNothing: true }, none]
]

describe("the plan for a feed that is opened", () => {
  for (const [what, facts, plan] of cases) it(what, () => assert.deepStrictEqual(Resume.decide(facts), plan))

  it("takes two engines for the same unless both IDs are known and differ", () => {
    assert.strictEqual(Resume.meetingOf(undefined, "A"), "first")
    assert.strictEqual(Resume.meetingOf("A", "A"), "again")
    assert.strictEqual(Resume.meetingOf("A", ""), "again")
    assert.strictEqual(Resume.meetingOf("", "A"), "again")
    assert.strictEqual(Resume.meetingOf("A", "B"), "other-engine")
  })
})
