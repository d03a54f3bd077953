/** The options of the command line as README.md has them. */

import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, it } from "@effect/vitest"
import { assert } from "vitest"
import { grammars } from "../../src/cli/Cli.ts"

const readme = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8").split("\n")

const rows = readme.filter((line) => line.startsWith("| `-"))

describe("every option of des", () => {
  for (const { name, placeholder, short, words } of grammars.des.options) {
    it(`--${name} has a row in README.md, with its spelling`, () => {
      const row = rows.find((line) => line.includes(`--${name}${placeholder === undefined ? "`" : " "}`))
      assert.isDefined(row, "a row")
      if (placeholder !== undefined && words === undefined) assert.include(row, placeholder)
      if (short !== undefined) assert.include(row, `\`-${short}\``)
    })
  }

  it("README.md has no row for an option that des does not have", () => {
    const names = new Set(grammars.des.options.map(({ name }) => name))
    const written = rows.flatMap((line) => line.split(" | ")[0]?.match(/--[a-z-]+/g) ?? [])
    assert.deepStrictEqual(
      written.filter((option) => !names.has(option.slice(2))),
      []
    )
  })
})

describe("an option of one name", () => {
  it("takes a value in every command or in none, so that a value is never taken for a command's name", () => {
    const all = [grammars.des, ...grammars.subcommands.values()].flatMap(({ options }) => options)
    for (const { name, placeholder, short } of all) {
      for (const other of all.filter((option) => option.name === name)) {
        assert.deepStrictEqual([other.short, other.placeholder], [short, placeholder], name)
      }
    }
  })
})
