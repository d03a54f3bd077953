import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** Makes a temporary folder, which its caller removes. Its path holds no symbolic link. */
export const makeSync = (name: string): string =>
  Fs.realpathSync(Fs.mkdtempSync(Path.join(Os.tmpdir(), `des-${name}-`)))

/** Removes what is left of a folder. */
export const removeSync = (path: string): void => Fs.rmSync(path, { recursive: true, force: true })

/** A temporary folder for the scope. Its name begins with `des-` and this. */
export const make = (name: string): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => makeSync(name)),
    (path) => Effect.sync(() => removeSync(path))
  )
