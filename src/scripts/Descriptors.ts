import { closeSync, fchownSync, readdirSync, readFileSync, writeSync } from "node:fs"

/** O_CLOEXEC as /proc/PID/fdinfo shows it, in octal. */
const closeOnExec = 0o2000000

const isInheritable = (descriptor: number): boolean => {
  try {
    const [, flags] = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8")) ?? []
    return flags !== undefined && (Number.parseInt(flags, 8) & closeOnExec) === 0
  } catch {
    // The descriptor that read the directory is closed by now.
    return false
  }
}

/** The descriptors of this process. Only Linux lists them; elsewhere the list is empty. */
const all = (): ReadonlyArray<number> => {
  try {
    return readdirSync("/proc/self/fd").map(Number)
  } catch {
    return []
  }
}

/**
 * The descriptors above 2 that des inherited from its parent process. A program that des starts would inherit them,
 * too.
 */
export const inheritable = (): ReadonlyArray<number> => all().filter((fd) => fd > 2 && isInheritable(fd))

/** Writes all bytes and does not move the file position. So the next reader begins at the first byte. */
export const writeFromStart = (descriptor: number, bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at, bytes.length - at, at)
}

/** Gives files to a user. Then a program of that user can open them again, as `/dev/stderr` for example. */
export const give = (
  descriptors: Iterable<number>,
  { gid, uid }: { readonly uid: number; readonly gid: number }
): void => {
  for (const descriptor of descriptors) fchownSync(descriptor, uid, gid)
}

/** Closes every descriptor, even if closing one of them fails. */
export const closeAll = (descriptors: Iterable<number>): void => {
  for (const descriptor of descriptors) {
    try {
      closeSync(descriptor)
    } catch {
      // It is closed already.
    }
  }
}
