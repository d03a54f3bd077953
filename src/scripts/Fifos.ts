import { execFileSync } from "node:child_process"
import { closeSync, constants, mkdtempSync, openSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** Both ends of a pipe. Each is closed by whoever takes it. */
export interface Ends {
  readonly read: number
  readonly write: number
  /** Takes the pipe back once both ends are closed here. Where somebody may still write to it, it is given up. */
  readonly giveBack: (sawEnd: boolean) => void
}

/** How many FIFOs one call of mkfifo makes: enough for four scripts that run beside each other. */
const batch = 8

/** Of Linux, which Node does not name: a descriptor that only stands for its file. */
const O_PATH = 0o10000000

/** Makes FIFOs that have no name any more when it returns, so that nobody else can open them. */
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
 * Pipes, which Node cannot make: it gives its children sockets, and those cannot be opened anew as `/dev/stderr`. A FIFO
 * without a name is one, and serves one run after the other. `take` throws what the system says, such as EMFILE.
 */
export const make = (): { readonly take: () => Ends; readonly close: () => void } => {
  let free: Array<number> = []

  const openEnds = (fifo: number): Ends => {
    const path = `/proc/self/fd/${fifo}`
    // In this order: to open the writing end waits for a reader.
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
