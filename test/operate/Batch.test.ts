import * as HttpBody from "@effect/platform/HttpBody"
import { assert, describe, it } from "vitest"
import * as Batch from "../../src/operate/Batch.ts"

describe("a batch", () => {
  it.each([
    [[], 10, []],
    [["a", "b"], 20, ["a", "b"]],
    [["a", "b", "c", "d"], 10, ["a", "b"]],
    [["a", "b", "c"], 8, ["a"]],
    [["x".repeat(100), "b"], 20, []]
  ] as const)("of %j has at most %i bytes, and so %j", (records, most, kept) => {
    const { body, dropped } = Batch.make<string>(records, (some) => HttpBody.unsafeJson(some), most)
    assert.isAtMost(body.contentLength ?? Number.POSITIVE_INFINITY, most)
    assert.strictEqual(body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : "", JSON.stringify(kept))
    assert.strictEqual(dropped, records.length - kept.length)
  })
})
