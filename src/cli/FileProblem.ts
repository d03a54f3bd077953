import type { PlatformError } from "@effect/platform/Error"
import * as Data from "effect/Data"
import * as Predicate from "effect/Predicate"

/** A file that cannot be read or written: names the file, and why. */
export class FileProblem extends Data.TaggedError("FileProblem")<{ readonly message: string }> {}

/** errno(3) in plain words. */
const reasons: Readonly<Record<string, string>> = {
  EACCES: "this user may not do that (permission denied)",
  EDQUOT: "the disk quota is used up",
  EEXIST: "it exists already",
  EIO: "the disk failed (input/output error)",
  EISDIR: "it is a directory",
  ELOOP: "its symbolic links go in a circle",
  EMFILE: "des has too many files open",
  ENAMETOOLONG: "its name is too long",
  ENOENT: "it does not exist",
  ENOSPC: "no space is left on the disk",
  ENOTDIR: "a part of its path is not a directory",
  EPERM: "this user may not do that (operation not permitted)",
  EROFS: "the file system is read-only"
}

/** The system's name of an error, such as ENOENT, where it has one. */
export const codeOf = (error: PlatformError): string | undefined =>
  Predicate.hasProperty(error.cause, "code") && typeof error.cause.code === "string" ? error.cause.code : undefined

/** Why a file cannot be used, in words that name no function. */
export const reasonOf = (error: PlatformError): string => {
  const code = codeOf(error)
  return code === undefined ? (error.description ?? error.message) : (reasons[code] ?? `the system says ${code}`)
}
