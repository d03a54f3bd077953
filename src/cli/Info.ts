import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Endpoint from "../docker/Endpoint.ts"
import * as Engine from "../docker/Engine.ts"
import * as EngineHttp from "../docker/EngineHttp.ts"
import * as Log from "../Log.ts"
import * as CommonOptions from "./CommonOptions.ts"
import * as Failed from "./Failed.ts"
import * as WatchedEngine from "./WatchedEngine.ts"

const options = {
  ...CommonOptions.ofEngine,
  json: Options.boolean("json").pipe(Options.withDescription("print one line of JSON")),
  ...CommonOptions.ofLog
}

/** `des info`: says which engine would be watched, and whether its feed opens. */
export const command = Command.make("info", options, (given) =>
  Effect.gen(function* () {
    const watched = yield* WatchedEngine.find(given)
    const { endpoint } = watched
    const engine = Layer.provide(Engine.layer(watched), EngineHttp.layer({ endpoint }))
    yield* Engine.Engine.pipe(
      Effect.flatMap(({ feed }) => Effect.asVoid(feed)),
      Effect.provide(engine)
    )
    const found = { endpoint: Endpoint.format(endpoint), feed: "open" }
    yield* Console.log(
      given.json
        ? JSON.stringify(found)
        : Object.entries(found)
            .map(([name, value]) => `${name}: ${value}`)
            .join("\n")
    )
  }).pipe(
    Effect.catchTags({
      ContextError: Failed.withCode(1),
      EndpointError: Failed.withCode(2),
      UsageError: Failed.withCode(2),
      EngineError: Failed.withCode(1)
    }),
    Effect.provide(Log.layer({ format: given.logFormat, verbose: given.verbose }))
  )
).pipe(Command.withDescription("Says which engine des finds and how, and whether its feed opens."))
