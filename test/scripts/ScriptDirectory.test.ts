import { chmodSync, readdirSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as ScriptDirectory from "../../src/scripts/ScriptDirectory.ts"
import * as Trust from "../../src/scripts/Trust.ts"
import { collectLogs } from "../support/Logs.ts"
import { makeScripts } from "../support/Scripts.ts"

const script = "#!/bin/sh\nexit\n"

/** The paths below the directory that are found for each type and action, and what was logged. */
const open = (files: Readonly<Record<string, string | null>>) =>
  Effect.gen(function* () {
    const directory = yield* makeScripts(files)
    const logs = collectLogs()
    const service = yield* ScriptDirectory.ScriptDirectory.pipe(
      Effect.provide(ScriptDirectory.layer({ directory: `${directory}/` })),
      Effect.provide(Trust.layer({ directory })),
      Effect.provide(logs.layer)
    )
    const relative = (text: string) => text.replaceAll(`${directory}/`, "")
    const find = (type: string, verb: string) =>
      service.find(type, verb).pipe(
        Effect.map((paths) => paths.map(({ path }) => relative(path))),
        Effect.provide(logs.layer)
      )
    return { directory, find, logged: () => logs.lines.map(relative) }
  })

const test = (name: string, body: () => Effect.Effect<void, unknown, NodeContext.NodeContext | Scope.Scope>) =>
  it.scopedLive(name, () => Effect.provide(body(), NodeContext.layer))

describe("the scripts of an event", () => {
  test("are DIR/TYPE/ACTION, DIR/TYPE/all and DIR/all, in this order", () =>
    Effect.gen(function* () {
      const { find } = yield* open({
        all: script,
        "container/all": script,
        "container/start": script,
        "image/tag": script
      })
      assert.deepStrictEqual(yield* find("container", "start"), ["container/start", "container/all", "all"])
      assert.deepStrictEqual(yield* find("container", "die"), ["container/all", "all"])
      assert.deepStrictEqual(yield* find("image", "tag"), ["image/tag", "all"])
    }))

  test("are the executables of a directory, in byte order, by the names that run-parts takes", () =>
    Effect.gen(function* () {
      const { directory, find } = yield* open({
        "container/start/20-b": script,
        "container/start/10-a": script,
        "container/start/A": script,
        "container/start/a": script,
        "container/start/_x": script,
        "container/start/10-a~": script,
        "container/start/10-a.dpkg-old": script,
        "container/start/.hidden": script,
        "container/start/nested/script": script,
        "all/z": script,
        "container/start/not-executable": script
      })
      chmodSync(`${directory}/container/start/not-executable`, 0o644)
      assert.deepStrictEqual(yield* find("container", "start"), [
        "container/start/10-a",
        "container/start/20-b",
        "container/start/A",
        "container/start/_x",
        "container/start/a",
        "all/z"
      ])
    }))

  test("run once each, whatever the name of the action is", () =>
    Effect.gen(function* () {
      const { find } = yield* open({ "container/all": script })
      assert.deepStrictEqual(yield* find("container", "all"), ["container/all"])
    }))

  test("are looked up again for every event", () =>
    Effect.gen(function* () {
      const { directory, find } = yield* open({ "container/start": script })
      assert.deepStrictEqual(yield* find("container", "start"), ["container/start"])
      renameSync(`${directory}/container/start`, `${directory}/container/stop`)
      assert.deepStrictEqual(yield* find("container", "start"), [])
      assert.deepStrictEqual(yield* find("container", "stop"), ["container/stop"])
      writeFileSync(`${directory}/all`, script, { mode: 0o755 })
      assert.deepStrictEqual(yield* find("container", "start"), ["all"])
    }))

  test("may be links, and a link without a target is not a script", () =>
    Effect.gen(function* () {
      const { directory, find } = yield* open({ "container/start": script })
      symlinkSync("start", `${directory}/container/die`)
      symlinkSync("absent", `${directory}/container/stop`)
      assert.deepStrictEqual(yield* find("container", "die"), ["container/die"])
      assert.deepStrictEqual(yield* find("container", "stop"), [])
    }))
})

describe("what is not a script", () => {
  test("a name that could leave the directory, or that no engine sends, never touches the file system", () =>
    Effect.gen(function* () {
      const { find, logged } = yield* open({ "container/start": script, all: script })
      for (const [type, verb] of [
        ["..", "start"],
        ["container", "../container/start"],
        ["container", ""],
        ["", "start"],
        ["container", "start\0"],
        ["container", "start\n"],
        ["-container", "start"],
        ["container", "s".repeat(65)]
      ] as const) {
        assert.deepStrictEqual(yield* find(type, verb), [], JSON.stringify([type, verb]))
      }
      assert.include(
        logged()[0],
        'Unable to handle event! The type ".." or the action "start" cannot be the name of a script'
      )
    }))

  test("a file that is not executable is logged, with the command that corrects it", () =>
    Effect.gen(function* () {
      const { directory, find, logged } = yield* open({ "container/start": script })
      chmodSync(`${directory}/container/start`, 0o644)
      assert.deepStrictEqual(yield* find("container", "start"), [])
      assert.strictEqual(
        logged()[0],
        "WARN container/start is not executable and is not run; chmod +x container/start makes it a script"
      )
    }))

  test("an event without a script is the normal state, and DEBUG", () =>
    Effect.gen(function* () {
      const { find, logged } = yield* open({})
      yield* find("container", "start")
      yield* find("container", "start")
      yield* find("container", "die")
      assert.deepStrictEqual(logged(), [
        "DEBUG No script for container/start",
        "DEBUG No script for container/start",
        "DEBUG No script for container/die"
      ])
    }))
})

describe("a file that will never run is logged once", () => {
  /** Reads the directory at the start with these files in it, and gives what is said then and later. */
  const begin = (files: Readonly<Record<string, string | null>>) =>
    Effect.gen(function* () {
      const directory = yield* makeScripts(files)
      const logs = collectLogs()
      const service = yield* ScriptDirectory.ScriptDirectory.pipe(
        Effect.provide(ScriptDirectory.layer({ directory })),
        Effect.provide(Trust.layerInsecure),
        Effect.provide(logs.layer)
      )
      const path = (name: string) => `${directory}/${name}`
      const find = (type: string, verb: string) => Effect.provide(service.find(type, verb), logs.layer)
      const warned = () =>
        logs.lines.flatMap((line) => (/^WARN /.test(line) ? [line.slice(5).replaceAll(`${directory}/`, "")] : []))
      /** What was long before, so that no step of the file system's clock hides what comes next. */
      const settle = () => {
        const past = new Date(Date.now() - 10_000)
        for (const name of ["", ...readdirSync(directory, { recursive: true, encoding: "utf8" })]) {
          utimesSync(path(name), past, past)
        }
      }
      return { directory, find, path, settle, warned }
    })

  test("at the start", () =>
    Effect.gen(function* () {
      const { find, warned } = yield* begin({
        "container/start/10-a.sh": script,
        "containers/start": script,
        "container/started": script,
        "all.sh": script,
        "image/pull": "#!/bin/sh\n#des timeout=3s\nexit\n",
        "image/push": "#!/bin/sh\r\nexit\r\n",
        "image/tag": "#!/no/such/interpreter\n"
      })
      const said = warned()
      for (const part of [
        "10-a.sh is not run, ",
        "type containers, ",
        "container/started, ",
        "all.sh is not run, ",
        "image/pull: line 2: ",
        "image/push will not start: its first line ends with CR LF",
        "image/tag will not start: its interpreter /no/such/interpreter does not exist"
      ]) {
        assert.strictEqual(said.filter((line) => line.includes(part)).length, 1, part)
      }
      assert.strictEqual(said.length, 7)
      yield* find("container", "start")
      yield* find("image", "tag")
      assert.deepStrictEqual(warned(), said)
    }))

  test("when it appears, at the next event of whatever type", () =>
    Effect.gen(function* () {
      const { find, path, settle, warned } = yield* begin({ "container/start/10-a": script, "image/pull": script })
      const steps: ReadonlyArray<readonly [says: string, change: () => void]> = [
        ["die.sh is not run", () => writeFileSync(path("die.sh"), script, { mode: 0o755 })],
        ["image/pushed", () => writeFileSync(path("image/pushed"), script, { mode: 0o755 })],
        ["20-b.sh is not run", () => writeFileSync(path("container/start/20-b.sh"), script, { mode: 0o755 })],
        ["image/pull: line 2: ", () => writeFileSync(path("image/pull"), "#!/bin/sh\n# DES: timeout=1s\nexit\n")]
      ]
      for (const [at, [says, change]] of steps.entries()) {
        settle()
        yield* find("container", "start")
        assert.strictEqual(warned().length, at)
        change()
        yield* find("container", "start")
        // A file that is written in place changes no directory; it is read at its own event.
        yield* find("image", "pull")
        yield* find("container", "start")
        assert.strictEqual(warned().length, at + 1, says)
        assert.include(warned().at(-1), says)
      }
    }))

  test("but no more than 50 files, and then the number of the others", () =>
    Effect.gen(function* () {
      const { warned } = yield* begin(Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`${at}.sh`, script])))
      assert.strictEqual(warned().length, 51)
      assert.include(warned().at(-1), ": 10 more files like these will not run")
    }))

  test("but a script for an unknown type or action runs all the same, if such an event comes", () =>
    Effect.gen(function* () {
      const { find } = yield* begin({ "containers/start": script, "container/started": script })
      assert.strictEqual((yield* find("containers", "start")).length, 1)
      assert.strictEqual((yield* find("container", "started")).length, 1)
    }))

  test("but a script of comments only counts as missing", () =>
    Effect.gen(function* () {
      const { find, path, warned } = yield* begin({
        "container/start": "#!/bin/sh\n# later\n",
        "container/all": script
      })
      assert.deepStrictEqual(
        (yield* find("container", "start")).map(({ path }) => path),
        [path("container/all")]
      )
      writeFileSync(path("container/start"), script)
      assert.strictEqual((yield* find("container", "start")).length, 2)
      assert.deepStrictEqual(warned(), [])
    }))
})

describe("errors are logged in plain words", () => {
  test("a type that is a file has no scripts, and is a warning", () =>
    Effect.gen(function* () {
      const { find, logged } = yield* open({ container: "text" })
      assert.deepStrictEqual(yield* find("container", "start"), [])
      assert.deepStrictEqual(logged(), [
        "WARN container is a file, so no script for events of the type container is found; move it into a directory of this name",
        "DEBUG No script for container/start"
      ])
    }))

  test("links that go in a circle are named, without the name of a function", () =>
    Effect.gen(function* () {
      const { directory, find, logged } = yield* open({ "container/die": script })
      symlinkSync("start", `${directory}/container/start`)
      assert.deepStrictEqual(yield* find("container", "start"), [])
      assert.deepStrictEqual(logged(), [
        "ERROR Script container/start is not run, since it cannot be read: its symbolic links go in a circle, or are too many (ELOOP)"
      ])
    }))
})

describe("a directory that cannot be used is an error that says what to do", () => {
  const failure = (directory: string) =>
    ScriptDirectory.ScriptDirectory.pipe(
      Effect.provide(ScriptDirectory.layer({ directory })),
      Effect.provide(Trust.layer({ directory })),
      Effect.flip
    )

  test("it does not exist", () =>
    Effect.gen(function* () {
      const error = yield* failure("/no/such/directory")
      assert.strictEqual(error.reason, "NotFound")
      assert.include(error.message, "des -c -d /no/such/directory")
    }))

  test("it is a file", () =>
    Effect.gen(function* () {
      const directory = yield* makeScripts({ file: "" })
      assert.strictEqual((yield* failure(`${directory}/file`)).reason, "NotADirectory")
      assert.strictEqual((yield* failure(`${directory}/file/below`)).reason, "NotADirectory")
    }))

  test("it goes away later: its events have no script, and it counts again when it is back", () =>
    Effect.gen(function* () {
      const { directory, find } = yield* open({ "container/start": script })
      renameSync(directory, `${directory}.away`)
      assert.deepStrictEqual(yield* find("container", "start"), [])
      renameSync(`${directory}.away`, directory)
      assert.deepStrictEqual(yield* find("container", "start"), ["container/start"])
      rmSync(`${directory}.away`, { force: true })
    }))
})
