import { assert, describe, it } from "vitest"
import * as OtelSettings from "../../src/operate/OtelSettings.ts"

const defaults = { encoding: "json", headers: {}, serviceName: "des", timeout: 10_000 }

const cases: ReadonlyArray<
  readonly [title: string, variables: Record<string, string>, settings: ReturnType<typeof OtelSettings.read>]
> = [
  ["send nothing if they are not set", {}, undefined],
  ["send nothing if they are empty", { OTEL_EXPORTER_OTLP_ENDPOINT: " " }, undefined],
  [
    "send both signals to the paths below the endpoint",
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:4318/" },
    { ...defaults, encoding: "json", traces: "http://c:4318/v1/traces", logs: "http://c:4318/v1/logs" }
  ],
  [
    "send one signal to an endpoint of its own, as it is",
    { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "https://c/t" },
    { ...defaults, encoding: "json", traces: "https://c/t", logs: undefined }
  ],
  [
    "can leave one signal out",
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://c", OTEL_LOGS_EXPORTER: "none" },
    { ...defaults, encoding: "json", traces: "http://c/v1/traces", logs: undefined }
  ],
  ["can turn everything off", { OTEL_EXPORTER_OTLP_ENDPOINT: "http://c", OTEL_SDK_DISABLED: "true" }, undefined],
  [
    "set headers, the encoding, the timeout and the name of the service",
    {
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://c",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Basic%20a=b, x=%",
      OTEL_EXPORTER_OTLP_TIMEOUT: "2500",
      OTEL_RESOURCE_ATTRIBUTES: "host.name=h,service.name=web-des"
    },
    {
      traces: "http://c/v1/traces",
      logs: "http://c/v1/logs",
      encoding: "protobuf",
      headers: { authorization: "Basic a=b", x: "%" },
      serviceName: "web-des",
      timeout: 2500
    }
  ],
  [
    "are refused if the endpoint is no URL",
    { OTEL_EXPORTER_OTLP_ENDPOINT: "c:4317" },
    { problem: 'OTEL_EXPORTER_OTLP_ENDPOINT "c:4317": expected a URL with http or https' }
  ],
  [
    "are refused if the endpoint of one signal is no URL",
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://c", OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: "c:4317" },
    { problem: 'OTEL_EXPORTER_OTLP_LOGS_ENDPOINT "c:4317": expected a URL with http or https' }
  ],
  [
    "are refused if the timeout is no time",
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://c", OTEL_EXPORTER_OTLP_TIMEOUT: "10s" },
    { problem: 'OTEL_EXPORTER_OTLP_TIMEOUT "10s": expected milliseconds, from 1 to 600000' }
  ],
  [
    "are refused if des does not speak the protocol",
    { OTEL_EXPORTER_OTLP_ENDPOINT: "http://c", OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" },
    { problem: 'OTEL_EXPORTER_OTLP_PROTOCOL "grpc": expected http/json or http/protobuf' }
  ]
]

describe("the variables of OpenTelemetry", () => {
  for (const [title, variables, settings] of cases) {
    it(title, () => assert.deepStrictEqual(OtelSettings.read(variables), settings))
  }
})
