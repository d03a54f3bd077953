import { statSync } from "node:fs"
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SystemReason from "../SystemReason.ts"
import * as Findings from "./Findings.ts"
import * as Heads from "./Heads.ts"
import * as Listing from "./Listing.ts"
import type * as ScriptOptions from "./ScriptOptions.ts"
import { absolute, Trust, type UntrustedError } from "./Trust.ts"

/**
 * The script directory cannot be used. The message names it and says why, and what to do.
 *
 * @since 1.0.0
 * @category errors
 */
export class ScriptDirectoryError extends Schema.TaggedError<ScriptDirectoryError>()("ScriptDirectoryError", {
  reason: Schema.Literal("NotFound", "NotADirectory", "Unreadable", "Untrusted"),
  directory: Schema.String,
  detail: Schema.String
}) {
  override get message(): string {
    switch (this.reason) {
      case "NotFound":
        return `the script directory ${this.directory} does not exist; des -c -d ${this.directory} creates it with a script for every event`
      case "NotADirectory":
        return `the script directory ${this.directory} is not a directory; give another one with -d`
      case "Unreadable":
        return `the script directory ${this.directory} cannot be read: ${this.detail}; change its mode or run des as its owner`
      case "Untrusted":
        return `the script directory ${this.directory} is not trusted: ${this.detail}, and --insecure-scripts turns this check off`
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
 * directory of executables. Every look-up goes to the disk, so a script that is added, changed or removed counts at the
 * next event. Only the head of an unchanged file is not read again.
 *
 * A file that cannot be run is logged once, at the start or when it appears, with the reason and what to do.
 *
 * @example
 * import { ScriptDirectory } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 *
 * export const paths = Effect.gen(function* () {
 *   const directory = yield* ScriptDirectory.ScriptDirectory
 *   const scripts = yield* directory.find("container", "die")
 *   return scripts.map(({ path }) => path)
 * })
 *
 * @since 1.0.0
 * @category services
 */
export class ScriptDirectory extends Context.Tag("des/ScriptDirectory")<
  ScriptDirectory,
  {
    /**
     * Returns the scripts for a type and an action (up to its `:`), in the order in which they run. A script of
     * comments only is left out.
     */
    readonly find: (type: string, verb: string) => Effect.Effect<ReadonlyArray<Script>>
  }
>() {}

/** How many messages are remembered. A stranger can cause ever new ones, so beyond this number all are forgotten. */
const rememberedSayings = 4096

/** How many findings are logged at once. */
const mostFindings = 50

/** Logs a message once at its level. A repetition is logged at the level `again`, or not at all. */
const makeSay = Effect.sync(() => {
  const said = new Set<string>()
  return (level: LogLevel.LogLevel, saying: string, again = LogLevel.None) =>
    Effect.suspend(() => {
      if (said.has(saying)) return again === LogLevel.None ? Effect.void : Effect.logWithLevel(again, saying)
      if (said.size >= rememberedSayings) said.clear()
      said.add(saying)
      return Effect.logWithLevel(level, saying)
    })
})

type Say = Effect.Effect.Success<typeof makeSay>

type Info = Pick<FileSystem.File.Info, "type" | "mode">

/**
 * What exists at the path. A synchronous call takes 2 µs; the thread pool takes 50 times as long, and delays the script
 * by that. Returns `"unclear"` if the call fails.
 */
const lookNow = (path: string): Info | "nothing" | "unclear" => {
  try {
    const found = statSync(path, { throwIfNoEntry: false })
    if (found === undefined) return "nothing"
    return { type: found.isFile() ? "File" : found.isDirectory() ? "Directory" : "Unknown", mode: found.mode }
  } catch {
    return "unclear"
  }
}

/** How many directories of other types a look-up also checks for changes. They take turns. */
const othersAsked = 2

/**
 * Warns about files that will never run, at the start and when they appear. A look-up checks whether some directories
 * have changed: the script directory, the one of the event's type, those of its scripts, and two of other types. This
 * takes some microseconds. Only after a change are all directories listed.
 */
const makeWatch = (directory: string, say: Say) => {
  let listing: Listing.Listing | undefined
  let types: ReadonlyArray<string> = []
  let turn = 0
  const sayAll = Effect.suspend(() => {
    listing = Listing.read(directory)
    types = listing.entries.filter(({ kind }) => kind === "directory").map(({ name }) => `${directory}/${name}`)
    const findings = Findings.look(directory, listing.entries).map(({ message }) => message)
    const more = findings.length - mostFindings
    const shown = findings.slice(0, mostFindings)
    if (more > 0) shown.push(`${directory}: ${more} more files like these will not run`)
    return Effect.forEach(shown, (message) => say(LogLevel.Warning, message), { discard: true })
  })
  const others = () => {
    turn = types.length === 0 ? 0 : (turn + othersAsked) % types.length
    return Array.from({ length: othersAsked }, (_, at) => types[(turn + at) % types.length] ?? directory)
  }
  return (places: ReadonlyArray<string>) =>
    Effect.suspend(() =>
      listing !== undefined && !Listing.hasChanged(listing, [directory, ...places, ...others()]) ? Effect.void : sayAll
    )
}

const make = (directory: string) =>
  Effect.gen(function* () {
    const fileSystem = yield* FileSystem.FileSystem
    const trust = yield* Trust
    const heads = Heads.make(fileSystem)
    const say = yield* makeSay
    const sayFindings = makeWatch(directory, say)
    const refuse = (level: LogLevel.LogLevel, saying: string) =>
      Effect.asSome(Effect.as(say(level, saying, LogLevel.Debug), []))

    const problem = (path: string, error: PlatformError | UntrustedError) =>
      error._tag === "UntrustedError"
        ? refuse(LogLevel.Error, `Script ${path} is not run, since it is not trusted: ${error.message}`)
        : refuse(
            LogLevel.Error,
            `Script ${path} is not run, since it cannot be read: ${SystemReason.describePlatform(error)}`
          )

    const script = (path: string, info: Info) =>
      Effect.gen(function* () {
        if ((info.mode & 0o111) === 0) {
          return yield* refuse(LogLevel.Warning, Findings.notExecutable(path))
        }
        yield* trust.check(path)
        const { findings, isEmpty, options } = yield* heads.read(path)
        if (isEmpty) {
          yield* Effect.logDebug(`Script ${path} has only comments and is not started`)
          return Option.none()
        }
        yield* Effect.forEach(findings, ({ message }) => say(LogLevel.Warning, message), { discard: true })
        if ("conditions" in options) return Option.some([{ path, options }])
        return yield* refuse(LogLevel.Error, `Script ${path} is not run: line ${options.line}: ${options.message}`)
      })

    const scriptsIn = (path: string) =>
      Effect.gen(function* () {
        yield* trust.check(path)
        const names = (yield* fileSystem.readDirectory(path)).filter(Findings.isPartName).sort()
        const found = yield* Effect.forEach(names, (name) => {
          const inner = `${path}/${name}`
          return fileSystem.stat(inner).pipe(
            Effect.flatMap((info) => (info.type === "File" ? script(inner, info) : Effect.succeedNone)),
            Effect.catchAll((error) => problem(inner, error))
          )
        })
        const there = found.flatMap(Option.toArray)
        return there.length === 0 ? Option.none() : Option.some(there.flat())
      })

    /** A script that is in no directory of scripts has none after it that it could keep from running. */
    const alone = ({ options, path }: Script): Script => {
      const { stopOnFailure: _, ...others } = options
      return { path, options: others }
    }

    const lookAt = (path: string, info: Info) => {
      switch (info.type) {
        case "File":
          return Effect.map(script(path, info), Option.map(Arr.map(alone)))
        case "Directory":
          return scriptsIn(path)
        default:
          return refuse(LogLevel.Warning, `${path} is neither a file nor a directory and is not run`)
      }
    }

    /** Returns none if there is not a script, and an empty list if there is one that des refuses to run. */
    const scriptsAt = (path: string): Effect.Effect<Option.Option<ReadonlyArray<Script>>> =>
      Effect.suspend(() => {
        const there = lookNow(path)
        if (there === "nothing") return Effect.succeedNone
        // The error of this call says why it is unclear.
        const info: Effect.Effect<Info, PlatformError> =
          there === "unclear" ? fileSystem.stat(path) : Effect.succeed(there)
        return Effect.flatMap(info, (found) => lookAt(path, found)).pipe(
          Effect.catchAll((error) =>
            error._tag !== "UntrustedError" && Heads.isAbsent(error) ? Effect.succeedNone : problem(path, error)
          )
        )
      })

    const find = Effect.fnUntraced(function* (type: string, verb: string) {
      if (!Findings.isName(type) || !Findings.isName(verb)) {
        yield* say(
          LogLevel.Warning,
          `Unable to handle event! The type ${JSON.stringify(type.slice(0, 64))} or the action ${JSON.stringify(verb.slice(0, 64))} cannot be the name of a script`,
          LogLevel.Debug
        )
        return []
      }
      const places = [`${directory}/${type}/${verb}`, `${directory}/${type}/all`, `${directory}/all`]
      yield* sayFindings([`${directory}/${type}`, ...places])
      const there = (yield* Effect.forEach(places, scriptsAt)).flatMap(Option.toArray)
      if (there.length === 0) yield* Effect.logDebug(`No script for ${type}/${verb}`)
      const found = there.flat()
      return found.filter(({ path }, at) => found.findIndex((other) => other.path === path) === at)
    })

    yield* sayFindings([])
    return { find }
  })

/**
 * Fails if a script directory is missing or cannot be read. Its path is absolute.
 *
 * @internal
 */
export const checkReadable = (directory: string) =>
  Effect.gen(function* () {
    const fileSystem = yield* FileSystem.FileSystem
    const unusable = (error: PlatformError) => {
      const reason = Heads.isNotDirectory(error) ? "NotADirectory" : Heads.isAbsent(error) ? "NotFound" : "Unreadable"
      return new ScriptDirectoryError({ reason, directory, detail: SystemReason.describePlatform(error) })
    }
    const info = yield* Effect.mapError(fileSystem.stat(directory), unusable)
    if (info.type !== "Directory") {
      return yield* new ScriptDirectoryError({ reason: "NotADirectory", directory, detail: "" })
    }
    yield* Effect.mapError(fileSystem.readDirectory(directory), unusable)
  })

const check = (directory: string) =>
  Effect.gen(function* () {
    const trust = yield* Trust
    yield* checkReadable(directory)
    yield* Effect.mapError(
      trust.check(directory),
      ({ message }) => new ScriptDirectoryError({ reason: "Untrusted", directory, detail: message })
    )
  })

/**
 * The scripts of a directory on disk. The layer fails if the directory is missing, cannot be read or is not trusted.
 * Later changes count at the next look-up. A relative path is resolved once, against the working directory at the
 * start.
 *
 * @example
 * import { ScriptDirectory, Trust } from "docker-event-scripts"
 * import * as Layer from "effect/Layer"
 *
 * const options = { directory: "/etc/docker/events.d" }
 *
 * export const DirectoryLive = ScriptDirectory.layer(options).pipe(Layer.provide(Trust.layer(options)))
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: {
  readonly directory: string
}): Layer.Layer<ScriptDirectory, ScriptDirectoryError, FileSystem.FileSystem | Trust> =>
  Layer.effect(
    ScriptDirectory,
    Effect.suspend(() => {
      const directory = absolute(options.directory)
      return Effect.zipRight(check(directory), make(directory))
    })
  )
