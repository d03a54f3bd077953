import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Endpoint from "../endpoint/Endpoint.ts"
import * as EndpointSearch from "../endpoint/EndpointSearch.ts"
import * as Engine from "../engine/Engine.ts"
import * as EngineHttp from "../engine/EngineHttp.ts"

import * as Log from "../Log.ts"
import * as CommonOptions from "./CommonOptions.ts"
import * as Failed from "./Failed.ts"
import * as WatchedEngine from "./WatchedEngine.ts"

const options = {
  ...CommonOptions.ofEngine,
  json: Options.boolean("json").pipe(Options.withDescription("print one line of JSON")),
  ...CommonOptions.ofLog
}

const engineNames = { docker: "dockerd", podman: "podman" } as const

/** What is printed for people. An engine's own words can hold anything. */
const lines = (
  report: Engine.Report,
  name: string,
  endpoint: Endpoint.Endpoint,
  source: EndpointSearch.Source
): string => {
  const { api, engine, newestApi, oldestApi, swarm, version = "" } = report
  const knows = newestApi === undefined ? "" : ` (it knows ${oldestApi ?? "?"} to ${newestApi})`
  const tls = endpoint._tag === "Tcp" && endpoint.tls !== undefined ? endpoint.tls : undefined
  const encrypted = tls === undefined ? "" : tls.verify ? ", with TLS" : ", with TLS that verifies nothing"
  const rows = {
    ...(name === Endpoint.format(endpoint) ? {} : { name }),
    endpoint: Endpoint.format(endpoint) + encrypted,
    "found by": EndpointSearch.describe(source),
    engine: engine === undefined ? "does not say" : `${engineNames[engine]} ${version}`,
    API: api + knows,
    swarm: swarm ?? "does not say",
    feed: "opens"
  }
  return Object.entries(rows)
    .map(([name, value]) => `${`${name}:`.padEnd(10)}${Log.escape(value)}`)
    .join("\n")
}

type Watched = Effect.Effect.Success<ReturnType<typeof WatchedEngine.find>>[number]

const ask = Effect.fn("Info.ask")(function* (watched: Watched, json: boolean) {
  const { endpoint, name, source } = watched
  const report = yield* Effect.zipLeft(
    Engine.report(watched),
    Effect.flatMap(Engine.Engine, ({ feed }) => Effect.asVoid(feed({})))
  ).pipe(Effect.provide(Layer.provideMerge(Engine.layer(watched), EngineHttp.layer(watched))))
  yield* Console.log(
    json
      ? Log.escape(JSON.stringify({ name, endpoint: Endpoint.format(endpoint), found: source, ...report, feed: true }))
      : lines(report, name, endpoint, source)
  )
})

/** Every engine is asked, also where another one cannot be. */
const askAll = Effect.fnUntraced(function* (given: Command.Command.ParseConfig<typeof options>) {
  const asked = yield* Effect.forEach(yield* WatchedEngine.find(given), (watched) =>
    Effect.isSuccess(Effect.catchTag(ask(watched, given.json), "EngineError", Failed.withCode(1)))
  )
  if (asked.includes(false)) yield* new Failed.Failed({ code: 1 })
})

/** `des info`: says which engine would be watched, what it is, and whether its feed opens. */
export const command = Command.make("info", options, (given) =>
  askAll(given).pipe(
    Effect.catchTags({
      ContextError: Failed.withCode(1),
      EndpointError: Failed.withCode(2),
      UsageError: Failed.withCode(2)
    }),
    Effect.catchAllDefect(Failed.onDefect),
    Effect.provide(Log.layer({ format: given.logFormat, verbose: given.verbose }))
  )
).pipe(Command.withDescription("Says which engine des finds and how, what it is, and whether its feed opens."))
