/** Where traces and logs are sent, as OpenTelemetry's variables say it (OTLP exporter configuration of its specification). */

/** `traces` and `logs` are URLs; undefined if that signal is not sent. */
export interface OtelSettings {
  readonly traces: string | undefined
  readonly logs: string | undefined
  readonly encoding: "json" | "protobuf"
  readonly headers: Readonly<Record<string, string>>
  readonly serviceName: string
}

type Variables = Readonly<Record<string, string | undefined>>

const isUrl = (text: string): boolean => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)

const join = (base: string, path: string): string => `${base.replace(/\/+$/, "")}/${path}`

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Reads `key=value,key2=value2`. */
const parsePairs = (text: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    text.split(",").flatMap((pair) => {
      const at = pair.indexOf("=")
      return at < 1 ? [] : [[pair.slice(0, at).trim(), decode(pair.slice(at + 1).trim())]]
    })
  )

/** Reads the variables. Returns nothing if nothing is to be sent, or says what is wrong. */
export const read = (variables: Variables): OtelSettings | { readonly problem: string } | undefined => {
  const get = (name: string): string | undefined => variables[name]?.trim() || undefined
  if (get("OTEL_SDK_DISABLED")?.toLowerCase() === "true") return undefined
  const base = get("OTEL_EXPORTER_OTLP_ENDPOINT")
  const urlOf = (signal: "TRACES" | "LOGS", path: string): string | undefined =>
    get(`OTEL_${signal}_EXPORTER`) === "none"
      ? undefined
      : (get(`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`) ?? (base === undefined ? undefined : join(base, path)))
  const traces = urlOf("TRACES", "v1/traces")
  const logs = urlOf("LOGS", "v1/logs")
  for (const url of [traces, logs]) {
    if (url !== undefined && !isUrl(url)) {
      return { problem: `OTEL_EXPORTER_OTLP_ENDPOINT: ${JSON.stringify(url)} is not a URL with http or https` }
    }
  }
  if (traces === undefined && logs === undefined) return undefined
  const protocol = get("OTEL_EXPORTER_OTLP_PROTOCOL") ?? "http/json"
  if (protocol !== "http/json" && protocol !== "http/protobuf") {
    return {
      problem: `OTEL_EXPORTER_OTLP_PROTOCOL ${JSON.stringify(protocol)}: des speaks http/json and http/protobuf`
    }
  }
  const attributes = parsePairs(get("OTEL_RESOURCE_ATTRIBUTES") ?? "")
  return {
    traces,
    logs,
    encoding: protocol === "http/json" ? "json" : "protobuf",
    headers: parsePairs(get("OTEL_EXPORTER_OTLP_HEADERS") ?? ""),
    serviceName: get("OTEL_SERVICE_NAME") ?? attributes["service.name"] ?? "des"
  }
}
