/** The options as the help, README.md and the library have them. */

import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assert } from "vitest"
import { grammars } from "../../src/cli/Cli.ts"
import * as Help from "../../src/cli/Help.ts"
import * as State from "../../src/cli/State.ts"
import { des } from "../../src/cli/Watch.ts"
import * as Keep from "../../src/journal/Keep.ts"

const readme = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8").split("\n")

const help = Help.format(des, [], (text) => text)

describe("every option of des", () => {
  for (const { fallback, name, placeholder = "", short } of des.options) {
    it(`--${name} has a row in README.md, with its spelling and its default`, () => {
      const row = readme.find(
        (line) => line.startsWith("| `-") && line.includes(`--${name}${placeholder === "" ? "`" : " "}`)
      )
      assert.isDefined(row, "a row")
      assert.include(row, placeholder)
      if (short !== undefined) assert.include(row, `\`-${short}\``)
      if (fallback === undefined) return
      const [shown] = [`default ${fallback}`, `default \`${fallback}\``, `\`${fallback}\` (default`].filter((text) =>
        row?.includes(text)
      )
      assert.isDefined(shown, `the default ${fallback} in ${row}`)
      assert.include(help.replaceAll(/\s+/g, " "), `(default ${fallback})`)
    })
  }

  it("README.md has no row for an option that des does not have", () => {
    const names = new Set(des.options.map(({ name }) => name))
    const rows = readme
      .filter((line) => line.startsWith("| `-"))
      .flatMap((line) => line.split(" | ")[0]?.match(/--[a-z-]+/g) ?? [])
    assert.deepStrictEqual(
      rows.filter((option) => !names.has(option.slice(2))),
      []
    )
  })
})

describe("the help", () => {
  it("keeps to 80 columns", () => {
    for (const line of help.split("\n")) assert.isBelow(line.length, 80, line)
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

describe("the default of --keep", () => {
  it.effect("is that of the journal", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* State.keep.read([]), Keep.defaults)
    })
  )
})
