/** Writes the manual pages into a folder. It is run from the repository, with the folder as its argument. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import packageJson from "../package.json" with { type: "json" }
import { reference } from "../src/cli/Cli.ts"
import { pages } from "./pages.ts"

const [, , folder = ""] = process.argv
mkdirSync(folder, { recursive: true })
const written = pages({
  ...reference(),
  version: packageJson.version,
  readme: readFileSync("README.md", "utf8"),
  running: readFileSync("docs/running.md", "utf8")
})
for (const [name, text] of Object.entries(written)) writeFileSync(join(folder, name), text)
