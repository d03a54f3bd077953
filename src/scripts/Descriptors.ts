import { closeSync, readdirSync, readFileSync, writeSync } from "node:fs"

/** O_CLOEXEC as /proc/PID/fdinfo shows it, in octal. */
const closeOnExec = 0o2000000

const isInheritable = (descriptor: number): boolean => {
  try {
    const [, flags] = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8")) ?? []
    return flags !== undefined && (Number.parseInt(flags, 8) & closeOnExec) === 0
  } catch {
    // The descriptor by which the directory was read is closed again.
    return false
  }
}

/** The descriptors of this process, where the system says them: Linux. */
const all = (): ReadonlyArray<number> => {
  try {
    return readdirSync("/proc/self/fd").map(Number)
  } catch {
    return []
  }
}

/** The descriptors beyond stderr that a program which is started would get: whoever started des left them open. */
export const inheritable = (): ReadonlyArray<number> => all().filter((fd) => fd > 2 && isInheritable(fd))

/** Writes everything, and leaves the position where it is: who reads the descriptor next begins at the first byte. */
export const writeFromStart = (descriptor: number, bytes: Uint8Array): void => {
  for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at, bytes.length - at, at)
}

/** Closes each, whatever becomes of the others. */
export const closeAll = (descriptors: Iterable<number>): void => {
  for (const descriptor of descriptors) {
    try {
      closeSync(descriptor)
    } catch {
      // It is closed already.
    }
  }
}
