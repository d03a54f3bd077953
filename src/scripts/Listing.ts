import { readdirSync, type Stats, statSync } from "node:fs"
import * as FileHead from "./FileHead.ts"
import type { ListedFile } from "./Findings.ts"
import * as ScriptText from "./ScriptText.ts"
import * as Shebang from "./Shebang.ts"

/**
 * The content of a script directory. `isWhole` is false if there is more than des lists. `changed` has the time of the
 * last change of each directory in it, in milliseconds since 1970.
 */
export interface Listing {
  readonly entries: ReadonlyArray<ListedFile>
  readonly isWhole: boolean
  readonly changed: ReadonlyMap<string, number>
}

/** DIR/TYPE/ACTION/SCRIPT: nothing deeper is run. */
const deepest = 3

/** The most files and directories that are read. `des -c` creates about 150. */
export const mostEntries = 4096

/**
 * A file system rounds times to some milliseconds. A directory that changed less than this ago, in milliseconds, may
 * change again and keep the same time.
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

/**
 * The time of a directory's last change. It is `never` if the directory does not exist, or changed so recently that the
 * next change may have the same time.
 */
const changeOf = (path: string, now: number): number => {
  const changed = statOf(path)?.mtimeMs ?? never
  return Math.abs(now - changed) < unsettled ? never : changed
}

/** True if the interpreter that a script's first line names exists, or if the line names none. */
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
  const entriesOf = (path: string, depth: number): ReadonlyArray<ListedFile> => {
    changed.set(path, changeOf(path, now))
    const found: Array<ListedFile> = []
    for (const name of namesIn(path)) {
      if (left-- <= 0) break
      const inner = `${path}/${name}`
      const stat = statOf(inner)
      if (stat?.isDirectory() === true) {
        found.push({ kind: "directory", name, entries: depth < deepest ? entriesOf(inner, depth + 1) : [] })
      } else if (stat?.isFile() === true) {
        const head = FileHead.read(inner, ScriptText.headBytes)
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
  const entries = entriesOf(directory, 1)
  return { entries, isWhole: left >= 0, changed }
}

/**
 * True if one of these directories has changed since the listing was read. A directory that is not in the listing did
 * not exist then and counts as unchanged.
 */
export const hasChanged = (listing: Listing, directories: Iterable<string>): boolean => {
  for (const path of directories) {
    const before = listing.changed.get(path)
    if (before !== undefined && (before === never || statOf(path)?.mtimeMs !== before)) return true
  }
  return false
}
