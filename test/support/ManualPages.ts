/** The manual pages as the build makes them. */

import { readFileSync } from "node:fs"
import { join } from "node:path"
import { pages } from "../../man/pages.ts"
import packageJson from "../../package.json" with { type: "json" }
import { reference } from "../../src/cli/Cli.ts"

const read = (file: string): string => readFileSync(join(import.meta.dirname, "../..", file), "utf8")

/** The pages by the names of their files. */
export const manualPages = (): Readonly<Record<string, string>> =>
  pages({
    ...reference(),
    version: packageJson.version,
    readme: read("README.md"),
    running: read("docs/running.md")
  })
