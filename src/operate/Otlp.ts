/** Sends traces and logs to a collector of OpenTelemetry. It is loaded only if the variables of OpenTelemetry ask for it. */

import * as OtlpLogger from "@effect/opentelemetry/OtlpLogger"
import * as OtlpSerialization from "@effect/opentelemetry/OtlpSerialization"
import * as OtlpTracer from "@effect/opentelemetry/OtlpTracer"
import type * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Scope from "effect/Scope"
import type { Journal } from "../journal/Journal.ts"
import * as Log from "../Log.ts"
import * as Batch from "./Batch.ts"
import * as Collector from "./Collector.ts"
import type { OtelSettings } from "./OtelSettings.ts"
import * as Traces from "./Traces.ts"

/** How long des waits at its end for the last spans and log lines to be sent. Both are sent at the same time. */
const shutdownTimeout = "3 seconds"

/** What is sent: `logs` also sends each log line, and `traced` makes the spans of what a journal is told. */
export interface Exported {
  readonly logs: Layer.Layer<never>
  readonly traced: <E, R>(journal: Layer.Layer<Journal, E, R>) => Layer.Layer<Journal, E, R>
}

/** What of a log line is sent. Debug lines stay here: they have the variables of scripts, and so what `--env` gives them. */
const sendable = (logger: Logger.Logger<unknown, void>): Logger.Logger<unknown, void> =>
  Logger.make((options) => {
    if (LogLevel.lessThan(options.logLevel, LogLevel.Info)) return
    logger.log({ ...options, message: Log.textOf(options.message) })
  })

/** What the exporters pass to be encoded: always one resource with one scope. */
interface Traced {
  readonly resourceSpans: readonly [{ readonly scopeSpans: readonly [{ readonly spans: ReadonlyArray<unknown> }] }]
}

interface Logged {
  readonly resourceLogs: readonly [{ readonly scopeLogs: readonly [{ readonly logRecords: ReadonlyArray<unknown> }] }]
}

/** Bounds each request in bytes. `dropped` returns how many records did not fit since it was asked last. */
const makeBounded = (plain: OtlpSerialization.OtlpSerialization["Type"]) => {
  const counts = { traces: 0, logs: 0 }
  const count = (signal: keyof typeof counts, { body, dropped }: Batch.Batch): HttpBody.HttpBody => {
    counts[signal] += dropped
    return body
  }

  const traces = (data: Traced) => {
    const [resource] = data.resourceSpans
    const [scope] = resource.scopeSpans
    return Batch.make(scope.spans, (spans) =>
      plain.traces({ resourceSpans: [{ ...resource, scopeSpans: [{ ...scope, spans }] }] })
    )
  }

  const logs = (data: Logged) => {
    const [resource] = data.resourceLogs
    const [scope] = resource.scopeLogs
    return Batch.make(scope.logRecords, (logRecords) =>
      plain.logs({ resourceLogs: [{ ...resource, scopeLogs: [{ ...scope, logRecords }] }] })
    )
  }

  return {
    encode: {
      ...plain,
      traces: (data: unknown) => count("traces", traces(data as Traced)),
      logs: (data: unknown) => count("logs", logs(data as Logged))
    },
    dropped: (signal: keyof typeof counts) => () => {
      const dropped = counts[signal]
      counts[signal] = 0
      return dropped
    }
  }
}

/** Begins to send, until the end of the scope. */
export const make = (settings: OtelSettings, version: string): Effect.Effect<Exported, never, Scope.Scope> => {
  const { encoding, headers, logs, serviceName, timeout, traces } = settings
  const resource = { serviceName, serviceVersion: version }
  const shared = { headers, resource, shutdownTimeout, maxBatchSize: Batch.mostRecords } as const
  const services = Layer.merge(
    encoding === "json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf,
    NodeHttpClient.layer
  )
  return Effect.gen(function* () {
    const ends = yield* Effect.acquireRelease(Scope.make(ExecutionStrategy.parallel), Scope.close)
    const client = yield* HttpClient.HttpClient
    const { dropped, encode } = makeBounded(yield* OtlpSerialization.OtlpSerialization)
    /** Makes what sends one signal. At the end it does not wait for the other. */
    const exporter = <A, R>(sent: Omit<Collector.Sent, "timeout" | "dropped">, made: Effect.Effect<A, never, R>) =>
      Effect.gen(function* () {
        const end = yield* Scope.fork(ends, ExecutionStrategy.sequential)
        const bounded = yield* Collector.bounded({ ...sent, timeout, dropped: dropped(sent.what) })(client)
        return yield* made.pipe(
          Effect.provideService(HttpClient.HttpClient, bounded),
          Effect.provideService(OtlpSerialization.OtlpSerialization, encode),
          (exporting) => Scope.extend(exporting, end)
        )
      })
    const tracer =
      traces === undefined
        ? undefined
        : yield* exporter({ what: "traces", url: traces }, OtlpTracer.make({ ...shared, url: traces }))
    const logger =
      logs === undefined
        ? undefined
        : yield* exporter({ what: "logs", url: logs }, OtlpLogger.make({ ...shared, url: logs }))
    const exported: Exported = {
      logs: logger === undefined ? Layer.empty : Logger.add(sendable(logger)),
      traced: tracer === undefined ? (journal) => journal : Traces.traced(tracer)
    }
    return exported
  }).pipe(Effect.provide(services))
}
