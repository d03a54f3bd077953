/** What `npm pack` and the documented install give. */

import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { afterAll } from "vitest"
import * as Package from "../support/Package.ts"
import * as TempFolder from "../support/TempFolder.ts"

const repository = Path.join(import.meta.dirname, "..", "..")
const top = TempFolder.makeSync("package")
afterAll(() => TempFolder.removeSync(top))

const folder = (name: string): string => {
  const made = Path.join(top, name)
  Fs.mkdirSync(made)
  return made
}

const read = (file: string): string => Fs.readFileSync(Path.join(repository, file), "utf8")

/** The line of a page that installs the library. */
const installLine = (page: string): string =>
  /npm install (docker-event-scripts effect[^`\n]*)/.exec(read(page))?.[1] ?? assert.fail(`${page} has no such line`)

/** Packed once, for whatever comes first. */
let packed: Promise<string> | undefined
const tarball = (): Promise<string> => {
  packed ??= Promise.resolve(folder("clone")).then((clone) => {
    Package.clone(clone)
    Package.install(clone)
    return Package.pack(clone)
  })
  return packed
}

describe("npm pack", () => {
  it("builds the command and the library from a clean clone", async () => {
    const files = Package.filesOf(await tarball())
    const { bin, exports } = JSON.parse(read("package.json"))
    const named = [bin.des, ...Object.values(exports).flatMap((paths) => Object.values(paths as object))]
    for (const file of named.filter((path) => path.startsWith("./") || path.startsWith("dist"))) {
      assert.include(files, file.replace(/^\.\//, ""))
    }
    for (const file of JSON.parse(read("package.json")).man) assert.include(files, file)
    for (const file of ["README.md", "contrib/systemd/des.service", "docs/delivery.md"]) assert.include(files, file)
  }, 180_000)

  it("fails in a clone that cannot be built, and makes no tarball", async () => {
    const clone = folder("bare")
    Package.clone(clone)
    const failed = await Package.pack(clone).then(
      () => false,
      () => true
    )
    assert.isTrue(failed)
    assert.deepStrictEqual(
      Fs.readdirSync(clone).filter((file) => file.endsWith(".tgz")),
      []
    )
  }, 60_000)

  it("runs no script of another package when it is installed", () => {
    const { packages } = JSON.parse(read("package-lock.json"))
    const scripted = Object.entries<{ readonly hasInstallScript?: boolean; readonly dev?: boolean }>(packages).filter(
      ([, { dev, hasInstallScript }]) => hasInstallScript === true && dev !== true
    )
    assert.deepStrictEqual(scripted, [])
  })
})

describe("the documented install, from the package registry", () => {
  it("is the same line in README.md and docs/compose.md", () => {
    assert.strictEqual(installLine("README.md"), installLine("docs/compose.md"))
  })

  it("works in an empty folder, and its programs load", async () => {
    const empty = folder("library")
    await Package.npm(empty, "init", "-y")
    const line = installLine("README.md").split(" ")
    const packages = [await tarball(), ...line.slice(1)]
    await Package.npm(empty, "install", "--no-audit", "--no-fund", ...packages)
    Fs.writeFileSync(
      Path.join(empty, "program.mjs"),
      `import { DockerEvent, Environment } from "docker-event-scripts"
import { makeEvent } from "docker-event-scripts/testing"
import * as NodeContext from "@effect/platform-node/NodeContext"
const event = makeEvent({ action: "exec_create: sh -c x" })
console.log(DockerEvent.verb(event), Environment.fromEvent(event).TIMENANO, typeof NodeContext.layer)
`
    )
    const output = execFileSync(process.execPath, ["program.mjs"], { cwd: empty, encoding: "utf8" })
    assert.strictEqual(output, "exec_create 1795453740123456789 object\n")
  }, 180_000)

  it("of the command alone works, with its journal and without the library's peers", async () => {
    const empty = folder("command")
    await Package.npm(empty, "init", "-y")
    await Package.npm(empty, "install", "--no-audit", "--no-fund", await tarball())
    const des = Path.join(empty, "node_modules/.bin/des")
    const { version } = JSON.parse(read("package.json"))
    assert.strictEqual(execFileSync(des, ["--version"], { encoding: "utf8" }), `${version}\n`)
    assert.isFalse(Fs.existsSync(Path.join(empty, "node_modules/effect")))
    Fs.mkdirSync(Path.join(empty, "events.d/container"), { recursive: true })
    Fs.writeFileSync(Path.join(empty, "events.d/container/start"), "#!/bin/sh\necho ran\n", { mode: 0o755 })
    execFileSync(des, ["--insecure-scripts", "-d", "events.d", "--from", "-", "--state", "state"], {
      cwd: empty,
      input: '{"Type":"container","Action":"start","Actor":{"ID":"c0ffee"}}\n',
      stdio: ["pipe", "ignore", "ignore"]
    })
    const history = execFileSync(des, ["history", "--state", "state"], { cwd: empty, encoding: "utf8" })
    assert.match(history, / container\/start /)
  }, 180_000)
})
