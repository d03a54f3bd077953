import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as TempFolder from "./TempFolder.ts"

/** Whose a file is and who may do what with it; what is not given stays root's, and closed to others. */
export interface Access {
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
}

/** A temporary folder whose files can belong to anybody. Names are relative to it and are not normalised. */
export interface Files {
  readonly path: (name: string) => string
  /** Makes an empty script, and the directories above it. */
  readonly file: (name: string, access?: Access) => void
  readonly folder: (name: string, access?: Access) => void
  /** Makes a symbolic link, root's unless it is said whose. */
  readonly link: (name: string, target: string, uid?: number) => void
  readonly change: (name: string, access: Access) => void
}

const change = (path: string, { gid = 0, mode = 0o755, uid = 0 }: Access): void => {
  // In this order, since a change of the owner can clear bits of the mode.
  Fs.chownSync(path, uid, gid)
  Fs.chmodSync(path, mode)
}

const makeFolder = (path: string): void => {
  if (Fs.existsSync(path)) return
  makeFolder(Path.dirname(path))
  Fs.mkdirSync(path)
  // Whatever the umask is.
  change(path, {})
}

const make = (top: string): Files => {
  const path = (name: string) => `${top}/${name}`
  return {
    path,
    file: (name, access = {}) => {
      makeFolder(Path.dirname(path(name)))
      Fs.writeFileSync(path(name), "#!/bin/sh\n")
      change(path(name), access)
    },
    folder: (name, access = {}) => {
      makeFolder(path(name))
      change(path(name), access)
    },
    link: (name, target, uid = 0) => {
      makeFolder(Path.dirname(path(name)))
      Fs.symlinkSync(target, path(name))
      Fs.lchownSync(path(name), uid, uid)
    },
    change: (name, access) => change(path(name), access)
  }
}

/** Needs root. The folder is removed with the scope. */
export const makeFiles: Effect.Effect<Files, never, Scope.Scope> = Effect.map(TempFolder.make("files"), (top) => {
  change(top, {})
  return make(top)
})
