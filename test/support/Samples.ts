import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as Metrics from "../../src/Metrics.ts"
import * as MetricsText from "../../src/operate/MetricsText.ts"

/** The samples of des's metrics in this process that have this text, as Prometheus reads them. */
export const samples = (part: string): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(Metric.snapshot, (snapshot) => {
    const names = Metrics.all.map(({ name }) => name)
    const lines = MetricsText.format(snapshot, names).split("\n")
    return lines.filter((line) => !line.startsWith("#") && line.includes(part))
  })
