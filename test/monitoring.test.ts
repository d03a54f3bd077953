/** The dashboard and the alert rules of contrib, against the metrics of the code. test/install/prometheus.test.ts runs the rules. */

import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Metrics from "../src/Metrics.ts"
import { alerts, configFile, dashboard, variables } from "./support/Monitoring.ts"

/** The labels of each series of des. Prometheus adds job and instance. */
const known = new Map<string, ReadonlySet<string>>([["up", new Set(["job", "instance"])]])
for (const { kind, labels, name } of Metrics.all) {
  const all = [...labels, "job", "instance"]
  if (kind !== "histogram") known.set(name, new Set(all))
  else {
    known.set(`${name}_bucket`, new Set([...all, "le"]))
    for (const end of ["sum", "count"]) known.set(`${name}_${end}`, new Set(all))
  }
}

/** What is wrong with the names in a query, and in the texts that use the labels of its result. */
const wrongIn = (query: string, texts = ""): ReadonlyArray<string> => {
  const series = Array.from(query.matchAll(/\b(up|(?:des|process|nodejs)_\w+)\b(?:\{([^}]*)\})?/g))
  const matched = series.flatMap(([, name = "", matchers = ""]) => {
    const labels = known.get(name)
    if (labels === undefined) return [`no metric ${name}`]
    const used = Array.from(matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g), ([, label = ""]) => label)
    return used.filter((label) => !labels.has(label)).map((label) => `${name} has no label ${label}`)
  })
  const some = new Set(series.flatMap(([, name = ""]) => Array.from(known.get(name) ?? [])))
  const listed = Array.from(query.matchAll(/\b(?:by|on|without|ignoring) \(([^)]*)\)/g), ([, list = ""]) =>
    list.split(",")
  )
  const shown = Array.from(texts.matchAll(/\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}/g), ([, label = ""]) => label)
  const grouped = [...listed.flat().map((label) => label.trim()), ...shown].filter((label) => !some.has(label))
  return [
    ...(series.length === 0 ? [`no metric in ${query}`] : []),
    ...matched,
    ...grouped.map((label) => `no label ${label}`)
  ]
}

describe("a query", () => {
  it.each([
    ["up == 0", "{{ $labels.instance }}", []],
    ['sum by (le, engine) (rate(des_event_delay_seconds_bucket{engine=~"$engine"}[5m]))', "p50 {{engine}}", []],
    ["des_feeds_up", "", ["no metric des_feeds_up"]],
    ["des_event_delay_seconds", "", ["no metric des_event_delay_seconds"]],
    ['des_feed_up{script="a"}', "", ["des_feed_up has no label script"]],
    ["sum by (script) (des_feed_up)", "{{outcome}}", ["no label script", "no label outcome"]],
    ["vector(1)", "", ["no metric in vector(1)"]]
  ] as const)("%s is compared with the metrics of the code", (query, texts, wrong) => {
    assert.deepStrictEqual(wrongIn(query, texts), [...wrong])
  })
})

describe("the dashboard", () => {
  const panels = dashboard.panels.filter(({ type }) => type !== "row")

  it.each(panels.map((panel) => [panel.title, panel] as const))(
    "shows in %s only metrics and labels of the code",
    (_, panel) => {
      assert.isAbove(panel.targets?.length ?? 0, 0)
      for (const { expr, legendFormat } of panel.targets ?? []) assert.deepStrictEqual(wrongIn(expr, legendFormat), [])
    }
  )

  it("has a unit, a description and the chosen data source in each panel", () => {
    for (const { datasource, description, fieldConfig, targets = [], title } of panels) {
      assert.isOk(fieldConfig?.defaults.unit, title)
      assert.isOk(description, title)
      for (const source of [datasource, ...targets.map((target) => target.datasource)]) {
        assert.deepStrictEqual(source, { type: "prometheus", uid: "${datasource}" }, title)
      }
    }
  })

  it("has variables for the data source, the instance and the engine, and can be read by Grafana 10", () => {
    assert.strictEqual(dashboard.schemaVersion, 38)
    assert.deepStrictEqual(
      dashboard.templating.list.map(({ name, type }) => `${name}: ${type}`),
      ["datasource: datasource", "instance: query", "engine: query"]
    )
    assert.lengthOf(variables, 2)
    for (const { name, query } of variables) {
      assert.match(query, new RegExp(`^label_values\\(.*, ${name}\\)$`))
      assert.deepStrictEqual(wrongIn(query, `{{${name}}}`), [])
    }
  })

  it("has panels with different ids, which do not overlap and fit the width", () => {
    const taken = new Map<string, string>()
    for (const { gridPos, title } of dashboard.panels) {
      assert.isAtMost(gridPos.x + gridPos.w, 24, title)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          assert.isUndefined(taken.get(`${x} ${y}`), title)
          taken.set(`${x} ${y}`, title)
        }
      }
    }
    assert.strictEqual(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length)
  })
})

describe("the alert rules", () => {
  it.each(alerts.map((alert) => [alert.name, alert] as const))(
    "use in %s only metrics and labels of the code",
    (_, alert) => {
      assert.deepStrictEqual(wrongIn(alert.expr, alert.text), [])
    }
  )

  it("are all in docs/operating.md, in their order", () => {
    const page = readFileSync(join(import.meta.dirname, "..", "docs", "operating.md"), "utf8")
    const found = Array.from(page.matchAll(/^\| `(Des\w+)` \|/gm), ([, name]) => name)
    assert.deepStrictEqual(
      found,
      alerts.map(({ name }) => name)
    )
  })

  it("have the job of the example configuration", () => {
    const [, job] = /^ {2}- job_name: (\w+)$/m.exec(readFileSync(configFile, "utf8")) ?? []
    const jobs = alerts.flatMap(({ expr }) => Array.from(expr.matchAll(/job="(\w*)"/g), ([, name]) => name))
    assert.deepStrictEqual(new Set(jobs), new Set([job]))
  })

  it("have a severity, a summary and a description", () => {
    assert.isAbove(alerts.length, 7)
    for (const { name, text } of alerts) {
      assert.match(text, /^ {10}severity: (warning|critical)$/m, name)
      assert.match(text, /^ {10}summary: \S/m, name)
      assert.match(text, /^ {10}description: >-\n {12}\S/m, name)
    }
  })
})
