import { createServer } from "node:http"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Des from "../../src/Des.ts"
import * as Dispatch from "../../src/dispatch/Dispatch.ts"
import { EventFeed } from "../../src/feed/EventFeed.ts"
import { Journal } from "../../src/journal/Journal.ts"
import * as JournalInMemory from "../../src/journal/JournalInMemory.ts"
import * as Otlp from "../../src/operate/Otlp.ts"
import { Outcome } from "../../src/scripts/ScriptRunner.ts"
import * as Trust from "../../src/scripts/Trust.ts"
import * as Testing from "../../src/testing.ts"
import * as Collector from "../support/Collector.ts"

/** A feed of these events that also has an engine, so that des/start and des/stop are events. */
const feedWithEngine = (events: ReturnType<typeof Testing.makeEvent>[]) =>
  Layer.map(Testing.layerFeed(events), (context) =>
    Context.make(EventFeed, { ...Context.get(context, EventFeed), engines: ["one"] })
  )

describe("traces and logs", () => {
  it.scopedLive("have a span for each event and in it one for each run, which a script can join", () =>
    Effect.gen(function* () {
      const sent = yield* Collector.make
      const { bodies, received, url } = sent
      const settings = {
        traces: `${url}/v1/traces`,
        logs: `${url}/v1/logs`,
        encoding: "json",
        headers: { "x-key": "secret" },
        serviceName: "des",
        timeout: 10_000
      } as const
      const events = [
        Testing.makeEvent({ action: "start", id: "a" }),
        Testing.makeEvent({ action: "die", id: "b", attributes: { name: `b"\n${"x".repeat(2000)}` } })
      ]
      const outcome = (code: number) => Outcome.Exited({ code, message: "why" })
      const environments = yield* Effect.scoped(
        Effect.gen(function* () {
          const { logs, traced } = yield* Otlp.make(settings, "1.2.3")
          const recorder = Testing.layerRecorder(({ event }) => outcome(event.Action === "die" ? 3 : 0))
          const layers = Layer.mergeAll(
            feedWithEngine(events),
            Testing.layerScripts({
              "container/start": ["/d/start"],
              "container/die": ["/d/die"],
              "des/stop": ["/d/stop"]
            }),
            Dispatch.layer({ base: {} })
          ).pipe(
            Layer.provideMerge(traced(JournalInMemory.layer())),
            Layer.provideMerge(recorder),
            Layer.provide([Trust.layerInsecure, NodeFileSystem.layer])
          )
          const recorded = Effect.zipRight(
            Des.run,
            Effect.flatMap(Testing.RecordedRuns, ({ all }) => all)
          )
          const runs = yield* Effect.provide(
            Logger.withMinimumLogLevel(Effect.provide(recorded, layers), LogLevel.Debug),
            Layer.merge(logs, Logger.remove(Logger.defaultLogger))
          )
          return runs.map(({ environment }) => environment)
        })
      )

      assert.isTrue(received.every(({ key }) => key === "secret"))
      const resource = bodies("/v1/traces")[0].resourceSpans[0].resource
      assert.deepInclude(Collector.attributesOf(resource), { "service.name": "des", "service.version": "1.2.3" })

      const spans = sent.spans()
      const spanOf = (name: string): Collector.Span =>
        spans.find((span) => span.name === name) ?? assert.fail(`no span ${name}`)
      assert.lengthOf(spans, 6)
      for (const [at, name] of ["start", "die", "stop"].entries()) {
        const type = name === "stop" ? "des" : "container"
        const event = spanOf(`${type}/${name}`)
        const run = spanOf(`run /d/${name}`)
        assert.strictEqual(run.parentSpanId, event.spanId)
        assert.strictEqual(run.traceId, event.traceId)
        assert.strictEqual(environments[at]?.["TRACEPARENT"], `00-${run.traceId}-${run.spanId}-01`)
        assert.isTrue(BigInt(event.startTimeUnixNano) <= BigInt(run.startTimeUnixNano))
        assert.isTrue(BigInt(run.endTimeUnixNano) <= BigInt(event.endTimeUnixNano))
        assert.deepInclude(Collector.attributesOf(event), { "des.event.type": type, "des.event.action": name })
        assert.deepInclude(Collector.attributesOf(run), { "des.script": `/d/${name}` })
      }
      assert.strictEqual(spanOf("run /d/start").status.code, 1)
      assert.strictEqual(spanOf("run /d/die").status.code, 2)
      assert.isAtMost(String(Collector.attributesOf(spanOf("container/die"))["container.name"]).length, 1100)

      const logs = sent.logs()
      assert.isFalse(logs.some(({ severityText }) => severityText === "DEBUG"))
      const failed = logs.find(({ body }) => body.stringValue.includes("Failed! Exit=3"))
      assert.strictEqual(failed?.severityText, "ERROR")
      assert.deepInclude(Collector.attributesOf(failed ?? assert.fail()), {
        "des.script": "/d/die",
        "des.event.action": "die"
      })
      const ran = spanOf("run /d/die")
      assert.deepInclude(failed, { traceId: ran.traceId, spanId: ran.spanId })
      const about = (line: Collector.LogRecord) => line.attributes.some(({ key }) => key === "des.script")
      assert.isTrue(logs.filter(about).every(({ spanId }) => spans.some((span) => span.spanId === spanId)))
      assert.isTrue(spans.every(({ events = [] }) => events.every(({ name }) => name === "exception")))
    })
  )

  it.scopedLive("are sent as protobuf if that is asked for", () =>
    Effect.gen(function* () {
      const { received, url } = yield* Collector.make
      const settings = {
        traces: `${url}/v1/traces`,
        logs: undefined,
        encoding: "protobuf",
        headers: {},
        serviceName: "des",
        timeout: 10_000
      } as const
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { traced } = yield* Otlp.make(settings, "1")
          const journal = Context.get(yield* Layer.build(traced(JournalInMemory.layer())), Journal)
          const event = Testing.makeEvent()
          yield* journal.accept({ events: [event], accepted: [{ event, scripts: [] }] })
          yield* journal.finish((yield* Effect.flatten(journal.take("total"))).id, "succeeded")
        })
      )
      assert.deepStrictEqual(
        received.map(({ path, type }) => [path, type]),
        [["/v1/traces", "application/x-protobuf"]]
      )
      // A string of a message is its length and its text.
      assert.include(received[0]?.body ?? "", "\u000fcontainer/start")
    })
  )

  it.scopedLive("do not hold des up if the collector never answers, and its end for 3 seconds in all", () =>
    Effect.gen(function* () {
      const silent = createServer(() => undefined)
      const port = yield* Effect.acquireRelease(
        Effect.async<number>((resume) => {
          silent.listen(0, "127.0.0.1", () => {
            const address = silent.address()
            resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
          })
        }),
        () =>
          Effect.sync(() => {
            silent.close()
            silent.closeAllConnections()
          })
      )
      const url = `http://127.0.0.1:${port}`
      const settings = {
        traces: url,
        logs: url,
        encoding: "json",
        headers: {},
        serviceName: "des",
        timeout: 10_000
      } as const
      let began = 0
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { logs, traced } = yield* Otlp.make(settings, "1")
          const layers = Layer.mergeAll(
            Testing.layerFeed([Testing.makeEvent()]),
            Testing.layerScripts({ "container/start": ["/d/start"] }),
            Dispatch.layer({ base: {} })
          ).pipe(
            Layer.provideMerge(traced(JournalInMemory.layer())),
            Layer.provideMerge(Testing.layerRecorder()),
            Layer.provide([Trust.layerInsecure, NodeFileSystem.layer])
          )
          yield* Effect.provide(Effect.provide(Des.run, layers), logs)
          began = performance.now()
        })
      )
      assert.isBelow(performance.now() - began, 5000)
    })
  )
})
