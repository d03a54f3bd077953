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

/** The examples in the docstrings of a module. */
const examples = (module: string): ReadonlyArray<Program> =>
  Array.from(
    readFileSync(join(root, module), "utf8").matchAll(/^ \* @example\n(.*?)^ \*(?:\/| @)/gms),
    (match, at) => ({
      name: `${module.replaceAll(/\W/g, "-")}-${at + 1}.ts`,
      text: (match[1] ?? "").replaceAll(/^ \* ?/gm, "")
    })
  )

const modules = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((module) => module.endsWith(".ts"))
  .map((module) => `src/${module}`)

const written = [...pages.flatMap(programs), ...modules.flatMap(examples)]
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

/** The public modules: what `index.ts` and `state.ts` export as namespaces, and the entry points that have functions themselves. */
const publicModules = ["src/index.ts", "src/state.ts", "src/testing.ts"].flatMap((entry) => [
  entry,
  ...Array.from(
    readFileSync(join(root, entry), "utf8").matchAll(/^(?<!@internal \*\/\n)export \* as \w+ from "[.]\/(.+)"$/gm),
    ([, module = ""]) => `src/${module}`
  )
])

/** The modules that a module exports again as its own. */
const parts = (module: string): ReadonlyArray<string> => [
  module,
  ...Array.from(
    readFileSync(join(root, module), "utf8").matchAll(/^export (?:[*]|[{].*[}]) from "[.]\/(.+)"$/gm),
    ([, part = ""]) => join(module, "..", part)
  )
]

/** What a module exports, with its docstring. What is internal is left out. */
const exported = (module: string) =>
  Array.from(
    readFileSync(join(root, module), "utf8").matchAll(
      /^\/[*]{2}\n((?: [*].*\n)*?) [*]\/\nexport (?:const|class|function) (\w+)(.*)/gm
    ),
    ([, doc = "", name = "", rest = ""]) => ({ module, name, doc, rest })
  ).filter(({ doc }) => doc.includes("@since") && !doc.includes("@internal"))

/** True for a function, a layer, a service or an effect. An error, a schema or a constant needs no example. */
const needsExample = ({ doc, rest }: ReturnType<typeof exported>[number]): boolean =>
  /^ = (?:\(|<|Effect[.]fn)|^: (?:Effect[.]Effect|Layer[.]Layer)\b/.test(rest) ||
  /@category (?:layers|services)/.test(doc)

describe("the public functions, layers and services", () => {
  const found = [...new Set(publicModules.flatMap(parts))].flatMap(exported).filter(needsExample)

  it("are many", () => {
    assert.isAtLeast(found.length, 60)
  })

  for (const { doc, module, name } of found) {
    it(`have an example: ${name} of ${module}`, () => {
      assert.match(doc, /^ [*] @example\n [*] import /m)
    })
  }
})

describe("the programs in the docs", () => {
  it("are there", () => {
    assert.isAtLeast(written.length, 5)
    assert.isTrue(written.some(({ name }) => name.startsWith("src-")))
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

  it("that are tests give what the page says", async () => {
    const given = async (name: string) => {
      const program = written.find(({ text }) => text.includes(`export const ${name} =`))
      const module = await import(pathToFileURL(join(folder, program?.name ?? "")).href)
      return Effect.runPromise(module[name])
    }
    assert.deepStrictEqual(await given("exitCodes"), ["137"])
    assert.deepStrictEqual(await given("died"), ["web"])
  })
})
