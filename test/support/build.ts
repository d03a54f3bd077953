import { execFileSync } from "node:child_process"
import type { TestProject } from "vitest/node"
import { rest } from "./suites.ts"

const built = "DES_TESTS_BUILT"

/**
 * The contract tests run the program that users run, so it is bundled before the first test. Each project comes here, and the
 * first one bundles. What is left out is said at the end, where it is read.
 */
export default ({ vitest }: TestProject): (() => void) => {
  if (process.env[built] === undefined) {
    process.env[built] = "1"
    execFileSync("npm", ["run", "--silent", "build:bin"], { stdio: "inherit" })
  }
  return () => {
    if (vitest.projects.some(({ name }) => name === "rest")) return
    console.log("Not run here, but by npm run test:all:")
    for (const [files, why] of rest) console.log(`  ${files}: ${why}`)
  }
}
