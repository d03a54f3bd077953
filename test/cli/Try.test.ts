/** des try, as the author of scripts meets it. */

import { describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assert } from "vitest"
import * as Endpoint from "../../src/endpoint/Endpoint.ts"
import type * as Program from "../support/Program.ts"
import { record } from "../support/Record.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"
import * as StandInEngine from "../support/StandInEngine.ts"

const tryIn = (sandbox: Sandbox, args: ReadonlyArray<string>, options?: Program.Options) =>
  sandbox.des(["try", "-d", sandbox.dir, ...args], options)

const keep = 'env >>env; cat >>stdin; echo "hello $ACTOR_ATTRIBUTES_NAME"'

describe("des try", () => {
  test("runs the scripts of an event with the attributes that engines give, and those that are given", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/die", `# des: wait=50ms\n${keep}`)
      const env = { DOCKER_HOST: `unix://${sandbox.path("engine.sock")}` }
      const ended = yield* tryIn(sandbox, ["container/die", "name=web", "com.example.role=db"], { env })
      assert.strictEqual(ended.code, 0, ended.stderr)
      const waits = `${sandbox.dir}/container/die waits 50ms for further events before it runs, as its option wait= says`
      assert.include(ended.stderr, `INFO - ${waits}\n`)
      assert.include(ended.stderr, `INFO - Running script ${sandbox.dir}/container/die (web)\n`)
      assert.include(ended.stderr, "INFO - container/die web: hello web\n")
      for (const variable of [
        "ACTION=die",
        "ACTOR_ATTRIBUTES_EXITCODE=0",
        "ACTOR_ATTRIBUTES_IMAGE=alpine:latest",
        "ACTOR_ATTRIBUTES_NAME=web",
        "ACTOR_ATTRIBUTES_COM_EXAMPLE_ROLE=db",
        "DES_ATTEMPT=1",
        `DES_ENGINE=${env.DOCKER_HOST}`,
        `DOCKER_HOST=${env.DOCKER_HOST}`
      ]) {
        assert.include(sandbox.lines("env"), variable)
      }
      assert.strictEqual(JSON.parse(sandbox.read("stdin")).Actor.Attributes.name, "web")
    }))

  test("ends with 1 if a script fails, after its retries", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start/10-a", "exit 3")
      sandbox.script("container/start/20-b", "# des: retries=1\n[ $DES_ATTEMPT = 2 ]")
      const first = yield* tryIn(sandbox, ["container/start"])
      assert.strictEqual(first.code, 1)
      assert.include(first.stderr, 'container/start/10-a Failed! Exit=3 Message=""')
      sandbox.script("container/start/10-a", "exit 0")
      assert.strictEqual((yield* tryIn(sandbox, ["container/start"])).code, 0)
    }))

  test("says which conditions keep scripts from the event, and ends with 1 if none ran", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", "# des: name=db*\nexit 0")
      const { code, stderr } = yield* tryIn(sandbox, ["container/start", "name=web"])
      assert.strictEqual(code, 1)
      assert.include(
        stderr,
        `INFO - ${sandbox.dir}/container/start is not run for this event: it needs name=db*, and name is "web"`
      )
      assert.include(stderr, "ERROR - no script runs for container/start web; des check --event container/start shows")
      const misspelt = yield* tryIn(sandbox, ["container/started"])
      assert.include(
        misspelt.stderr,
        "WARNING - no engine of today sends an event container/started; did you mean start?"
      )
    }))

  test("does not run what is not trusted", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", "touch ran", 0o777)
      const { code, stderr } = yield* tryIn(sandbox, ["container/start"])
      assert.deepStrictEqual({ code, ran: sandbox.exists("ran") }, { code: 1, ran: false })
      assert.include(stderr, "can be written by everybody; chmod o-w")
      assert.strictEqual((yield* tryIn(sandbox, ["container/start", "--insecure-scripts"])).code, 0)
    }))

  test("prints scripts, environment and stdin with --dry-run, and starts nothing", (sandbox) =>
    Effect.gen(function* () {
      // It would wait beyond the end of the test.
      sandbox.script("container/start", "# des: wait=1h per=script\ntouch ran")
      sandbox.script("all", "# des: inspect=yes\ntouch ran")
      const { code, stderr, stdout } = yield* tryIn(sandbox, [
        "container/start",
        "name=\u001b[31mweb\n",
        "--dry-run",
        "--env",
        "MORE=1"
      ])
      assert.deepStrictEqual({ code, ran: sandbox.exists("ran") }, { code: 0, ran: false })
      assert.match(stderr, /^.* waits 1h for further events before it runs, as its option wait= says\n$/)
      const lines = stdout.split("\n")
      assert.deepStrictEqual(
        lines.filter((line) => /^\S/.test(line)),
        [`${sandbox.dir}/container/start`, `${sandbox.dir}/all`]
      )
      assert.include(lines, "    ACTOR_ATTRIBUTES_NAME=\\u001b[31mweb\\n")
      assert.include(lines, "    MORE=1")
      assert.include(stdout, '    {"Type":"container","Action":"start",')
      // Whatever engine this host has, it has no such container.
      assert.lengthOf(
        lines.filter((line) => line.startsWith('    {"inspect":null,"reason":"')),
        1
      )
    }))

  test("takes the ID, the name and the labels of a real container", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/die", `# des: inspect=yes\n${keep}`)
      const engine = yield* StandInEngine.make({})
      const id = "ab".repeat(32)
      engine.state.containers.set(id, {
        image: "nginx",
        name: "web",
        labels: { role: "db" },
        running: false,
        exitCode: 137,
        startedAt: "2026-11-23T10:00:00Z",
        finishedAt: "2026-11-23T10:00:01Z"
      })
      const url = Endpoint.format(engine.endpoint)
      const ended = yield* tryIn(sandbox, ["container/die", "--container", id, "-e", url, "image=mine"])
      assert.strictEqual(ended.code, 0, ended.stderr)
      for (const variable of [
        `ACTOR_ID=${id}`,
        "ACTOR_ATTRIBUTES_NAME=web",
        "ACTOR_ATTRIBUTES_ROLE=db",
        "ACTOR_ATTRIBUTES_EXITCODE=137",
        "ACTOR_ATTRIBUTES_IMAGE=mine"
      ]) {
        assert.include(sandbox.lines("env"), variable)
      }
      const [event, inspected, ...more] = sandbox.lines("stdin")
      assert.strictEqual(JSON.parse(event ?? "").Actor.ID, id)
      assert.deepInclude(JSON.parse(inspected ?? "").inspect, { Id: id, Name: "/web" })
      assert.deepStrictEqual(more, [])
      const missing = yield* tryIn(sandbox, ["container/die", "--container", "nope", "-e", url])
      assert.strictEqual(missing.code, 1)
      assert.include(missing.stderr, `--container nope: ${url} has no such container`)
    }))

  test("takes a recorded event as it is", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/die", keep)
      const die = record({ Action: "die", attributes: { name: "recorded", exitCode: "7" } })
      sandbox.write("feed.jsonl", `${record()}\nno record\n${die}\n`)
      const ended = yield* tryIn(sandbox, ["container/die", "--record", sandbox.path("feed.jsonl")])
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.strictEqual(sandbox.read("stdin"), `${die}\n`)
      const first = yield* tryIn(sandbox, ["--record", "-", "--dry-run"], { stdin: `${die}\n` })
      assert.include(first.stdout, `    ${die}\n`)
      const none = yield* tryIn(sandbox, ["volume/create", "--record", sandbox.path("feed.jsonl")])
      assert.strictEqual(none.code, 1)
      assert.include(none.stderr, `--record ${sandbox.path("feed.jsonl")}: it has no event volume/create`)
    }))

  test("names what is missing, and what it cannot take", (sandbox) =>
    Effect.gen(function* () {
      for (const [args, code, says] of [
        [[], 2, "the event is missing: give TYPE/ACTION, such as des try container/start name=web, or --record FILE"],
        [["started"], 2, '"started": expected TYPE/ACTION, such as container/start'],
        [["container/start", "web"], 2, '"web": expected KEY=VALUE'],
        [["volume/create", "--container", "x"], 2, "--container x: volume/create is no event of a container"],
        [["--container", "x", "--record", "y"], 2, "conflicting options: --record and --container"],
        [["--record", "nope"], 1, "--record nope cannot be read: there is no such file"]
      ] as const) {
        const ended = yield* tryIn(sandbox, args)
        assert.strictEqual(ended.code, code, ended.stderr)
        assert.include(ended.stderr, says)
      }
    }))
})

describe("des --from", () => {
  test("ends with 1 if a script failed in the end", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", '[ "$ACTOR_ATTRIBUTES_NAME" = web ]')
      const bad = record({ id: "2", attributes: { name: "db" } })
      const ended = yield* sandbox.feed([record(), bad])
      assert.strictEqual(ended.code, 1)
      assert.strictEqual((yield* sandbox.feed([record()])).code, 0)
    }))
})
