import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as NearMiss from "../src/NearMiss.ts"

const names = ["container", "start", "stop", "die", "health_status", "exec_create"]

describe("the name that was probably meant", () => {
  it.each([
    ["containers", "container"],
    ["conatiner", "container"],
    ["Start", "start"],
    ["started", "start"],
    ["dye", "die"],
    ["sotp", "stop"],
    ["dei", "die"],
    ["asdf", undefined],
    ["healthstatus", "health_status"],
    ["nothing", undefined],
    ["di", "die"],
    ["", undefined]
  ])("of %s is %s", (text, expected) => {
    assert.strictEqual(NearMiss.find(text, names), expected)
  })

  it("is one of the names, for any text, and a name itself is meant as it is", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.string({ unit: "binary", maxLength: 2000 }), (text) => {
        const found = NearMiss.find(text, names)
        if (found !== undefined) assert.include(names, found)
      })
    )
    for (const name of names) assert.strictEqual(NearMiss.find(name, names), name)
  })
})
