import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Des from "../../src/Des.ts"
import * as Dispatch from "../../src/dispatch/Dispatch.ts"
import type { DockerEvent } from "../../src/event/DockerEvent.ts"
import * as JournalInMemory from "../../src/journal/JournalInMemory.ts"
import * as ScriptDirectory from "../../src/scripts/ScriptDirectory.ts"
import * as ScriptOptions from "../../src/scripts/ScriptOptions.ts"
import { Outcome } from "../../src/scripts/ScriptRunner.ts"
import * as Trust from "../../src/scripts/Trust.ts"
import * as Testing from "../../src/testing.ts"
import { describeRoot } from "../support/DescribeRoot.ts"
import { collectLogs } from "../support/Logs.ts"
import * as Program from "../support/Program.ts"
import { record } from "../support/Record.ts"
import { test as testProgram } from "../support/Sandbox.ts"
import { makeScripts } from "../support/Scripts.ts"

const shell = (...head: ReadonlyArray<string>): string => ["#!/bin/sh", ...head, "exit", ""].join("\n")

/** The file system of this host, which writes down what is opened. */
const fileSystem = (opened: Array<string>) =>
  Layer.effect(
    FileSystem.FileSystem,
    Effect.map(FileSystem.FileSystem, (real) => ({
      ...real,
      open: (path: string, options?: FileSystem.OpenFileOptions) => {
        opened.push(path)
        return real.open(path, options)
      }
    }))
  ).pipe(Layer.provide(NodeFileSystem.layer))

/** A script directory with these scripts. Names in what it finds, opens and logs are relative to it. */
const open = (files: Readonly<Record<string, string>>, trust = Trust.layerInsecure) =>
  Effect.gen(function* () {
    const directory = yield* Effect.provide(makeScripts(files), NodeFileSystem.layer)
    const logs = collectLogs()
    const opened: Array<string> = []
    const relative = (text: string) => text.replaceAll(`${directory}/`, "")
    const scripts = ScriptDirectory.layer({ directory }).pipe(Layer.provide([trust, fileSystem(opened)]))
    const service = yield* Effect.provide(ScriptDirectory.ScriptDirectory, scripts)
    return {
      path: (name: string) => `${directory}/${name}`,
      scripts: Layer.succeed(ScriptDirectory.ScriptDirectory, service),
      /** The options by the script's name. */
      find: (type: string, verb: string) =>
        service.find(type, verb).pipe(
          Effect.map((found) => Object.fromEntries(found.map(({ options, path }) => [relative(path), options]))),
          Effect.provide(logs.layer)
        ),
      logged: () => logs.lines.map(relative),
      /** In byte order: the places of an event are looked up beside each other. */
      opened: () => opened.map(relative).sort()
    }
  })

const test = (name: string, body: () => Effect.Effect<void, unknown, Scope.Scope>) => it.scopedLive(name, body)

describe("the head of a script", () => {
  test("is read in each place where a script can be", () =>
    Effect.gen(function* () {
      const { find, logged } = yield* open({
        "container/start/10-a": shell("# des: timeout=1s"),
        "container/start/20-b": shell("# des: retries=2"),
        "container/all": shell("# des: cooldown=3s"),
        all: shell("# des: label=a")
      })
      assert.deepStrictEqual(yield* find("container", "start"), {
        "container/start/10-a": { timeout: 1000, conditions: [] },
        "container/start/20-b": { retries: 2, conditions: [] },
        "container/all": { cooldown: 3000, conditions: [] },
        all: { conditions: [{ text: "label=a", excludes: false, on: "attribute", key: "a" }] }
      })
      assert.deepStrictEqual(logged(), [])
    }))

  test("is not read if the script is not trusted", () =>
    Effect.gen(function* () {
      const check = (path: string) =>
        path.endsWith("/start")
          ? new Trust.UntrustedError({ reason: "Owner", path, detail: "is theirs", fix: "" })
          : Effect.void
      const scripts = { "container/start": shell("# des: nonsense"), "container/all": shell() }
      const { find, logged, opened } = yield* open(scripts, Layer.succeed(Trust.Trust, { check }))
      assert.deepStrictEqual(yield* find("container", "start"), { "container/all": ScriptOptions.none })
      assert.deepStrictEqual(opened(), ["container/all"])
      assert.match(logged().join("\n"), /^ERROR Script container\/start is not run, since it is not trusted: .*$/)
    }))

  test("that cannot be read is an error with file and line; only that script does not run", () =>
    Effect.gen(function* () {
      const { find, logged } = yield* open({
        "container/start/10-a": shell("# des: timeout=1s", "# des: retries=many"),
        "container/start/20-b": shell()
      })
      assert.deepStrictEqual(yield* find("container", "start"), { "container/start/20-b": ScriptOptions.none })
      const saying = 'Script container/start/10-a is not run: line 3: retries takes a number, not "many"'
      assert.deepStrictEqual(logged(), [`ERROR ${saying}`])
      yield* find("container", "start")
      assert.deepStrictEqual(logged().slice(1), [`DEBUG ${saying}`])
    }))

  test("with stop-on-failure counts in a directory of scripts only", () =>
    Effect.gen(function* () {
      const head = shell("# des: stop-on-failure=yes retries=1")
      const { find } = yield* open({ "container/start/10-a": head, "container/die": head })
      assert.deepStrictEqual(yield* find("container", "start"), {
        "container/start/10-a": { stopOnFailure: true, retries: 1, conditions: [] }
      })
      assert.deepStrictEqual(yield* find("container", "die"), { "container/die": { retries: 1, conditions: [] } })
    }))

  test("of a binary program has no options, whatever its bytes are", () =>
    Effect.gen(function* () {
      const { find, logged, path } = yield* open({ "container/start": "", "container/die": "" })
      Fs.copyFileSync("/bin/true", path("container/start"))
      Fs.writeFileSync(path("container/die"), Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 0xff, 0x0a, 0x23, 0x0a]))
      Fs.appendFileSync(path("container/die"), "# des: nonsense\n")
      for (const verb of ["start", "die"]) {
        assert.deepStrictEqual(yield* find("container", verb), { [`container/${verb}`]: ScriptOptions.none })
      }
      assert.deepStrictEqual(logged(), [])
    }))

  test("counts to its end, however long the comment block is", () =>
    Effect.gen(function* () {
      const { find, logged } = yield* open({
        "container/start": shell("#".repeat(8164), "# des: timeout=1234s"),
        "container/die": shell(...Array.from({ length: 200 }, () => `# ${"x".repeat(78)}`), "# des: timeout=1234s")
      })
      // What is cut may be refused, but never run with other options than the head has.
      for (const verb of ["start", "die"]) {
        const name = `container/${verb}`
        const { [name]: options } = yield* find("container", verb)
        if (logged().some((line) => line.startsWith(`ERROR Script ${name} is not run`))) assert.isUndefined(options)
        else assert.deepStrictEqual(options, { timeout: 1_234_000, conditions: [] }, name)
      }
    }))

  describe("is read once for each change of the file", () => {
    const first = shell("# des: timeout=1s")
    const second = shell("# des: timeout=2s")
    const longer = shell("# des: timeout=1s retries=1")
    const was = { timeout: 1000, conditions: [] }
    const old = new Date("2020-01-01T00:00:00Z")

    test("and not again if nothing has changed, or only the mode", () =>
      Effect.gen(function* () {
        const { find, opened, path } = yield* open({ "container/start": first, all: shell() })
        for (let times = 0; times < 5; times++) {
          const expected = { "container/start": was, all: ScriptOptions.none }
          assert.deepStrictEqual(yield* find("container", "start"), expected)
        }
        assert.deepStrictEqual(opened(), ["all", "container/start"])
        yield* find("container", "die")
        yield* find("image", "tag")
        assert.deepStrictEqual(opened(), ["all", "container/start"])
        Fs.chmodSync(path("container/start"), 0o644)
        assert.deepStrictEqual(Object.keys(yield* find("container", "start")), ["all"])
        Fs.chmodSync(path("container/start"), 0o755)
        assert.deepStrictEqual((yield* find("container", "start"))["container/start"], was)
      }))

    const changes: Readonly<Record<string, readonly [options: object, change: (path: string) => void]>> = {
      "it is rewritten": [{ timeout: 1000, retries: 1 }, (path) => Fs.writeFileSync(path, longer)],
      "it is rewritten, as long as before": [
        { timeout: 2000 },
        (path) => {
          Fs.writeFileSync(path, second)
          Fs.utimesSync(path, old, new Date(old.getTime() + 10))
        }
      ],
      "it is rewritten, as long as before, and its time is set back": [
        { timeout: 2000 },
        (path) => {
          Fs.writeFileSync(path, second)
          Fs.utimesSync(path, old, old)
        }
      ],
      "another file takes its place, as long and as old": [
        { timeout: 2000 },
        (path) => {
          Fs.writeFileSync(`${path}.new`, second, { mode: 0o755 })
          Fs.utimesSync(`${path}.new`, old, old)
          Fs.renameSync(`${path}.new`, path)
        }
      ],
      "it becomes a link to another file": [
        { timeout: 2000 },
        (path) => {
          Fs.writeFileSync(`${path}.other`, second, { mode: 0o755 })
          Fs.utimesSync(`${path}.other`, old, old)
          Fs.rmSync(path)
          Fs.symlinkSync(`${path}.other`, path)
        }
      ]
    }
    for (const [name, [now, change]] of Object.entries(changes)) {
      test(`which counts at the next event: ${name}`, () =>
        Effect.gen(function* () {
          const { find, opened, path } = yield* open({ "container/start": first })
          const file = path("container/start")
          Fs.utimesSync(file, old, old)
          const found = Effect.map(find("container", "start"), ({ [`container/start`]: options }) => options)
          assert.deepStrictEqual(yield* found, was)
          change(file)
          assert.deepStrictEqual(yield* found, { ...now, conditions: [] })
          assert.deepStrictEqual(yield* found, { ...now, conditions: [] })
          assert.deepStrictEqual(opened(), ["container/start", "container/start"])
        }))
    }

    test("which counts at the next event: a wrong option is corrected, and broken again", () =>
      Effect.gen(function* () {
        const { find, logged, path } = yield* open({ "container/start": shell("# des: nonsense") })
        assert.deepStrictEqual(yield* find("container", "start"), {})
        Fs.writeFileSync(path("container/start"), first)
        assert.deepStrictEqual(yield* find("container", "start"), { "container/start": was })
        const errors = () => logged().filter((line) => line.startsWith("ERROR"))
        assert.strictEqual(errors().length, 1)
        Fs.writeFileSync(path("container/start"), shell("", "# des: another"))
        assert.deepStrictEqual(yield* find("container", "start"), {})
        assert.include(errors()[1], "line 3: ")
      }))
  })
})

describe("an option in a head", () => {
  test("limits the events that a script runs for, without a warning about the others", () =>
    Effect.gen(function* () {
      const { path, scripts } = yield* open({
        "container/start/10-backup": shell("# des: label=backup=true image=postgres:*"),
        "container/start/20-web": shell("# des: name=web-*"),
        "container/die": shell("# des: attribute=exitCode label=constructor"),
        "image/tag": shell("# des: name=nothing-has-this-name")
      })
      const logs = collectLogs()
      const events = [
        { id: "1", attributes: { image: "postgres:16", backup: "true", name: "db" } },
        { id: "2", attributes: { image: "postgres:16", backup: "false", name: "web-2" } },
        { id: "3", attributes: { image: "nginx", backup: "true", name: "web-3" } },
        { id: "4", attributes: { image: "postgres:16", backup: "true", name: "web-4" } },
        { id: "5", attributes: {} },
        { id: "6", action: "die", attributes: { exitCode: "1" } },
        { id: "7", action: "die", attributes: { exitCode: "1", constructor: "" } },
        { id: "8", type: "image", action: "tag", attributes: { name: "nginx" } }
      ].map(Testing.makeEvent)
      const runs = yield* Des.run.pipe(
        Effect.zipRight(Effect.flatMap(Testing.RecordedRuns, ({ all }) => all)),
        Effect.provide(
          Layer.mergeAll(Testing.layerFeed(events), scripts, Dispatch.layer({ base: {} })).pipe(
            Layer.provideMerge(JournalInMemory.layer()),
            Layer.provideMerge(Testing.layerRecorder()),
            Layer.provide([Trust.layerInsecure, NodeFileSystem.layer])
          )
        ),
        Effect.provide(logs.layer)
      )
      assert.deepStrictEqual(
        runs.map(({ event, script }) => `${event.Actor.ID} ${script.slice(path("").length)}`),
        [
          "1 container/start/10-backup",
          "2 container/start/20-web",
          "3 container/start/20-web",
          "4 container/start/10-backup",
          "4 container/start/20-web",
          "7 container/die"
        ]
      )
      assert.deepStrictEqual(
        logs.lines.filter((line) => !/^(?:DEBUG|INFO) /.test(line)),
        []
      )
      assert.notInclude(logs.lines.join("\n"), "No script for")
    }))

  /** Runs these events with one script, whose head this is: its runs, of which each fails where `fail` says so. */
  const runAll = (
    head: string,
    options: Partial<Dispatch.DispatchOptions>,
    events: ReadonlyArray<DockerEvent>,
    code = 0
  ) => {
    const parsed = ScriptOptions.parse(head)
    const found = "conditions" in parsed ? [{ path: "/d/script", options: parsed }] : []
    const scripts = Layer.succeed(ScriptDirectory.ScriptDirectory, {
      find: (type) => Effect.succeed(type === "des" ? [] : found)
    })
    return Effect.gen(function* () {
      const running = yield* Effect.fork(Des.run)
      yield* TestClock.adjust("1 day")
      yield* Fiber.join(running)
      return yield* Effect.flatMap(Testing.RecordedRuns, ({ all }) => all)
    }).pipe(
      Effect.provide(
        Layer.mergeAll(Testing.layerFeed(events), scripts, Dispatch.layer({ base: {}, ...options })).pipe(
          Layer.provideMerge(JournalInMemory.layer()),
          Layer.provideMerge(Testing.layerRecorder(() => Outcome.Exited({ code, message: "" }))),
          Layer.provide([Trust.layerInsecure, NodeFileSystem.layer])
        )
      ),
      Effect.provide(collectLogs().layer)
    )
  }

  const event = Testing.makeEvent()

  for (const [head, timeout, expected] of [
    ["", "5 seconds", "5 seconds"],
    ["# des: timeout=90s", "5 seconds", "90 seconds"],
    ["# des: timeout=500ms", "5 seconds", "500 millis"],
    ["# des: timeout=0", "5 seconds", "Infinity"],
    ["# des: timeout=90s", Duration.infinity, "90 seconds"],
    ["# des: retries=1", undefined, "10 minutes"]
  ] as const) {
    it.effect(`stands above the command line's timeout: ${JSON.stringify(head)} above ${String(timeout)}`, () =>
      Effect.gen(function* () {
        const [run] = yield* runAll(head, timeout === undefined ? { grace: 7 } : { timeout, grace: 7 }, [event])
        const bound = Duration.decode(run?.bounds.timeout ?? 0)
        assert.strictEqual(
          Duration.toMillis(bound),
          expected === "Infinity" ? Number.POSITIVE_INFINITY : Duration.toMillis(expected)
        )
        // No option of a head.
        assert.strictEqual(run?.bounds.grace, 7)
      })
    )
  }

  for (const [head, retries, expected] of [
    ["", 2, ["1", "2", "3"]],
    ["# des: retries=1", 2, ["1", "2"]],
    ["# des: retries=3", 0, ["1", "2", "3", "4"]],
    ["# des: retries=0", 2, ["1"]],
    ["# des: timeout=1s", 1, ["1", "2"]]
  ] as const) {
    it.effect(`stands above the command line's retries: ${JSON.stringify(head)} above ${retries}`, () =>
      Effect.gen(function* () {
        const runs = yield* runAll(head, { retries }, [event], 1)
        assert.deepStrictEqual(
          runs.map(({ environment }) => environment["DES_ATTEMPT"]),
          [...expected]
        )
      })
    )
  }

  for (const [head, cooldown, expected] of [
    ["", 0, ["1", "2", "3"]],
    ["", "1 minute", ["1", "3 for 1 more"]],
    ["# des: cooldown=1m", 0, ["1", "3 for 1 more"]],
    ["# des: cooldown=0", "1 minute", ["1", "2", "3"]],
    ["# des: retries=1", "1 minute", ["1", "3 for 1 more"]]
  ] as const) {
    it.effect(`stands above the command line's cooldown: ${JSON.stringify(head)} above ${cooldown}`, () =>
      Effect.gen(function* () {
        const events = ["1", "2", "3"].map((name) => Testing.makeEvent({ attributes: { name } }))
        const runs = yield* runAll(head, { cooldown }, events)
        assert.deepStrictEqual(
          runs.map(({ environment, event }) => {
            const more = environment["DES_COALESCED"]
            return `${event.Actor.Attributes["name"]}${more === undefined ? "" : ` for ${more} more`}`
          }),
          [...expected]
        )
      })
    )
  }
})

describe("the program", () => {
  testProgram("skips the rest of a directory after a failure, and not what lies elsewhere", ({ dir, feed, script }) =>
    Effect.gen(function* () {
      script("container/start/10-a", "# des: stop-on-failure=yes\nexit 3")
      script("container/start/20-b", "echo never")
      script("container/all", "echo all the same")
      const { stderr } = yield* feed([record()])
      assert.include(
        stderr,
        `container/start web: ${dir}/container/start/20-b is not run, since ${dir}/container/start/10-a has failed`
      )
      assert.notInclude(stderr, "20-b web: never")
      assert.include(stderr, "container/all (container/start web): all the same")
    })
  )

  testProgram("runs a script with what its head says, and says what it cannot understand", ({ dir, feed, script }) =>
    Effect.gen(function* () {
      script("container/start", "# des: name=web timeout=300ms\nsleep 60")
      script("container/die", "# des: timeout=0\nsleep 1; echo unbounded")
      script("container/stop", "# des: timeout=soon\necho stopped")
      script("container/kill", "# des: retries=1\nexit $((2 - DES_ATTEMPT))")
      const events = [
        record(),
        record({ id: "2", attributes: { name: "db" } }),
        ...["die", "stop", "kill"].map((Action) => record({ Action }))
      ]
      const { code, lines, stderr } = yield* feed(events, ["--timeout", "500ms"])
      // A script failed in the end.
      assert.strictEqual(code, 1)
      const runs = lines.flatMap((line) => / - Running script (\S+) \(\w+\)$/.exec(line)?.slice(1) ?? [])
      assert.deepStrictEqual(
        runs,
        ["start", "die", "kill", "kill"].map((action) => `${dir}/container/${action}`)
      )
      assert.match(stderr, /container\/start Failed! .*TimedOut=0\.3s/)
      assert.include(stderr, "container/die web: unbounded")
      const message = 'timeout takes a duration such as 30s, 10m or 500ms, not "soon"'
      assert.include(stderr, ` - ERROR - Script ${dir}/container/stop is not run: line 2: ${message}\n`)
      assert.notInclude(stderr, "No script for container/start")
    })
  )
})

describeRoot("des, as another user than root", () => {
  testProgram("runs a program that it cannot read, which can have no options", ({ dir, path, script, top }) =>
    Effect.gen(function* () {
      script("container/start", "")
      const file = `${dir}/container/start`
      Fs.copyFileSync(execFileSync("sh", ["-c", "command -v id"], { encoding: "utf8" }).trim(), file)
      Fs.chmodSync(file, 0o711)
      Fs.chmodSync(top, 0o755)
      // All of the bundle: it is more than one file.
      Fs.cpSync(Path.dirname(Program.bin), path("dist"), { recursive: true })
      Fs.writeFileSync(path("dist/package.json"), '{"type":"module"}')
      const become = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"]
      const des = [...become, process.execPath, path("dist/bin.js"), "-d", dir, "--from", "-"]
      const { lines } = yield* Program.run(des, { stdin: record(), cwd: top, env: { HOME: top } })
      assert.include(lines.at(-1), "container/start web: uid=1000")
    })
  )
})
