/** The dashboard and the alert rules of contrib, as far as tests look at them. */

import { readFileSync } from "node:fs"
import { join } from "node:path"

const contrib = join(import.meta.dirname, "..", "..", "contrib")

export const dashboardFile = join(contrib, "grafana", "des.json")

export const rulesFile = join(contrib, "prometheus", "des.rules.yml")
export const configFile = join(contrib, "prometheus", "prometheus.yml")

interface Source {
  readonly type: string
  readonly uid: string
}

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly datasource?: Source
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly targets?: ReadonlyArray<{
    readonly expr: string
    readonly legendFormat: string
    readonly datasource: Source
  }>
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string; readonly custom?: unknown } }
  readonly options?: unknown
}

interface Variable {
  readonly name: string
  readonly type: string
  readonly query?: string | { readonly query: string }
}

interface Dashboard {
  readonly schemaVersion: number
  readonly panels: ReadonlyArray<Panel>
  readonly templating: { readonly list: ReadonlyArray<Variable> }
}

export const dashboard: Dashboard = JSON.parse(readFileSync(dashboardFile, "utf8"))

/** The queries of the variables that Prometheus fills, by the name of the variable. */
export const variables: ReadonlyArray<{ readonly name: string; readonly query: string }> =
  dashboard.templating.list.flatMap(({ name, query }) =>
    typeof query === "object" ? [{ name, query: query.query }] : []
  )

/** An alert: its name, its expression, and its whole text, which has the labels that its messages use. */
export interface Alert {
  readonly name: string
  readonly expr: string
  readonly text: string
}

/** The alerts. Their expressions are one line, or a block that ends at the next key. */
export const alerts: ReadonlyArray<Alert> = readFileSync(rulesFile, "utf8")
  .split(/^ {6}- alert: /m)
  .slice(1)
  .map((text) => ({
    name: /^\w+/.exec(text)?.[0] ?? "",
    expr: /^ {8}expr: (?:\|\n)?(.*?)(?=^ {8}\w)/ms.exec(text)?.[1]?.trim() ?? "",
    text
  }))
