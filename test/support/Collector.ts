/** A stand-in for a collector of OpenTelemetry, which keeps what is sent to it as JSON. */

import { createServer } from "node:http"
import * as Effect from "effect/Effect"

export interface Attribute {
  readonly key: string
  readonly value: Readonly<Record<string, unknown>>
}

export interface Span {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: ReadonlyArray<Attribute>
  readonly status: { readonly code: number }
  readonly events?: ReadonlyArray<{ readonly name: string }>
}

export interface LogRecord {
  readonly body: { readonly stringValue: string }
  readonly severityText: string
  readonly traceId?: string
  readonly spanId?: string
  readonly attributes: ReadonlyArray<Attribute>
}

/** A collector that listens. `received` is what was sent to it, and `spans` and `logs` are what that has. */
export const make = Effect.gen(function* () {
  const received: Array<{
    readonly path: string
    readonly type: unknown
    readonly key: unknown
    readonly body: string
  }> = []
  const server = createServer((request, response) => {
    let body = ""
    request.setEncoding("utf8").on("data", (part: string) => {
      body += part
    })
    request.on("end", () => {
      const { "content-type": type, "x-key": key } = request.headers
      received.push({ path: request.url ?? "", type, key, body })
      response.writeHead(200, { "Content-Type": "application/json" }).end("{}")
    })
  })
  const url = yield* Effect.acquireRelease(
    Effect.async<string>((resume) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address()
        const port = typeof address === "object" && address !== null ? address.port : 0
        resume(Effect.succeed(`http://127.0.0.1:${port}`))
      })
    }),
    () =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )
  const bodies = (path: string) => received.filter((sent) => sent.path === path).map(({ body }) => JSON.parse(body))
  return {
    received,
    url,
    bodies,
    spans: (): ReadonlyArray<Span> => bodies("/v1/traces").flatMap((body) => body.resourceSpans[0].scopeSpans[0].spans),
    logs: (): ReadonlyArray<LogRecord> =>
      bodies("/v1/logs").flatMap((body) => body.resourceLogs[0].scopeLogs[0].logRecords)
  }
})

/** The attributes of a span, a log line or a resource, by their keys. */
export const attributesOf = ({ attributes }: { readonly attributes: ReadonlyArray<Attribute> }) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))
