import { execFileSync } from "node:child_process"
import { closeSync, constants, mkdtempSync, openSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** Both ends of a pipe. The caller closes each of them. */
export interface Ends {
  readonly read: number
  readonly write: number
  /**
   * Returns the pipe for the next run, after both ends are closed. If another process may still write to it (`sawEnd`
   * is false), it is closed for good.
   */
  readonly giveBack: (sawEnd: boolean) => void
}

/** How many FIFOs one call of mkfifo makes: enough for four scripts that run at the same time. */
const batch = 8

/** A flag of Linux that Node does not name: the descriptor refers to the file, but cannot read or write it. */
const O_PATH = 0o10000000

/** Makes FIFOs and removes their names, so that nobody else can open them. */
const makeFifos = (): ReadonlyArray<number> => {
  const directory = mkdtempSync(join(tmpdir(), "des-"))
  const made: Array<number> = []
  try {
    const paths = Array.from({ length: batch }, (_, at) => join(directory, String(at)))
    execFileSync("mkfifo", ["-m", "600", ...paths], { stdio: "ignore" })
    for (const path of paths) made.push(openSync(path, O_PATH))
    return made
  } catch (error) {
    for (const descriptor of made) closeSync(descriptor)
    throw error
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/**
 * Makes pipes. Node cannot make them: it gives its children sockets, and a script cannot open a socket as `/dev/stderr`. A
 * FIFO without a name works as a pipe, and one run after the other uses it.
 *
 * - `take`: returns both ends of a free pipe. Throws the system's error, such as EMFILE.
 * - `close`: closes the pipes that are free.
 */
export const make = (): { readonly take: () => Ends; readonly close: () => void } => {
  let free: Array<number> = []

  const openEnds = (fifo: number): Ends => {
    const path = `/proc/self/fd/${fifo}`
    // The reading end comes first: opening the writing end waits for a reader.
    const read = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const write = openSync(path, constants.O_WRONLY)
      return { read, write, giveBack: (sawEnd) => (sawEnd ? free.push(fifo) : closeSync(fifo)) }
    } catch (error) {
      closeSync(read)
      throw error
    }
  }

  return {
    take: () => {
      if (free.length === 0) free = [...makeFifos()]
      const fifo = free.pop() ?? Number.NaN
      try {
        return openEnds(fifo)
      } catch (error) {
        free.push(fifo)
        throw error
      }
    },
    close: () => {
      for (const fifo of free) closeSync(fifo)
      free = []
    }
  }
}
