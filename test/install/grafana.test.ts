/** The dashboard, as the types say that Grafana publishes for its dashboards. No Grafana is started: Debian has none. */

import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "vitest"
import { dashboard } from "../support/Monitoring.ts"
import * as Package from "../support/Package.ts"
import * as TempFolder from "../support/TempFolder.ts"

const compiler = Path.join(import.meta.dirname, "..", "..", "node_modules", "typescript", "lib", "tsc.js")

/** The modules of the schema: of a dashboard, and of the options of a panel of each kind. */
const modules = {
  raw: "dashboard/x/dashboard_types.gen",
  timeseries: "composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen",
  stat: "composable/stat/panelcfg/x/StatPanelCfg_types.gen"
}

const imports = Object.entries(modules).map(
  ([name, file]) => `import type * as ${name} from "./node_modules/@grafana/schema/dist/esm/raw/${file}"`
)

/** The words of an enum are written as strings in JSON. */
const written = `type Written<T> = T extends string ? \`\${T}\`
  : T extends boolean | number | null | undefined ? T
  : T extends ReadonlyArray<infer A> ? Array<Written<A>>
  : T extends object ? { [K in keyof T]: Written<T[K]> }
  : T`

const constant = (type: string, value: unknown, at: number) =>
  `export const of${at}: Written<${type}> = ${JSON.stringify(value)}`

/** What of the dashboard has which type. The dashboard's own type says nothing of the options of its panels. */
const typed: ReadonlyArray<readonly [type: string, value: unknown]> = [
  ["raw.Dashboard", dashboard],
  ...dashboard.panels.flatMap(({ fieldConfig, options, type }): ReadonlyArray<readonly [string, unknown]> => {
    // Later versions have more options of a stat, all with a default.
    if (type === "stat") return [["Partial<stat.Options>", options]]
    return type === "row"
      ? []
      : [
          [`${type}.Options`, options],
          [`${type}.FieldConfig`, fieldConfig?.defaults.custom]
        ]
  })
]

const settings = {
  compilerOptions: {
    strict: true,
    noEmit: true,
    module: "esnext",
    moduleResolution: "bundler",
    skipLibCheck: true,
    target: "es2022",
    types: []
  },
  files: ["dashboard.ts"]
}

describe("the dashboard", () => {
  it.each(["10.4.0", "12.0.0"])("is what the published types of Grafana %s say", async (version) => {
    const folder = TempFolder.makeSync("grafana")
    try {
      Fs.writeFileSync(Path.join(folder, "package.json"), "{}")
      await Package.npm(folder, "install", "--ignore-scripts", "--no-audit", "--no-fund", `@grafana/schema@${version}`)
      const source = [...imports, written, ...typed.map(([type, value], at) => constant(type, value, at))]
      Fs.writeFileSync(Path.join(folder, "dashboard.ts"), source.join("\n"))
      Fs.writeFileSync(Path.join(folder, "tsconfig.json"), JSON.stringify(settings))
      const { stdout } = spawnSync(process.execPath, [compiler, "-p", folder], { encoding: "utf8" })
      assert.strictEqual(stdout, "")
    } finally {
      TempFolder.removeSync(folder)
    }
  })
})
