/** What users of docker-event-scripts 0.1.3 keep, row by row. The command line is in cli/Contract.test.ts, `-c` in cli/Scaffold.test.ts. */

import * as Fs from "node:fs"
import * as Path from "node:path"
import { describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import { assert } from "vitest"
import { format } from "../src/endpoint/Endpoint.ts"
import { entries } from "../src/event/EventCatalogue.ts"
import { poll } from "./support/Poll.ts"
import * as Program from "./support/Program.ts"
import { type Fields, record } from "./support/Record.ts"
import { type Sandbox, test } from "./support/Sandbox.ts"
import * as StandInEngine from "./support/StandInEngine.ts"

/** What scripts have that is not the event's: the base, des's own, and what the shell itself sets. */
const notOfTheEvent = /^(?:PATH|HOME|USER|LOGNAME|SHELL|PWD|OLDPWD|SHLVL|_|DES_.*)$/

/** The event's variables as a real shell script sees them, once for each record. */
const variables = (sandbox: Sandbox, ...records: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    sandbox.script("all", `{ env -0; printf '\\0'; } >>${sandbox.path("environments")}`)
    const { code, stderr } = yield* sandbox.feed(records)
    assert.strictEqual(code, 0, stderr)
    const environments = sandbox.read("environments").split("\0\0").slice(0, -1)
    assert.strictEqual(environments.length, records.length)
    return environments.map(
      (environment): Readonly<Record<string, string>> =>
        Object.fromEntries(
          environment
            .split("\0")
            .map((variable) => [variable.slice(0, variable.indexOf("=")), variable.slice(variable.indexOf("=") + 1)])
            .filter(([name = ""]) => !notOfTheEvent.test(name))
        )
    )
  })

/** The messages of one level, without time and name. */
const messages = (stderr: string, level: string): ReadonlyArray<string> =>
  stderr
    .split("\n")
    .map((line) => line.split(" - "))
    .filter(([, name, label]) => name === "docker-event-script" && label === level)
    .map((parts) => parts.slice(3).join(" - "))

const start = (name: string): string => record({ attributes: { image: "alpine", name } })

describe("the script of an event", () => {
  test("is DIR/TYPE/ACTION, which runs for no other event", ({ feed, lines, script }) =>
    Effect.gen(function* () {
      for (const name of ["container/start", "container/die", "network/start", "image/pull"]) {
        script(name, `echo ${name} >>runs`)
      }
      yield* feed([record(), record({ Type: "image", Action: "pull" }), record({ Type: "volume", Action: "mount" })])
      assert.deepStrictEqual(lines("runs"), ["container/start", "image/pull"])
    }))

  for (const [action, name] of [
    ["exec_create: sh -c x", "exec_create"],
    ["exec_start: sh -c 'a: b' /../../c", "exec_start"],
    ["health_status: healthy", "health_status"],
    ["health_status:healthy", "health_status"],
    ["exec_die", "exec_die"]
  ] as const) {
    test(`is looked up by the action up to its first colon: \`${action}\` finds ${name}`, ({ feed, lines, script }) =>
      Effect.gen(function* () {
        script(`container/${name}`, 'printf "%s\\n" "$ACTION" "$STATUS" >>runs')
        yield* feed([record({ Action: action })])
        assert.deepStrictEqual(lines("runs"), [action, action])
      }))
  }

  test("is looked up in the case that the engine sends", ({ feed, lines, script }) =>
    Effect.gen(function* () {
      script("container/start", "echo lower >>runs")
      script("Container/Start", "echo upper >>runs")
      yield* feed([record({ Action: "START" }), record({ Type: "CONTAINER" }), record()])
      assert.deepStrictEqual(lines("runs"), ["lower"])
    }))

  test("is found for any type and action, also for those that des does not know", ({ feed, lines, script }) =>
    Effect.gen(function* () {
      script("newtype/new_action-2", "echo run >>runs")
      yield* feed([record({ Type: "newtype", Action: "new_action-2: with more" })])
      assert.deepStrictEqual(lines("runs"), ["run"])
    }))

  test("is looked up again for every event: adding, editing and deleting need no restart", ({
    dir,
    lines,
    ...sandbox
  }) =>
    Effect.gen(function* () {
      const des = yield* sandbox.start(["-d", dir, "--from", "-", "-v"], { stdin: "open" })
      const missing = "No script for container/start"
      yield* des.write(`${record()}\n`)
      yield* des.said(missing)

      sandbox.script("container/start", "echo added >>runs")
      yield* des.write(`${record()}\n`)
      yield* des.until("the script that was added", () => lines("runs").length === 1)

      sandbox.script("container/start", "echo edited >>runs")
      yield* des.write(`${record()}\n`)
      yield* des.until("the script that was edited", () => lines("runs").length === 2)

      sandbox.script("container/die", "echo last >>runs")
      Fs.rmSync(Path.join(dir, "container/start"))
      yield* des.write(`${record()}\n${record({ Action: "die" })}\n`)
      yield* des.until("the next event", () => lines("runs").length === 3)

      Fs.rmSync(Path.join(dir, "container"), { recursive: true })
      sandbox.script("container/start", "echo restored >>runs")
      yield* des.write(`${record()}\n`)
      yield* des.until("the script in a new directory", () => lines("runs").length === 4)
      assert.deepStrictEqual(lines("runs"), ["added", "edited", "last", "restored"])
    }))

  test("may be reached through links: to itself, to its type's directory, and to DIR", ({
    des,
    dir,
    lines,
    ...sandbox
  }) =>
    Effect.gen(function* () {
      sandbox.write("elsewhere/start", "#!/bin/sh\necho container >>runs\n", 0o755)
      sandbox.write("elsewhere/volumes/mount", "#!/bin/sh\necho volume >>runs\n", 0o755)
      sandbox.script("container/start", "exit 0")
      Fs.rmSync(Path.join(dir, "container/start"))
      Fs.symlinkSync("../../elsewhere/start", Path.join(dir, "container/start"))
      Fs.symlinkSync(sandbox.path("elsewhere/volumes"), Path.join(dir, "volume"))
      Fs.symlinkSync(dir, sandbox.path("linked.d"))
      const stdin = `${record()}\n${record({ Type: "volume", Action: "mount" })}\n`
      const { code, stderr } = yield* des(["-d", sandbox.path("linked.d"), "--from", "-"], { stdin })
      assert.strictEqual(code, 0, stderr)
      assert.deepStrictEqual(lines("runs"), ["container", "volume"])
      assert.deepStrictEqual(messages(stderr, "INFO").slice(1), [
        `Running script ${sandbox.path("linked.d")}/container/start (web)`,
        `Running script ${sandbox.path("linked.d")}/volume/mount (web)`
      ])
    }))

  test("is not a link without a target", ({ dir, feed, script }) =>
    Effect.gen(function* () {
      script("container/die", "exit 0")
      Fs.symlinkSync("nowhere", Path.join(dir, "container/start"))
      const { code, stderr } = yield* feed([record(), record({ Action: "die" })], ["-v"])
      assert.strictEqual(code, 0)
      assert.include(messages(stderr, "DEBUG"), "No script for container/start")
      assert.deepStrictEqual(messages(stderr, "WARNING"), [])
      assert.include(stderr, `Running script ${dir}/container/die`)
    }))

  for (const relative of ["events.d", "./events.d", "events.d/", "sub/../events.d", "."]) {
    test(`is found in a DIR that is relative to the working directory: ${relative}`, ({
      des,
      dir,
      exists,
      path,
      script,
      top
    }) =>
      Effect.gen(function* () {
        script("container/start", "touch ran")
        Fs.mkdirSync(path("sub"))
        const cwd = relative === "." ? dir : top
        const { code, stderr } = yield* des(["-d", relative, "--from", "-"], { stdin: record(), cwd })
        assert.strictEqual(code, 0, stderr)
        assert.isTrue(exists(relative === "." ? "events.d/ran" : "ran"))
      }))
  }

  test("runs under /bin/sh if it has no #!", ({ feed, lines, write }) =>
    Effect.gen(function* () {
      write("events.d/container/start", 'echo "$0 $ACTION" >>runs\n', 0o755)
      write("events.d/container/die", "", 0o755)
      const { stderr } = yield* feed([record(), record({ Action: "die" })])
      assert.deepStrictEqual(messages(stderr, "ERROR"), [])
      assert.strictEqual(lines("runs").length, 1)
      assert.match(lines("runs")[0] ?? "", /events\.d\/container\/start start$/)
    }))
})

/** The event that the original's README shows, as the engine of that time sent it. */
const readme = {
  record:
    '{"status":"start","id":"467730e17a0ac265eae034d21cf633755aa57d03483ae479b623bc5569d6c274","from":"alpine","Type":"container","Action":"start","Actor":{"ID":"467730e17a0ac265eae034d21cf633755aa57d03483ae479b623bc5569d6c274","Attributes":{"image":"alpine","name":"backstabbing_lichterman"}},"time":1471131434,"timeNano":1471131434853322607}',
  shown: `ACTION=start
ACTOR_ATTRIBUTES_IMAGE=alpine
TIME=1471131434
ACTOR_ID=467730e17a0ac265eae034d21cf633755aa57d03483ae479b623bc5569d6c274
STATUS=start
ACTOR_ATTRIBUTES_NAME=backstabbing_lichterman
ID=467730e17a0ac265eae034d21cf633755aa57d03483ae479b623bc5569d6c274
FROM=alpine
TYPE=container
TIMENANO=1471131434853322607`
}

describe("the environment of a script", () => {
  test("is the README's example, byte for byte", ({ feed, lines, script }) =>
    Effect.gen(function* () {
      script("container/start", "env >variables")
      yield* feed([readme.record])
      const seen = lines("variables").filter((line) => !notOfTheEvent.test(line.slice(0, line.indexOf("="))))
      assert.deepStrictEqual(seen.toSorted(), readme.shown.split("\n").toSorted())
    }))

  test("is the README's example, also if an engine of API 1.52 sends no status, id and from", (sandbox) =>
    Effect.gen(function* () {
      const { id, from, status, ...fields } = JSON.parse(readme.record)
      assert.isDefined(id ?? from ?? status)
      const today = JSON.stringify(fields).replace(/"timeNano":\d+/, '"timeNano":1471131434853322607')
      const [seen = {}] = yield* variables(sandbox, today)
      assert.deepStrictEqual(
        Object.entries(seen)
          .map((pair) => pair.join("="))
          .toSorted(),
        readme.shown.split("\n").toSorted()
      )
    }))

  const sent: ReadonlyArray<readonly [what: string, fields: Fields, expected: Readonly<Record<string, string>>]> = [
    [
      "the whole ACTION and STATUS",
      { Action: "health_status: healthy" },
      { ACTION: "health_status: healthy", STATUS: "health_status: healthy" }
    ],
    ["TYPE, SCOPE and TIME", {}, { TYPE: "container", SCOPE: "local", TIME: "1795453740" }],
    ["all 19 digits of TIMENANO", {}, { TIMENANO: "1795453740123456789" }],
    ["ACTOR_ID, ID and FROM", {}, { ACTOR_ID: "467730e17a0a", ID: "467730e17a0a", FROM: "alpine" }],
    ["_IMAGE and _NAME", {}, { ACTOR_ATTRIBUTES_IMAGE: "alpine", ACTOR_ATTRIBUTES_NAME: "web" }],
    ["_EXITCODE", { Action: "die", attributes: { exitCode: "137" } }, { ACTOR_ATTRIBUTES_EXITCODE: "137" }],
    ["_SIGNAL", { Action: "kill", attributes: { signal: "15" } }, { ACTOR_ATTRIBUTES_SIGNAL: "15" }],
    ["_EXECID", { Action: "exec_die", attributes: { execID: "3fa1" } }, { ACTOR_ATTRIBUTES_EXECID: "3fa1" }],
    ["_OLDNAME", { Action: "rename", attributes: { oldName: "/web" } }, { ACTOR_ATTRIBUTES_OLDNAME: "/web" }],
    [
      "_CONTAINER and _TYPE",
      { Type: "network", Action: "connect", attributes: { container: "ab3c", name: "bridge", type: "bridge" } },
      { ACTOR_ATTRIBUTES_CONTAINER: "ab3c", ACTOR_ATTRIBUTES_TYPE: "bridge" }
    ],
    [
      "_DRIVER and _DESTINATION",
      { Type: "volume", Action: "mount", attributes: { driver: "local", destination: "/data", "read/write": "true" } },
      { ACTOR_ATTRIBUTES_DRIVER: "local", ACTOR_ATTRIBUTES_DESTINATION: "/data" }
    ],
    [
      "labels",
      { attributes: { "com.example.role": "a b\n=ü'\"$" } },
      { ACTOR_ATTRIBUTES_COM_EXAMPLE_ROLE: "a b\n=ü'\"$" }
    ],
    ["an empty value", { attributes: { empty: "" } }, { ACTOR_ATTRIBUTES_EMPTY: "" }]
  ]
  for (const [what, fields, expected] of sent) {
    test(`has ${what}`, (sandbox) =>
      Effect.gen(function* () {
        const [seen = {}] = yield* variables(sandbox, record(fields))
        assert.deepStrictEqual({ ...seen, ...expected }, seen)
      }))
  }

  test("has STATUS, ID and FROM also from API 1.52, by the engine's own earlier rule", (sandbox) =>
    Effect.gen(function* () {
      const legacy = ({ FROM, ID, STATUS }: Readonly<Record<string, string>>) => [STATUS, ID, FROM]
      const seen = yield* variables(
        sandbox,
        record({ Action: "exec_create: sh" }),
        record({ attributes: { name: "web" } }),
        record({ Type: "image", Action: "pull", id: "alpine:3", attributes: { name: "alpine" } }),
        record({ Type: "network", Action: "connect" }),
        record({ Type: "volume", Action: "mount" })
      )
      assert.deepStrictEqual(seen.map(legacy), [
        ["exec_create: sh", "467730e17a0a", "alpine"],
        ["start", "467730e17a0a", ""],
        ["pull", "alpine:3", ""],
        [undefined, undefined, undefined],
        [undefined, undefined, undefined]
      ])
    }))

  test("has STATUS, ID and FROM as an earlier API sends them", (sandbox) =>
    Effect.gen(function* () {
      const [seen = {}] = yield* variables(sandbox, record({ more: { status: "s", id: "i", from: "f" } }))
      assert.deepStrictEqual([seen["STATUS"], seen["ID"], seen["FROM"]], ["s", "i", "f"])
    }))

  test("comes with the record on stdin: one line, byte for byte, then the end", ({ feed, read, script }) =>
    Effect.gen(function* () {
      script("container/start", "cat >record")
      const text = ` ${record({ attributes: { note: "Ä\u2028\\🐳" } }).replace('{"Type"', '{ "Type"')}`
      yield* feed([text])
      assert.strictEqual(read("record"), `${text}\n`)
    }))
})

describe("a run", () => {
  test("has no arguments, and des's working directory and user", ({ feed, lines, script, top }) =>
    Effect.gen(function* () {
      script("container/start", 'echo "$#" >seen; pwd >>seen; id -u >>seen; id -g >>seen')
      yield* feed([record()])
      assert.deepStrictEqual(lines("seen"), ["0", top, String(process.getuid?.()), String(process.getgid?.())])
    }))

  test("has its stdout and stderr logged", ({ feed, script }) =>
    Effect.gen(function* () {
      script("container/start", "echo to stdout; echo to stderr >&2; printf 'no newline'")
      const { stderr, stdout } = yield* feed([record()])
      assert.strictEqual(stdout, "")
      const subject = "container/start web: "
      const output = messages(stderr, "INFO").filter((message) => message.startsWith(subject))
      assert.sameMembers(
        output.map((message) => message.slice(subject.length)),
        ["to stdout", "to stderr", "no newline"]
      )
    }))

  test("that fails is logged as an error and does not stop des", ({ dir, feed, lines, script }) =>
    Effect.gen(function* () {
      script("container/start", "exit 3")
      script("container/die", "echo run >>runs")
      const { stderr } = yield* feed([record(), record({ Action: "die" })])
      assert.deepStrictEqual(messages(stderr, "ERROR"), [
        `Script ${dir}/container/start Failed! Exit=3 Message="" (web)`
      ])
      assert.deepStrictEqual(lines("runs"), ["run"])
    }))

  const slowly = 'echo "begin $ACTOR_ATTRIBUTES_NAME" >>runs; sleep 0.1; echo "end $ACTOR_ATTRIBUTES_NAME" >>runs'
  const actors = ["a", "b", "c"].map((name) => record({ id: name, attributes: { name } }))

  test("waits for the one before, in the order of the events", ({ feed, lines, script }) =>
    Effect.gen(function* () {
      script("container/start", slowly)
      yield* feed(actors)
      assert.deepStrictEqual(lines("runs"), ["begin a", "end a", "begin b", "end b", "begin c", "end c"])
    }))

  test("does not wait for runs of other actors with --jobs", ({ dir, lines, script, start: startDes }) =>
    Effect.gen(function* () {
      script("container/start", 'echo "begin $ACTOR_ATTRIBUTES_NAME" >>runs; while [ ! -e go ]; do sleep 0.05; done')
      const des = yield* startDes(["-d", dir, "--from", "-", "--jobs", "3"], { stdin: `${actors.join("\n")}\n` })
      yield* des.until("three scripts at once", () => lines("runs").length === 3)
      Fs.writeFileSync(Path.join(dir, "..", "go"), "")
      assert.strictEqual((yield* des.ended).code, 0)
    }))
})

describe("the log", () => {
  test("is on stderr as `TIME - docker-event-script - LEVEL - message`, in local time", ({ feed, script }) =>
    Effect.gen(function* () {
      script("container/start", "echo hello; exit 1")
      const before = Date.now()
      // No summer time there.
      const { lines, stdout } = yield* feed([record(), record({ Action: "die" })], ["-v"], {
        env: { TZ: "Asia/Kolkata" }
      })
      const after = Date.now()
      assert.strictEqual(stdout, "")
      assert.isAbove(lines.length, 5)
      for (const line of lines) {
        const form =
          /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d),(\d{3}) - docker-event-script - (?:DEBUG|INFO|WARNING|ERROR) - ./
        const [, date, time, milliseconds] = form.exec(line) ?? assert.fail(line)
        const at = Date.parse(`${date}T${time}.${milliseconds}+05:30`)
        assert.isTrue(before <= at && at <= after, line)
      }
    }))

  test("has INFO `watching ENDPOINT for events`, and says which engine that is", ({ dir, start: startDes }) =>
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({ events: () => StandInEngine.feed([], "stay") })
      const des = yield* startDes(["-d", dir, "-e", format(engine.endpoint)])
      yield* des.said("watching")
      assert.deepStrictEqual(messages(yield* des.stderr, "INFO"), [
        `watching ${format(engine.endpoint)} for events (dockerd)`
      ])
    }))

  test("has INFO `Running script PATH`, with the name of the container", ({ dir, feed, script }) =>
    Effect.gen(function* () {
      script("container/start", "exit 0")
      const { stderr } = yield* feed([record()])
      assert.include(messages(stderr, "INFO"), `Running script ${dir}/container/start (web)`)
    }))

  test("has DEBUG `No script for TYPE/ACTION`, because that is the normal state", ({ dir, feed }) =>
    Effect.gen(function* () {
      Fs.mkdirSync(Path.join(dir, "container"))
      const records = [record(), record({ Action: "die: whatever" }), record({ Type: "newtype" })]
      const verbose = yield* feed(records, ["-v"])
      assert.includeMembers(
        [...messages(verbose.stderr, "DEBUG")],
        ["No script for container/start", "No script for container/die", "No script for newtype/start"]
      )
      assert.deepStrictEqual(messages(verbose.stderr, "WARNING"), [])
      assert.notInclude((yield* feed(records)).stderr, "No script")
    }))

  test("has no run of a script of comments only, until it has a command", ({ feed, script }) =>
    Effect.gen(function* () {
      script("container/start", "# What could be done here:\n\n  # echo started")
      const without = yield* feed([record()], ["-v"])
      assert.include(messages(without.stderr, "DEBUG"), "No script for container/start")
      assert.notInclude(without.stderr, "Running script")
      script("container/start", "# What could be done here:\n\n  echo started")
      assert.include((yield* feed([record()])).stderr, "container/start web: started")
    }))

  test('has ERROR `Script PATH Failed! Exit=N Message="…"`, with the last line of stderr and the name of the container', ({
    dir,
    feed,
    script
  }) =>
    Effect.gen(function* () {
      script("container/start", "echo first >&2; echo 'the last' >&2; echo out; exit 42")
      const { stderr } = yield* feed([record()])
      assert.deepStrictEqual(messages(stderr, "ERROR"), [
        `Script ${dir}/container/start Failed! Exit=42 Message="the last" (web)`
      ])
    }))

  const failures: Readonly<Record<string, readonly [text: string, args?: ReadonlyArray<string>]>> = {
    "is ended by a signal": ["#!/bin/sh\nkill -9 $$\n"],
    "has no interpreter": ["#!/nonexistent/interpreter\n"],
    "exceeds its timeout": ["#!/bin/sh\nsleep 600\n", ["--timeout", "100ms"]]
  }
  for (const [what, [text, args]] of Object.entries(failures)) {
    test(`has ERROR \`Script PATH Failed! Exit=N Message="…"\` also for a script that ${what}`, ({
      dir,
      feed,
      write
    }) =>
      Effect.gen(function* () {
        write("events.d/container/start", text, 0o755)
        const { stderr } = yield* feed([record()], args)
        const errors = messages(stderr, "ERROR")
        assert.strictEqual(errors.length, 1)
        assert.match(
          errors[0] ?? "",
          new RegExp(`^Script ${dir}/container/start Failed! Exit=-?\\d+ .*Message=".*" [(]web[)]$`)
        )
      }))
  }

  test("has DEBUG `Detected actionable event TYPE/ACTION: {…}`, `Script ENV: {…}`, `Finished handling TYPE/ACTION`", ({
    feed,
    script
  }) =>
    Effect.gen(function* () {
      script("container/exec_create", "exit 0")
      const text = record({ Action: "exec_create: sh -c x" })
      const debug = messages((yield* feed([text], ["-v"])).stderr, "DEBUG")
      const [detected = "", environment = "", succeeded = "", finished = ""] = debug
      assert.strictEqual(detected, `Detected actionable event container/exec_create: ${text}`)
      assert.match(environment, /^Script ENV: \{.*\}$/)
      const given = JSON.parse(environment.slice("Script ENV: ".length))
      assert.strictEqual(given.ACTION, "exec_create: sh -c x")
      assert.isString(given.PATH)
      assert.match(succeeded, /^Script \S+\/container\/exec_create succeeded in \d+ ms \(web\)$/)
      assert.strictEqual(finished, "Finished handling container/exec_create (web)")
    }))

  test("has no DEBUG without -v", ({ feed, script }) =>
    Effect.gen(function* () {
      script("container/start", "exit 0")
      const { stderr } = yield* feed([record(), record({ Action: "die" })])
      assert.deepStrictEqual(messages(stderr, "DEBUG"), [])
    }))
})

describe("a bug of the original is not repeated", () => {
  describe("1. it ignored -e and DOCKER_HOST", () => {
    const oneStart = () => StandInEngine.make({ events: () => StandInEngine.feed([`${record()}\n`], "stay") })

    const asked: Readonly<
      Record<string, (endpoint: string) => { args: ReadonlyArray<string>; env: Readonly<Record<string, string>> }>
    > = {
      "des connects to the engine of -e": (endpoint) => ({ args: ["-e", endpoint], env: {} }),
      "des connects to the engine of DOCKER_HOST": (endpoint) => ({ args: [], env: { DOCKER_HOST: endpoint } }),
      "-e wins over DOCKER_HOST": (endpoint) => ({
        args: ["-e", endpoint],
        env: { DOCKER_HOST: "unix:///nonexistent/docker.sock" }
      })
    }
    for (const [what, how] of Object.entries(asked)) {
      test(what, ({ dir, lines, script, start: startDes }) =>
        Effect.gen(function* () {
          const engine = yield* oneStart()
          const endpoint = format(engine.endpoint)
          script("container/start", 'echo "$DOCKER_HOST" >>runs')
          const { args, env } = how(endpoint)
          const des = yield* startDes(["-d", dir, ...args], { env })
          yield* des.until("the script", () => lines("runs").length === 1)
          assert.include(yield* des.stderr, `watching ${endpoint} for events`)
          assert.deepStrictEqual(lines("runs"), [endpoint], "and scripts that call docker ask the same one")
        })
      )
    }

    test("-e accepts tcp://HOST:PORT", ({ dir, exists, script, start: startDes }) =>
      Effect.gen(function* () {
        const engine = yield* StandInEngine.make({
          events: () => StandInEngine.feed([`${record()}\n`], "stay"),
          tcp: true
        })
        script("container/start", "touch ran")
        const des = yield* startDes(["-d", dir, "-e", format(engine.endpoint)])
        yield* des.until("the script", () => exists("ran"))
      }))
  })

  describe("2. it exited with 0 at the end of the feed, so an engine restart ended it", () => {
    for (const ending of ["end", "break", "reset"] as const) {
      test(`des connects again after the feed's ${ending}`, ({ dir, lines, script, start: startDes }) =>
        Effect.gen(function* () {
          const engine = yield* StandInEngine.make({
            events: (number) => StandInEngine.feed([`${start(`feed ${number}`)}\n`], number === 0 ? ending : "stay"),
            // Only TCP has a reset.
            tcp: ending === "reset"
          })
          script("container/start", 'echo "$ACTOR_ATTRIBUTES_NAME" >>runs')
          const des = yield* startDes(["-d", dir, "-e", format(engine.endpoint)])
          yield* des.until("the script of the second feed", () => lines("runs").includes("feed 1"))
          const stderr = yield* des.stderr
          // It is there again at once, and nothing is lost: no news.
          assert.strictEqual(messages(stderr, "INFO").filter((message) => message.startsWith("watching ")).length, 1)
          yield* des.kill("SIGTERM")
          assert.strictEqual((yield* des.ended).code, 143)
        }))
    }
  })

  test("3. it crashed without an engine at the start: des logs that once, waits, and watches when the engine comes", ({
    dir,
    exists,
    path,
    script,
    start: startDes
  }) =>
    Effect.gen(function* () {
      script("container/start", "touch ran")
      const des = yield* startDes(["-d", dir, "-e", `unix://${path("docker.sock")}`])
      yield* des.said("WARNING")
      const engine = yield* StandInEngine.make({ events: () => StandInEngine.feed([`${record()}\n`], "stay") })
      assert.strictEqual(engine.endpoint._tag, "Unix")
      // The socket appears under the name that des was given.
      if (engine.endpoint._tag === "Unix") Fs.symlinkSync(engine.endpoint.path, path("docker.sock"))
      yield* des.until("the script", () => exists("ran"))
      const stderr = yield* des.stderr
      const [warning = "", ...more] = messages(stderr, "WARNING")
      // What was warned of and is well again is said as loudly.
      assert.deepStrictEqual(more, [`watching unix://${path("docker.sock")} for events (dockerd)`])
      assert.match(
        warning,
        new RegExp(`^no engine can be reached at unix://${path("docker.sock")}: the socket does not exist`)
      )
      for (const line of stderr.trimEnd().split("\n")) assert.match(line, /^\d{4}-.* - docker-event-script - [A-Z]+ - /)
    }))

  test("3. an engine that stays away is one log line, not one for each attempt", ({ dir, start: startDes }) =>
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({
        ping: StandInEngine.refuse(503, "starting"),
        events: () => StandInEngine.silence
      })
      const des = yield* startDes(["-d", dir, "-e", format(engine.endpoint)])
      const tries = Effect.map(engine.requests, (requests) => requests.length >= 3)
      assert.isTrue(yield* poll(tries, 15_000), "des tries again")
      assert.deepStrictEqual(messages(yield* des.stderr, "WARNING"), [
        `the engine at ${format(engine.endpoint)} refused: 503 starting; des retries`
      ])
    }))

  test("4. it did not read while a script ran: des reads on, and loses nothing", ({
    dir,
    exists,
    lines,
    path,
    script,
    start: startDes
  }) =>
    Effect.gen(function* () {
      // 8 MB, more than the buffers between two processes take.
      const names = Array.from({ length: 200 }, (_, index) => `event ${index}`)
      const sentAll = yield* Deferred.make<void>()
      const engine = yield* StandInEngine.make({
        events: () =>
          StandInEngine.feed(
            [
              ...names.map((name) => `${record({ id: name, attributes: { name, label: "x".repeat(40_000) } })}\n`),
              Deferred.succeed(sentAll, undefined)
            ],
            "stay"
          )
      })
      script(
        "container/start",
        'while [ ! -e go ]; do touch waits; sleep 0.05; done; echo "$ACTOR_ATTRIBUTES_NAME" >>runs'
      )
      const des = yield* startDes(["-d", dir, "-e", format(engine.endpoint)])
      yield* des.until("the first script", () => exists("waits"))
      const sent = yield* Effect.timeoutOption(Deferred.await(sentAll), "15 seconds")
      assert.strictEqual(sent._tag, "Some", "the engine can send while the script runs")
      assert.deepStrictEqual(lines("runs"), [])
      Fs.writeFileSync(path("go"), "")
      yield* des.until("all scripts", () => lines("runs").length === names.length)
      assert.deepStrictEqual(lines("runs"), names)
    }))

  test("5. it passed the path to `sh -c`: in des any name of DIR works, and none is run as a command", ({
    des,
    exists,
    path,
    write
  }) =>
    Effect.gen(function* () {
      const name = "a b; touch pwned; $(touch pwned) `touch pwned` 'q' \"d\" & * \\ ü"
      write(`${name}/container/start`, "#!/bin/sh\ntouch ran\n", 0o755)
      const { code, stderr } = yield* des(["-d", path(name), "--from", "-"], { stdin: record() })
      assert.strictEqual(code, 0, stderr)
      assert.isTrue(exists("ran"))
      assert.isFalse(exists("pwned"))
      assert.include(messages(stderr, "INFO"), `Running script ${path(name)}/container/start (web)`)
    }))

  test("6. it did not check type and action in the path: des runs nothing outside DIR/TYPE/ACTION", ({
    dir,
    exists,
    feed,
    lines,
    script,
    write
  }) =>
    Effect.gen(function* () {
      script("container/start", "echo run >>runs")
      write("outside", "#!/bin/sh\ntouch pwned\n", 0o755)
      write("events.d/script", "#!/bin/sh\ntouch pwned\n", 0o755)
      const hostile: ReadonlyArray<Fields> = [
        { Type: "../..", Action: `${Path.basename(Path.dirname(dir))}/outside` },
        { Type: "..", Action: "outside" },
        { Type: ".", Action: "script" },
        { Type: "container/..", Action: "script" },
        { Action: "../script" },
        { Action: "../../outside" },
        { Action: "sub/../../../outside" },
        { Type: "", Action: "script" },
        { Action: "start/../start" },
        { Action: "/start" },
        { Action: "start\u0000x" },
        { Action: "start\n" },
        { Action: " start" },
        { Action: "" },
        { Action: ": start" },
        { Action: "." },
        { Action: ".." },
        { Action: "x".repeat(5000) }
      ]
      const { code, stderr } = yield* feed([...hostile.map(record), record()])
      assert.strictEqual(code, 0)
      assert.isFalse(exists("pwned"))
      assert.deepStrictEqual(lines("runs"), ["run"])
      assert.strictEqual(messages(stderr, "INFO").filter((message) => message.startsWith("Running")).length, 1)
      assert.deepStrictEqual(messages(stderr, "ERROR"), [])
    }))

  test("7. it ran directories and non-executable files: des runs neither, and warns of the files", ({
    dir,
    feed,
    script
  }) =>
    Effect.gen(function* () {
      Fs.mkdirSync(Path.join(dir, "container/start"), { recursive: true })
      script("container/die", "touch pwned", 0o644)
      script("container/stop", "exit 0")
      const { code, stderr } = yield* feed([record(), record({ Action: "die" }), record({ Action: "stop" })], ["-v"])
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(
        messages(stderr, "INFO").filter((message) => message.startsWith("Running")),
        [`Running script ${dir}/container/stop (web)`]
      )
      assert.include(messages(stderr, "DEBUG"), "No script for container/start")
      assert.include(stderr, `${dir}/container/die is not executable`)
      assert.deepStrictEqual(messages(stderr, "ERROR"), [])
    }))

  test("8. it gave scripts no PATH: des gives them its own, or a usual one if it has none", ({
    dir,
    feed,
    lines,
    script,
    top
  }) =>
    Effect.gen(function* () {
      // Asked of env, since a shell that gets no PATH has one of its own.
      script("container/start", "env | grep -E '^(PATH|HOME)=' | sort >>seen")
      yield* feed([record()], [], { env: { PATH: "/usr/bin:/bin:/own" } })
      assert.deepStrictEqual(lines("seen"), [`HOME=${top}`, "PATH=/usr/bin:/bin:/own"])
      const bare = ["/usr/bin/env", "-i", `HOME=${top}`, ...Program.des("-d", dir, "--from", "-")]
      yield* Program.run(bare, { stdin: record(), cwd: top })
      assert.deepStrictEqual(lines("seen").slice(2), [
        `HOME=${top}`,
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
      ])
    }))

  const dash = ["/bin/dash", "/usr/bin/dash"].find((path) => Fs.existsSync(path)) ?? "/bin/sh"
  test(`9. its label variables were not shell names: all are now, and ${dash} reads them`, ({ feed, lines, write }) =>
    Effect.gen(function* () {
      const labels = {
        "com.example.x": "dots",
        "a-b/c d": "others",
        "1st": "digit",
        ünïcode: "letters",
        "": "none",
        "a;touch pwned": "shell"
      }
      write(
        "events.d/container/start",
        `#!${dash}\nset -u\nprintf '%s\\n' "$ACTOR_ATTRIBUTES_COM_EXAMPLE_X" "$ACTOR_ATTRIBUTES_A_B_C_D" "$ACTOR_ATTRIBUTES_1ST" >seen\nexport -p >names\n`,
        0o755
      )
      const { stderr } = yield* feed([record({ attributes: labels })])
      assert.deepStrictEqual(messages(stderr, "ERROR"), [])
      assert.deepStrictEqual(lines("seen"), ["dots", "others", "digit"])
      for (const value of Object.values(labels))
        assert.isTrue(lines("names").some((line) => line.endsWith(`='${value}'`)))
      for (const line of lines("names")) assert.match(line, /^export [A-Z_][A-Z0-9_]*(?:=|$)/)
    }))

  describe("10. an event ended it: in des it and the next one run their scripts with", () => {
    const hostile: Readonly<Record<string, Readonly<Record<string, string>>>> = {
      "a label over 128 KiB": { big: "x".repeat(200_000) },
      "labels of 4 MB together": Object.fromEntries(
        Array.from({ length: 100 }, (_, index) => [`label.${index}`, "x".repeat(40_000)])
      ),
      "20,000 labels": Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`label.${index}`, ""])),
      "a label key over 128 KiB": { ["k".repeat(200_000)]: "x" },
      "a label key with =": { "a=b": "c", "=": "d" },
      "a NUL in a value": { nul: "a\u0000b" },
      "a NUL in a key": { "a\u0000b": "c" },
      "a label that looks like a variable of its own": { PATH: "/tmp", "../PATH": "/tmp" },
      "half a character": { half: "\ud83d" }
    }
    for (const [what, labels] of Object.entries(hostile)) {
      test(what, ({ feed, lines, read, script }) =>
        Effect.gen(function* () {
          script("container/start", 'echo "$ACTOR_ATTRIBUTES_NAME" >>runs; cat >record; env true')
          const text = record({ attributes: { name: "hostile", ...labels } })
          const { code, stderr } = yield* feed([text, start("next")])
          assert.strictEqual(code, 0)
          assert.deepStrictEqual(messages(stderr, "ERROR"), [])
          assert.deepStrictEqual(lines("runs"), ["hostile", "next"])
          assert.strictEqual(read("record"), `${start("next")}\n`)
        })
      )
    }

    test("values too large for the kernel: they are cut and listed, and whole in the record", ({
      feed,
      lines,
      read,
      script
    }) =>
      Effect.gen(function* () {
        script("container/start", 'echo "${#ACTOR_ATTRIBUTES_BIG}" >seen; echo "$DES_TRUNCATED" >>seen; cat >record')
        const text = record({ attributes: { big: "x".repeat(200_000), name: "web" } })
        yield* feed([text])
        const [length, truncated] = lines("seen")
        assert.isAbove(Number(length), 100_000)
        assert.strictEqual(truncated, "ACTOR_ATTRIBUTES_BIG")
        assert.strictEqual(read("record"), `${text}\n`)
      }))

    test("an event without Type or Action before it: that one is skipped and logged", ({ feed, lines, script }) =>
      Effect.gen(function* () {
        script("container/start", 'echo "$ACTOR_ATTRIBUTES_NAME" >>runs')
        const { code, stderr } = yield* feed(['{"Action":"start"}', '{"Type":"container"}', start("next")])
        assert.strictEqual(code, 0)
        assert.deepStrictEqual(lines("runs"), ["next"])
        assert.strictEqual(messages(stderr, "WARNING").length, 2)
      }))
  })

  describe("11. it handled the output of scripts badly", () => {
    test("it did not log output of a successful script: des does, line by line", ({ feed, script }) =>
      Effect.gen(function* () {
        script("container/start", "printf 'one\\n\\ntwo\\r\\n'; exit 0")
        const { stderr } = yield* feed([record()])
        const prefix = "container/start web: "
        assert.deepStrictEqual(
          messages(stderr, "INFO").filter((message) => message.startsWith(prefix)),
          [`${prefix}one`, prefix, `${prefix}two`]
        )
      }))

    test("output could forge a log line: in des it cannot", ({ feed, script }) =>
      Effect.gen(function* () {
        script(
          "container/start",
          "printf 'a\\r2026-11-23 17:09:07,434 - docker-event-script - ERROR - forged\\033[2J\\302\\205b\\n'"
        )
        const { lines, stderr } = yield* feed([record()])
        assert.deepStrictEqual(messages(stderr, "ERROR"), [])
        assert.strictEqual(lines.length, 3)
        assert.include(stderr, "a\\r2026-11-23 17:09:07,434 - docker-event-script - ERROR - forged\\u001b[2J\\u0085b")
      }))

    for (const [what, command] of [
      ["in one line", "head -c 300000000 /dev/zero"],
      ["in short lines, on stderr", "yes | head -c 300000000 >&2"]
    ] as const) {
      test(
        `300 MB of output took 300 MB of memory: des stays below 200 MB, ${what}`,
        ({ dir, exists, path, script, start: startDes }) =>
          Effect.gen(function* () {
            script("container/start", `${command}; touch written; while [ ! -e go ]; do sleep 0.05; done`)
            const des = yield* startDes(["-d", dir, "--from", "-"], { stdin: record(), deadline: 60_000 })
            yield* des.until("the end of the output", () => exists("written"))
            // The highest that the process had so far, in kB.
            const peak = /^VmHWM:\s+(\d+) kB$/m.exec(Fs.readFileSync(`/proc/${des.pid}/status`, "utf8"))?.[1]
            assert.isBelow(Number(peak), 200_000)
            Fs.writeFileSync(path("go"), "")
            const { code, stderr } = yield* des.ended
            assert.strictEqual(code, 0)
            assert.match(stderr, / - WARNING - .*container\/start: \d+ bytes of its output were not logged \(web\)/)
          }),
        90_000
      )
    }

    test("a background child blocked the feed: in des the next script runs while the child holds stdout open", ({
      dir,
      lines,
      processes,
      script,
      start: startDes
    }) =>
      Effect.gen(function* () {
        script("container/start", "sleep 600 & echo $! >child")
        script("container/die", "echo run >>runs")
        const des = yield* startDes(["-d", dir, "--from", "-"], {
          stdin: `${record()}\n${record({ Action: "die" })}\n`
        })
        yield* des.until("the next event's script", () => lines("runs").length === 1)
        assert.include(processes(), Number(lines("child")[0]), "the child still runs")
        assert.strictEqual((yield* des.ended).code, 0)
      }))
  })

  test("12. SIGTERM orphaned the running script: des ends the script and its children before itself", ({
    dir,
    lines,
    processes,
    script,
    start: startDes
  }) =>
    Effect.gen(function* () {
      script("container/start", "sleep 600 & echo $! >child; echo $$ >script; wait")
      const des = yield* startDes(["-d", dir, "--from", "-", "--drain", "100ms"], { stdin: "open" })
      yield* des.write(`${record()}\n`)
      yield* des.until("the script", () => lines("script").length > 0)
      for (const file of ["child", "script"]) assert.include(processes(), Number(lines(file)[0]))
      yield* des.kill("SIGTERM")
      assert.strictEqual((yield* des.ended).code, 143)
      assert.deepStrictEqual(processes(), [])
    }))

  test("13. -c wrote mode 0777, needed the parent, and knew the events of 2016: des does not", ({ path, top }) =>
    Effect.gen(function* () {
      const create = Program.des("-c", "-d", path("parent/new"))
      const { code } = yield* Program.run(["/bin/sh", "-c", 'umask 0; exec "$@"', "sh", ...create], {
        cwd: top,
        env: { HOME: top }
      })
      assert.strictEqual(code, 0)
      for (const { action, type } of entries) {
        assert.strictEqual(Fs.statSync(path(`parent/new/${type}/${action}`)).mode & 0o7777, 0o755)
      }
      // None of these was there in 2016.
      for (const script of [
        "container/prune",
        "container/exec_die",
        "builder/prune",
        "service/update",
        "config/create"
      ]) {
        assert.isTrue(Fs.existsSync(path(`parent/new/${script}`)), script)
      }
    }))

  test("14. it accepted a missing DIR: des exits with 1 and says what to do", ({ des, path }) =>
    Effect.gen(function* () {
      for (const args of [
        ["--from", "/dev/null"],
        ["-e", "unix:///nonexistent/docker.sock"]
      ]) {
        const { code, stderr } = yield* des(["-d", path("missing"), ...args])
        assert.strictEqual(code, 1)
        const [error = ""] = messages(stderr, "ERROR")
        assert.include(error, `the script directory ${path("missing")} does not exist`)
        assert.include(error, `des -c -d ${path("missing")}`)
      }
    }))

  test("15. it does not start on a current Python: des starts on this Node, with its bundle alone", ({ path, top }) =>
    Effect.gen(function* () {
      Fs.copyFileSync(Program.bin, path("des"))
      Fs.chmodSync(path("des"), 0o755)
      // The first line finds node by PATH, as after an installation.
      const PATH = `${Path.dirname(process.execPath)}:${process.env["PATH"] ?? ""}`
      for (const command of [[process.execPath, path("des")], [path("des")]]) {
        const { code, stderr, stdout } = yield* Program.run([...command, "--version"], { cwd: top, env: { PATH } })
        assert.strictEqual(code, 0, stderr)
        assert.match(stdout, /^\d+\.\d+\.\d+\n$/)
      }
    }))
})
