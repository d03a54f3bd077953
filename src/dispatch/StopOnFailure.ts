import { dirname } from "node:path"
import type { Script } from "../scripts/ScriptDirectory.ts"

/**
 * Remembers which scripts with `stop-on-failure=yes` failed for one event.
 *
 * - `failed`: notes a script that failed in the end.
 * - `before`: returns the script after whose failure this one is not run: an earlier one of the same directory.
 */
export interface StopOnFailure {
  readonly failed: (script: Script) => void
  readonly before: (script: Script) => string | undefined
}

export const make = (): StopOnFailure => {
  const stopped = new Map<string, string>()
  return {
    failed: ({ options, path }) => {
      if (options.stopOnFailure === true) stopped.set(dirname(path), path)
    },
    before: ({ path }) => stopped.get(dirname(path))
  }
}
