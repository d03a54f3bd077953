import * as Fs from "node:fs"
import { dirname } from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as TempFolder from "./TempFolder.ts"

/** Writes executable files into a new directory that is removed with the scope; `null` makes a directory. */
export const makeScripts = (
  files: Readonly<Record<string, string | null>>
): Effect.Effect<string, never, Scope.Scope> =>
  Effect.tap(TempFolder.make("scripts"), (directory) =>
    Effect.sync(() => {
      for (const [name, text] of Object.entries(files)) {
        const path = `${directory}/${name}`
        Fs.mkdirSync(text === null ? path : dirname(path), { recursive: true })
        if (text === null) continue
        Fs.writeFileSync(path, text)
        Fs.chmodSync(path, 0o755)
      }
    })
  )
