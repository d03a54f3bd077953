import type * as Effect from "effect/Effect"
import { type DockerEvent, verb } from "../event/DockerEvent.ts"
import * as OwnEvent from "../event/OwnEvent.ts"
import { exitCode, type Outcome } from "../scripts/ScriptRunner.ts"

/**
 * A run that failed in the end: no retry follows.
 *
 * - `attempts`: how often the script was run for the event, also before a restart of des.
 * - `output`: the end of what the script wrote.
 * - `run`: the name of the run in the journal, if the journal keeps runs.
 */
export interface FailedRun {
  readonly script: string
  readonly event: DockerEvent
  readonly attempts: number
  readonly outcome: Outcome
  readonly output: string
  readonly run: string | undefined
}

/** The action of the event that des makes of a failed run. */
const action = "failed"

/**
 * How often a script runs for the failures of one script if its head does not set it, in milliseconds: once a minute.
 */
export const cooldown = 60_000

/** True for an event about a failed run. */
export const isAbout = (event: Pick<DockerEvent, "Type" | "Action">): boolean =>
  event.Type === OwnEvent.type && verb(event) === action

/** The attributes of an event that it has. Conditions in the head of an alert can name them. */
const present = (event: DockerEvent, keys: ReadonlyArray<string>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    keys.flatMap((key) =>
      Object.hasOwn(event.Actor.Attributes, key) ? [[key, event.Actor.Attributes[key] ?? ""]] : []
    )
  )

/**
 * The event `des/failed` about a failed run. Its actor is the script, so that all failures of one script share a
 * cooldown. It belongs to the engine of the event that the script ran for.
 */
export const toEvent = ({ attempts, event, outcome, output, run, script }: FailedRun): Effect.Effect<DockerEvent> =>
  OwnEvent.make({
    action,
    id: script,
    engine: event.engine,
    attributes: {
      ...present(event, ["name", "image"]),
      script,
      event: `${event.Type}/${verb(event)}`,
      actor: event.Actor.ID,
      attempts: String(attempts),
      exit: String(exitCode(outcome)),
      // What was not started, and a function, has no output but its reason.
      output: outcome._tag === "NotStarted" || outcome._tag === "Failed" ? outcome.message : output,
      ...(run === undefined ? {} : { run })
    }
  })
