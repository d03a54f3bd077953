/** The tests of a fleet see what goes wrong: each fault alone, in lines as scripts write them. */

import { assert, describe, it } from "@effect/vitest"
import * as Ran from "../support/Ran.ts"

const well = ["begin a 1 n1 1", "begin b 1 n2 1", "end a 1 n1 1", "end b 1 n2 1", "begin a 2 n2 1", "end a 2 n2 1"]
const events = ["a 1", "a 2", "b 1"]

const cases: ReadonlyArray<readonly [what: string, lines: ReadonlyArray<string>, wrong: Partial<Ran.Wrong>]> = [
  ["nothing where all ran in order", well, {}],
  [
    "nothing where a run was cut off and ran again",
    ["begin a 1 n1 1", "begin a 1 n2 2", ...well.slice(2), "end a 1 n2 2", "end b 1 n2 1"],
    {}
  ],
  ["an event whose script never ended", well.slice(0, -1), { lost: ["a 2"] }],
  [
    "an event that began after a later one of its actor",
    ["begin a 2 n1 1", "end a 2 n1 1", "begin a 1 n1 1", "end a 1 n1 1", "end b 1 n2 1"],
    { disordered: ["a 1 after 2"] }
  ],
  ["a run beside another of its actor", [...well, "beside a 2 n2 2"], { beside: ["a 2 on n2"] }],
  ["a second run that says that it is the first", [...well, "begin a 2 n2 1"], { untrue: ["a 2: 1, then 1"] }]
]

describe("what scripts wrote down", () => {
  for (const [what, lines, wrong] of cases) {
    it(`shows ${what}`, () => {
      assert.deepStrictEqual(Ran.judge(Ran.parse(lines), events), { ...Ran.nothingWrong, ...wrong })
    })
  }

  it("shows events that ended twice", () => {
    assert.deepStrictEqual(Ran.endedTwice(Ran.parse(well)), [])
    assert.deepStrictEqual(Ran.endedTwice(Ran.parse([...well, "end a 2 n1 2"])), ["a 2"])
  })
})
