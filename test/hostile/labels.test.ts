import * as Fs from "node:fs"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { describeEngine } from "../support/DescribeEngine.ts"
import { post } from "../support/EngineApi.ts"
import { dockerd, type Engine } from "../support/Engines.ts"
import { parseLogfmt } from "../support/Logfmt.ts"
import { poll } from "../support/Poll.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"
import { shareEngine } from "../support/SharedEngine.ts"
import { eventOf, expectedBase, type Run, recorder, watch } from "../support/Watch.ts"

const image = "busybox:test"

const escape = "\u001b"

/** What must not come out of des as it came in: it could begin a line, move a cursor or turn text around. */
const raw = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u

const forged = "2026-11-23 17:09:07,434 - docker-event-script - CRITICAL - forged"

/** Texts that do something where they are not taken as text. Each would leave a file in the sandbox. */
const commands = [
  "$(touch canary)",
  "`touch canary`",
  ";touch canary;",
  "|touch canary",
  "\ntouch canary\n",
  "'\"&touch canary&"
]

/** A text with all that can spoil a log. */
const noise = [
  ...[...commands, `\n${forged}\n`, `\r${forged}`, `\u0085${forged}`, `\u2028${forged}`],
  ...[
    `${escape}[2J${escape}]0;title\u0007`,
    "\u009b31m",
    "\u202eback",
    "tab\t",
    "\b\b\b",
    "\u007f",
    '" level=ERROR message="forged',
    "nul\0"
  ]
].join(" ")

const labels = Object.fromEntries([
  ["", "an empty key"],
  ["=", "equals"],
  ["a=b", "equals"],
  ["PATH=/evil:", "equals"],
  ["with space", "a b"],
  ["line\nbreak", "line\nbreak"],
  ["tab\tkey", "tab\tvalue"],
  ["nul\0key", "nul\0value"],
  ["ключ", "значение"],
  ["😀", "😀"],
  ["9digit", "9"],
  ["__proto__", "proto"],
  ["constructor", "constructor"],
  ["noise", noise],
  [`key ${noise}`, "noise"],
  ...["PATH", "HOME", "SHELL", "IFS", "LD_PRELOAD", "LD_LIBRARY_PATH", "DOCKER_HOST", "DOCKER_CONFIG", "ENV"].map(
    (key) => [key, "/evil"]
  ),
  ...["BASH_ENV", "PYTHONPATH", "NODE_OPTIONS", "PERL5OPT", "http_proxy", "TMPDIR", "TZ", "LC_ALL"].map((key) => [
    key,
    "/evil"
  ]),
  ...["DES_ATTEMPT", "DES_TRUNCATED", "DES_STATE_DIR"].map((key) => [key, "/evil"]),
  ...["ACTION", "TYPE", "ID", "STATUS", "FROM", "SCOPE", "TIME", "TIMENANO", "ACTOR_ID"].map((key) => [key, "/evil"]),
  ...["ACTOR_ATTRIBUTES_NAME", "ACTOR_ATTRIBUTES_IMAGE", "Name", "NAME", "Image", "IMAGE", "name", "image"].map(
    (key) => [key, "/evil"]
  ),
  ["BASH_FUNC_ls%%", "() { touch canary; }"],
  ["x", "() { :;}; touch canary"]
])

const eventVariable =
  /^(?:ACTION|TYPE|STATUS|ID|FROM|SCOPE|TIME|TIMENANO|ACTOR_ID|ACTOR_ATTRIBUTES_[A-Z0-9_]*|DES_ATTEMPT|DES_TRUNCATED)$/

/** Checks what a stranger would change: the names, the base, and what the engine says of itself. */
const assertClosed = (runs: ReadonlyArray<Run>, sandbox: Sandbox, engine: Engine): void => {
  const ofEngine = { DOCKER_HOST: engine.endpoint, DES_ENGINE: engine.endpoint, DES_ENDPOINT: engine.endpoint }
  const base = { ...expectedBase(sandbox), ...ofEngine }
  for (const { environment, input } of runs) {
    const event = JSON.parse(input)
    assert.deepInclude(environment, base)
    assert.strictEqual(environment["DES_ATTEMPT"], "1")
    const others = Object.keys(environment).filter((name) => !(name in base) && !eventVariable.test(name))
    assert.deepStrictEqual(others, [])
    assert.strictEqual(environment["TYPE"], event.Type)
    assert.strictEqual(environment["ACTOR_ID"], event.Actor.ID)
    assert.match(environment["TIMENANO"] ?? "", /^\d{19}$/)
    if (event.Type === "container") assert.strictEqual(environment["ID"], event.Actor.ID)
  }
}

interface Created {
  readonly id: string
  readonly remove: Effect.Effect<string>
}

const create = (engine: Engine, name: string, config: object): Effect.Effect<Created, never, Scope.Scope> =>
  Effect.acquireRelease(
    post(engine, `/containers/create?name=${encodeURIComponent(name)}`, {
      Image: image,
      NetworkDisabled: true,
      ...config
    }).pipe(
      Effect.orDie,
      Effect.map((body): Created => {
        const { Id } = JSON.parse(body)
        return { id: Id, remove: Effect.orDie(engine.cli("rm", "--force", Id)) }
      })
    ),
    ({ remove }) => Effect.exit(remove)
  )

const run = (engine: Engine, { id }: Created): Effect.Effect<unknown> =>
  Effect.orDie(Effect.zipRight(post(engine, `/containers/${id}/start`), post(engine, `/containers/${id}/wait`)))

const execute = (engine: Engine, { id }: Created, command: ReadonlyArray<string>): Effect.Effect<unknown> =>
  post(engine, `/containers/${id}/exec`, { Cmd: command }).pipe(
    Effect.orDie,
    // The command of a stranger need not exist.
    Effect.flatMap((body) => Effect.exit(post(engine, `/exec/${JSON.parse(body).Id}/start`, { Detach: true })))
  )

/** The runs for the events of one container. */
const life = (runs: ReadonlyArray<Run>, { id }: Created): ReadonlyArray<Run> =>
  runs.filter(({ environment }) => environment["ACTOR_ID"] === id)

const verbs = (runs: ReadonlyArray<Run>): ReadonlyArray<string> =>
  runs.map(({ environment }) => (environment["ACTION"] ?? "").replace(/:.*/s, ""))

describeEngine("dockerd", () => {
  const shared = shareEngine(Effect.tap(dockerd(), (engine) => engine.importImage(image)))

  const hostile = (
    name: string,
    body: (sandbox: Sandbox, engine: Engine) => Effect.Effect<unknown, never, Scope.Scope>
  ) =>
    test(
      name,
      (sandbox) =>
        Effect.gen(function* () {
          const engine = yield* shared
          yield* body(sandbox, engine)
          assert.isFalse(sandbox.exists("canary"))
          assert.isFalse(Fs.existsSync("canary"))
        }),
      60_000
    )

  hostile("labels of every kind", (sandbox, engine) =>
    Effect.gen(function* () {
      sandbox.write(
        "events.d/container/start",
        `#!/bin/bash
{ type -t ls; command -v ls; declare -F; compgen -v | grep -c "^LD_"; ls -d ..; echo "$BASH_ENV"; } >>bash 2>&1
`,
        0o755
      )
      const { seen, settled } = yield* watch(sandbox, engine)
      const container = yield* create(engine, "labelled", { Cmd: ["sh", "-c", "exit 7"], Labels: labels })
      yield* run(engine, container)
      yield* container.remove
      yield* seen("container/destroy")

      const runs = yield* settled
      assertClosed(runs, sandbox, engine)
      const own = life(runs, container)
      assert.deepStrictEqual(verbs(own), ["create", "start", "die", "destroy"])
      for (const { environment } of own) {
        const attribute = (name: string) => environment[`ACTOR_ATTRIBUTES_${name}`]
        assert.strictEqual(attribute("NAME"), "labelled")
        assert.strictEqual(attribute("IMAGE"), image)
        assert.strictEqual(attribute("PATH"), "/evil")
        assert.strictEqual(attribute("BASH_ENV"), "/evil")
        assert.strictEqual(attribute("BASH_FUNC_LS__"), "() { touch canary; }")
        assert.strictEqual(attribute("NUL_KEY"), "nulvalue")
        assert.strictEqual(attribute("LINE_BREAK"), "line\nbreak")
        assert.strictEqual(attribute("NOISE"), noise.replaceAll("\0", ""))
        assert.strictEqual(attribute("__PROTO__"), "proto")
        assert.strictEqual(attribute(""), "an empty key")
        assert.strictEqual(environment["FROM"], image)
      }
      assert.strictEqual(own[2]?.environment["ACTOR_ATTRIBUTES_EXITCODE"], "7")
      assert.deepStrictEqual(sandbox.lines("bash"), ["file", "/usr/bin/ls", "0", "..", ""])
    })
  )

  hostile("labels that take the place of what the engine says", (sandbox, engine) =>
    Effect.gen(function* () {
      const { seen, settled } = yield* watch(sandbox, engine)
      const spoofed = { exitCode: "0", execID: "spoofed", signal: "spoofed" }
      const first = yield* create(engine, "spoofed", { Cmd: ["sh", "-c", "exit 7"], Labels: spoofed })
      const alike = { exitcode: "0", EXITCODE: "0", ExitCode: "0", "exit.Code": "0" }
      const second = yield* create(engine, "alike", { Cmd: ["sh", "-c", "exit 7"], Labels: alike })
      for (const container of [first, second]) {
        yield* run(engine, container)
        yield* container.remove
      }
      yield* seen("container/destroy", 2)

      const runs = yield* settled
      assertClosed(runs, sandbox, engine)
      const exitCode = (container: Created) =>
        life(runs, container).map(({ environment }) => environment["ACTOR_ATTRIBUTES_EXITCODE"])
      // The engine itself puts the label in the place of its own attribute, as docs/events.md says.
      assert.deepStrictEqual(exitCode(first), ["0", "0", "0", "0"])
      assert.deepStrictEqual(exitCode(second), ["0", "0", "7", "0"])
    })
  )

  hostile("exec command lines", (sandbox, engine) =>
    Effect.gen(function* () {
      const { seen, settled } = yield* watch(sandbox, engine)
      const container = yield* create(engine, "executed", { Cmd: ["sleep", "100000"] })
      yield* Effect.orDie(post(engine, `/containers/${container.id}/start`))
      const lines = [
        ["../../../../bin/sh", "-c", "true"],
        ["..", ": ..", "/../../canary: x"],
        ["true", noise],
        ["nul\0", "\0"],
        ["", ""],
        ["true", "x".repeat(200_000)],
        ...commands.map((command) => ["sh", "-c", `: ${command} >/dev/null`])
      ]
      for (const line of lines) yield* execute(engine, container, line)
      yield* seen("container/exec_create", lines.length)
      yield* container.remove
      yield* seen("container/destroy")

      const runs = yield* settled
      assertClosed(runs, sandbox, engine)
      const created = life(runs, container).filter((run) => eventOf(run).startsWith("container/exec_create: "))
      assert.lengthOf(created, lines.length)
      for (const [at, { environment }] of created.entries()) {
        const action = `exec_create: ${lines[at]?.join(" ")}`.replaceAll("\0", "")
        const whole = environment["ACTION"] === action && environment["DES_TRUNCATED"] === undefined
        const cut = action.startsWith(environment["ACTION"] ?? "?") && environment["DES_TRUNCATED"] === "ACTION STATUS"
        assert.isTrue(action.length > 100_000 ? cut : whole, environment["ACTION"]?.slice(0, 200))
      }
    })
  )

  hostile("names, comments, an image's labels, networks and volumes", (sandbox, engine) =>
    Effect.gen(function* () {
      const { seen, settled } = yield* watch(sandbox, engine)
      const longest = `n${"a".repeat(299)}`
      for (const name of ["a..b", longest]) {
        const container = yield* create(engine, name, { Cmd: ["true"] })
        yield* container.remove
      }
      const target = `/data ${commands.join(" ").replaceAll("/", "")}`
      const mounts = [{ Type: "volume", Source: "a..b", Target: target }]
      const container = yield* create(engine, "source", { Cmd: ["true"], HostConfig: { Mounts: mounts } })
      yield* run(engine, container)
      const comment = encodeURIComponent(noise)
      const commit = `/commit?container=${container.id}&repo=hostile&tag=1&comment=${comment}`
      yield* Effect.orDie(post(engine, commit, { Labels: labels }))
      const inheriting = yield* create(engine, "inheriting", { Image: "hostile:1", Cmd: ["true"] })
      yield* inheriting.remove
      yield* container.remove
      for (const args of [
        ["tag", "hostile:1", "hostile:2"],
        ["rmi", "hostile:1", "hostile:2"],
        ["volume", "rm", "a..b"]
      ]) {
        yield* Effect.orDie(engine.cli(...args))
      }
      const network = yield* post(engine, "/networks/create", { Name: noise, Internal: true, Labels: labels }).pipe(
        Effect.map((body): string => JSON.parse(body).Id),
        Effect.orDie
      )
      yield* Effect.orDie(engine.cli("network", "rm", network))
      yield* seen("network/destroy")

      const runs = yield* settled
      assertClosed(runs, sandbox, engine)
      const attribute = (event: string, name: string) =>
        runs.find((run) => eventOf(run) === event)?.environment[`ACTOR_ATTRIBUTES_${name}`]
      const text = noise.replaceAll("\0", "")
      const names = runs
        .filter((run) => eventOf(run) === "container/create")
        .map(({ environment }) => environment["ACTOR_ATTRIBUTES_NAME"])
      assert.deepStrictEqual(names, ["a..b", longest, "source", "inheriting"])
      assert.strictEqual(attribute("container/commit", "COMMENT"), text)
      assert.strictEqual(attribute("image/tag", "NOISE"), text)
      assert.strictEqual(attribute("network/create", "NAME"), text)
      assert.strictEqual(attribute("volume/mount", "DESTINATION"), target)
      const inherited = life(runs, inheriting).map(({ environment }) => environment["ACTOR_ATTRIBUTES_NOISE"])
      assert.deepStrictEqual(inherited, [text, text])
    })
  )

  hostile("a label of 5 MB, and 50,000 labels", (sandbox, engine) =>
    Effect.gen(function* () {
      const { seen, settled } = yield* watch(sandbox, engine)
      const large = yield* create(engine, "large", { Cmd: ["true"], Labels: { large: "x".repeat(5_000_000) } })
      const many = Object.fromEntries(Array.from({ length: 50_000 }, (_, at) => [`label.${at}`, `value ${at}`]))
      const numerous = yield* create(engine, "numerous", { Cmd: ["true"], Labels: many })
      for (const container of [large, numerous]) {
        yield* run(engine, container)
        yield* container.remove
      }
      yield* seen("container/destroy", 2)

      const runs = yield* settled
      assertClosed(runs, sandbox, engine)
      for (const container of [large, numerous]) {
        const own = life(runs, container)
        assert.deepStrictEqual(verbs(own), ["create", "start", "die", "destroy"])
        assert.strictEqual(own[2]?.environment["ACTOR_ATTRIBUTES_EXITCODE"], "0")
      }
      for (const { environment } of life(runs, large)) {
        assert.strictEqual(environment["DES_TRUNCATED"], "ACTOR_ATTRIBUTES_LARGE")
        assert.match(environment["ACTOR_ATTRIBUTES_LARGE"] ?? "", /^x{100000,}$/)
      }
      for (const { environment } of life(runs, numerous)) {
        assert.strictEqual(environment["ACTOR_ATTRIBUTES_NAME"], "numerous")
        // 4,096 values of a record become variables, and the others are counted.
        assert.match(environment["DES_TRUNCATED"] ?? "", /^\+459\d\d$/)
      }
    })
  )

  /** What a text line of the script's output begins with. The other formats have a field for it. */
  const output = "container/die logged: "

  /** Reads a log line as its reader would, to its level and message. What is no log line is an error. */
  const readers: Readonly<Record<string, (line: string) => readonly [level: string, message: string]>> = {
    text: (line) => {
      const found = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - docker-event-script - ([A-Z]+) - (.*)$/.exec(line)
      const [, level = assert.fail(`no log line: ${line}`), message = ""] = found ?? []
      return [level, message]
    },
    logfmt: (line) => {
      const { level = "", message = "", "log.iostream": stream } = parseLogfmt(line)
      return [level, stream === undefined ? message : output + message]
    },
    json: (line) => {
      const { level, message, "log.iostream": stream } = JSON.parse(line)
      return [String(level), stream === undefined ? String(message) : output + message]
    }
  }

  for (const [format, read] of Object.entries(readers)) {
    for (const flags of [[], ["-v"]]) {
      hostile(`the log as ${[format, ...flags].join(" ")}`, (sandbox, engine) =>
        Effect.gen(function* () {
          const print = `printf '%s\\n' "$ACTOR_ATTRIBUTES_NOISE"`
          sandbox.script("container/die", `${print}; ${print} >&2; exit 3`)
          const { des, seen, settled } = yield* watch(sandbox, engine, "--log-format", format, ...flags)
          const container = yield* create(engine, "logged", { Cmd: ["sleep", "100000"], Labels: labels })
          yield* Effect.orDie(post(engine, `/containers/${container.id}/start`))
          yield* execute(engine, container, ["true", noise])
          const comment = encodeURIComponent(noise)
          yield* Effect.orDie(post(engine, `/commit?container=${container.id}&comment=${comment}`))
          yield* container.remove
          yield* seen("container/destroy")
          assertClosed(yield* settled, sandbox, engine)
          yield* des.kill("SIGTERM")
          const { lines, stderr } = yield* des.ended
          assert.notMatch(stderr, raw)

          const events = sandbox.lines("runs/order").length
          const script = `${sandbox.dir}/container/die`
          const kinds: ReadonlyArray<readonly [level: string, begin: string, count: number]> = [
            ["INFO", `watching ${engine.endpoint} for events`, 1],
            ["INFO", `Running script ${sandbox.dir}/all`, events],
            ["INFO", `Running script ${script}`, 1],
            ["INFO", output, 2 * noise.split("\n").length],
            ["ERROR", `Script ${script} Failed! Exit=3 Message="`, 1],
            ["DEBUG", "Scripts are started with ", process.env["DES_TESTS_FALLBACK"] === "1" ? flags.length : 0],
            ["DEBUG", "Detected actionable event ", flags.length * events],
            ["DEBUG", "Script ENV: {", flags.length * (events + 1)],
            ["DEBUG", `Script ${sandbox.dir}/all succeeded in `, flags.length * events],
            ["DEBUG", "Finished handling ", flags.length * events]
          ]
          const messages = lines.map(read)
          for (const [level, begin, count] of kinds) {
            const found = messages.filter((message) => message[0] === level && message[1].startsWith(begin))
            assert.lengthOf(found, count, begin)
          }
          assert.lengthOf(
            messages,
            kinds.reduce((sum, [, , count]) => sum + count, 0),
            stderr
          )
        })
      )
    }
  }

  hostile("events that keep the script busy, to hide what comes after them", (sandbox, engine) =>
    Effect.gen(function* () {
      sandbox.script("all", `${recorder}\nsleep 0.3`)
      const { seen, settled } = yield* watch(sandbox, engine)
      const container = yield* create(engine, "busy", { Cmd: ["sleep", "100000"] })
      yield* Effect.orDie(post(engine, `/containers/${container.id}/start`))
      const { pid } = yield* Effect.orDie(
        Effect.map(engine.get(`/containers/${container.id}/json`), (body) => ({
          pid: Number(/"Pid":(\d+)/.exec(body)?.[1])
        }))
      )
      const isSleep = Effect.sync(() => Fs.readFileSync(`/proc/${pid}/comm`, "utf8").trim() === "sleep")
      assert.isTrue(yield* poll(isSleep, 10_000))
      // Process 1 of a container ignores it, once it is more than the runtime's own.
      const hangUp = Effect.orDie(post(engine, `/containers/${container.id}/kill?signal=HUP`))
      // First each comes while the script runs for the one before, then they come a little faster than it runs.
      for (let count = 1; count <= 12; count++) yield* Effect.zipRight(hangUp, seen("container/kill", count))
      sandbox.script("all", `${recorder}\nsleep 0.1`)
      yield* Effect.repeat(hangUp, Schedule.intersect(Schedule.recurs(69), Schedule.fixed("100 millis")))
      yield* container.remove
      yield* seen("container/destroy")
      const hangUps = Array.from({ length: 12 + 70 }, () => "kill")
      const actions = ["create", "start", ...hangUps, "kill", "die", "destroy"]
      assert.deepStrictEqual(verbs(life(yield* settled, container)), actions)
    })
  )
})
