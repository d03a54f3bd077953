/** The manual pages, as text. test/install/man.test.ts reads them with man(1). */

import { readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { assert, describe, it } from "vitest"
import * as Markdown from "../man/Markdown.ts"
import * as Roff from "../man/Roff.ts"
import packageJson from "../package.json" with { type: "json" }
import { reference } from "../src/cli/Cli.ts"
import * as Reference from "../src/cli/Reference.ts"
import * as ScriptOptions from "../src/scripts/ScriptOptions.ts"
import { manualPages } from "./support/ManualPages.ts"

const pages = manualPages()
const { commands, des } = reference()

/** The part of a page below a title. */
const below = (page: string, title: string): string =>
  page.split(/^(?=[.]S[HS] )/m).find((part) => part.startsWith(title)) ?? ""

/** The macros of man(7) that the pages use. */
const macros = new Set(["TH", "SH", "SS", "PP", "TP", "IP", "RS", "RE", "nf", "fi", "br", "nh", "ad"])

describe("the manual pages", () => {
  it("are those that package.json installs", () => {
    assert.deepStrictEqual(
      Object.keys(pages),
      packageJson.man.map((file) => basename(file))
    )
  })

  for (const [name, page] of Object.entries(pages)) {
    it(`are plain roff, which every system shows: ${name}`, () => {
      assert.match(page, /^[.]TH "DES/)
      assert.notMatch(page, /[^\n\x20-\x7e]/)
      const open: Array<string> = []
      for (const line of page.split("\n")) {
        assert.notMatch(line, /^'/, line)
        const macro = /^[.](\w+)/.exec(line)?.[1]
        if (line.startsWith(".")) assert.isTrue(macro !== undefined && macros.has(macro), line)
        if (macro === "nf" || macro === "RS") open.push(macro)
        if (macro === "fi") assert.strictEqual(open.pop(), "nf")
        if (macro === "RE") assert.strictEqual(open.pop(), "RS")
        assert.strictEqual(line.split("\\fB").length, line.split("\\fR").length, line)
        assert.notMatch(line, /\\(?![-eu&[(f])/, line)
      }
      assert.deepStrictEqual(open, [])
    })
  }
})

describe("des(1)", () => {
  const page = pages["des.1"] ?? ""

  for (const command of [des, ...commands]) {
    it(`has every option of ${command.name}`, () => {
      const title = command === des ? '.SH "OPTIONS"' : `.SS "${Roff.escape(command.name)} `
      const own = below(page, title)
      for (const { name } of command.options) {
        const option = Roff.escape(`--${name}`).replaceAll("\\", "\\\\")
        const isShared = [des, ...commands].every(({ options }) => options.some((other) => other.name === name))
        assert.match(isShared ? page : own, new RegExp(`^\\\\fB(.{2,4} )?${option}( .*)?\\\\fR$`, "m"), name)
      }
    })
  }

  it("has the exit codes and the variables of the help", () => {
    for (const [term] of [...Reference.exitCodes.rows, ...Reference.variables.rows]) {
      assert.include(page, Roff.bold(term))
    }
    assert.include(page, Roff.bold("DES_STATE_DIR"))
  })
})

describe("des-scripts(7)", () => {
  const page = pages["des-scripts.7"] ?? ""

  it("has every option that the head of a script can have", () => {
    const unknown = ScriptOptions.parse("# des: nosuchoption=1\n")
    const names = "message" in unknown ? (unknown.message.split("the options are ")[1]?.split(", ") ?? []) : []
    assert.isAtLeast(names.length, 10)
    for (const name of names) assert.include(page, `\\fB${Roff.escape(name)}`, name)
  })

  it("has every variable of a script that README.md has", () => {
    const readme = readFileSync(join(import.meta.dirname, "../README.md"), "utf8")
    const names =
      Markdown.sectionOf(readme, "What a script gets").match(/(?<=`)(DES|TIME|ACTOR|DOCKER)[A-Z_]*(?=`)/g) ?? []
    assert.isAtLeast(names.length, 12)
    for (const name of names) assert.include(page, Roff.bold(name))
  })
})

describe("Markdown as roff", () => {
  it("keeps paragraphs, lists, tables, code and titles", () => {
    const markdown = [
      "One **bold** and",
      "`--two`, see [there](x.md).",
      "",
      "- first",
      "  goes on",
      "- second",
      "",
      "| option | does | example |",
      "|---|---|---|",
      "| `a=B` | this | `a=1` |",
      "",
      "    code  with \\n",
      "",
      "    more",
      "",
      "### Title"
    ].join("\n")
    assert.deepStrictEqual(Markdown.toRoff(markdown), [
      ".PP\nOne \\fBbold\\fR and \\fB\\-\\-two\\fR, see there.",
      ".IP \\(bu 2\nfirst goes on",
      ".IP \\(bu 2\nsecond",
      ".TP\n\\fBa=B\\fR\nthis\n.br\nExample: \\fBa=1\\fR",
      ".PP\n.RS 4\n.nf\ncode  with \\en\n\\&\nmore\n.fi\n.RE",
      '.SS "Title"'
    ])
  })

  it("gives nothing a meaning to roff that was text", () => {
    assert.strictEqual(Roff.escape(".so /etc/passwd\n'x\\fB…"), "\\&.so /etc/passwd\n\\&'x\\efB\\[u2026]")
    assert.strictEqual(Markdown.inline(".dot"), "\\&.dot")
  })
})
