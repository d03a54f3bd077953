import { randomUUID } from "node:crypto"
import { dirname } from "node:path"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"

/** Writes executable files into a new directory that is removed with the scope; `null` makes a directory. */
export const makeScripts = (files: Readonly<Record<string, string | null>>) =>
  Effect.gen(function* () {
    const fileSystem = yield* FileSystem.FileSystem
    const directory = yield* fileSystem.makeTempDirectoryScoped({ prefix: `des-${randomUUID().slice(0, 8)}-` })
    yield* Effect.forEach(Object.entries(files), ([name, text]) =>
      Effect.gen(function* () {
        const path = `${directory}/${name}`
        yield* fileSystem.makeDirectory(text === null ? path : dirname(path), { recursive: true })
        if (text === null) return
        yield* fileSystem.writeFileString(path, text)
        yield* fileSystem.chmod(path, 0o755)
      })
    )
    return directory
  })
