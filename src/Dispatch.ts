import * as FileSystem from "@effect/platform/FileSystem"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { type DockerEvent, verb } from "./docker/DockerEvent.ts"
import { type Accepted, Journal } from "./Journal.ts"
import * as Environment from "./scripts/Environment.ts"
import { type Outcome, ScriptRunner } from "./scripts/ScriptRunner.ts"

/**
 * Runs what the journal accepted, in order, one script at a time. `run` ends when the journal is closed and its last
 * script has ended; interrupting it ends the script that runs.
 *
 * @since 1.0.0
 * @category services
 */
export class Dispatch extends Context.Tag("des/Dispatch")<Dispatch, { readonly run: Effect.Effect<void> }>() {}

const describeFailure = (outcome: Outcome): Option.Option<string> => {
  switch (outcome._tag) {
    case "Exited":
      return outcome.code === 0
        ? Option.none()
        : Option.some(`Failed! Exit=${outcome.code} Message=${JSON.stringify(outcome.message)}`)
    case "Killed":
      return Option.some(`Failed! Signal=${outcome.signal} Message=${JSON.stringify(outcome.message)}`)
    case "TimedOut":
      return Option.some(
        `Failed! It took longer than ${Duration.format(outcome.after)} and was ended. Message=${JSON.stringify(outcome.message)}`
      )
    case "NotStarted":
      return Option.some(`Failed! It could not be started: ${outcome.message}`)
  }
}

/** The stack's limit of this process, which bounds the environment of what it starts. Only Linux says it. */
const limits = Effect.gen(function* () {
  const fileSystem = yield* FileSystem.FileSystem
  const text = yield* Effect.orElseSucceed(fileSystem.readFileString("/proc/self/limits"), () => "")
  const soft = /^Max stack size\s+(\S+)/m.exec(text)?.[1]
  if (soft === undefined) return Environment.defaultLimits
  return Environment.limitsFor(soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft))
})

const describeEvent = (event: DockerEvent): string => `${event.Type}/${verb(event)}`

/**
 * The dispatch of this host: each script gets the event's variables over `base`.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: {
  readonly base: Environment.Environment
}): Layer.Layer<Dispatch, never, Journal | ScriptRunner | FileSystem.FileSystem> =>
  Layer.effect(
    Dispatch,
    Effect.gen(function* () {
      const journal = yield* Journal
      const runner = yield* ScriptRunner
      const kernel = yield* limits

      const runScript = Effect.fn("Dispatch.runScript")(function* (
        script: string,
        event: DockerEvent,
        environment: Environment.Environment
      ) {
        yield* Effect.logInfo(`Running script ${script}`)
        const outcome = yield* runner.run({ script, event, environment })
        const failure = describeFailure(outcome)
        if (Option.isSome(failure)) yield* Effect.logError(`Script ${script} ${failure.value}`)
      })

      const runEvent = Effect.fn("Dispatch.runEvent")(function* ({ event, scripts }: Accepted) {
        const environment = Environment.make(event, options.base, kernel)
        yield* Effect.logDebug(`Detected actionable event ${describeEvent(event)}: ${event.record}`)
        yield* Effect.logDebug("Script ENV:", environment)
        yield* Effect.forEach(scripts, (script) => runScript(script, event, environment), { discard: true })
        yield* Effect.logDebug(`Finished handling ${describeEvent(event)}`)
      })

      const next: Effect.Effect<boolean> = Effect.flatMap(
        journal.take,
        Option.match({
          onNone: () => Effect.succeed(false),
          onSome: (entry) => Effect.as(runEvent(entry), true)
        })
      )
      return { run: Effect.asVoid(Effect.repeat(next, { while: (more) => more })) }
    })
  )
