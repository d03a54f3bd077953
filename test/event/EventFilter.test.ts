import { assert, describe, it } from "@effect/vitest"
import * as EventFilter from "../../src/event/EventFilter.ts"
import { makeEvent } from "../../src/testing.ts"

const die = makeEvent({
  action: "die",
  id: "c0ffee123",
  attributes: { name: "web", image: "registry:5000/nginx:alpine", exitCode: "1", role: "db", list: "a,b" }
})
const health = makeEvent({ action: "health_status: healthy" })
const pull = makeEvent({ type: "image", action: "pull", id: "nginx:alpine", attributes: { name: "nginx" } })

const shows = (text: string, event = die): boolean => {
  const filters = EventFilter.parse(text)
  return typeof filters === "string" ? assert.fail(filters) : EventFilter.matches(filters, event)
}

describe("a filter, as docker events has it", () => {
  for (const text of [
    "type=container",
    "event=die",
    "container=web",
    "container=we",
    "container=c0ffee",
    "image=registry:5000/nginx:alpine",
    "image=registry:5000/nginx",
    "label=role",
    "label=role=db",
    "label=list=a,b",
    "scope=local",
    "event=start,event=die",
    "type=container,event=die,label=role=db"
  ]) {
    it(`${text} shows the event`, () => assert.isTrue(shows(text)))
  }

  for (const text of [
    "type=image",
    "event=start",
    "event=di",
    "container=db",
    "volume=web",
    "image=nginx",
    "label=none",
    "label=role=web",
    "label=__proto__",
    "label=role=db,label=none",
    "type=container,event=start",
    "scope=swarm"
  ]) {
    it(`${text} does not show the event`, () => assert.isFalse(shows(text)))
  }

  it("takes an action with and without what stands behind its colon", () => {
    assert.isTrue(shows("event=health_status", health))
    assert.isTrue(shows("event=health_status: healthy", health))
    assert.isFalse(shows("event=health_status: unhealthy", health))
  })

  it("finds an image by its ID and its name", () => {
    assert.isTrue(shows("image=nginx", pull))
    assert.isTrue(shows("image=nginx:alpine", pull))
    assert.isFalse(shows("image=ngin", pull))
  })

  for (const [text, why] of [
    ["typ=container", '"typ" is no filter; did you mean type?'],
    ["type", "type needs a value: type=VALUE"],
    ["type=", "type needs a value: type=VALUE"],
    ["type=a,b", undefined]
  ] as const) {
    it(`${text}: ${why ?? "is one filter"}`, () => {
      const filters = EventFilter.parse(text)
      if (why === undefined) assert.deepStrictEqual(filters, [{ key: "type", value: "a,b" }])
      else assert.strictEqual(filters, why)
    })
  }
})
