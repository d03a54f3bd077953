import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

/**
 * The script directory cannot be used: names it, why, and what to do.
 *
 * @since 1.0.0
 * @category errors
 */
export class ScriptDirectoryError extends Schema.TaggedError<ScriptDirectoryError>()("ScriptDirectoryError", {
  reason: Schema.Literal("NotFound", "NotADirectory", "Unreadable"),
  directory: Schema.String,
  cause: Schema.Defect
}) {
  override get message(): string {
    switch (this.reason) {
      case "NotFound":
        return `the script directory ${this.directory} does not exist; des -c -d ${this.directory} creates it with a script for every event`
      case "NotADirectory":
        return `the script directory ${this.directory} is not a directory; give another one with -d`
      case "Unreadable":
        return `the script directory ${this.directory} cannot be read by this user; change its mode or run des as its owner`
    }
  }
}

/**
 * Finds the scripts of an event: `DIR/TYPE/ACTION`, then `DIR/TYPE/all`, then `DIR/all`, each an executable file or a
 * directory of executables. Nothing is kept between look-ups, so a script that is added, changed or removed counts at
 * the next event.
 *
 * `find` takes the type and the action up to its `:`, and gives the paths in the order in which they are to run.
 *
 * @since 1.0.0
 * @category services
 */
export class ScriptDirectory extends Context.Tag("des/ScriptDirectory")<
  ScriptDirectory,
  { readonly find: (type: string, verb: string) => Effect.Effect<ReadonlyArray<string>> }
>() {}

/** What a type or an action must look like to become part of a path. */
const grammar = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/

/** The names that run-parts(8) takes, which leaves out editors' and package managers' leftovers. */
const runPartsName = /^[A-Za-z0-9_-]+$/

/** A stranger may choose what is said once, so what was said is forgotten when it grows beyond this. */
const rememberedSayings = 4096

const sayOnce = Effect.map(
  Effect.sync(() => new Set<string>()),
  (said) => (saying: string) =>
    Effect.suspend(() => {
      if (said.has(saying)) return Effect.logDebug(saying)
      if (said.size >= rememberedSayings) said.clear()
      said.add(saying)
      return Effect.logWarning(saying)
    })
)

const isAbsent = (error: PlatformError): boolean => error._tag === "SystemError" && error.reason === "NotFound"

const make = (directory: string) =>
  Effect.gen(function* () {
    const fileSystem = yield* FileSystem.FileSystem
    const warn = yield* sayOnce

    const problem = (path: string, error: PlatformError) =>
      warn(`Unable to look at ${path}: ${error.message}`).pipe(Effect.as([] as ReadonlyArray<string>))

    const executable = (path: string, info: FileSystem.File.Info) =>
      (info.mode & 0o111) === 0
        ? Effect.as(warn(`${path} is not executable and is not run; chmod +x ${path} makes it a script`), [])
        : Effect.succeed([path])

    const executables = (path: string) =>
      Effect.gen(function* () {
        const names = (yield* fileSystem.readDirectory(path)).filter((name) => runPartsName.test(name)).sort()
        const found = yield* Effect.forEach(names, (name) => {
          const inner = `${path}/${name}`
          return fileSystem.stat(inner).pipe(
            Effect.flatMap((info) => (info.type === "File" ? executable(inner, info) : Effect.succeed([]))),
            Effect.catchAll((error) => problem(inner, error))
          )
        })
        return found.flat()
      })

    const scriptsAt = (path: string): Effect.Effect<ReadonlyArray<string>> =>
      fileSystem.stat(path).pipe(
        Effect.flatMap((info) => {
          switch (info.type) {
            case "File":
              return executable(path, info)
            case "Directory":
              return executables(path)
            default:
              return Effect.as(warn(`${path} is neither a file nor a directory and is not run`), [])
          }
        }),
        Effect.catchAll((error) => (isAbsent(error) ? Effect.succeed([]) : problem(path, error)))
      )

    const find = Effect.fn("ScriptDirectory.find")(function* (type: string, verb: string) {
      if (!grammar.test(type) || !grammar.test(verb)) {
        yield* warn(
          `Unable to handle event! The type ${JSON.stringify(type.slice(0, 64))} or the action ${JSON.stringify(verb.slice(0, 64))} is no name of a script`
        )
        return []
      }
      const own = `${directory}/${type}/${verb}`
      const found = yield* Effect.forEach([own, `${directory}/${type}/all`, `${directory}/all`], scriptsAt)
      const scripts = [...new Set(found.flat())]
      if (scripts.length === 0) yield* warn(`Unable to handle event! No script exists at ${own}`)
      return scripts
    })

    return { find }
  })

const check = (directory: string) =>
  Effect.gen(function* () {
    const fileSystem = yield* FileSystem.FileSystem
    const fail = (reason: ScriptDirectoryError["reason"], cause?: unknown) =>
      new ScriptDirectoryError({ reason, directory, cause })
    const info = yield* fileSystem
      .stat(directory)
      .pipe(Effect.mapError((error) => fail(isAbsent(error) ? "NotFound" : "Unreadable", error)))
    if (info.type !== "Directory") return yield* fail("NotADirectory")
    yield* fileSystem.readDirectory(directory).pipe(Effect.mapError((error) => fail("Unreadable", error)))
  })

/**
 * The scripts of a directory on disk. Fails at once where it is missing or cannot be read; later changes are found at
 * the next look-up. A relative path is relative to the working directory.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: {
  readonly directory: string
}): Layer.Layer<ScriptDirectory, ScriptDirectoryError, FileSystem.FileSystem> => {
  const directory = options.directory.replace(/(?<=.)\/+$/, "")
  return Layer.effect(ScriptDirectory, Effect.zipRight(check(directory), make(directory)))
}
