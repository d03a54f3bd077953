import { statSync } from "node:fs"
import type { PlatformError } from "@effect/platform/Error"
import type * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as SystemReason from "../SystemReason.ts"
import * as Findings from "./Findings.ts"
import * as Listing from "./Listing.ts"
import * as ScriptOptions from "./ScriptOptions.ts"
import * as ScriptText from "./ScriptText.ts"

/** True if a part of the path is not a directory. */
export const isNotDirectory = (error: PlatformError): boolean => SystemReason.codeOf(error.cause) === "ENOTDIR"

/** True if there is nothing at the path, also because a directory above it is a file. Findings reports such a file. */
export const isAbsent = (error: PlatformError): boolean =>
  (error._tag === "SystemError" && error.reason === "NotFound") || isNotDirectory(error)

/** Says why a head could not be read. */
export const sayUnreadable = (error: PlatformError): string =>
  `its head cannot be read: ${SystemReason.describePlatform(error)}`

/** What des learns from a script's head. */
export interface Head {
  readonly options: ScriptOptions.ScriptOptions | ScriptOptions.Problem
  /** True if the script has only comments. */
  readonly isEmpty: boolean
  readonly findings: ReadonlyArray<Findings.Finding>
}

/**
 * A text that differs after each change of a file. It contains ctime, the only time of a file that cannot be set back.
 * It is empty if there is no such file.
 */
const changeOf = (path: string): string => {
  try {
    const { ctimeNs, dev, ino } = statSync(path, { bigint: true })
    return `${dev},${ino},${ctimeNs}`
  } catch {
    return ""
  }
}

/** Makes what reads the heads of scripts, each once for each change of its file. */
export const make = (fileSystem: FileSystem.FileSystem) => {
  const heads = new Map<string, Head & { readonly changed: string }>()
  const read = (path: string) =>
    Effect.scoped(Effect.flatMap(fileSystem.open(path), (file) => file.readAlloc(ScriptText.headBytes))).pipe(
      Effect.map(Option.getOrElse(() => new Uint8Array())),
      // An executable that des may not read is not a shell script: the shell could not read it either.
      Effect.catchIf(
        (error) => error._tag === "SystemError" && error.reason === "PermissionDenied",
        () => Effect.succeed(undefined)
      )
    )
  const readNow = (path: string, changed: string): Effect.Effect<Head, PlatformError> =>
    Effect.map(read(path), (bytes) => {
      const text = bytes === undefined ? "" : Buffer.from(bytes).toString()
      const head = {
        changed,
        options: ScriptOptions.parse(text, (bytes?.length ?? 0) < ScriptText.headBytes),
        isEmpty: bytes !== undefined && ScriptText.isEmpty(text),
        findings: Findings.ofScript(path, text, Listing.hasInterpreter(text))
      }
      heads.set(path, head)
      return head
    })

  /** The head, if there is a file. An unchanged one costs a look at the file and nothing else: this comes before each run. */
  const readIfThere = (path: string): Effect.Effect<Head | undefined, PlatformError> =>
    Effect.suspend(() => {
      const changed = changeOf(path)
      if (changed === "") return Effect.succeed(undefined)
      const known = heads.get(path)
      return known?.changed === changed ? Effect.succeed(known) : readNow(path, changed)
    })

  return {
    readIfThere,
    /** The head. Where there is no file, the error says so. */
    read: (path: string): Effect.Effect<Head, PlatformError> =>
      Effect.flatMap(readIfThere(path), (head) => (head === undefined ? readNow(path, "") : Effect.succeed(head)))
  }
}
