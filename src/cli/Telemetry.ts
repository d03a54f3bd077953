import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import packageJson from "../../package.json" with { type: "json" }
import * as OtelSettings from "../operate/OtelSettings.ts"
import type { Exported } from "../operate/Otlp.ts"
import { UsageError } from "./CommandError.ts"

/** Nothing is sent. */
const none: Exported = { logs: Layer.empty, traced: identity }

/**
 * Begins to send traces and logs, if the variables of OpenTelemetry say where. What sends them is loaded only then, because without it des
 * starts faster and takes less memory.
 */
export const begin = (
  variables: Readonly<Record<string, string | undefined>>
): Effect.Effect<Exported, UsageError, Scope.Scope> =>
  Effect.gen(function* () {
    const settings = OtelSettings.read(variables)
    if (settings === undefined) return none
    if ("problem" in settings) return yield* new UsageError({ message: settings.problem })
    const { make } = yield* Effect.promise(() => import("../operate/Otlp.ts"))
    return yield* make(settings, packageJson.version)
  })
