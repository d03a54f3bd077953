/** Sends traces and logs to a collector of OpenTelemetry. It is loaded only if the variables of OpenTelemetry ask for it. */

import * as OtlpLogger from "@effect/opentelemetry/OtlpLogger"
import * as OtlpSerialization from "@effect/opentelemetry/OtlpSerialization"
import * as OtlpTracer from "@effect/opentelemetry/OtlpTracer"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import type { Journal } from "../journal/Journal.ts"
import * as Log from "../Log.ts"
import type { OtelSettings } from "./OtelSettings.ts"
import * as Traces from "./Traces.ts"

/** How long des waits at its end for the last spans and log lines to be sent. */
const shutdownTimeout = "3 seconds"

/** What is sent: `logs` also sends each log line, and `traced` makes the spans of what a journal is told. */
export interface Exported {
  readonly logs: Layer.Layer<never>
  readonly traced: <E, R>(journal: Layer.Layer<Journal, E, R>) => Layer.Layer<Journal, E, R>
}

/** Begins to send, until the end of the scope. */
export const make = (settings: OtelSettings, version: string): Effect.Effect<Exported, never, Scope.Scope> => {
  const { encoding, headers, logs, serviceName, traces } = settings
  const shared = { headers, resource: { serviceName, serviceVersion: version }, shutdownTimeout } as const
  const services = Layer.merge(
    encoding === "json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf,
    NodeHttpClient.layer
  )
  return Effect.gen(function* () {
    const tracer = traces === undefined ? undefined : yield* OtlpTracer.make({ ...shared, url: traces })
    const logger = logs === undefined ? undefined : yield* OtlpLogger.make({ ...shared, url: logs })
    const exported: Exported = {
      logs:
        logger === undefined
          ? Layer.empty
          : Logger.add(
              Logger.mapInputOptions(logger, (options: Logger.Logger.Options<unknown>) => ({
                ...options,
                message: Log.textOf(options.message)
              }))
            ),
      traced: tracer === undefined ? (journal) => journal : Traces.traced(tracer)
    }
    return exported
  }).pipe(Effect.provide(services))
}
