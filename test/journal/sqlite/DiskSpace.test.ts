import { assert, describe, it } from "@effect/vitest"
import * as DiskSpace from "../../../src/journal/sqlite/DiskSpace.ts"

const mebibyte = 1_048_576
const large = 100_000 * mebibyte

describe("a disk", () => {
  it.each([
    ["with much room is fine", false, 5000, large, false, undefined],
    [
      "with less than 256 MiB is short",
      false,
      255,
      large,
      true,
      /^255 MiB are left .* less than 256 MiB; when the disk is full, des stops/
    ],
    ["that is short is so for some time, without a word", true, 255, large, true, undefined],
    ["that is short stays so just above the bound", true, 300, large, true, undefined],
    ["that was short and has more is fine again", true, 400, large, false, /has space again: 400 MiB are left/],
    [
      "that is small is short with less than a tenth",
      false,
      9,
      100 * mebibyte,
      true,
      /^9 MiB are left .* less than 10 MiB/
    ],
    ["that is small has room with more than a tenth", false, 11, 100 * mebibyte, false, undefined]
  ] as const)("%s", (_, wasShort, free, total, isShort, says) => {
    const judged = DiskSpace.judge(wasShort, { free: free * mebibyte, total })
    assert.strictEqual(judged.isShort, isShort)
    if (says === undefined) assert.isUndefined(judged.says)
    else assert.match(judged.says ?? "", says)
  })
})
