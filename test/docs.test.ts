import { execFile } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
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

writeFileSync(
  join(folder, "tsconfig.json"),
  JSON.stringify({
    extends: join(root, "tsconfig.json"),
    compilerOptions: {
      paths: {
        "docker-event-scripts": [join(root, "src/index.ts")],
        "docker-event-scripts/state": [join(root, "src/state.ts")],
        "docker-event-scripts/testing": [join(root, "src/testing.ts")]
      }
    },
    include: [],
    files: written.map(({ name }) => join(folder, name))
  })
)

describe("the programs in the docs", () => {
  it("are there", () => {
    assert.isAtLeast(written.length, 5)
  })

  // In a process of its own: it computes for many seconds.
  it("type-check", async () => {
    const tsc = [join(root, "node_modules/typescript/bin/tsc"), "--pretty", "false", "-p", folder]
    const problems = await promisify(execFile)(process.execPath, tsc).then(
      () => "",
      ({ stdout }: { readonly stdout: string }) => stdout
    )
    assert.strictEqual(problems, "")
  }, 300_000)

  it("of the testing page gives what the page says", async () => {
    const testing = written.find(({ text }) => text.includes("docker-event-scripts/testing"))
    assert.isDefined(testing)
    const module = await import(pathToFileURL(join(folder, testing?.name ?? "")).href)
    assert.deepStrictEqual(await Effect.runPromise(module.exitCodes), ["137"])
  })
})
