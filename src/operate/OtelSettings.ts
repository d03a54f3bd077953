/** Where traces and logs are sent, as OpenTelemetry's variables say it (OTLP exporter configuration of its specification). */

/** For how long a batch is tried if nothing else is said, in milliseconds. */
const defaultTimeout = 10_000

/** The longest such time, in milliseconds. */
const longestTimeout = 600_000

/** `traces` and `logs` are URLs; undefined if that signal is not sent. `timeout` is in milliseconds. */
export interface OtelSettings {
  readonly traces: string | undefined
  readonly logs: string | undefined
  readonly encoding: "json" | "protobuf"
  readonly headers: Readonly<Record<string, string>>
  readonly serviceName: string
  readonly timeout: number
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
  const placeOf = (signal: "TRACES" | "LOGS", path: string) => {
    if (get(`OTEL_${signal}_EXPORTER`) === "none") return undefined
    const name = `OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`
    const own = get(name)
    if (own !== undefined) return { name, given: own, url: own }
    return base === undefined ? undefined : { name: "OTEL_EXPORTER_OTLP_ENDPOINT", given: base, url: join(base, path) }
  }
  const places = { traces: placeOf("TRACES", "v1/traces"), logs: placeOf("LOGS", "v1/logs") }
  for (const place of Object.values(places)) {
    if (place !== undefined && !isUrl(place.url)) {
      return { problem: `${place.name} ${JSON.stringify(place.given)}: expected a URL with http or https` }
    }
  }
  const traces = places.traces?.url
  const logs = places.logs?.url
  if (traces === undefined && logs === undefined) return undefined
  const protocol = get("OTEL_EXPORTER_OTLP_PROTOCOL") ?? "http/json"
  if (protocol !== "http/json" && protocol !== "http/protobuf") {
    return {
      problem: `OTEL_EXPORTER_OTLP_PROTOCOL ${JSON.stringify(protocol)}: expected http/json or http/protobuf`
    }
  }
  const patience = get("OTEL_EXPORTER_OTLP_TIMEOUT") ?? String(defaultTimeout)
  const timeout = /^\d{1,6}$/.test(patience) ? Number(patience) : 0
  if (timeout < 1 || timeout > longestTimeout) {
    return {
      problem: `OTEL_EXPORTER_OTLP_TIMEOUT ${JSON.stringify(patience)}: expected milliseconds, from 1 to ${longestTimeout}`
    }
  }
  const attributes = parsePairs(get("OTEL_RESOURCE_ATTRIBUTES") ?? "")
  return {
    traces,
    logs,
    encoding: protocol === "http/json" ? "json" : "protobuf",
    headers: parsePairs(get("OTEL_EXPORTER_OTLP_HEADERS") ?? ""),
    serviceName: get("OTEL_SERVICE_NAME") ?? attributes["service.name"] ?? "des",
    timeout
  }
}
