/** The compose files are what docker-compose understands. */

import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as V from "vitest"
import { isProgram } from "../support/Engines.ts"
import * as TempFolder from "../support/TempFolder.ts"

const repository = Path.join(import.meta.dirname, "..", "..")

const files = Fs.readdirSync(repository).filter((name) => /^compose.*\.yaml$/.test(name))

/** What the heads of the files tell users to write into .env. */
const variables = { DOCKER_GID: "999", DES_DB_PASSWORD: "secret" }

const folder = TempFolder.makeSync("compose")
V.afterAll(() => TempFolder.removeSync(folder))
// A .env of the clone does not count.
const noVariables = Path.join(folder, "none")
Fs.writeFileSync(noVariables, "")

const config = (file: string, env: Readonly<Record<string, string>>): string =>
  execFileSync("docker-compose", ["--file", Path.join(repository, file), "--env-file", noVariables, "config"], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "pipe", "ignore"]
  })

const group = isProgram("docker-compose") || process.env["DES_REQUIRE_ENGINES"] === "1" ? describe : V.describe.skip

group(`the compose files${isProgram("docker-compose") ? "" : " (not installed: docker-compose)"}`, () => {
  it("are those for one des, for a proxy and for a fleet", () => {
    assert.deepStrictEqual(files, ["compose.fleet.yaml", "compose.proxy.yaml", "compose.yaml"])
  })

  for (const file of files) {
    it(`${file} is valid with the variables of its head, and refused without them`, () => {
      assert.include(config(file, variables), "image: des")
      assert.throws(() => config(file, {}))
    })
  }

  it("compose.fleet.yaml starts two des that differ in their names only", () => {
    const text = config("compose.fleet.yaml", variables)
    const [, one = ""] = /^ {2}des1:\n((?: {4}.*\n)+)/m.exec(text) ?? []
    const [, other = ""] = /^ {2}des2:\n((?: {4}.*\n)+)/m.exec(text) ?? []
    assert.include(one, "hostname: des1")
    assert.strictEqual(one.replace("des1", "des2"), other)
  })
})
