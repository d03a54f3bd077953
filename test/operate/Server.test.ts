import { spawnSync } from "node:child_process"
import { EventEmitter } from "node:events"
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { request } from "node:http"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Journal, JournalError } from "../../src/journal/Journal.ts"
import * as JournalInMemory from "../../src/journal/JournalInMemory.ts"
import type { Address } from "../../src/operate/Address.ts"
import * as Listener from "../../src/operate/Listener.ts"
import * as Operate from "../../src/operate/Operate.ts"
import * as Recorder from "../../src/operate/Recorder.ts"
import { Status } from "../../src/operate/Status.ts"
import * as ScriptOptions from "../../src/scripts/ScriptOptions.ts"
import { Outcome } from "../../src/scripts/ScriptRunner.ts"
import { makeEvent } from "../../src/testing.ts"
import { freePort } from "../support/FreePort.ts"
import * as TempFolder from "../support/TempFolder.ts"

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

const get = (
  where: { readonly socketPath: string } | { readonly host: string; readonly port: number },
  path: string,
  options: { readonly method?: string; readonly headers?: Record<string, string> } = {}
): Effect.Effect<Answer> =>
  Effect.async((resume) => {
    const asked = request({ ...where, path, agent: false, ...options }, (response) => {
      let body = ""
      response.setEncoding("utf8").on("data", (part: string) => {
        body += part
      })
      response.on("end", () =>
        resume(Effect.succeed({ status: response.statusCode ?? 0, headers: response.headers, body }))
      )
    })
    asked.on("error", (error) => resume(Effect.die(error)))
    asked.end()
  })

/** Listens, over a journal to which a test tells what happens. */
const listen = (options: { readonly engines?: ReadonlyArray<string>; readonly isBroken?: boolean } = {}) =>
  Effect.gen(function* () {
    const path = join(yield* TempFolder.make("server"), "s.sock")
    const address: Address = { _tag: "Unix", path }
    const broken = new JournalError({ reason: "Full", detail: "the disk is full" })
    const inMemory = Layer.map(JournalInMemory.layer(), (context) => {
      const working = Context.get(context, Journal)
      return Context.make(Journal, options.isBroken === true ? { ...working, probe: broken } : working)
    })
    const { layer, recorder } = Recorder.recorded(inMemory)
    const context = yield* Layer.build(layer)
    const journal = yield* Effect.provide(Journal, context)
    const asked = { version: "1.2.3", engines: options.engines ?? [], liveness: 30_000, recorder }
    const answers = yield* Effect.provide(Operate.make(asked), context)
    yield* Listener.open({ address, answers })
    return { path, journal, ask: (route: string, more = {}) => get({ socketPath: path }, route, more) }
  })

describe("des that listens", () => {
  it.scopedLive("says that it lives, is healthy, and what it did", () =>
    Effect.gen(function* () {
      const { ask, journal, path } = yield* listen()
      assert.strictEqual(statSync(path).mode & 0o777, 0o600)
      assert.include(yield* ask("/healthz"), { status: 200, body: "ok\n" })
      assert.include(yield* ask("/readyz"), { status: 200, body: '{"ready":true,"reasons":[]}\n' })

      const event = makeEvent({ action: "die", attributes: { name: "<b>web" } })
      const script = { path: "/s", options: ScriptOptions.none }
      yield* journal.accept({ events: [event], accepted: [{ event, scripts: [script] }] })
      const entry = Option.getOrThrow(yield* journal.take("fair"))
      const kept = yield* journal.begin(entry, script, 2)
      const statusOf = Effect.map(ask("/status"), ({ body }) =>
        Schema.decodeUnknownSync(Schema.parseJson(Status))(body)
      )
      const during = yield* statusOf
      assert.deepInclude(during.running[0], { script: "/s", event: "container/die <b>web", attempt: 2 })
      assert.strictEqual(
        during.eventsPerMinute.reduce((sum, count) => sum + count),
        1
      )
      yield* kept.ended(Outcome.Exited({ code: 3, message: "" }), "first\n<i>last", true)
      const after = yield* statusOf
      assert.deepStrictEqual(after.running, [])
      assert.deepInclude(after.failures[0], { script: "/s", exit: 3, output: "first\n<i>last" })
      assert.deepStrictEqual(after.runs, after.failures)

      const page = yield* ask("/")
      assert.strictEqual(page.headers["content-type"], "text/html; charset=utf-8")
      assert.include(String(page.headers["content-security-policy"]), "default-src 'none'")
      assert.include(page.body, "first\n&lt;i&gt;last")
      const metrics = yield* ask("/metrics")
      assert.strictEqual(metrics.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
      assert.include(metrics.body, "\ndes_journal_writable 1\n")
      assert.include(metrics.body, "# TYPE process_resident_memory_bytes gauge\n")
    })
  )

  it.scopedLive("says why it is not healthy, with the status 503, and still lives", () =>
    Effect.gen(function* () {
      const { ask } = yield* listen({ engines: ["never opened"], isBroken: true })
      const { body, status } = yield* ask("/readyz")
      assert.strictEqual(status, 503)
      assert.deepStrictEqual(JSON.parse(body), {
        ready: false,
        reasons: ["the feed of never opened is not open", "the disk is full"]
      })
      assert.include(yield* ask("/healthz"), { status: 200 })
      assert.include((yield* ask("/metrics")).body, "\ndes_journal_writable 0\n")
    })
  )

  it.scopedLive("answers GET and HEAD alone, and says what it does not have", () =>
    Effect.gen(function* () {
      const { ask } = yield* listen()
      assert.include(yield* ask("/nope"), { status: 404 })
      assert.include(yield* ask("/../../etc/passwd"), { status: 404 })
      assert.include(yield* ask("/status", { method: "POST" }), { status: 405 })
      assert.include(yield* ask("/status", { method: "DELETE" }), { status: 405 })
      assert.include(yield* ask("/status", { method: "HEAD" }), { status: 200, body: "" })
    })
  )

  it.scopedLive("takes the place of a des that was killed, and never that of one that runs", () =>
    Effect.gen(function* () {
      const { path } = yield* listen()
      const answers = { status: Effect.never, metrics: Effect.succeed("") }
      const again = Listener.open({ address: { _tag: "Unix", path }, answers })
      const refused = yield* Effect.flip(Effect.scoped(again))
      assert.include(refused.message, `des cannot listen at unix:${path}`)
      const left = join(yield* TempFolder.make("left"), "s.sock")
      const holder = `require("node:net").createServer().listen(${JSON.stringify(left)}, () => process.kill(process.pid, "SIGKILL"))`
      spawnSync(process.execPath, ["-e", holder])
      chmodSync(left, 0o666)
      yield* Listener.open({ address: { _tag: "Unix", path: left }, answers })
      assert.strictEqual(statSync(left).mode & 0o777, 0o600)
      assert.include(yield* get({ socketPath: left }, "/metrics"), { status: 200 })
    })
  )

  it.scopedLive("never deletes what is not a socket, and says what is in its way", () =>
    Effect.gen(function* () {
      const folder = yield* TempFolder.make("in-the-way")
      const at = (name: string) => join(folder, name)
      writeFileSync(at("file"), "precious")
      mkdirSync(at("directory"))
      symlinkSync(at("file"), at("link"))
      const answers = { status: Effect.never, metrics: Effect.succeed("") }
      for (const [name, what] of [
        ["file", "a file"],
        ["directory", "a directory"],
        ["link", "a symbolic link"]
      ] as const) {
        const refused = yield* Effect.flip(
          Effect.scoped(Listener.open({ address: { _tag: "Unix", path: at(name) }, answers }))
        )
        assert.strictEqual(
          refused.message,
          `des cannot listen at unix:${at(name)}: ${what} is there, and not a socket; move it away, or choose another path`
        )
      }
      assert.strictEqual(readFileSync(at("link"), "utf8"), "precious")
    })
  )

  it("says once that the system refuses connections, and once that it takes them again", () => {
    const server = new EventEmitter()
    const said: Array<string> = []
    Listener.reportRefusals(server, "127.0.0.1:9475", (message) => said.push(message))
    server.emit("connection")
    server.emit("error", Object.assign(new Error("accept ENFILE"), { code: "ENFILE" }))
    server.emit("error", Object.assign(new Error("accept ENFILE"), { code: "ENFILE" }))
    server.emit("connection")
    server.emit("connection")
    assert.deepStrictEqual(said, [
      "no connection can be taken at 127.0.0.1:9475: the system has too many files open (ENFILE); des keeps trying",
      "connections are taken again at 127.0.0.1:9475"
    ])
  })

  it.scopedLive("refuses the name of another host, by which a web page could read its answers", () =>
    Effect.gen(function* () {
      const port = yield* freePort
      const answers = { status: Effect.never, metrics: Effect.succeed("secret") }
      yield* Listener.open({ address: { _tag: "Tcp", host: "127.0.0.1", port }, answers })
      const asked = (host: string) => get({ host: "127.0.0.1", port }, "/metrics", { headers: { Host: host } })
      assert.include(yield* asked(`127.0.0.1:${port}`), { status: 200, body: "secret" })
      const { body, status } = yield* asked(`evil.example:${port}`)
      assert.strictEqual(status, 421)
      assert.notInclude(body, "secret")
    })
  )
})
