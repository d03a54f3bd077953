import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import * as MetricLabel from "effect/MetricLabel"
import * as MetricPair from "effect/MetricPair"
import * as MetricState from "effect/MetricState"
import * as MetricsText from "../../src/operate/MetricsText.ts"

const counter = Metric.counter("a_total", { description: "What\na \\ is." })
const gauge = Metric.gauge("b", { description: "What b is." })
const histogram = Metric.histogram("c_seconds", MetricBoundaries.fromIterable([0.1, 1]), "What c is.")

const tagged = (value: string) => [MetricLabel.make("from", value)]

/** The metrics that were ever used in this process, of these names. */
const text = (...names: ReadonlyArray<string>) =>
  Effect.map(Metric.snapshot, (snapshot) => MetricsText.format(snapshot, names))

/** One sample of a counter, without the registry of the process. */
const sampleOf = (value: string): string => {
  const key = MetricKey.taggedWithLabels(MetricKey.counter("d_total", { description: "What d is." }), tagged(value))
  return MetricsText.format([MetricPair.unsafeMake(key, MetricState.counter(1))], ["d_total"])
}

/** What a parser could trip over, and what it could not. */
const units = ["a", "\\", '"', "\n", "\r", "{", "}", ",", "=", " ", "#", "\0", "\u2028", "é", "😀"]

/** The value of the label, as Prometheus' parser reads it. */
const readBack = (written: string): string | undefined => {
  const [, , line = "", ...more] = written.split("\n")
  const [, quoted] = /^d_total\{from="((?:[^"\\]|\\[\\n"])*)"\} 1$/.exec(line) ?? []
  return more.join("") === "" ? quoted?.replaceAll(/\\(.)/g, (_, at: string) => (at === "n" ? "\n" : at)) : undefined
}

describe("the metrics as text", () => {
  it.effect("have a help and a kind, escaped, and each sample with its labels", () =>
    Effect.gen(function* () {
      counter.unsafeUpdate(2, tagged("x"))
      counter.unsafeUpdate(1, tagged('"y"'))
      gauge.unsafeUpdate(-0.5, [])
      for (const value of [0.05, 0.5, 5]) histogram.unsafeUpdate(value, [])
      assert.deepStrictEqual((yield* text("b", "c_seconds", "a_total")).split("\n"), [
        "# HELP b What b is.",
        "# TYPE b gauge",
        "b -0.5",
        "# HELP c_seconds What c is.",
        "# TYPE c_seconds histogram",
        'c_seconds_bucket{le="0.1"} 1',
        'c_seconds_bucket{le="1"} 2',
        'c_seconds_bucket{le="+Inf"} 3',
        "c_seconds_sum 5.55",
        "c_seconds_count 3",
        "# HELP a_total What\\na \\\\ is.",
        "# TYPE a_total counter",
        'a_total{from="x"} 2',
        'a_total{from="\\"y\\""} 1',
        ""
      ])
    })
  )

  it.effect("leave out what is not asked for, and what has never counted", () =>
    Effect.map(text("never_total"), (all) => assert.strictEqual(all, ""))
  )

  it("keep any label value on its line, and any reader gets it back", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.string({ unit: FastCheck.constantFrom(...units) }), (value) =>
        assert.strictEqual(readBack(sampleOf(value)), value)
      ),
      { examples: [["\n"], ['"'], ["\\n"], ['\\"} 2\nforged 1'], ["\\"], ["\r"], ["\u2028"]] }
    )
  })

  it("replace half a surrogate pair, which no reader could decode", () => {
    assert.strictEqual(readBack(sampleOf("a\ud800b")), "a\ufffdb")
  })
})
