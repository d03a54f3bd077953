import { assert, describe, it } from "@effect/vitest"
import * as RecordHead from "../../src/event/RecordHead.ts"

const labels = `"Attributes":{"ID":"other","Type":"image","label":"${"x".repeat(200)}`

/** The beginning of a record, and whose event it is. */
const beginnings: ReadonlyArray<readonly [what: string, beginning: string, head: string | undefined]> = [
  [
    "as dockerd 28 writes it",
    `{"status":"start","id":"a1","from":"busybox","Type":"container","Action":"start","Actor":{"ID":"a1",${labels}`,
    "container/start a1"
  ],
  [
    "as dockerd 29 writes it",
    `{"Type":"container","Action":"start","Actor":{"ID":"a1",${labels}`,
    "container/start a1"
  ],
  [
    "whose action looks like an actor",
    String.raw`{"Type":"container","Action":"exec_create: \",\"Actor\":{\"ID\":\"b2\"}","Actor":{"ID":"a1",` + labels,
    `container/exec_create: ","Actor":{"ID":"b2"} a1`
  ],
  ["that ends in the action", `{"Type":"container","Action":"exec_create: sh -c xxx`, undefined],
  ["that ends in an escape of the action", String.raw`{"Type":"container","Action":"exec_create: \u00`, undefined],
  ["whose labels come first", `{"Actor":{${labels}`, undefined],
  ["without an id", `{"Type":"container","Action":"start","Actor":{${labels}`, undefined],
  ["that is no JSON", "x".repeat(200), undefined],
  ["that is empty", "", undefined]
]

describe("the beginning of a record", () => {
  for (const [what, beginning, head] of beginnings) {
    it(`${what} ${head === undefined ? "does not say whose event it is" : "says whose event it is"}`, () => {
      const read = RecordHead.read(beginning, "e")
      assert.strictEqual(read && `${read.Type}/${read.Action} ${read.Actor.ID}`, head)
      if (read !== undefined) assert.deepInclude(read, { engine: "e" })
    })
  }
})
