/** What an engine answers without end, on a real socket. */

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Endpoint from "../../src/endpoint/Endpoint.ts"
import * as Engine from "../../src/engine/Engine.ts"
import * as EngineHttp from "../../src/engine/EngineHttp.ts"
import { follow } from "../support/Following.ts"
import { heapInUse } from "../support/Heap.ts"
import { poll } from "../support/Poll.ts"
import { record } from "../support/Record.ts"
import * as StandInEngine from "../support/StandInEngine.ts"

const mebibyte = "x".repeat(1_048_576)

/** An answer that does not end. It counts the bytes that went out. */
const endless = (status: number, counter: { sent: number }): StandInEngine.Answer => {
  const headers = { "Content-Type": "application/json", "Api-Version": "1.41" }
  return (response) =>
    Effect.async(() => {
      response.writeHead(status, headers)
      response.write('{"message":"')
      const push = () => {
        do counter.sent += mebibyte.length
        while (response.write(mebibyte))
      }
      response.on("drain", push)
      push()
    })
}

const using = <A, E>(endpoint: Endpoint.Endpoint, ask: (engine: Engine.Engine["Type"]) => Effect.Effect<A, E>) =>
  Effect.flatMap(Engine.Engine, ask).pipe(
    Effect.provide(Layer.provide(Engine.layer({ endpoint }), EngineHttp.layer({ endpoint })))
  )

type Ask = (engine: Engine.Engine["Type"]) => Effect.Effect<unknown, Engine.EngineError>

const identify: Ask = ({ identify }) => identify
const running: Ask = ({ running }) => running
const inspect: Ask = ({ inspect }) => inspect("c1")
const feed: Ask = ({ feed }) => feed({})

describe("an endless answer", () => {
  for (const [what, options, ask, largest, message] of [
    [
      "to /_ping",
      "ping",
      identify,
      65_536,
      /sends too long an answer: its answer to GET \/_ping is longer than 65536 bytes$/
    ],
    ["to /info", "info", identify, 8_388_608, /GET \/v1\.41\/info is longer than 8388608 bytes$/],
    [
      "to /containers/json",
      "list",
      running,
      67_108_864,
      /GET \/v1\.41\/containers\/json is longer than 67108864 bytes$/
    ],
    ["to /containers/ID/json", "inspect", inspect, 8_388_608, /\/containers\/c1\/json is longer than 8388608 bytes$/]
  ] as const) {
    it.scopedLive(`${what} is an error of that engine as soon as it is too long, and its connection ends`, () =>
      Effect.gen(function* () {
        const counter = { sent: 0 }
        const engine = yield* StandInEngine.make({ [options]: endless(200, counter) })
        const error = yield* Effect.flip(using(engine.endpoint, ask))
        assert.strictEqual(error.reason, "TooLarge")
        assert.match(error.message, message)
        assert.isTrue(
          yield* poll(
            Effect.map(engine.connections, (open) => open === 0),
            5000
          )
        )
        // What sockets hold is on its way already.
        assert.isBelow(counter.sent, largest + 16 * mebibyte.length)
      })
    )
  }

  it.scopedLive("to /version counts as no answer if the ping names no version", () =>
    Effect.gen(function* () {
      const counter = { sent: 0 }
      const engine = yield* StandInEngine.make({
        ping: StandInEngine.reply(200, {}, "OK"),
        version: endless(200, counter)
      })
      const error = yield* Effect.flip(using(engine.endpoint, identify))
      assert.match(error.message, /is not an engine: neither its \/_ping nor its \/version names an API version$/)
      assert.isAbove(counter.sent, 8_388_608)
    })
  )

  for (const [what, options, ask] of [
    ["the ping", "ping", identify],
    ["/info", "info", identify],
    ["the feed", "feed", feed]
  ] as const) {
    it.scopedLive(`that is an error for ${what} is a refusal, and its beginning is shown`, () =>
      Effect.gen(function* () {
        const counter = { sent: 0 }
        const answer = endless(500, counter)
        const engine = yield* StandInEngine.make(options === "feed" ? { events: () => answer } : { [options]: answer })
        const error = yield* Effect.flip(using(engine.endpoint, ask))
        assert.strictEqual(error.reason, "Refused")
        assert.strictEqual(error.detail, `500 ${`{"message":"${mebibyte}`.slice(0, 200)}`)
        assert.isBelow(counter.sent, 16 * mebibyte.length)
      })
    )
  }

  it.scopedLive("that comes drop by drop is given up after 10 seconds", () =>
    Effect.gen(function* () {
      const drip: StandInEngine.Answer = (response) =>
        Effect.forever(
          Effect.delay(
            Effect.sync(() => response.write(" ")),
            "100 millis"
          )
        )
      const engine = yield* StandInEngine.make({ info: drip })
      const error = yield* Effect.flip(using(engine.endpoint, identify))
      assert.match(error.message, /no engine can be reached at .*: no whole answer in 10 seconds$/)
    })
  )
})

describe("a container with so many labels that its description is too long", () => {
  it.scopedLive("counts as running, and the other containers get their synthetic starts", () =>
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({})
      const startedAt = "2026-11-23T22:00:00Z"
      engine.state.containers.set("small", { image: "alpine", name: "small", running: true, startedAt })
      engine.state.containers.set("huge", {
        image: "alpine",
        name: "huge",
        labels: { label: "x".repeat(9_000_000) },
        running: true,
        startedAt
      })
      const des = yield* follow(engine.endpoint, { sync: true })
      yield* des.until("container/start small*")
      yield* des.until("container/start huge*")
    })
  )
})

describe("a record that is too long", () => {
  it.scopedLive("is reported once for ring and feed, and the events after it come", () =>
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({})
      const long = record({ id: "long", attributes: { label: "x".repeat(67_108_864) } })
      engine.state.records = [record({ id: "a", attributes: { name: "before" } })]
      const des = yield* follow(engine.endpoint)
      yield* des.until("INFO watching")
      yield* engine.emit(long, record({ id: "b", attributes: { name: "after" } }))
      yield* des.until("container/start after")
      // The ring has it, and so has the replay that the feed begins with.
      yield* engine.cut
      yield* engine.emit(record({ id: "c", attributes: { name: "cut" } }))
      yield* des.until("container/start cut")
      assert.deepStrictEqual(des.told(), ["des/connected", "container/start after", "container/start cut"])
      const skipped = des.logs.filter((line) => line.includes("Skipped"))
      assert.lengthOf(skipped, 1)
      assert.match(skipped[0] ?? "", new RegExp(`: it is ${long.length} bytes long, and des reads records of up to`))
      assert.deepStrictEqual(
        des.logs.filter((line) => line.includes("Gap")),
        []
      )
      assert.isBelow(heapInUse(), 1_000_000_000)
    })
  )
})

describe("an engine's own answers", () => {
  it.scopedLive("are read whole if they are within the bounds", () =>
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({})
      const labels = { label: "x".repeat(8_000_000) }
      engine.state.containers.set("c1", {
        image: "alpine",
        name: "web",
        labels,
        running: true,
        startedAt: "2026-11-23T22:00:00Z"
      })
      const container = yield* using(engine.endpoint, ({ inspect }) => inspect("c1"))
      assert.strictEqual(Option.getOrThrow(container).attributes["label"], labels.label)
      assert.lengthOf(yield* using(engine.endpoint, ({ running }) => running), 1)
    })
  )
})
