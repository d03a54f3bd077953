import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { TestProject } from "vitest/node"
import { rest } from "./suites.ts"

const built = "DES_TESTS_BUILT"

const bundle = join(import.meta.dirname, "..", "..", "dist", "bin.js")

/** With `DES_TESTS_FALLBACK=1` the bundle does not find koffi, so des starts scripts with Node's child_process. */
const withoutKoffi = () => {
  const text = readFileSync(bundle, "utf8")
  if (!text.includes("@koromix/koffi-")) throw new Error(`${bundle} does not name koffi`)
  writeFileSync(bundle, text.replaceAll("@koromix/koffi-", "@koromix/absent-"))
}

/**
 * The contract tests run the program that users run, so it is bundled before the first test. Each project comes here, and the
 * first one bundles. What is left out is said at the end, where it is read.
 */
export default ({ vitest }: TestProject): (() => void) => {
  if (process.env[built] === undefined) {
    process.env[built] = "1"
    execFileSync("npm", ["run", "--silent", "build:bin"], { stdio: "inherit" })
    if (process.env["DES_TESTS_FALLBACK"] === "1") withoutKoffi()
  }
  return () => {
    if (vitest.projects.some(({ name }) => name === "rest")) return
    console.log("Not run here, but by npm run test:all:")
    for (const [files, why] of rest) console.log(`  ${files}: ${why}`)
  }
}
