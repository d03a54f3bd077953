import * as Fs from "node:fs"
import * as Path from "node:path"
import { describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assert } from "vitest"
import { entries } from "../../src/event/EventCatalogue.ts"
import * as Program from "../support/Program.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"

const modeOf = (path: string): string => (Fs.statSync(path).mode & 0o7777).toString(8)

/** All that is below a directory, relative to it, directories before what is in them. */
const below = (directory: string): ReadonlyArray<string> =>
  Fs.readdirSync(directory, { recursive: true, encoding: "utf8" }).sort()

const filesBelow = (directory: string): ReadonlyArray<string> =>
  below(directory).filter((name) => Fs.statSync(Path.join(directory, name)).isFile())

/** Everything about a tree that a refusal must leave as it was. */
const snapshot = (top: string): ReadonlyArray<string> =>
  ["", ...below(top)].map((name) => {
    const at = Path.join(top, name)
    const { ino, mode, mtimeMs } = Fs.lstatSync(at)
    return [name, ino, mode, mtimeMs].join(" ")
  })

const createUnder = (umask: string, { top }: Sandbox, directory: string) =>
  Program.run(["/bin/sh", "-c", `umask ${umask} && exec "$@"`, "sh", ...Program.des("-c", "-d", directory)], {
    cwd: top,
    env: { HOME: top }
  })

describe("-c -d DIR", () => {
  test("creates DIR/TYPE/ACTION for every known event, and nothing else", ({ des, path }) =>
    Effect.gen(function* () {
      const { code, stdout } = yield* des(["-c", "-d", path("new")])
      assert.strictEqual(code, 0)
      assert.strictEqual(stdout, "")
      assert.deepStrictEqual(filesBelow(path("new")), entries.map(({ action, type }) => `${type}/${action}`).sort())
    }))

  test("knows the events of today, by the names that scripts need", ({ des, path }) =>
    Effect.gen(function* () {
      yield* des(["-c", "-d", path("new")])
      const files = filesBelow(path("new"))
      const container = [
        "start",
        "die",
        "health_status",
        "exec_create",
        "exec_start",
        "exec_die",
        "exec_detach",
        "prune"
      ]
      for (const file of [
        ...container.map((action) => `container/${action}`),
        ...["image/pull", "image/delete", "image/create", "volume/mount", "network/connect", "builder/prune"],
        ...["daemon/reload", "plugin/enable", "service/update", "node/update", "secret/create", "config/remove"]
      ]) {
        assert.include(files, file)
      }
      for (const file of files) assert.match(file, /^[a-z]+\/[a-z_-]+$/)
    }))

  test("each is a #!/bin/sh script that does nothing, and a record on its stdin is no matter", ({ des, path, top }) =>
    Effect.gen(function* () {
      yield* des(["-c", "-d", path("new")])
      const before = snapshot(top)
      const files = filesBelow(path("new"))
      for (const file of files) assert.match(Fs.readFileSync(path(`new/${file}`), "utf8"), /^#!\/bin\/sh\n(?:#.*\n)+$/)
      const samples = ["container/start", "image/pull", files.at(-1) ?? ""]
      for (const sample of samples) {
        const { code, stderr, stdout } = yield* Program.run([path(`new/${sample}`)], { cwd: top, stdin: "{}\n" })
        assert.deepStrictEqual({ code, stderr, stdout }, { code: 0, stderr: "", stdout: "" })
      }
      assert.deepStrictEqual(snapshot(top), before)
    }))

  test(
    "creates a script directory that des accepts without a warning, and whose scripts start no process",
    ({ des, path }) =>
      Effect.gen(function* () {
        yield* des(["-c", "-d", path("new")])
        const stdin = entries.map(({ action, type }) => `${JSON.stringify({ Type: type, Action: action })}\n`).join("")
        const { code, stderr } = yield* des(["-d", path("new"), "--from", "-"], { stdin, deadline: 60_000 })
        assert.strictEqual(code, 0)
        assert.notMatch(stderr, / - (?:WARNING|ERROR) - /)
        assert.notInclude(stderr, "Running script")
      }),
    90_000
  )

  for (const umask of ["000", "022", "077"]) {
    test(`under umask ${umask} every directory and script has the mode 755`, (sandbox) =>
      Effect.gen(function* () {
        const { code, stderr } = yield* createUnder(umask, sandbox, "new")
        assert.strictEqual(code, 0, stderr)
        const modes = ["", ...below(sandbox.path("new"))].map((name) => modeOf(Path.join(sandbox.path("new"), name)))
        assert.deepStrictEqual(new Set(modes), new Set(["755"]))
      }))
  }

  test("parents are created", (sandbox) =>
    Effect.gen(function* () {
      assert.strictEqual((yield* sandbox.des(["-c", "-d", "a/b/c/new"])).code, 0)
      assert.isTrue(sandbox.exists("a/b/c/new/container/start"))
    }))

  test("parents that it creates are writable by no one else, whatever the umask", (sandbox) =>
    Effect.gen(function* () {
      yield* createUnder("000", sandbox, "a/b/new")
      for (const parent of ["a", "a/b"]) assert.strictEqual(modeOf(sandbox.path(parent)), "755", parent)
    }))

  test("parents that are there keep their mode", (sandbox) =>
    Effect.gen(function* () {
      Fs.mkdirSync(sandbox.path("parent"))
      Fs.chmodSync(sandbox.path("parent"), 0o700)
      yield* createUnder("000", sandbox, "parent/new")
      assert.strictEqual(modeOf(sandbox.path("parent")), "700")
      assert.strictEqual(modeOf(sandbox.path("parent/new")), "755")
    }))

  test("DIR may have spaces, quotes and a slash at its end", ({ des, path }) =>
    Effect.gen(function* () {
      const directory = path('it\'s a; "dir" $(touch pwned)/')
      assert.strictEqual((yield* des(["-c", "-d", directory])).code, 0)
      assert.deepStrictEqual(filesBelow(directory).length, entries.length)
    }))

  test("logs `Creating template script directory at DIR` and `Creating script PATH`", ({ des, path }) =>
    Effect.gen(function* () {
      const directory = path("new")
      const { lines } = yield* des(["-c", "-d", directory])
      const line = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - docker-event-script - INFO - (.*)$/
      const [first, ...rest] = lines.map((text) => line.exec(text)?.[1])
      assert.strictEqual(first, `Creating template script directory at ${directory}`)
      assert.deepStrictEqual(
        rest,
        entries.map(({ action, type }) => `Creating script ${directory}/${type}/${action}`)
      )
    }))
})

describe("-c -d DIR refuses existing files: exit 1, nothing is changed", () => {
  const there: Readonly<Record<string, (path: string) => void>> = {
    "a directory with scripts": (path) => {
      Fs.mkdirSync(`${path}/container`, { recursive: true })
      Fs.writeFileSync(`${path}/container/start`, "#!/bin/sh\necho mine\n")
    },
    "an empty directory": (path) => Fs.mkdirSync(path),
    "a file": (path) => Fs.writeFileSync(path, "mine"),
    "a link to a directory": (path) => {
      Fs.mkdirSync(`${path}.target`)
      Fs.symlinkSync(`${path}.target`, path)
    },
    "a dangling link": (path) => Fs.symlinkSync(`${path}.target`, path)
  }
  for (const [name, make] of Object.entries(there)) {
    for (const spelling of ["new", "new/"]) {
      test(`${name}, as ${spelling}`, ({ des, path, top }) =>
        Effect.gen(function* () {
          make(path("new"))
          const before = snapshot(top)
          const { code, stderr } = yield* des(["-c", "-d", spelling])
          assert.strictEqual(code, 1, stderr)
          assert.match(stderr, / - ERROR - .*\bnew/)
          assert.notInclude(stderr, "Creating ")
          assert.deepStrictEqual(snapshot(top), before)
        }))
    }
  }

  test("a path below a file", ({ des, path, top, write }) =>
    Effect.gen(function* () {
      write("file", "mine")
      const before = snapshot(top)
      const { code, stderr } = yield* des(["-c", "-d", path("file/new")])
      assert.strictEqual(code, 1)
      assert.match(stderr, / - ERROR - .*file/)
      assert.deepStrictEqual(snapshot(top), before)
    }))

  test("a file system that is read-only, with the system's own reason", ({ path }) =>
    Effect.gen(function* () {
      Fs.mkdirSync(path("read-only"))
      // In a mount namespace of its own, which ends with the command.
      const mount = `mount -t tmpfs -o ro tmpfs ${path("read-only")} && exec "$@"`
      const { code, lines, stderr } = yield* Program.run(
        ["unshare", "--mount", "sh", "-c", mount, "sh", ...Program.des("-c", "-d", path("read-only/a/b"))],
        { cwd: "/" }
      )
      if (/unshare|mount:/.test(stderr)) return
      assert.strictEqual(code, 1)
      assert.include(lines.at(-1), `${path("read-only/a/b")} cannot be created: the file system is read-only (EROFS);`)
    }))

  test("a place where nobody can create", ({ des }) =>
    Effect.gen(function* () {
      const { code, lines } = yield* des(["-c", "-d", "/proc/self/new"])
      assert.strictEqual(code, 1)
      assert.match(lines.at(-1) ?? "", / - ERROR - \/proc\/self\/new cannot be created/)
    }))
})
