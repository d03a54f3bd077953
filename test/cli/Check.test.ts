/** des check, as the author of scripts meets it. */

import * as Fs from "node:fs"
import { describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assert } from "vitest"
import * as Endpoint from "../../src/endpoint/Endpoint.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"
import * as StandInEngine from "../support/StandInEngine.ts"

const check = (sandbox: Sandbox, ...args: ReadonlyArray<string>) => sandbox.des(["check", "-d", sandbox.dir, ...args])

const withoutEngine = (sandbox: Sandbox) => ({ env: { DOCKER_HOST: `unix://${sandbox.path("absent.sock")}` } })

describe("des check", () => {
  test("shows each script with its event, its state and its options, and ends with 0 without a problem", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/die/10-mail", "# des: wait=2s..30s per=script image=postgres:*\necho")
      sandbox.script("container/all", "echo")
      sandbox.script("all", "echo")
      sandbox.script("volume/create", "# nothing yet")
      const { code, stderr, stdout } = yield* sandbox.des(["check", sandbox.dir])
      assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
      assert.deepStrictEqual(stdout.split("\n").slice(0, 5), [
        "EVENT          SCRIPT                 STATE  OPTIONS",
        "every event    all                    runs",
        "container/*    container/all          runs",
        "container/die  container/die/10-mail  runs   wait=2s..30s per=script image=postgres:*",
        ""
      ])
      assert.match(stdout, /events\.d: 3 scripts, and 1 script of comments only, 0 problems; checked as user \S+\n$/)
    }))

  test("names each problem with its fix, and ends with 1", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/started", "echo")
      sandbox.script("container/die.sh", "echo")
      sandbox.script("containers/start", "echo")
      sandbox.script("container/start", "echo", 0o644)
      sandbox.write("events.d/container/stop", "#!/no/such/shell\necho\n", 0o755)
      sandbox.write("events.d/container/kill", "#!/bin/sh\r\necho\r\n", 0o755)
      sandbox.script("container/pause/10-a", "echo\n# des: timeout=3s")
      sandbox.script("container/pause/20-b", "# DES: timeout=3s\necho")
      sandbox.script("container/pause/30-c", "# des timeout=3s\necho")
      sandbox.write("events.d/container/pause/40-d", "#!/usr/bin/env node\n// des: timeout=3s\n", 0o755)
      sandbox.script("container/pause/50-e", "# des: timeot=3s\necho")
      sandbox.script("container/pause/60-f", "# des: name=a name=b\necho")
      sandbox.script("container/pause/70-g", "# des: wait=1m..2s\necho")
      sandbox.script("container/pause/80-h", "# des: per=script\necho")
      sandbox.script("volume/create", "echo", 0o757)
      const { code, stdout } = yield* check(sandbox)
      assert.strictEqual(code, 1)
      const at = (name: string) => `problem: ${sandbox.dir}/${name}`
      const read = "this option is not read; write it as # des: NAME=VALUE, in a comment before the first command"
      for (const problem of [
        `${at("container/started")}: no engine of today sends an event container/started, so this is not run; did you mean start?`,
        `${at("container/die.sh")} is not run, since names may hold letters, digits, - and _ only; rename it to die`,
        `${at("containers")}: no engine of today sends events of the type containers, so nothing in it is run; did you mean container?`,
        `${at("container/start")} is not executable and is not run; chmod +x ${sandbox.dir}/container/start makes it a script`,
        `${at("container/stop")} will not start: its interpreter /no/such/shell does not exist; install it, or correct the first line`,
        `${at("container/kill")} will not start: its first line ends with CR LF`,
        `${at("container/pause/10-a")}: line 3: this option is not read, since it stands after the first command; move it to the comments at the beginning`,
        `${at("container/pause/20-b")}: line 2: ${read}`,
        `${at("container/pause/30-c")}: line 2: ${read}`,
        `${at("container/pause/40-d")}: line 2: ${read}`,
        `${at("container/pause/50-e")} is never run: line 2: "timeot=3s" is not an option; did you mean timeout=?`,
        `${at("container/pause/60-f")} is never run: no event meets both name=a and name=b`,
        `${at("container/pause/70-g")} is never run: line 2: wait=1m..2s contradicts itself: `,
        `${at("container/pause/80-h")} is never run: line 2: per=script says whose wait or cooldown it is, and there is none`,
        `${at("volume/create")} can be written by everybody; chmod o-w ${sandbox.dir}/volume/create fixes it`
      ]) {
        assert.include(stdout, problem)
      }
      assert.match(stdout, /, 15 problems; checked as/)
    }))

  test("prints one JSON object a line with --json", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/die", "# des: timeout=30s\necho")
      sandbox.script("container/start", "echo", 0o644)
      const { code, stdout } = yield* check(sandbox, "--json")
      assert.strictEqual(code, 1)
      const path = `${sandbox.dir}/container/start`
      const message = `${path} is not executable and is not run; chmod +x ${path} makes it a script`
      const script = { kind: "script", type: "container", trusted: true }
      assert.deepStrictEqual(
        stdout
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line)),
        [
          {
            ...script,
            path: `${sandbox.dir}/container/die`,
            action: "die",
            options: { conditions: [], timeout: 30_000 },
            runs: true
          },
          { ...script, path, action: "start", options: { conditions: [] }, runs: false, why: message },
          { kind: "problem", path, message }
        ]
      )
    }))

  test("lets no name of a file drive a terminal", (sandbox) =>
    Effect.gen(function* () {
      Fs.mkdirSync(`${sandbox.dir}/container`)
      sandbox.write("events.d/container/\u001b[31mstart", "#!/bin/sh\necho\n", 0o755)
      sandbox.script("container/die", "# des: name=\u001b[31m\u202e\necho")
      const { stdout } = yield* check(sandbox)
      assert.include(stdout, "container/\\u001b[31mstart is not run")
      assert.include(stdout, "name=\\u001b[31m\\u202e")
      assert.notInclude(stdout, "\u001b")
    }))

  test("hints at labels that no running container has, where an engine can be asked", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/die/10-a", "# des: label=role=web\necho")
      sandbox.script("container/die/20-b", "# des: label=role=db\necho")
      sandbox.script("container/start", "# des: attribute=exitCode=1\necho")
      sandbox.script("volume/create", "# des: inspect=yes\necho")
      sandbox.script("all", "# des: inspect=yes\necho")
      const engine = yield* StandInEngine.make({})
      engine.state.containers.set("c1", {
        image: "nginx",
        name: "web",
        labels: { role: "web" },
        running: true,
        startedAt: "2026-11-23T10:00:00Z"
      })
      const { code, stdout } = yield* check(sandbox, "-e", Endpoint.format(engine.endpoint))
      assert.strictEqual(code, 0, stdout)
      assert.deepStrictEqual(
        stdout.split("\n").filter((line) => line.startsWith("hint")),
        [
          `hint: ${sandbox.dir}/container/start: attribute=exitCode=1 is about exitCode, which container/start does not have`,
          `hint: ${sandbox.dir}/volume/create: inspect=yes gives no data, since events of the type volume are not about containers`,
          `hint: ${sandbox.dir}/container/die/20-b: no running container meets label=role=db`
        ]
      )
      const away = yield* sandbox.des(["check", sandbox.dir], withoutEngine(sandbox))
      assert.strictEqual(away.code, 0)
      assert.include(away.stdout, `hint: conditions on labels were not compared with containers: no engine`)
    }))

  test("names what is missing, and what it cannot take", (sandbox) =>
    Effect.gen(function* () {
      for (const [args, code, says] of [
        [["nope"], 1, `the script directory ${sandbox.path("nope")} does not exist`],
        [["a", "b"], 2, '"b": des check takes one directory'],
        [["--event", "started"], 2, '--event "started": expected TYPE/ACTION, such as container/start'],
        [["--event", "container/die", "=x"], 2, '"=x": expected KEY=VALUE']
      ] as const) {
        const ended = yield* sandbox.des(["check", ...args])
        assert.strictEqual(ended.code, code, ended.stderr)
        assert.include(ended.stderr, says)
      }
    }))
})

describe("des check --event", () => {
  const scripts = (sandbox: Sandbox) => {
    sandbox.script("container/die/10-a", "# des: name=web*\necho")
    sandbox.script("container/die/20-b", "# des: image=postgres:*\necho")
    sandbox.script("container/die/30-c", "# des: timeot=1s\necho")
    sandbox.script("container/all", "echo")
    sandbox.script("all", "# des: attribute=exitCode=1\necho")
  }

  test("shows which scripts would run, in order, and what keeps the others from it", (sandbox) =>
    Effect.gen(function* () {
      scripts(sandbox)
      const { code, stdout } = yield* check(sandbox, "--event", "container/die", "name=web", "exitCode=1")
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(stdout.trim().split("\n"), [
        "1. container/die/10-a",
        "2. container/all",
        "3. all",
        `not run: ${sandbox.dir}/container/die/20-b: it needs image=postgres:*, and the event has no image`,
        `not run: ${sandbox.dir}/container/die/30-c is never run: line 2: "timeot=1s" is not an option; did you mean timeout=?`
      ])
    }))

  test("agrees with what des runs", (sandbox) =>
    Effect.gen(function* () {
      scripts(sandbox)
      const { stdout } = yield* check(
        sandbox,
        "--json",
        "--event",
        "container/die",
        "name=web",
        "exitCode=1",
        "image=x"
      )
      const would = stdout
        .trim()
        .split("\n")
        .flatMap((line) => (JSON.parse(line).runs === true ? [JSON.parse(line).path] : []))
      const record = JSON.stringify({
        Type: "container",
        Action: "die",
        Actor: { ID: "1", Attributes: { name: "web", exitCode: "1", image: "x" } }
      })
      const { lines } = yield* sandbox.feed([record])
      const ran = lines.flatMap((line) => / - Running script (\S+) \(.*\)$/.exec(line)?.[1] ?? [])
      assert.deepStrictEqual(would, ran)
      assert.lengthOf(ran, 3)
    }))

  test("ends with 1 if no script would run, and says what may be meant", (sandbox) =>
    Effect.gen(function* () {
      const { code, stdout } = yield* check(sandbox, "--event", "container/started")
      assert.strictEqual(code, 1)
      assert.deepStrictEqual(stdout.trim().split("\n"), [
        "no script would run for container/started",
        "hint: no engine of today sends an event container/started; did you mean start?"
      ])
    }))
})
