import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import ts from "typescript"
import { afterAll } from "vitest"

const root = resolve(import.meta.dirname, "..")

interface Program {
  readonly name: string
  readonly text: string
}

/** The TypeScript programs that a page shows. */
const programs = (page: string): ReadonlyArray<Program> =>
  Array.from(readFileSync(join(root, page), "utf8").matchAll(/^```ts\n(.*?)^```$/gms), (match, at) => ({
    name: `${page.replaceAll(/\W/g, "-")}-${at + 1}.ts`,
    text: match[1] ?? ""
  }))

const pages = ["README.md", ...readdirSync(join(root, "docs")).map((page) => `docs/${page}`)].filter((page) =>
  page.endsWith(".md")
)

// In the tree, so that the programs find their packages as a user's program does.
const folder = mkdtempSync(join(root, "node_modules", ".docs-"))
afterAll(() => rmSync(folder, { recursive: true }))

const written = pages.flatMap(programs)
for (const { name, text } of written) writeFileSync(join(folder, name), text)

const config = ts.parseJsonConfigFileContent(
  ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile).config,
  ts.sys,
  root
).options

describe("the programs in the docs", () => {
  it("are there", () => {
    assert.isAtLeast(written.length, 5)
  })

  it("type-check", () => {
    const program = ts.createProgram(
      written.map(({ name }) => join(folder, name)),
      {
        ...config,
        paths: {
          "docker-event-scripts": [join(root, "src/index.ts")],
          "docker-event-scripts/state": [join(root, "src/state.ts")],
          "docker-event-scripts/testing": [join(root, "src/testing.ts")]
        }
      }
    )
    const problems = ts.getPreEmitDiagnostics(program).map(({ file, messageText, start }) => {
      const line = file === undefined || start === undefined ? 0 : file.getLineAndCharacterOfPosition(start).line + 1
      return `${file?.fileName}:${line} ${ts.flattenDiagnosticMessageText(messageText, "\n")}`
    })
    assert.deepStrictEqual(problems, [])
  }, 120_000)

  it("of the testing page gives what the page says", async () => {
    const testing = written.find(({ text }) => text.includes("docker-event-scripts/testing"))
    assert.isDefined(testing)
    const module = await import(pathToFileURL(join(folder, testing?.name ?? "")).href)
    assert.deepStrictEqual(await Effect.runPromise(module.exitCodes), ["137"])
  })
})
