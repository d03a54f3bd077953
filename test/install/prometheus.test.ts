/** The alert rules, the dashboard and the metrics, as promtool reads them, and as a real Prometheus evaluates them. */

import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import { afterAll, assert, describe, it } from "vitest"
import * as Endpoint from "../../src/endpoint/Endpoint.ts"
import { freePort } from "../support/FreePort.ts"
import { alerts, configFile, dashboard, rulesFile, variables } from "../support/Monitoring.ts"
import { poll } from "../support/Poll.ts"
import * as Program from "../support/Program.ts"
import { record } from "../support/Record.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"
import * as StandInEngine from "../support/StandInEngine.ts"
import * as TempFolder from "../support/TempFolder.ts"

const folder = TempFolder.makeSync("prometheus")
afterAll(() => TempFolder.removeSync(folder))

const isInstalled = process.env["DES_REQUIRE_ENGINES"] === "1" || spawnSync("promtool", ["--version"]).status === 0

const promtool = (args: ReadonlyArray<string>, input = ""): void => {
  const { error, status, stderr, stdout } = spawnSync("promtool", args, { input, encoding: "utf8" })
  assert.strictEqual(status, 0, `${error ?? ""}${stdout}${stderr}`)
}

/** Promtool reads YAML, and JSON is YAML. */
const write = (name: string, value: unknown): string => {
  const file = Path.join(folder, name)
  Fs.writeFileSync(file, JSON.stringify(value))
  return file
}

/** Series with one value each minute since the time 0, in promtool's notation. */
type Series = Readonly<Record<string, string>>

interface Case {
  readonly alert: string
  readonly when: string
  /** The minute at which the alert is looked at. */
  readonly at: number
  readonly fires: boolean
  readonly series: Series
}

const fires = (alert: string, when: string, at: number, series: Series): Case => ({
  alert,
  when,
  at,
  fires: true,
  series
})
const rests = (alert: string, when: string, at: number, series: Series): Case => ({
  alert,
  when,
  at,
  fires: false,
  series
})

const host = 'job="des",instance="host:9475"'
const feed = `des_feed_up{${host},engine="one"}`
const last = `des_last_event_timestamp_seconds{${host},engine="one"}`
const opened = `des_feed_opened_timestamp_seconds{${host},engine="one"}`
const started = `process_start_time_seconds{${host}}`
const up = `up{${host}}`
const waiting = `des_waiting_oldest_timestamp_seconds{${host}}`
const running = `des_running_oldest_timestamp_seconds{${host}}`
const writable = `des_journal_writable{${host}}`
const free = `des_journal_disk_free_bytes{${host}}`

/** What holds for each alert about a counter, over `window` minutes. */
const counted = (alert: string, window: number, counter: string): ReadonlyArray<Case> => {
  const long = 4 * window
  const always = { [up]: `1+0x${long}`, [started]: `0+0x${long}` }
  const since = (minutes: number, value: number) => `_x${minutes} ${value}+0x${long}`
  return [
    fires(alert, "the counter grows", 2 * window + 5, { ...always, [counter]: `1+0x${2 * window} 2+0x${long}` }),
    fires(alert, "the counter is new", 2 * window + 5, { ...always, [counter]: since(2 * window, 1) }),
    fires(alert, "the counter is new after a restart, with the value that it had before", 2 * window + 5, {
      ...always,
      [started]: `0+0x${2 * window - 10} ${60 * (2 * window - 9)}+0x${long}`,
      [counter]: `1+0x${2 * window - 10} _x10 1+0x${long}`
    }),
    rests(alert, "the counter has not grown for long", 3 * window + 5, { ...always, [counter]: since(window, 1) }),
    rests(alert, "an old counter was not read for a while", 3 * window + 5, {
      ...always,
      [up]: `1+0x${2 * window - 1} 0+0x10 1+0x${long}`,
      [counter]: `1+0x${2 * window - 1} stale _x10 1+0x${long}`
    }),
    rests(alert, "there is no counter", 3 * window, always)
  ]
}

const cases: ReadonlyArray<Case> = [
  fires("DesDown", "des does not answer", 12, { [up]: "1+0x5 0+0x20" }),
  rests("DesDown", "des has not answered for two minutes", 7, { [up]: "1+0x5 0+0x20" }),
  rests("DesDown", "another job does not answer", 12, { 'up{job="node",instance="host"}': "0+0x20" }),
  fires("DesRestartsOften", "des was started three times again", 20, { [started]: "0+0x4 300+0x4 600+0x4 900+0x9" }),
  rests("DesRestartsOften", "des was started twice again", 20, { [started]: "0+0x4 300+0x4 600+0x20" }),
  rests("DesRestartsOften", "the restarts are over", 60, { [started]: "0+0x4 300+0x4 600+0x4 900+0x99" }),
  fires("DesFeedDown", "the feed is not open", 12, { [feed]: "1+0x5 0+0x20" }),
  rests("DesFeedDown", "the feed has not been open for two minutes", 7, { [feed]: "1+0x5 0+0x20" }),
  fires("DesNoEvents", "the last event was a day ago", 1450, { [feed]: "1+0x1500", [last]: "0+0x1500" }),
  fires("DesNoEvents", "there was no event since the feed was opened a day ago", 1450, {
    [feed]: "1+0x1500",
    [opened]: "0+0x1500"
  }),
  rests("DesNoEvents", "the feed is old and an event came lately", 1450, {
    [feed]: "1+0x1500",
    [opened]: "0+0x1500",
    [last]: "3000+0x1500"
  }),
  rests("DesNoEvents", "the feed is not open, of which another alert tells", 1450, {
    [feed]: "0+0x1500",
    [last]: "0+0x1500"
  }),
  ...counted("DesGap", 60, `des_gaps_total{${host},engine="one",reason="downtime"}`),
  ...counted("DesScriptFails", 15, `des_runs_total{${host},script="/s",outcome="failed"}`),
  ...["succeeded", "skipped", "interrupted"].map((outcome) =>
    rests("DesScriptFails", `runs end as ${outcome}`, 50, {
      [`des_runs_total{${host},script="/s",outcome="${outcome}"}`]: "0+1x60",
      [up]: "1+0x60",
      [started]: "0+0x60"
    })
  ),
  fires("DesBacklogOld", "an event has waited for 19 minutes", 20, { [waiting]: "60+0x30" }),
  rests("DesBacklogOld", "no event waits", 20, { [waiting]: "0+0x30" }),
  rests("DesBacklogOld", "events wait for a minute each", 40, { [waiting]: "0+0x1 60+60x50" }),
  fires("DesRunsLong", "a script has run for 69 minutes", 70, { [running]: "60+0x80" }),
  rests("DesRunsLong", "a script has run for 50 minutes", 51, { [running]: "60+0x80" }),
  rests("DesRunsLong", "no script runs", 70, { [running]: "0+0x80" }),
  fires("DesJournalNotWritable", "the journal cannot be written", 8, { [writable]: "1+0x5 0+0x20" }),
  rests("DesJournalNotWritable", "the journal can be written", 8, { [writable]: "1+0x20" }),
  fires("DesJournalDiskLow", "less than 512 MiB are left", 12, { [free]: "1e9+0x5 5e8+0x20" }),
  rests("DesJournalDiskLow", "much is left", 12, { [free]: "1e9+0x20" }),
  rests("DesJournalDiskLow", "the journal is in memory", 12, { [writable]: "1+0x20" })
]

/** A des with a state directory whose scripts succeed, fail, are retried, run for long and wait, and whose engine has had a gap. */
const watched = ({ dir, path, script, start }: Sandbox) =>
  Effect.gen(function* () {
    const engine = yield* StandInEngine.make({})
    script("container/start", "true")
    script("container/die", "exit 3")
    script("container/kill", "exec sleep 120")
    const port = yield* freePort
    const engineOption = ["-e", `one=${Endpoint.format(engine.endpoint)}`, "--drain", "0"]
    const options = ["--state", path("state"), "--listen", `127.0.0.1:${port}`, "--retries", "1"]
    const running = yield* start(["-d", dir, ...engineOption, ...options])
    yield* running.said("watching")
    yield* engine.emit(record(), record({ Action: "die" }))
    yield* running.said("Failed! Exit=3", 2)
    // The engine is another one now, with a container that des has not seen.
    engine.state.id = "another"
    engine.state.records = []
    const container = { image: "i", name: "unseen", running: true, startedAt: new Date().toISOString() }
    engine.state.containers.set("unseen", container)
    yield* engine.cut
    yield* running.said("(unseen)")
    yield* engine.emit(record({ Action: "kill", id: "a" }), record({ id: "b" }))
    yield* running.said("Running script", 5)
    return { port }
  })

/** A des with a small queue in memory, which has lost events of a container that floods it. */
const losing = ({ path, start, write }: Sandbox) =>
  Effect.gen(function* () {
    const flood = Array.from({ length: 20 }, (_, at) => `${record({ attributes: { number: String(at) } })}\n`)
    const engine = yield* StandInEngine.make({ events: () => StandInEngine.feed(flood, "stay") })
    write("slow.d/container/start", "#!/bin/sh\nexec sleep 120\n", 0o755)
    const port = yield* freePort
    const options = ["-d", path("slow.d"), "--queue", "40K", "--drain", "0", "--listen", `127.0.0.1:${port}`]
    const running = yield* start([...options, "-e", `two=${Endpoint.format(engine.endpoint)}`])
    yield* running.said("further ones are lost")
    return port
  })

/** A Prometheus that reads these ports each second. What it returns asks its HTTP API for data. */
const prometheus = ({ path, top }: Sandbox, ports: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const port = yield* freePort
    const config = write("prometheus.json", {
      global: { scrape_interval: "1s", evaluation_interval: "1s" },
      rule_files: [rulesFile],
      scrape_configs: [{ job_name: "des", static_configs: [{ targets: ports.map((at) => `127.0.0.1:${at}`) }] }]
    })
    const options = [`--config.file=${config}`, `--web.listen-address=127.0.0.1:${port}`, "--log.level=error"]
    const started = yield* Program.start(["prometheus", ...options, `--storage.tsdb.path=${path("prometheus")}`], {
      cwd: top
    })
    const ask = (what: string, parameters: Readonly<Record<string, string>>) =>
      Effect.tryPromise(async () => {
        const answer = await fetch(`http://127.0.0.1:${port}/api/v1/${what}?${new URLSearchParams(parameters)}`)
        const said: { readonly data?: unknown; readonly error?: string } = JSON.parse(await answer.text())
        return said.data ?? assert.fail(said.error)
      })
    const answers = Effect.isSuccess(ask("status/runtimeinfo", {}))
    assert.isTrue(yield* poll(answers, 30_000), yield* started.stderr)
    return (what: string, parameters: Readonly<Record<string, string>>) =>
      // Who asks knows what this question is answered with.
      Effect.map(Effect.orDie(ask(what, parameters)), (data) => data as never)
  })

/** A query as Grafana sends it when everything is chosen. */
const chosen = (query: string): string =>
  query.replaceAll("$__rate_interval", "10s").replaceAll(/\$(instance|engine)\b/g, ".*")

describe.skipIf(!isInstalled)("promtool", () => {
  it("accepts the alert rules and the example configuration", () => {
    promtool(["check", "rules", rulesFile])
    promtool(["check", "config", configFile])
  })

  it("finds that each alert fires when it has to, and only then", () => {
    const evaluated = (kind: boolean) => new Set(cases.filter((one) => one.fires === kind).map(({ alert }) => alert))
    const names = new Set(alerts.map(({ name }) => name))
    assert.deepStrictEqual(evaluated(true), names, "each alert has a case in which it fires")
    assert.deepStrictEqual(evaluated(false), names, "each alert has a case in which it does not fire")
    const tests = cases.map(({ alert, at, fires, series, when }) => ({
      name: `${alert} ${fires ? "fires" : "does not fire"} when ${when}`,
      interval: "1m",
      input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
      promql_expr_test: [
        {
          expr: `count(ALERTS{alertname="${alert}",alertstate="firing"})`,
          eval_time: `${at}m`,
          exp_samples: fires ? [{ labels: "{}", value: 1 }] : []
        }
      ]
    }))
    promtool(["test", "rules", write("test.json", { rule_files: [rulesFile], evaluation_interval: "1m", tests })])
  })

  it("can parse each query of the dashboard", () => {
    const exprs = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
    const rules = exprs.map((expr, at) => ({ record: `query_${at}`, expr: expr.replaceAll("$__rate_interval", "5m") }))
    promtool(["check", "rules", write("queries.json", { groups: [{ name: "dashboard", rules }] })])
  })

  test("finds no fault with the metrics of a des that runs scripts, which has the metrics of the alerts", (sandbox) =>
    Effect.gen(function* () {
      const { port } = yield* watched(sandbox)
      const read = Effect.promise(() => fetch(`http://127.0.0.1:${port}/metrics`).then((answer) => answer.text()))
      let text = ""
      const isThere = Effect.map(read, (found) => {
        text = found
        return found.includes("des_journal_disk_free_bytes") && found.includes('outcome="failed"')
      })
      assert.isTrue(yield* poll(isThere, 10_000), text)
      promtool(["check", "metrics"], text)
      const missing = alerts
        .flatMap(({ expr }) => expr.match(/\b(?:des|process)_\w+/g) ?? [])
        .filter((name) => !text.includes(`\n${name}`))
      assert.deepStrictEqual(missing, [])
      assert.include(text, "\ndes_journal_writable 1\n")
    }))
})

describe.skipIf(!isInstalled)("a Prometheus that reads a des at work", () => {
  test(
    "has a result for each query and each variable of the dashboard, and evaluates each alert rule",
    (sandbox) =>
      Effect.gen(function* () {
        const { port } = yield* watched(sandbox)
        const flooded = yield* losing(sandbox)
        const api = yield* prometheus(sandbox, [port, flooded])

        const queries = dashboard.panels.flatMap(({ targets = [], title }) =>
          targets.map(({ expr, legendFormat }) => ({ name: `${title}: ${legendFormat}`, expr: chosen(expr) }))
        )
        for (const query of queries) {
          const found: Effect.Effect<{ readonly result: ReadonlyArray<unknown> }> = api("query", { query: query.expr })
          const hasResult = Effect.map(found, ({ result }) => result.length > 0)
          assert.isTrue(yield* poll(hasResult, 30_000), `${query.name}: ${query.expr}`)
        }

        for (const { name, query } of variables) {
          const [, series = ""] = /^label_values\((.*), \w+\)$/.exec(query) ?? []
          const values: ReadonlyArray<string> = yield* api(`label/${name}/values`, { "match[]": chosen(series) })
          assert.isAtLeast(values.length, 2, name)
        }

        const found: Effect.Effect<{
          readonly groups: ReadonlyArray<{ readonly rules: ReadonlyArray<{ readonly health: string }> }>
        }> = api("rules", {})
        const allEvaluated = Effect.map(found, ({ groups }) => {
          const rules = groups.flatMap((group) => group.rules)
          return rules.length === alerts.length && rules.every(({ health }) => health === "ok")
        })
        assert.isTrue(yield* poll(allEvaluated, 30_000))
      }),
    180_000
  )
})
