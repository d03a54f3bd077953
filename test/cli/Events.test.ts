/** des events, as its reader meets it. */

import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assert } from "vitest"
import * as PrintedEvent from "../../src/cli/PrintedEvent.ts"
import * as Table from "../../src/cli/Table.ts"
import * as Endpoint from "../../src/endpoint/Endpoint.ts"
import { makeEvent } from "../../src/testing.ts"
import * as Program from "../support/Program.ts"
import { record } from "../support/Record.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"
import * as StandInEngine from "../support/StandInEngine.ts"

const plain: PrintedEvent.Style = {
  width: Number.POSITIVE_INFINITY,
  dated: false,
  coloured: false,
  engines: false,
  table: Table
}

describe("a row of des events", () => {
  const die = makeEvent({ action: "die", attributes: { name: "web", image: "nginx", exitCode: "1", role: "db" } })

  it("has the time, the event, its name and image, the engine's attributes and the scripts", () => {
    assert.match(
      PrintedEvent.format(die, ["container/die/10-a", "all"], plain),
      /^\d\d:\d\d:\d\d {2}container\/die {2,}web {2,}nginx {2,}exitCode=1 → container\/die\/10-a, all$/
    )
  })

  it("shortens IDs, and shows what stands behind the verb", () => {
    const event = makeEvent({
      type: "network",
      action: "connect",
      id: "ab".repeat(32),
      attributes: { container: "cd".repeat(32) }
    })
    assert.match(PrintedEvent.format(event, [], plain), /network\/connect {2,}abababababab {2,}container=cdcdcdcdcdcd$/)
    const exec = makeEvent({ action: "exec_create: sh -c x" })
    assert.match(PrintedEvent.format(exec, [], plain), /container\/exec_create {2,}web {2,}nginx {2,}sh -c x$/)
  })

  it("is never wider than the terminal, whatever strangers write", () => {
    const hostile = "日本\u001b[31m\u202e\n".repeat(1000)
    const event = makeEvent({ action: `exec_create: ${hostile}`, attributes: { name: hostile, image: hostile } })
    for (const width of [80, 100, 200]) {
      const row = PrintedEvent.format(event, ["all"], { ...plain, width, engines: true })
      assert.isAtMost(Table.widthOf(row), width)
      assert.notMatch(row, /[\p{Cc}\p{Cf}]/u)
    }
  })

  it("is red for what failed, and has no colours unless they are asked for", () => {
    assert.include(PrintedEvent.format(die, [], { ...plain, coloured: true }), "\u001b[31mcontainer/die")
    assert.notInclude(PrintedEvent.format(die, [], plain), "\u001b")
  })
})

const engineOf = (engine: StandInEngine.StandInEngine) => ["-e", Endpoint.format(engine.endpoint)]

const eventsIn = (sandbox: Sandbox, ...args: ReadonlyArray<string>) =>
  sandbox.des(["events", "-d", sandbox.dir, ...args])

describe("des events", () => {
  const die = record({ Action: "die", attributes: { name: "web", image: "nginx", exitCode: "137" } })

  test("shows a recorded feed with the scripts that would run, and starts none", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/die", "touch ran")
      sandbox.script("all", "# des: name=db\ntouch ran")
      sandbox.write("feed.jsonl", `${record()}\n${die}\n`)
      const { code, stderr, stdout } = yield* eventsIn(sandbox, "--from", "feed.jsonl")
      assert.deepStrictEqual({ code, stderr, ran: sandbox.exists("ran") }, { code: 0, stderr: "", ran: false })
      const [head, ...rows] = stdout.trimEnd().split("\n")
      assert.match(head ?? "", /^TIME +EVENT +NAME +IMAGE +DETAILS → SCRIPTS$/)
      assert.lengthOf(rows, 2)
      assert.match(rows[0] ?? "", /container\/start +web +alpine$/)
      assert.match(rows[1] ?? "", /container\/die +web +nginx +exitCode=137 → container\/die$/)
      const filtered = yield* eventsIn(sandbox, "--from", "feed.jsonl", "--filter", "type=container,event=die")
      assert.lengthOf(filtered.stdout.trimEnd().split("\n"), 2)
    }))

  test("prints records with --json, which --from reads", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/die", "cat >>stdin")
      sandbox.write("feed.jsonl", `${record()}\n${die}\n`)
      const { stdout } = yield* eventsIn(sandbox, "--from", "feed.jsonl", "--json", "--filter", "event=die")
      assert.strictEqual(stdout, `${die}\n`)
      sandbox.write("die.jsonl", stdout)
      yield* sandbox.des(["-d", sandbox.dir, "--from", "die.jsonl"])
      assert.strictEqual(sandbox.read("stdin"), stdout)
    }))

  test("prints a record that drives no terminal, and means the same", (sandbox) =>
    Effect.gen(function* () {
      const hostile =
        '{"Type":"container",\t"Action":"start","Actor":{"ID":"1","Attributes":{"name":"\u202e\u009b31m"}}}'
      sandbox.write("feed.jsonl", `${hostile}\n`)
      const { stdout } = yield* eventsIn(sandbox, "--from", "feed.jsonl", "--json")
      assert.notMatch(stdout.trimEnd(), /[\p{Cc}\p{Cf}]/u)
      assert.deepStrictEqual(JSON.parse(stdout), JSON.parse(hostile))
    }))

  test("follows an engine until it is ended", (sandbox) =>
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({})
      const des = Program.des("events", "-d", sandbox.dir, "--json", ...engineOf(engine))
      const events = yield* Program.start(["sh", "-c", 'exec "$@" >out', "sh", ...des], { cwd: sandbox.top })
      yield* events.said("watching")
      yield* engine.emit(die)
      yield* events.until("the event", () => sandbox.lines("out").length > 0)
      yield* events.kill("SIGINT")
      assert.strictEqual((yield* events.ended).code, 130)
      assert.deepStrictEqual(sandbox.lines("out"), [die])
    }))

  test("asks an engine for what happened between two times", (sandbox) =>
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({})
      yield* engine.emit(record(), die)
      const range = ["--since", "2026-11-23T00:00Z", "--until", "2026-11-24T00:00Z"]
      const { code, stderr, stdout } = yield* eventsIn(sandbox, "--json", ...range, ...engineOf(engine))
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual(stdout, `${record()}\n${die}\n`)
      const asked = (yield* engine.requests).findLast(({ path }) => path.includes("/events"))
      assert.include(asked?.path, "since=1795392000.000000000&until=1795478400.000000000")
    }))

  test("names what it cannot take", (sandbox) =>
    Effect.gen(function* () {
      for (const [args, code, says] of [
        [["--filter", "typ=x"], 2, '--filter "typ=x": "typ" is no filter; did you mean type?'],
        [["--since", "1h", "--until", "2h"], 2, "conflicting options: --since is later than --until"],
        [["--since", "soon"], 2, '--since "soon": expected a duration before now'],
        [["--from", "nope"], 1, "--from nope cannot be read: there is no such file"]
      ] as const) {
        const ended = yield* eventsIn(sandbox, ...args)
        assert.strictEqual(ended.code, code, ended.stderr)
        assert.include(ended.stderr, says)
      }
    }))
})
