import * as Effect from "effect/Effect"
import { eventFields, eventName } from "../../event/EventName.ts"
import type { Script } from "../../scripts/ScriptDirectory.ts"
import { Outcome } from "../../scripts/ScriptRunner.ts"
import type { Entry, Journal, JournalError } from "../Journal.ts"

/** True for a path within a directory. */
export const isWithin = (directory: string, path: string): boolean =>
  path.startsWith(`${directory}/`) && path.split("/").every((name) => name !== "." && name !== "..")

/**
 * Refuses the scripts of an entry that are not in this node's script directory. Whoever can write to the database would otherwise choose
 * any program of this host. Each of them gets a run that was not started.
 */
export const refuse =
  (directory: string, begin: Journal["Type"]["begin"]) =>
  (entry: Entry): Effect.Effect<Entry, JournalError> =>
    Effect.gen(function* () {
      const foreign = entry.scripts.filter(({ path }) => !isWithin(directory, path))
      const earlier = { ...entry.earlier }
      for (const script of foreign) {
        const before = earlier[script.path]
        if (before?.settled !== undefined) continue
        earlier[script.path] = yield* refuseOne(directory, begin, entry, script)
      }
      return foreign.length === 0 ? entry : { ...entry, earlier }
    })

const refuseOne = Effect.fnUntraced(function* (
  directory: string,
  begin: Journal["Type"]["begin"],
  entry: Entry,
  script: Script
) {
  const { event } = entry
  const message = `${eventName(event)}: ${script.path} is not run, since it is not in the script directory of this node, ${directory}. Every node needs its scripts at the same path; else somebody has changed the journal`
  yield* Effect.annotateLogs(Effect.logError(message), eventFields(event))
  const attempts = (entry.earlier[script.path]?.attempts ?? 0) + 1
  const kept = yield* begin(entry, script, attempts)
  yield* kept.ended(Outcome.NotStarted({ message }), "", true)
  return { attempts, settled: "failed" as const, outlived: [] }
})
