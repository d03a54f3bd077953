import { spawnSync } from "node:child_process"
import { fstatSync, openSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as JournalStream from "../../src/cli/JournalStream.ts"
import * as Program from "../support/Program.ts"
import * as TempFolder from "../support/TempFolder.ts"

describe("JOURNAL_STREAM", () => {
  it("names a file by its device and inode", () => {
    const file = { dev: 8n, ino: 9_007_199_254_740_993n }
    assert.isTrue(JournalStream.names("8:9007199254740993", file))
    for (const other of [undefined, "", "8:9007199254740992", "8:90071992547409930", "9:9007199254740993", "8"]) {
      assert.isFalse(JournalStream.names(other, file), String(other))
    }
  })

  it.scopedLive("adds the priority to the lines of des only if it names the stderr of des", () =>
    Effect.gen(function* () {
      const directory = yield* TempFolder.make("journal-stream")
      const log = `${directory}/log`
      const stderr = openSync(log, "a")
      const { dev, ino } = fstatSync(stderr, { bigint: true })
      for (const stream of [`${dev}:${ino}`, `${dev}:${ino + 1n}`]) {
        spawnSync(process.execPath, [Program.bin, "--from", "-", "-d", `${directory}/none`], {
          env: { JOURNAL_STREAM: stream },
          stdio: ["ignore", "ignore", stderr]
        })
      }
      const [named = "", other = ""] = readFileSync(log, "utf8")
        .split("\n")
        .filter((line) => line.includes("does not exist"))
      assert.match(named, /^<3>\d{4}-\d\d-\d\d .* - ERROR - /)
      assert.match(other, /^\d{4}-\d\d-\d\d .* - ERROR - /)
    })
  )
})
