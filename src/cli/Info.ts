import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Endpoint from "../endpoint/Endpoint.ts"
import * as EndpointSearch from "../endpoint/EndpointSearch.ts"
import * as Engine from "../engine/Engine.ts"
import * as EngineHttp from "../engine/EngineHttp.ts"
import * as Log from "../Log.ts"
import * as HostSpawner from "../scripts/HostSpawner.ts"
import { Spawner } from "../scripts/Spawner.ts"
import * as CliCommand from "./CliCommand.ts"
import * as CliOption from "./CliOption.ts"
import * as CommonOptions from "./CommonOptions.ts"
import * as WatchedEngine from "./WatchedEngine.ts"

/** The report as text, for people. What an engine says of itself can hold anything, so it is escaped. */
const lines = (
  report: Engine.Report,
  name: string,
  endpoint: Endpoint.Endpoint,
  source: EndpointSearch.Source,
  spawner: Spawner["Type"]["name"]
): string => {
  const { api, engine, newestApi, oldestApi, swarm, version = "" } = report
  const knows = newestApi === undefined ? "" : ` (it knows ${oldestApi ?? "?"} to ${newestApi})`
  const tls = endpoint._tag === "Tcp" && endpoint.tls !== undefined ? endpoint.tls : undefined
  const encrypted = tls === undefined ? "" : tls.verify ? ", with TLS" : ", with TLS that verifies nothing"
  const rows = {
    ...(name === Endpoint.format(endpoint) ? {} : { name }),
    endpoint: Endpoint.format(endpoint) + encrypted,
    "found by": EndpointSearch.describe(source),
    engine: engine === undefined ? "does not say" : `${Engine.programs[engine]} ${version}`,
    API: api + knows,
    swarm: swarm ?? "does not say",
    feed: "opens",
    scripts: `start with ${spawner}`
  }
  return Object.entries(rows)
    .map(([label, value]) => `${`${label}:`.padEnd(10)}${Log.escape(value)}`)
    .join("\n")
}

type Watched = Effect.Effect.Success<ReturnType<typeof WatchedEngine.find>>[number]

const ask = Effect.fn("Info.ask")(function* (watched: Watched, json: boolean) {
  const { endpoint, name, source } = watched
  const report = yield* Effect.zipLeft(
    Engine.report(watched),
    Effect.flatMap(Engine.Engine, ({ feed }) => Effect.asVoid(feed({})))
  ).pipe(Effect.provide(Layer.provideMerge(Engine.layer(watched), EngineHttp.layer(watched))))
  const spawner = yield* Effect.provide(
    Effect.map(Spawner, (used) => used.name),
    HostSpawner.layer
  )
  const said = { name, endpoint: Endpoint.format(endpoint), found: source, ...report, feed: true, scripts: spawner }
  yield* Console.log(json ? Log.escape(JSON.stringify(said)) : lines(report, name, endpoint, source, spawner))
})

/** `des info`: says which engine would be watched, what it is, and whether its feed opens. */
export const info = CliCommand.make({
  name: "info",
  summary: "Show which engine des finds, what it is, and whether its feed opens; it also shows what named this engine",
  config: {
    ...CommonOptions.ofEngine,
    json: CliOption.flag({ name: "json", description: "print one JSON object a line" })
  },
  run: Effect.fnUntraced(function* (given) {
    // Every engine is asked, even if another one cannot be reached.
    const asked = yield* Effect.forEach(yield* WatchedEngine.find(given), (watched) =>
      ask(watched, given.json).pipe(
        Effect.as(true),
        Effect.catchTag("EngineError", ({ message }) => Effect.as(Effect.logError(message), false))
      )
    )
    return asked.includes(false) ? 1 : 0
  })
})
