/** docs/design.md as the tree has it. */

import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"

const root = join(import.meta.dirname, "..")

const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" }).filter((file) =>
  file.endsWith(".ts")
)

const page = readFileSync(join(root, "docs", "design.md"), "utf8")
const table = page.slice(page.indexOf("## Where to find it"), page.indexOf("## How to add"))
const named = Array.from(table.matchAll(/`([A-Z]\w+[.]ts)`/g), ([, name = ""]) => name)

describe("docs/design.md", () => {
  it("names many files", () => {
    assert.isAtLeast(named.length, 90)
  })

  for (const name of named) {
    it(`names ${name}, which exists`, () => {
      assert.isTrue(files.some((file) => file === name || file.endsWith(`/${name}`)))
    })
  }

  const entryPoints = ["bin.ts", "fleet.ts", "index.ts", "state.ts", "testing.ts"]
  for (const file of files.filter((path) => !entryPoints.includes(path))) {
    it(`says what src/${file} does`, () => {
      assert.include(named, file.replace(/^.*\//, ""))
    })
  }
})
