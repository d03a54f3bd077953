import * as Fs from "node:fs"
import * as Http from "node:http"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { describe } from "vitest"
import { describeEngine } from "../support/DescribeEngine.ts"
import { podman } from "../support/Engines.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"
import { shareEngine } from "../support/SharedEngine.ts"

interface Answer {
  readonly status: number
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

const ping: Answer = { status: 200, body: "OK", headers: { "Api-Version": "1.44" } }
const denied: Answer = { status: 403, body: "Forbidden" }
const json = (value: unknown): Answer => ({ status: 200, body: JSON.stringify(value) })

/** A server on a socket that answers each path of the API like this, and opens its feed. */
const engineOf = (
  sandbox: Sandbox,
  answers: Readonly<Record<string, Answer>>
): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Http.Server>((resume) => {
      const server = Http.createServer((request, response) => {
        const path = (request.url ?? "").replace(/^\/v1\.\d+/, "")
        const answer = answers[path]
        if (answer === undefined && path === "/events") return response.writeHead(200).flushHeaders()
        const { body, headers = {}, status } = answer ?? denied
        return response.writeHead(status, headers).end(body)
      })
      server.listen(sandbox.path("engine.sock"), () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  ).pipe(Effect.as(`unix://${sandbox.path("engine.sock")}`))

const version = json({ Version: "29.3.0", ApiVersion: "1.54", MinAPIVersion: "1.40" })

describe("des info", () => {
  test("prints all that is known, as text and as JSON", (sandbox) =>
    Effect.gen(function* () {
      const swarm = { Swarm: { LocalNodeState: "active", ControlAvailable: true } }
      const url = yield* engineOf(sandbox, { "/_ping": ping, "/version": version, "/info": json(swarm) })
      const lines = yield* sandbox.des(["info"], { env: { DOCKER_HOST: url } })
      assert.strictEqual(
        lines.stdout,
        [
          `endpoint: ${url}`,
          "found by: DOCKER_HOST",
          "engine:   dockerd 29.3.0",
          "API:      1.44 (it knows 1.40 to 1.54)",
          "swarm:    manager",
          "feed:     opens",
          "scripts:  start with posix_spawn",
          ""
        ].join("\n")
      )
      assert.strictEqual(lines.stderr, "")
      const { code, stdout } = yield* sandbox.des(["-e", url, "info", "--json"])
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(JSON.parse(stdout), {
        name: url,
        endpoint: url,
        found: { by: "--endpoint" },
        engine: "docker",
        version: "29.3.0",
        api: "1.44",
        oldestApi: "1.40",
        newestApi: "1.54",
        swarm: "manager",
        feed: true,
        scripts: "posix_spawn"
      })
    }))

  test("asks each of several engines, and ends with 1 if one of them cannot be watched", (sandbox) =>
    Effect.gen(function* () {
      const url = yield* engineOf(sandbox, { "/_ping": ping, "/version": version, "/info": json({}) })
      const absent = `unix://${sandbox.path("absent.sock")}`
      const { code, stderr, stdout } = yield* sandbox.des([
        "info",
        "-e",
        `gone=${absent}`,
        "-e",
        `here=${url}`,
        "--json"
      ])
      assert.strictEqual(code, 1)
      assert.include(stderr, `no engine can be reached at gone (${absent}): the socket does not exist`)
      assert.deepInclude(JSON.parse(stdout), { name: "here", endpoint: url })
    }))

  test("refuses two engines of one name, and one engine under two", (sandbox) =>
    Effect.gen(function* () {
      const same = yield* sandbox.des(["info", "-e", "a=unix:///1", "-e", "a=unix:///2"])
      assert.strictEqual(same.code, 2)
      assert.include(same.stderr, "two engines have the name a; give one of them another: -e NAME=URL")
      const twice = yield* sandbox.des(["info", "-e", "a=unix:///1", "-e", "b=unix:///1"])
      assert.strictEqual(twice.code, 2)
      assert.include(
        twice.stderr,
        "a and b are the same engine, unix:///1, and its events would run twice; give it once"
      )
    }))

  test("says what a proxy does not allow, and that the feed opens", (sandbox) =>
    Effect.gen(function* () {
      const url = yield* engineOf(sandbox, { "/_ping": ping })
      const { code, stdout } = yield* sandbox.des(["info", "-e", url])
      assert.strictEqual(code, 0)
      assert.match(stdout, /engine: {3}does not say\nAPI: {6}1\.44\nswarm: {4}does not say\nfeed: {5}opens\n/)
    }))

  test("1: a feed that does not open, though all else is answered", (sandbox) =>
    Effect.gen(function* () {
      const url = yield* engineOf(sandbox, { "/_ping": ping, "/version": version, "/events": denied })
      const { code, stderr, stdout } = yield* sandbox.des(["info", "-e", url])
      assert.deepStrictEqual({ code, stdout }, { code: 1, stdout: "" })
      assert.match(stderr, /refused: 403 Forbidden\n$/)
    }))

  test("the name of an engine cannot control a terminal", (sandbox) =>
    Effect.gen(function* () {
      const url = yield* engineOf(sandbox, {
        "/_ping": ping,
        "/version": json({ Version: "\u001b[31m1\nfeed: \u202e", ApiVersion: "\u0007" }),
        "/info": json({ Swarm: 1 })
      })
      const { lines, stdout } = yield* sandbox.des(["info", "-e", url])
      assert.deepStrictEqual(lines, [])
      assert.include(stdout, "engine:   dockerd \\u001b[31m1\\nfeed: \\u202e\n")
      assert.include(stdout, "(it knows ? to \\u0007)")
    }))

  test("2: wrong usage, and the message says what is wrong", (sandbox) =>
    Effect.gen(function* () {
      for (const [args, env, says] of [
        [["--nope"], {}, "--nope"],
        [["more"], {}, "more"],
        [["-d", "DIR"], {}, "-d"],
        [["-e", "ftp://h"], {}, "ftp://"],
        [["-e", "unix://", "--context", "x"], {}, "conflicting options"],
        [[], { DOCKER_HOST: "ftp://h" }, "DOCKER_HOST: the endpoint"],
        [[], { DOCKER_API_VERSION: "new" }, 'DOCKER_API_VERSION "new"']
      ] as const) {
        const { code, stderr, stdout } = yield* sandbox.des(["info", ...args], { env })
        assert.deepStrictEqual({ code, stdout }, { code: 2, stdout: "" }, stderr)
        assert.include(stderr, says)
      }
    }))

  test("the existing sockets are named if the default one does not exist", (sandbox) =>
    Effect.gen(function* () {
      if (Fs.existsSync("/var/run/docker.sock")) return
      sandbox.write("run/podman/podman.sock", "")
      const { code, stderr } = yield* sandbox.des(["info"], { env: { XDG_RUNTIME_DIR: sandbox.path("run") } })
      assert.strictEqual(code, 1)
      assert.include(
        stderr,
        `unix:///var/run/docker.sock: the socket does not exist, but these exist: -e unix://${sandbox.path("run/podman/podman.sock")}`
      )
    }))

  test("TCP without TLS to another host is warned of once, when des starts", (sandbox) =>
    Effect.gen(function* () {
      const warned =
        /192\.0\.2\.1:1 is not encrypted: anybody on the way can read and write events; use TLS or ssh:\/\//
      const des = yield* sandbox.start(["-d", sandbox.dir, "-e", "tcp://192.0.2.1:1"])
      yield* des.said("is not encrypted")
      yield* des.kill("SIGTERM")
      const { lines } = yield* des.ended
      assert.lengthOf(
        lines.filter((line) => warned.test(line)),
        1
      )
      const loopback = yield* sandbox.des(["info", "-e", "tcp://127.0.0.1:1"])
      assert.notInclude(loopback.stderr, "encrypted")
    }))

  test("a version that DOCKER_API_VERSION pins is asked for as it is, with or without its v", (sandbox) =>
    Effect.gen(function* () {
      const url = yield* engineOf(sandbox, { "/version": version })
      for (const DOCKER_API_VERSION of ["1.41", "v1.41"]) {
        const { stdout } = yield* sandbox.des(["info", "--json", "-e", url], { env: { DOCKER_API_VERSION } })
        assert.strictEqual(JSON.parse(stdout).api, "1.41")
      }
    }))
})

describeEngine("podman", () => {
  const shared = shareEngine(podman())

  test("des info says that it is podman", (sandbox) =>
    Effect.gen(function* () {
      const { endpoint } = yield* shared
      const { code, stdout } = yield* sandbox.des(["info", "--json"], { env: { DOCKER_HOST: endpoint } })
      assert.strictEqual(code, 0)
      assert.deepInclude(JSON.parse(stdout), { engine: "podman", api: "1.41", swarm: "inactive", feed: true })
    }))
})
