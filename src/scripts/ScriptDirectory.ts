import { statSync } from "node:fs"
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as ScriptOptions from "./ScriptOptions.ts"
import { Trust, type UntrustedError } from "./Trust.ts"

/**
 * The script directory cannot be used: names it, why, and what to do.
 *
 * @since 1.0.0
 * @category errors
 */
export class ScriptDirectoryError extends Schema.TaggedError<ScriptDirectoryError>()("ScriptDirectoryError", {
  reason: Schema.Literal("NotFound", "NotADirectory", "Unreadable", "Untrusted"),
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
      case "Untrusted":
        return `the script directory ${this.directory} is not trusted: ${this.cause instanceof Error ? this.cause.message : ""}, and --insecure-scripts runs what anybody wrote`
    }
  }
}

/**
 * A script: its path, and the options in its head.
 *
 * @since 1.0.0
 * @category models
 */
export interface Script {
  readonly path: string
  readonly options: ScriptOptions.ScriptOptions
}

/**
 * Finds the scripts of an event: `DIR/TYPE/ACTION`, then `DIR/TYPE/all`, then `DIR/all`, each an executable file or a
 * directory of executables. A look-up goes to the disk, so a script that is added, changed or removed counts at the next
 * event; only the head of a file that did not change is not read again.
 *
 * `find` takes the type and the action up to its `:`, and gives the scripts in the order in which they are to run. What is
 * there and cannot be run is logged with the reason and what mends it, once.
 *
 * @since 1.0.0
 * @category services
 */
export class ScriptDirectory extends Context.Tag("des/ScriptDirectory")<
  ScriptDirectory,
  { readonly find: (type: string, verb: string) => Effect.Effect<ReadonlyArray<Script>> }
>() {}

/** What a type or an action must look like to become part of a path. */
const grammar = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/

/** The names that run-parts(8) takes, which leaves out editors' and package managers' leftovers. */
const runPartsName = /^[A-Za-z0-9_-]+$/

/** A stranger may choose what is said once, so what was said is forgotten when it grows beyond this. */
const rememberedSayings = 4096

/** Logs a message at its level once, and at DEBUG after that. */
const sayOnce = Effect.sync(() => {
  const said = new Set<string>()
  return (level: LogLevel.LogLevel, saying: string) =>
    Effect.suspend(() => {
      if (said.has(saying)) return Effect.logDebug(saying)
      if (said.size >= rememberedSayings) said.clear()
      said.add(saying)
      return Effect.logWithLevel(level, saying)
    })
})

const isAbsent = (error: PlatformError): boolean => error._tag === "SystemError" && error.reason === "NotFound"

/** Most events have no script at most places: a system call of 2 µs, where the thread pool takes 50 times as long. */
const isNotThere = (path: string): boolean => {
  try {
    return statSync(path, { throwIfNoEntry: false }) === undefined
  } catch {
    return false
  }
}

/** The comment block at a script's head, and no more of a large program. */
const headBytes = 8192

interface Head {
  readonly changed: string
  readonly options: ScriptOptions.ScriptOptions | ScriptOptions.Problem
}

/** What differs after each change of a file's content: of its times only ctime cannot be set back. Empty where it is not there. */
const changeOf = (path: string) =>
  Effect.try(() => statSync(path, { bigint: true })).pipe(
    Effect.map(({ ctimeNs, dev, ino }) => [dev, ino, ctimeNs].join()),
    Effect.orElseSucceed(() => "")
  )

/** Reads the options of a script's head once for each change of the file. */
const makeHeads = (fileSystem: FileSystem.FileSystem) => {
  const heads = new Map<string, Head>()
  const read = (path: string) =>
    Effect.scoped(Effect.flatMap(fileSystem.open(path), (file) => file.readAlloc(headBytes))).pipe(
      Effect.map(Option.getOrElse(() => new Uint8Array())),
      // What can be executed and not read is no text: no shell could read it either.
      Effect.catchIf(
        (error) => error._tag === "SystemError" && error.reason === "PermissionDenied",
        () => Effect.succeed(new Uint8Array())
      )
    )
  return (path: string) =>
    Effect.gen(function* () {
      const changed = yield* changeOf(path)
      const known = heads.get(path)
      if (changed !== "" && known?.changed === changed) return known.options
      const head = yield* read(path)
      const options = ScriptOptions.parse(Buffer.from(head).toString(), head.length < headBytes)
      heads.set(path, { changed, options })
      return options
    })
}

const make = (directory: string) =>
  Effect.gen(function* () {
    const fileSystem = yield* FileSystem.FileSystem
    const trust = yield* Trust
    const readHead = makeHeads(fileSystem)
    const say = yield* sayOnce
    const refuse = (level: LogLevel.LogLevel, saying: string) => Effect.as(say(level, saying), [])

    const problem = (path: string, error: PlatformError | UntrustedError) =>
      error._tag === "UntrustedError"
        ? refuse(LogLevel.Error, `Script ${path} is not run, since it is not trusted: ${error.message}`)
        : refuse(LogLevel.Error, `Script ${path} is not run, since it cannot be looked at: ${error.message}`)

    const script = (path: string, info: FileSystem.File.Info) =>
      Effect.gen(function* () {
        if ((info.mode & 0o111) === 0) {
          return yield* refuse(
            LogLevel.Warning,
            `${path} is not executable and is not run; chmod +x ${path} makes it a script`
          )
        }
        yield* trust.check(path)
        const options = yield* readHead(path)
        if ("conditions" in options) return [{ path, options }]
        return yield* refuse(LogLevel.Error, `Script ${path} is not run: line ${options.line}: ${options.message}`)
      })

    const scriptsIn = (path: string) =>
      Effect.gen(function* () {
        yield* trust.check(path)
        const names = (yield* fileSystem.readDirectory(path)).filter((name) => runPartsName.test(name)).sort()
        if (names.length === 0) return Option.none()
        const found = yield* Effect.forEach(names, (name) => {
          const inner = `${path}/${name}`
          return fileSystem.stat(inner).pipe(
            Effect.flatMap((info) => (info.type === "File" ? script(inner, info) : Effect.succeed([]))),
            Effect.catchAll((error) => problem(inner, error))
          )
        })
        return Option.some(found.flat())
      })

    const lookAt = (path: string, info: FileSystem.File.Info) => {
      switch (info.type) {
        case "File":
          return Effect.asSome(script(path, info))
        case "Directory":
          return scriptsIn(path)
        default:
          return Effect.asSome(refuse(LogLevel.Warning, `${path} is neither a file nor a directory and is not run`))
      }
    }

    /** Nothing where nothing is there, which is not the same as nothing that can be run. */
    const scriptsAt = (path: string): Effect.Effect<Option.Option<ReadonlyArray<Script>>> =>
      Effect.suspend(() => (isNotThere(path) ? Effect.succeedNone : scriptsThere(path)))

    const scriptsThere = (path: string) =>
      fileSystem.stat(path).pipe(
        Effect.flatMap((info) => lookAt(path, info)),
        Effect.catchAll((error) =>
          error._tag !== "UntrustedError" && isAbsent(error) ? Effect.succeedNone : Effect.asSome(problem(path, error))
        )
      )

    const find = Effect.fn("ScriptDirectory.find")(function* (type: string, verb: string) {
      if (!grammar.test(type) || !grammar.test(verb)) {
        return yield* refuse(
          LogLevel.Warning,
          `Unable to handle event! The type ${JSON.stringify(type.slice(0, 64))} or the action ${JSON.stringify(verb.slice(0, 64))} is no name of a script`
        )
      }
      const own = `${directory}/${type}/${verb}`
      const places = [own, `${directory}/${type}/all`, `${directory}/all`]
      const there = (yield* Effect.forEach(places, scriptsAt)).flatMap(Option.toArray)
      const found = there.flat()
      // Nobody has to have a script for what des says of itself.
      if (there.length === 0 && type !== "des") {
        yield* say(LogLevel.Warning, `Unable to handle event! No script exists at ${own}`)
      }
      return found.filter(({ path }, at) => found.findIndex((other) => other.path === path) === at)
    })

    return { find }
  })

const check = (directory: string) =>
  Effect.gen(function* () {
    const fileSystem = yield* FileSystem.FileSystem
    const trust = yield* Trust
    const fail = (reason: ScriptDirectoryError["reason"]) => (cause?: unknown) =>
      new ScriptDirectoryError({ reason, directory, cause })
    const info = yield* fileSystem
      .stat(directory)
      .pipe(Effect.mapError((error) => fail(isAbsent(error) ? "NotFound" : "Unreadable")(error)))
    if (info.type !== "Directory") return yield* fail("NotADirectory")()
    yield* Effect.mapError(fileSystem.readDirectory(directory), fail("Unreadable"))
    yield* Effect.mapError(trust.check(directory), fail("Untrusted"))
  })

/**
 * The scripts of a directory on disk. Fails at once where it is missing, cannot be read or is not trusted; later changes are
 * found at the next look-up. A relative path is relative to the working directory.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: {
  readonly directory: string
}): Layer.Layer<ScriptDirectory, ScriptDirectoryError, FileSystem.FileSystem | Trust> => {
  const directory = options.directory.replace(/(?<=.)\/+$/, "")
  return Layer.effect(ScriptDirectory, Effect.zipRight(check(directory), make(directory)))
}
