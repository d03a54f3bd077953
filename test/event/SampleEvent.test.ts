import { assert, describe, it } from "@effect/vitest"
import { entries, ownActions } from "../../src/event/EventCatalogue.ts"
import * as SampleEvent from "../../src/event/SampleEvent.ts"

describe("a sample of an event", () => {
  for (const { action, attributes, type } of entries) {
    it(`of ${type}/${action} has attributes of the catalogue only, and an ID`, () => {
      const sample = SampleEvent.make(type, action, {})
      assert.deepStrictEqual(
        Object.keys(sample.attributes).filter((key) => !attributes.includes(key)),
        []
      )
      assert.notStrictEqual(sample.id, "")
      assert.isTrue(sample.action.startsWith(action))
    })
  }

  it("has what engines put behind the verb, unless another text is given", () => {
    assert.strictEqual(SampleEvent.make("container", "health_status", {}).action, "health_status: healthy")
    assert.strictEqual(SampleEvent.make("container", "health_status: unhealthy", {}).action, "health_status: unhealthy")
  })

  it("takes the values that are given, and more of them", () => {
    const { attributes } = SampleEvent.make("container", "die", { name: "web", exitCode: "137", role: "db" })
    assert.deepStrictEqual(attributes, {
      image: "alpine:latest",
      name: "web",
      exitCode: "137",
      execDuration: "1",
      role: "db"
    })
  })

  it("has the name as its ID where engines have no other", () => {
    assert.strictEqual(SampleEvent.make("volume", "create", { name: "data" }).id, "data")
  })

  for (const action of ownActions) {
    it(`of des/${action} has attributes`, () => {
      assert.isNotEmpty(SampleEvent.make("des", action, {}).attributes)
    })
  }
})
