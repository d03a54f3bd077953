/** The manual pages, as man(1) shows them. */

import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { describe, it } from "@effect/vitest"
import { afterAll, assert } from "vitest"
import { manualPages } from "../support/ManualPages.ts"
import * as TempFolder from "../support/TempFolder.ts"

const folder = TempFolder.makeSync("man")
afterAll(() => TempFolder.removeSync(folder))

const isInstalled = process.env["DES_REQUIRE_ENGINES"] === "1" || spawnSync("man", ["--version"]).status === 0

describe.skipIf(!isInstalled)("man", () => {
  for (const [name, text] of Object.entries(manualPages())) {
    it(`shows ${name} without a warning, with its sections and options`, () => {
      const file = Path.join(folder, name)
      Fs.writeFileSync(file, text)
      const { status, stderr, stdout } = spawnSync("man", ["--warnings=all", "-l", file], {
        env: { PATH: process.env["PATH"], MANWIDTH: "80", LC_ALL: "C.UTF-8" },
        encoding: "utf8"
      })
      assert.strictEqual(status, 0, stderr)
      // A line of code can be longer than the page.
      assert.deepStrictEqual(
        stderr.split("\n").filter((line) => line !== "" && !line.endsWith("can't break line")),
        []
      )
      const sections = Array.from(text.matchAll(/^[.]SH "(.*)"$/gm), ([, title = ""]) => title)
      assert.isAtLeast(sections.length, 5)
      for (const title of sections) assert.match(stdout, new RegExp(`^${title}$`, "m"))
      assert.match(stdout, name === "des.1" ? /^ +-d, --directory DIR$/m : /^ +timeout=DURATION$/m)
    })
  }
})
