/** Records with millions of values: what becomes of them in the environment of a script. */

import { assert, describe, it } from "@effect/vitest"
import * as Environment from "../../src/scripts/Environment.ts"
import { makeEvent } from "../../src/testing.ts"

const base = Environment.base({
  own: { PATH: "/usr/bin:/bin" },
  user: { name: "root", home: "/root", shell: "/bin/sh" }
})

/** A record with all that the engine says itself, and with `many` before the labels and among them. */
const poison = (labels: string, fields: string): string =>
  `{"Type":"container","Action":"die",${fields}"Actor":{"ID":"c0ffee","Attributes":{${labels}"exitCode":"7","image":"nginx","name":"web"}},"scope":"local","time":1795453740,"timeNano":1795453740123456789}`

const engineSays = {
  TYPE: "container",
  ACTION: "die",
  STATUS: "die",
  ID: "c0ffee",
  FROM: "nginx",
  ACTOR_ID: "c0ffee",
  ACTOR_ATTRIBUTES_EXITCODE: "7",
  ACTOR_ATTRIBUTES_NAME: "web",
  SCOPE: "local",
  TIME: "1795453740",
  TIMENANO: "1795453740123456789"
}

const many: Readonly<Record<string, readonly [labels: string, fields: string, left: number]>> = {
  "a million labels": [Array.from({ length: 1_000_000 }, (_, at) => `"l${at}":"v",`).join(""), "", 995_904],
  "an array of ten million numbers": ["", `"z":[${"1,".repeat(9_999_999)}1],`, 9_995_000],
  "a million labels that meet in one name": [
    Array.from(
      { length: 1_000_000 },
      (_, at) => `"${at.toString(2).replaceAll("0", ".").replaceAll("1", "-")}":"v",`
    ).join(""),
    "",
    995_904
  ],
  "a million numbers that fit no double": ["", `"z":[${"12345678901234567890123,".repeat(999_999)}1],`, 995_904],
  "a million objects in one another": ["", `"z":${'{"a":'.repeat(1_000_000)}1${"}".repeat(1_000_000)},`, 1],
  "five million empty objects": ["", `"z":[${"{},".repeat(4_999_999)}1],`, 4_995_000],
  "a key of the engine's that stands a million times": [`"exitCode":"0",`.repeat(1_000_000), "", 0]
}
describe("the environment of a script", () => {
  for (const [what, [labels, fields, left]] of Object.entries(many)) {
    it(`keeps what the engine says of a record with ${what}, counts the rest, and takes less time than JSON.parse`, () => {
      const record = poison(labels, fields)
      const event = makeEvent({ action: "die", attributes: { exitCode: "7", image: "nginx", name: "web" } })
      const milliseconds = (work: () => void) => {
        const before = process.cpuUsage()
        work()
        return process.cpuUsage(before).user / 1000
      }
      let environment: Environment.Environment = {}
      const flattened = milliseconds(() => {
        environment = Environment.make({ ...event, record }, base)
      })
      assert.include(environment, engineSays)
      const counted = Number(/\+(\d+)$/.exec(environment["DES_TRUNCATED"] ?? "")?.[1] ?? 0)
      assert.isAtLeast(counted, left)
      assert.isAtMost(Object.keys(environment).length, 4200)
      assert.isBelow(
        flattened,
        Math.max(
          300,
          milliseconds(() => JSON.parse(record))
        )
      )
    })
  }
})
