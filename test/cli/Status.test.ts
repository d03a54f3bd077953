import { statSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { lines } from "../../src/cli/Status.ts"
import * as Endpoint from "../../src/endpoint/Endpoint.ts"
import { record } from "../support/Record.ts"
import { sampleStatus } from "../support/SampleStatus.ts"
import { test } from "../support/Sandbox.ts"
import * as StandInEngine from "../support/StandInEngine.ts"

describe("des status", () => {
  it("says in its first line whether des is healthy, and why not", () => {
    assert.strictEqual(lines(sampleStatus("x"))[0], "des 1.0.0 is not healthy: the feed of two is not open: x")
    assert.strictEqual(lines({ ...sampleStatus("x"), ready: true })[0], "des 1.0.0 is healthy")
  })

  it("shows engines, backlog, what runs and what failed, each in one line, whatever strangers write", () => {
    assert.deepStrictEqual(lines(sampleStatus("a\n\u001b[31mb")).slice(1), [
      "process 7, up for 1 d 1 h",
      "engines:",
      "  one: open for 1 min 20 s; last event 3 s ago",
      "  two: not open: a\\n\\u001b[31mb; no event yet",
      "backlog: 3 events, 4.9 KiB, the oldest accepted 1 min 1 s ago",
      "  waiting: 2 events, 3.9 KiB, the oldest accepted 31 s ago",
      "  running: 1 event, 1000 bytes, the oldest since 5 s",
      "events in the last hour: 889",
      "running:",
      "  /etc/docker/events.d/container/die for container/die a\\n\\u001b[31mb, since 5 s",
      "last failures:",
      "  8 s ago: /etc/docker/events.d/container/die for container/die a\\n\\u001b[31mb, exited, exit 3",
      "  8 s ago: /etc/docker/events.d/container/die for container/die a\\n\\u001b[31mb, a\\n\\u001b[31mb, exit 3"
    ])
  })

  test("asks the des that uses the state directory, and exits with 1 when it is not healthy or not there", (sandbox) =>
    Effect.gen(function* () {
      const { des, dir, path, script, start } = sandbox
      const engine = yield* StandInEngine.make({ events: () => StandInEngine.feed([`${record()}\n`], "stay") })
      script("container/start", "echo why >&2; exit 3")
      const state = ["--state", path("state")]
      const running = yield* start(["-d", dir, "-e", `one=${Endpoint.format(engine.endpoint)}`, ...state])
      yield* running.said("Failed! Exit=3")
      assert.strictEqual(statSync(path("state/des.sock")).mode & 0o777, 0o600)
      const healthy = yield* des(["status", ...state])
      assert.strictEqual(healthy.code, 0, healthy.stderr)
      assert.match(healthy.stdout, /^des \S+ is healthy\n/)
      assert.include(healthy.stdout, "container/start")
      const json = yield* des(["status", "--json", ...state])
      const status = JSON.parse(json.stdout)
      assert.strictEqual(status.failures[0].exit, 3)
      assert.strictEqual(status.failures[0].output.trim(), "why")
      assert.deepInclude(status.feeds[0], { engine: "one", open: true, opens: 1 })
      yield* running.kill("SIGTERM")
      yield* running.ended
      const gone = yield* des(["status", ...state])
      assert.strictEqual(gone.code, 1)
      assert.include(gone.stderr, "no des answers at unix:")
    }))
})

describe("--listen", () => {
  test("refuses an address that other hosts can reach, and says why", ({ des, dir }) =>
    Effect.gen(function* () {
      const { code, stderr } = yield* des(["-d", dir, "--from", "/dev/null", "--listen", "0.0.0.0:9475"])
      assert.strictEqual(code, 2)
      assert.include(stderr, "--listen 0.0.0.0:9475: other hosts could connect")
      assert.include(stderr, "--listen-insecure")
    }))
})
