/** Recorded feeds and answers of engines with bytes that were changed, through the engine's layer over an HTTP client of the test's own. */

import * as Fs from "node:fs"
import * as Path from "node:path"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Engine from "../../src/engine/Engine.ts"
import type { DockerEvent } from "../../src/event/DockerEvent.ts"
import { decodeRecords } from "../../src/event/Records.ts"
import * as Environment from "../../src/scripts/Environment.ts"
import { asOlderApi } from "../support/Engine29.ts"
import * as Fuzz from "../support/Fuzz.ts"
import { record } from "../support/Record.ts"

/** The longest message about an engine's nonsense, in characters. */
const longestMessage = 2_000

const example = (name: string): string =>
  Fs.readFileSync(Path.join(import.meta.dirname, "..", "..", "examples", name), "utf8")

const recorded = [
  example("container-life.jsonl"),
  example("podman-life.jsonl"),
  `${record()}\n`,
  `${asOlderApi(record())}\n`,
  // Records as a proxy leaves them, and as application/json-seq has them.
  `${record({ id: "a" })}${record({ id: "b" })}`,
  `\u001e${record({ id: "a" })}\n\u001e${record({ id: "b" })}\n`
].map((text) => Buffer.from(text))

/** What an engine says when it is asked, by the end of the path. */
const honest = {
  "/_ping": "OK",
  "/version": JSON.stringify({
    Platform: { Name: "Docker Engine" },
    Components: [{ Name: "Engine", Version: "28.5.2", Details: { ApiVersion: "1.51", MinAPIVersion: "1.24" } }],
    Version: "28.5.2",
    ApiVersion: "1.51",
    MinAPIVersion: "1.24",
    Os: "linux"
  }),
  "/info": JSON.stringify({
    ID: "b6f0a3f4-7d0e-4e0f-9e0c-3b7b8f3c2d11",
    Containers: 2,
    Name: "host",
    ServerVersion: "28.5.2",
    SystemTime: "2026-11-23T17:09:07.434123456Z",
    Swarm: { LocalNodeState: "active", ControlAvailable: true },
    Warnings: null
  }),
  "/containers/json": JSON.stringify([
    { Id: "c1", Names: ["/web"], Image: "nginx", Labels: { role: "web" }, State: "running" },
    { Id: "c2", Names: null, Image: "busybox", Labels: null }
  ]),
  "/containers/c1/json": JSON.stringify({
    Id: "c1",
    Name: "/web",
    Config: { Image: "nginx", Labels: { role: "web" } },
    State: {
      Running: true,
      Restarting: false,
      ExitCode: 0,
      StartedAt: "2026-11-23T22:00:00.123456789Z",
      FinishedAt: "0001-01-01T00:00:00Z"
    }
  })
}

/** An answer as it is sent. */
interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly pieces: ReadonlyArray<Uint8Array>
  /** The connection is lost behind the last piece. */
  readonly breaks?: boolean
}

const bodyOf = ({ breaks = false, pieces }: Answer): ReadableStream<Uint8Array> => {
  const rest = [...pieces]
  return new ReadableStream({
    pull: (controller) => {
      const piece = rest.shift()
      if (piece !== undefined) return controller.enqueue(piece)
      if (breaks) controller.error(new Error("socket hang up"))
      else controller.close()
    }
  })
}

/** A client that answers so; the path is without the version of the API. */
const clientThat = (answer: (path: string) => Answer) =>
  Layer.succeed(
    HttpClient.HttpClient,
    HttpClient.make((request, url) =>
      Effect.sync(() => {
        const given = answer(url.pathname.replace(/^\/v\d+\.\d+/, ""))
        const body = given.status === 204 ? null : bodyOf(given)
        return HttpClientResponse.fromWeb(request, new Response(body, { status: given.status, headers: given.headers }))
      })
    )
  )

const endpoint = { _tag: "Unix", path: "/e" } as const

const engineThat = (answer: (path: string) => Answer) =>
  Engine.layer({ endpoint }).pipe(Layer.provide(clientThat(answer)))

const pingHeaders = { "Api-Version": "1.51", Server: "Docker/28.5.2 (linux)" }

const honestAnswer = (path: string): Answer => ({
  status: path in honest ? 200 : 404,
  headers: path === "/_ping" ? pingHeaders : {},
  pieces: [Buffer.from(Object.entries(honest).find(([known]) => known === path)?.[1] ?? '{"message":"page not found"}')]
})

/** Nothing but an error of the engine, in one line of a bounded length. */
const isEngineError = (exit: Exit.Exit<unknown, Engine.EngineError>): void => {
  if (Exit.isSuccess(exit)) return
  const failure = Cause.failureOption(exit.cause)
  assert.isTrue(Option.isSome(failure), Cause.pretty(exit.cause))
  const { message } = Option.getOrThrow(failure)
  assert.isAtMost(message.length, longestMessage)
}

const areTexts = (attributes: Readonly<Record<string, string>>): void => {
  for (const text of Object.values(attributes)) assert.strictEqual(typeof text, "string")
}

const fuzz = Fuzz.make()

describe("a feed with changed bytes", () => {
  const feed = FastCheck.record({
    before: FastCheck.constantFrom(...recorded),
    broken: FastCheck.constantFrom(...recorded),
    mutations: Fuzz.mutations,
    cuts: Fuzz.cuts,
    breaks: FastCheck.boolean()
  })

  fuzz(
    "gives the complete records before and after the broken part, and fails only with an engine's error",
    feed,
    async ({ before, breaks, broken, cuts, mutations }) => {
      const first = record({ id: "first" })
      const last = record({ id: "last", attributes: { name: "web", image: "nginx" } })
      const bytes = Buffer.concat([
        before,
        Buffer.from(`\n${first}\n`),
        Fuzz.mutate(broken, mutations),
        Buffer.from(`\n${last}\n`)
      ])
      const events: Array<DockerEvent> = []
      let longest = 0
      const exit = await Effect.gen(function* () {
        const engine = yield* Engine.Engine
        const stream = yield* engine.feed({})
        yield* stream.pipe(
          decodeRecords({
            source: "FEED",
            report: ({ message }) =>
              Effect.sync(() => {
                longest = Math.max(longest, message.length)
              })
          }),
          Stream.runForEach((event) => Effect.sync(() => void events.push(event)))
        )
      }).pipe(
        Effect.provide(
          engineThat((path) =>
            path === "/events"
              ? { status: 200, headers: {}, pieces: Fuzz.cut(bytes, cuts), breaks }
              : honestAnswer(path)
          )
        ),
        Effect.runPromiseExit
      )
      assert.isTrue(Exit.isFailure(exit))
      isEngineError(exit)
      assert.isAtMost(longest, longestMessage)
      const records = events.map((event) => event.record)
      assert.include(records, first)
      assert.strictEqual(records.at(-1), last)
      // Each of them can be given to a script.
      for (const event of new Set(events)) assert.strictEqual(Environment.make(event, {})["TYPE"] !== undefined, true)
    }
  )
})

describe("answers with changed bytes", () => {
  const text = FastCheck.oneof(
    FastCheck.constantFrom("1.51", "1.24", "", "9.99", "1.99999999999999999999", "-1.5", "1.5.1", "x".repeat(10_000)),
    // What a header can hold.
    FastCheck.string().map((all) => all.replace(/[^ -~]/g, ""))
  )

  const changeable = Object.keys(honest).filter((path) => path !== "/_ping")

  const answers = FastCheck.record({
    mutations: FastCheck.array(Fuzz.mutations, { minLength: 4, maxLength: 4 }),
    status: FastCheck.constantFrom(200, 200, 200, 200, 201, 204, 400, 404, 500, 599),
    cuts: Fuzz.cuts,
    breaks: FastCheck.boolean(),
    version: FastCheck.option(text, { nil: undefined }),
    server: FastCheck.option(text, { nil: undefined }),
    isPodman: FastCheck.boolean(),
    date: FastCheck.option(text, { nil: undefined })
  })

  type Changed = typeof answers extends FastCheck.Arbitrary<infer A> ? A : never

  /** The ping has other headers; the body of every other answer is changed. */
  const changedAnswer = (path: string, changed: Changed): Answer => {
    const { breaks, cuts, date, isPodman, mutations, server, status, version } = changed
    const asked = path.replace(/^\/containers\/.*\/json$/, "/containers/c1/json")
    const answer = honestAnswer(asked)
    if (asked === "/_ping") {
      const headers = {
        ...(version === undefined ? {} : { "Api-Version": version }),
        ...(server === undefined ? {} : { Server: server }),
        ...(isPodman ? { "Libpod-Api-Version": "4.3.1" } : {}),
        ...(date === undefined ? {} : { Date: date })
      }
      return { ...answer, headers }
    }
    const body = Fuzz.mutate(Buffer.concat(answer.pieces), mutations[changeable.indexOf(asked)] ?? [])
    return { status, headers: {}, pieces: Fuzz.cut(body, cuts), breaks }
  }

  fuzz("are read or are an engine's error, and the next unchanged answers are read", answers, async (changed) => {
    let isHonest = false
    const client = engineThat((path) => (isHonest ? honestAnswer(path) : changedAnswer(path, changed)))
    await Effect.gen(function* () {
      const engine = yield* Engine.Engine
      const identity = yield* Effect.exit(engine.identify)
      isEngineError(identity)
      if (Exit.isSuccess(identity)) {
        const { api, id, kind, time, version } = identity.value
        for (const one of [api, id, version]) assert.strictEqual(typeof one, "string")
        assert.match(api, /^\d{1,4}\.\d{1,4}$/)
        assert.include(["docker", "podman"], kind)
        assert.strictEqual(typeof time, "bigint")
      }
      const running = yield* Effect.exit(engine.running)
      isEngineError(running)
      if (Exit.isSuccess(running)) for (const { attributes } of running.value) areTexts(attributes)
      for (const id of ["c1", "\ud800/../..", ""]) {
        const inspected = yield* Effect.exit(engine.inspect(id))
        isEngineError(inspected)
        if (Exit.isSuccess(inspected) && Option.isSome(inspected.value)) areTexts(inspected.value.value.attributes)
      }
      isHonest = true
      assert.strictEqual((yield* engine.identify).version, "28.5.2")
      assert.lengthOf(yield* engine.running, 2)
      assert.strictEqual(Option.getOrThrow(yield* engine.inspect("c1")).startedAt, 1_795_471_200_123_456_789n)
    }).pipe(Effect.provide(client), Effect.runPromise)
  })

  fuzz("are what des info shows of that engine, or an error", answers, async (changed) => {
    const exit = await Engine.report({ endpoint }).pipe(
      Effect.provide(clientThat((path) => changedAnswer(path, changed))),
      Effect.runPromiseExit
    )
    isEngineError(exit)
    if (Exit.isFailure(exit)) return
    for (const shown of Object.values(exit.value)) assert.strictEqual(typeof shown, "string")
  })
})
