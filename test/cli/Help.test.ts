/** The help texts, and the options of the command line as README.md has them. */

import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, it } from "@effect/vitest"
import { assert } from "vitest"
import * as Arguments from "../../src/cli/Arguments.ts"
import { grammars, reference } from "../../src/cli/Cli.ts"
import * as Help from "../../src/cli/Help.ts"
import * as Reference from "../../src/cli/Reference.ts"

const readme = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8").split("\n")

const rows = readme.filter((line) => line.startsWith("| `-"))

const { commands, des } = reference()
const all = [des, ...commands]

const plain = (width: number): Help.Style => ({ width, bold: (text) => text })

/** The names of options that a text has. */
const optionsIn = (lines: ReadonlyArray<string>): ReadonlySet<string> =>
  new Set(lines.join("\n").match(/(?<=--)[a-z][a-z-]*/g) ?? [])

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

  it("README.md has the exit codes of the help", () => {
    for (const [code] of Reference.exitCodes.rows) {
      assert.isTrue(
        readme.some((line) => line.startsWith(`| ${code} |`)),
        code
      )
    }
  })
})

describe("an option of one name", () => {
  it("takes a value in every command or in none, so that a value is never taken for a command's name", () => {
    const options = [grammars.des, ...grammars.subcommands.values()].flatMap((grammar) => grammar.options)
    for (const { name, placeholder, short } of options) {
      for (const other of options.filter((option) => option.name === name)) {
        assert.deepStrictEqual([other.short, other.placeholder], [short, placeholder], name)
      }
    }
  })
})

describe("des --help", () => {
  it("fits on a screen of 80 columns and 45 lines", () => {
    const lines = Help.overview(des, commands, plain(80))
    assert.isAtMost(lines.length, 45)
    assert.isAtLeast(lines.length, 24)
    for (const line of lines) assert.isAtMost(line.length, 80, line)
  })

  it("is as wide as the terminal", () => {
    for (const width of [50, 60, 70, 100]) {
      for (const line of Help.overview(des, commands, plain(width))) assert.isAtMost(line.length, width, line)
    }
  })

  it("names each command and each option of des, and nothing else", () => {
    const lines = Help.overview(des, commands, plain(80))
    for (const { name } of grammars.subcommands.values()) {
      assert.isTrue(
        lines.some((line) => line.startsWith(`  ${name.replace(/^des /, "")} `)),
        name
      )
    }
    assert.deepStrictEqual([...optionsIn(lines)].toSorted(), grammars.des.options.map(({ name }) => name).toSorted())
  })
})

describe("the whole help of", () => {
  for (const command of all) {
    it(`${command.name} explains each option, with an example`, () => {
      const lines = Help.whole(command, plain(80))
      for (const line of lines) assert.isAtMost(line.length, 80, line)
      const grammar = grammars.subcommands.get(command.name.replace(/^des ?/, "")) ?? grammars.des
      assert.deepStrictEqual(
        command.options.map(({ name }) => name),
        grammar.options.map(({ name }) => name)
      )
      for (const option of command.options) {
        assert.match(option.description, /^\S.*\S$/, option.name)
        assert.strictEqual(option.example === undefined, option.placeholder === undefined, option.name)
        assert.include(lines.join("\n"), `      Example: ${Help.exampleOf(command, option)}`)
      }
    })

    it(`${command.name} has only examples that des accepts`, () => {
      for (const option of command.options) {
        const parsed = Arguments.parse(grammars, Help.exampleOf(command, option).split(" ").slice(1))
        if ("problem" in parsed) return assert.fail(parsed.problem)
        assert.deepStrictEqual(parsed.values.get(option.name), [option.example ?? ""])
      }
    })
  }

  it("des has the exit codes, and the variable of each option that has one", () => {
    const names = des.options.map(({ name }) => name)
    const text = Help.whole(des, plain(80), [Reference.exitCodes, Reference.optionVariables(names)]).join("\n")
    for (const part of ["  130, 143  stopped by SIGINT", "  DES_JOBS", "  DES_STATE_DIR"]) assert.include(text, part)
    assert.notInclude(text, "DES_HELP")
  })
})

describe("the variables in the help", () => {
  it("are all that the code reads", () => {
    const root = join(import.meta.dirname, "../../src")
    const source = readdirSync(root, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => readFileSync(join(root, file), "utf8"))
      .join("\n")
    const read =
      source.match(/(?<=(?:process[.]env|variables|own)\[")[A-Z_]+(?="\])|(?<=nonEmptyString\(")[A-Z_]+/g) ?? []
    assert.isAtLeast(read.length, 10)
    const named = Reference.variables.rows.flatMap(([names]) => names.split(", "))
    // DES_RUN is read from scripts that outlived des, not from its own environment.
    assert.deepStrictEqual(
      [...new Set(read)].filter((name) => !named.includes(name) && name !== "DES_RUN"),
      []
    )
  })
})

describe("a text in the help", () => {
  it("is broken between words, and a word that is too long stays whole", () => {
    assert.deepStrictEqual(Help.wrap("one two three-hundred four", 8), ["one two", "three-hundred", "four"])
  })
})
