import { closeSync, constants, openSync, readSync } from "node:fs"

/** Reads the first bytes of a file as text. Returns an empty text if the file cannot be read. Never waits for a FIFO. */
export const read = (path: string, bytes: number): string => {
  try {
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const head = Buffer.alloc(bytes)
      return head.toString("utf8", 0, readSync(file, head, 0, bytes, 0))
    } finally {
      closeSync(file)
    }
  } catch {
    return ""
  }
}
