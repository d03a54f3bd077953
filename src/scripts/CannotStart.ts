import { accessSync, constants, statSync } from "node:fs"
import * as FileHead from "./FileHead.ts"
import * as Shebang from "./Shebang.ts"
import type { SpawnError } from "./Spawner.ts"

/** The beginning of a file, as far as the kernel reads it to find what runs it. */
const headOf = (path: string): string => FileHead.read(path, Shebang.headBytes)

const exists = (path: string): boolean => statSync(path, { throwIfNoEntry: false }) !== undefined

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const isProgram = (head: string): boolean => head.startsWith("\x7fELF")

/** True if a file that the kernel cannot start may be a shell script: it is text. */
export const isText = (path: string): boolean => !headOf(path).includes("\0")

const notFound = (path: string, head: string): string => {
  if (!exists(path)) return "the file does not exist any more"
  const shebang = Shebang.parse(head)
  if (shebang === undefined) {
    return isProgram(head)
      ? "the program needs a loader that is not on this system: it was built for another C library"
      : "a file that it needs does not exist"
  }
  const { carriageReturn, interpreter } = shebang
  if (carriageReturn) {
    return `its first line ends with CR LF, as Windows writes lines, so the system looks for "${interpreter}\\r": write it with LF, for example with sed -i 's/\\r$//' ${path}`
  }
  return exists(interpreter)
    ? `a file that its interpreter ${interpreter} needs to start does not exist`
    : `its interpreter ${interpreter} does not exist: install it, or correct the first line`
}

const denied = (path: string, head: string): string => {
  if (statSync(path, { throwIfNoEntry: false })?.isFile() === false) return "it is not a file"
  const interpreter = Shebang.parse(head)?.interpreter
  if (!isExecutable(path))
    return `this user may not execute it: chmod +x ${path}, or check whether its file system is mounted with noexec`
  if (interpreter !== undefined && !isExecutable(interpreter)) {
    return `this user may not execute its interpreter ${interpreter}: correct the first line, or the mode of that file`
  }
  return "the system does not allow this user to execute it: its file system may be mounted with noexec, or a security module forbids it"
}

const sentences: Readonly<Record<string, (path: string, head: string) => string>> = {
  ENOENT: notFound,
  ENOTDIR: notFound,
  EACCES: denied,
  EPERM: denied,
  E2BIG: () =>
    "the environment is larger than the kernel accepts: give scripts fewer or shorter variables (--env), or des a larger stack limit (ulimit -s)",
  ENOEXEC: (_, head) =>
    isProgram(head)
      ? "it is a program for another kind of machine: build it for this one"
      : "it is neither a program for this system nor a shell script: give it a first line that names its interpreter, such as #!/bin/sh",
  ETXTBSY: () =>
    "a program has it open for writing: write the new version to another file, and mv that file to this name",
  ELOOP: () => "its interpreters or symbolic links lead in a circle",
  EMFILE: () => "des has too many files open: raise its limit (ulimit -n, LimitNOFILE=)",
  ENFILE: () => "the system has too many files open",
  EAGAIN: () => "this user or control group has too many processes: raise the limit (ulimit -u, TasksMax=)",
  ENOMEM: () => "the system has no memory left for another process",
  ENOSPC: () => "there is no space left for the record on its stdin",
  EIO: () => "the disk could not be read"
}

/** Explains in one sentence why a program was not started and what to do about it, with the system's error code. */
export const explain = (path: string, { code, detail }: SpawnError): string => {
  const sentence = sentences[code]
  return sentence === undefined
    ? `the system does not start it: ${detail ?? code}`
    : `${sentence(path, headOf(path))} (${code})`
}
