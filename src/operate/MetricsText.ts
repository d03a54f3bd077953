import * as MetricKeyType from "effect/MetricKeyType"
import type * as MetricPair from "effect/MetricPair"
import * as MetricState from "effect/MetricState"

/** The content type of {@link format}. */
export const contentType = "text/plain; version=0.0.4; charset=utf-8"

/** A lone half of a surrogate pair has no bytes in UTF-8. */
const wellFormed = (text: string): string => text.replace(/\p{Cs}/gu, "\ufffd")

const escapeHelp = (text: string): string => wellFormed(text).replaceAll("\\", "\\\\").replaceAll("\n", "\\n")

const escapeValue = (text: string): string => escapeHelp(text).replaceAll('"', '\\"')

const formatNumber = (number: number): string =>
  number === Number.POSITIVE_INFINITY ? "+Inf" : number === Number.NEGATIVE_INFINITY ? "-Inf" : String(number)

type Labels = ReadonlyArray<readonly [name: string, value: string]>

const sample = (name: string, labels: Labels, value: number): string => {
  const listed = labels.map(([label, text]) => `${label}="${escapeValue(text)}"`).join(",")
  return `${name}${listed === "" ? "" : `{${listed}}`} ${formatNumber(value)}`
}

/** The lines of one metric with one set of labels. Every number that Effect has is a number here: des has no metric of bigints. */
const samplesOf = (name: string, labels: Labels, state: MetricState.MetricState.Untyped): ReadonlyArray<string> => {
  if (MetricState.isCounterState(state)) return [sample(name, labels, Number(state.count))]
  if (MetricState.isGaugeState(state)) return [sample(name, labels, Number(state.value))]
  if (!MetricState.isHistogramState(state)) return []
  const finite = state.buckets.filter(([bound]) => Number.isFinite(bound))
  const buckets = [...finite, [Number.POSITIVE_INFINITY, state.count] as const]
  return [
    ...buckets.map(([bound, count]) => sample(`${name}_bucket`, [...labels, ["le", formatNumber(bound)]], count)),
    sample(`${name}_sum`, labels, state.sum),
    sample(`${name}_count`, labels, state.count)
  ]
}

const kindOf = (type: unknown): string | undefined =>
  MetricKeyType.isCounterKey(type)
    ? "counter"
    : MetricKeyType.isGaugeKey(type)
      ? "gauge"
      : MetricKeyType.isHistogramKey(type)
        ? "histogram"
        : undefined

/**
 * Metrics in Prometheus' text format, in the order of `names`. It leaves out the metrics of the snapshot that `names` does not have.
 */
export const format = (snapshot: Iterable<MetricPair.MetricPair.Untyped>, names: Iterable<string>): string => {
  const byName = new Map<string, Array<MetricPair.MetricPair.Untyped>>()
  for (const name of names) byName.set(name, [])
  for (const pair of snapshot) byName.get(pair.metricKey.name)?.push(pair)
  const lines = Array.from(byName, ([name, pairs]) => {
    const [first] = pairs
    const kind = kindOf(first?.metricKey.keyType)
    if (first === undefined || kind === undefined) return []
    const help = first.metricKey.description._tag === "Some" ? first.metricKey.description.value : ""
    const samples = pairs.flatMap(({ metricKey, metricState }) =>
      samplesOf(
        name,
        metricKey.tags.map(({ key, value }) => [key, value] as const),
        metricState
      )
    )
    return [`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${kind}`, ...samples]
  }).flat()
  return lines.map((line) => `${line}\n`).join("")
}
