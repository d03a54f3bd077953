import { closeSync, constants, openSync, readdirSync, readSync, type Stats, statSync } from "node:fs"
import type { Entry } from "./Findings.ts"
import * as ScriptText from "./ScriptText.ts"
import * as Shebang from "./Shebang.ts"

/** What is in a script directory, and when each directory in it had changed last, in milliseconds. */
export interface Listing {
  readonly entries: ReadonlyArray<Entry>
  readonly changed: ReadonlyMap<string, number>
}

/** DIR/TYPE/ACTION/SCRIPT: nothing deeper is run. */
const deepest = 3

/** How many files and directories are looked at. Those of every event that engines emit are 150. */
const mostEntries = 4096

/**
 * A file system writes down times in steps of some milliseconds: a directory that changed so short a time ago may change
 * again, and look as if it had not.
 */
const unsettled = 50

const never = -1

const statOf = (path: string): Stats | undefined => {
  try {
    return statSync(path, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

/** When a directory had changed last; never, if it may still change in the same step of the clock or is not there. */
const changeOf = (path: string, now: number): number => {
  const changed = statOf(path)?.mtimeMs ?? never
  return Math.abs(now - changed) < unsettled ? never : changed
}

/** The first bytes of a file; empty where it cannot be read. A FIFO is not waited for. */
const readHead = (path: string): string => {
  try {
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const head = Buffer.alloc(ScriptText.headBytes)
      return head.toString("utf8", 0, readSync(file, head, 0, head.length, 0))
    } finally {
      closeSync(file)
    }
  } catch {
    return ""
  }
}

/** Whether the interpreter that a script's first line names is there; true where it names none. */
export const hasInterpreter = (head: string): boolean => {
  const interpreter = Shebang.parse(head)?.interpreter
  return interpreter === undefined || !interpreter.startsWith("/") || statOf(interpreter) !== undefined
}

const namesIn = (path: string): ReadonlyArray<string> => {
  try {
    return readdirSync(path).sort()
  } catch {
    return []
  }
}

/** Reads a script directory: names, kinds, modes, and the first bytes of each file. `now` is the file system's, in milliseconds. */
export const read = (directory: string, now = Date.now()): Listing => {
  const changed = new Map<string, number>()
  let left = mostEntries
  const entriesOf = (path: string, depth: number): ReadonlyArray<Entry> => {
    changed.set(path, changeOf(path, now))
    const found: Array<Entry> = []
    for (const name of namesIn(path)) {
      if (left-- <= 0) break
      const inner = `${path}/${name}`
      const stat = statOf(inner)
      if (stat?.isDirectory() === true) {
        found.push({ kind: "directory", name, entries: depth < deepest ? entriesOf(inner, depth + 1) : [] })
      } else if (stat?.isFile() === true) {
        const head = readHead(inner)
        found.push({
          kind: "file",
          name,
          isExecutable: (stat.mode & 0o111) !== 0,
          head,
          hasInterpreter: hasInterpreter(head)
        })
      }
    }
    return found
  }
  return { entries: entriesOf(directory, 1), changed }
}

/** Whether one of these directories has changed since the listing was read. One that is not listed was not there. */
export const hasChanged = (listing: Listing, directories: Iterable<string>): boolean => {
  for (const path of directories) {
    const before = listing.changed.get(path)
    if (before !== undefined && (before === never || statOf(path)?.mtimeMs !== before)) return true
  }
  return false
}
