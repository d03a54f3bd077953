/** The messages that docs/troubleshooting.md explains, as the code has them. */

import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "vitest"

const root = join(import.meta.dirname, "../..")

const page = readFileSync(join(root, "docs/troubleshooting.md"), "utf8")

const messages = page.split("\n").flatMap((line) => /^\| `([^`]+)` \|/.exec(line)?.[1] ?? [])

const source = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".ts"))
  .map((name) => readFileSync(join(root, "src", name), "utf8"))
  .join("\n")

describe("each message of docs/troubleshooting.md", () => {
  it("is one of many", () => assert.isAtLeast(messages.length, 15))

  for (const message of messages) {
    it(`is in the code: ${message}`, () => assert.include(source, message))
  }
})
