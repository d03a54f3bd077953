import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Endpoint from "../../src/endpoint/Endpoint.ts"
import * as Collector from "../support/Collector.ts"
import { record } from "../support/Record.ts"
import { test } from "../support/Sandbox.ts"
import * as StandInEngine from "../support/StandInEngine.ts"

describe("OTEL_EXPORTER_OTLP_ENDPOINT", () => {
  test("sends spans and log lines to a collector, and only the lines of runs name a span", ({ dir, script, start }) =>
    Effect.gen(function* () {
      const collector = yield* Collector.make
      const engine = yield* StandInEngine.make({})
      script("container/start", 'echo "joins $TRACEPARENT"; exit 3')
      script("des/stop", "true")
      const env = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_SERVICE_NAME: "des at home" }
      const running = yield* start(["-d", dir, "-e", `one=${Endpoint.format(engine.endpoint)}`], { env })
      yield* running.said("watching one")
      yield* engine.emit(record())
      yield* running.said("Failed! Exit=3")
      yield* running.kill("SIGTERM")
      yield* running.ended

      const spans = collector.spans()
      const spanOf = (name: string) => spans.find((span) => span.name === name) ?? assert.fail(`no span ${name}`)
      const run = spanOf(`run ${dir}/container/start`)
      assert.strictEqual(run.parentSpanId, spanOf("container/start").spanId)
      assert.strictEqual(spanOf(`run ${dir}/des/stop`).parentSpanId, spanOf("des/stop").spanId)
      const [{ resource }] = collector.bodies("/v1/traces").flatMap((body) => body.resourceSpans)
      assert.include(Collector.attributesOf(resource), { "service.name": "des at home" })

      const idsOf = (text: string) => {
        const line = collector.logs().find(({ body }) => body.stringValue.includes(text))
        return [line?.traceId, line?.spanId]
      }
      assert.deepStrictEqual(idsOf(`joins 00-${run.traceId}-${run.spanId}-01`), [run.traceId, run.spanId])
      assert.deepStrictEqual(idsOf("Failed! Exit=3"), [run.traceId, run.spanId])
      // A span around the whole of des would be named here.
      assert.isTrue(collector.logs().some(({ body }) => body.stringValue.startsWith("watching one")))
      assert.deepStrictEqual(idsOf("watching one"), [undefined, undefined])
    }))
})
