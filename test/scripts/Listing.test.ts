import * as Fs from "node:fs"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Listing from "../../src/scripts/Listing.ts"
import { makeScripts } from "../support/Scripts.ts"

const test = (name: string, files: Readonly<Record<string, string | null>>, body: (directory: string) => void) =>
  it.scopedLive(name, () => Effect.provide(Effect.map(makeScripts(files), body), NodeFileSystem.layer))

test("a listing has names, modes, heads and whether the interpreter is there, as deep as scripts can be", {
  "container/start/10-a": "#!/bin/sh\nexit\n",
  "container/start/nested/deeper/script": "#!/bin/sh\n",
  all: "#!/no/such/interpreter\n"
}, (directory) => {
  Fs.chmodSync(`${directory}/all`, 0o644)
  Fs.symlinkSync("nowhere", `${directory}/dangling`)
  assert.deepStrictEqual(Listing.read(directory).entries, [
    { kind: "file", name: "all", isExecutable: false, head: "#!/no/such/interpreter\n", hasInterpreter: false },
    {
      kind: "directory",
      name: "container",
      entries: [
        {
          kind: "directory",
          name: "start",
          entries: [
            { kind: "file", name: "10-a", isExecutable: true, head: "#!/bin/sh\nexit\n", hasInterpreter: true },
            { kind: "directory", name: "nested", entries: [] }
          ]
        }
      ]
    }
  ])
})

test("a directory counts as changed if its time differs, or is so recent that a second change would not show", {
  "container/start": ""
}, (directory) => {
  const changed = Fs.statSync(directory).mtimeMs
  const places = [directory, `${directory}/not-listed`]
  assert.isTrue(Listing.hasChanged(Listing.read(directory, changed), places))
  assert.isTrue(Listing.hasChanged(Listing.read(directory, changed + 49), places))
  const settled = Listing.read(directory, changed + 1000)
  assert.isFalse(Listing.hasChanged(settled, places))
  Fs.utimesSync(directory, 1, 1)
  assert.isTrue(Listing.hasChanged(settled, places))
  Fs.rmSync(`${directory}/container`, { recursive: true })
  assert.isTrue(Listing.hasChanged(settled, [`${directory}/container`]))
})

test("no more than the head of a large file is read", { "container/start": "" }, (directory) => {
  Fs.writeFileSync(`${directory}/large`, "x".repeat(100_000))
  assert.strictEqual(Listing.read(directory).entries.length, 2)
  const [, large] = Listing.read(directory).entries
  assert.strictEqual(large?.kind === "file" ? large.head.length : 0, 8192)
})
