/** docs/limits.md as the code has it. */

import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"

const root = join(import.meta.dirname, "..")

/** The rows of the page's tables: what is bounded, the bound, and where its constant is. */
const rows = readFileSync(join(root, "docs", "limits.md"), "utf8")
  .split("\n")
  .map((line) => line.split(" | "))
  .flatMap(([what = "", bound = "", where = ""]) => {
    const [, constant, file] = /^`(\w+)`, (\S+[.]ts)$/.exec(where) ?? []
    return constant === undefined || file === undefined
      ? []
      : [{ what: what.replace(/^\| /, ""), bound, constant, file }]
  })

/** How the code may write a number of the page. */
const spellings = (bound: string): ReadonlyArray<string> => {
  const [, digits = "", unit = ""] = /(\d[\d,]*)\s*(\w*)/.exec(bound) ?? []
  if (digits === "") return []
  const number = Number(digits.replaceAll(",", ""))
  const scales: Readonly<Record<string, number>> = {
    ms: 1,
    second: 1000,
    seconds: 1000,
    minutes: 60_000,
    days: 1,
    KiB: 1024,
    MiB: 1024 ** 2,
    GiB: 1024 ** 3
  }
  const scaled = number * (scales[unit] ?? 1)
  return [String(number), String(scaled), `"${number} ${unit}"`, `"${number} ${unit === "ms" ? "millis" : unit}"`]
}

/** The definition of a constant, without the underscores of its numbers. */
const definitionOf = (file: string, constant: string): string => {
  const text = readFileSync(join(root, "src", file), "utf8")
  const at = text.search(new RegExp(`\\bconst ${constant}\\b`))
  assert.isAtLeast(at, 0, `${file} has no ${constant}`)
  return text.slice(at, at + 160).replaceAll(/(?<=\d)_(?=\d)/g, "")
}

const isIn = (definition: string, text: string): boolean => new RegExp(`(?<!\\d)${text}(?!\\d)`).test(definition)

describe("docs/limits.md", () => {
  it("has rows", () => {
    assert.isAtLeast(rows.length, 40)
  })

  for (const { bound, constant, file, what } of rows) {
    it(`has the bound of ${what} that ${constant} in ${file} has`, () => {
      const definition = definitionOf(file, constant)
      const written = spellings(bound)
      if (written.length > 0)
        assert.isTrue(
          written.some((text) => isIn(definition, text)),
          `${bound}: ${definition}`
        )
    })
  }
})
