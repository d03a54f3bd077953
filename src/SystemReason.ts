import type { PlatformError } from "@effect/platform/Error"

/** errno(3) in plain words, as the end of a sentence about a file. */
const reasons: Readonly<Record<string, string>> = {
  EACCES: "this user may not do that",
  EDQUOT: "the disk quota is used up",
  EEXIST: "it exists already",
  EIO: "the disk failed",
  EISDIR: "it is a directory",
  ELOOP: "its symbolic links go in a circle, or are too many",
  EMFILE: "des has too many files open",
  ENAMETOOLONG: "its name is too long",
  ENFILE: "the system has too many files open",
  ENOENT: "there is no such file or directory",
  ENOSPC: "no space is left on the disk",
  ENOTDIR: "a part of its path is not a directory",
  EPERM: "the system does not allow it",
  EROFS: "the file system is read-only"
}

/** The system's code of an error, such as ENOENT, if it has one. */
export const codeOf = (error: unknown): string | undefined => {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined
  return typeof code === "string" && /^E[A-Z0-9]+$/.test(code) ? code : undefined
}

/** Says in plain words why the system refused something, with the system's code. It names no function. */
export const describe = (error: unknown): string => {
  const code = codeOf(error)
  if (code !== undefined && Object.hasOwn(reasons, code)) return `${reasons[code]} (${code})`
  return code ?? (error instanceof Error ? error.message : String(error))
}

/** The same for a PlatformError, whose cause is the system's error. */
export const describePlatform = (error: PlatformError): string =>
  codeOf(error.cause) === undefined ? (error.description ?? error.message) : describe(error.cause)
