/** The package as its users get it: packed from a clean copy of the repository. */

import { execFile, execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { promisify } from "node:util"

const run = promisify(execFile)

const repository = Path.join(import.meta.dirname, "..", "..")

/** Copies what git knows of the repository, as a clone has it. */
export const clone = (folder: string): void => {
  const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: repository,
    encoding: "utf8"
  })
  for (const file of files.split("\0").filter((file) => file !== "" && Fs.existsSync(Path.join(repository, file)))) {
    Fs.mkdirSync(Path.dirname(Path.join(folder, file)), { recursive: true })
    Fs.copyFileSync(Path.join(repository, file), Path.join(folder, file))
  }
}

/** Gives a clone the installed packages of the repository. */
export const install = (folder: string): void =>
  Fs.symlinkSync(Path.join(repository, "node_modules"), Path.join(folder, "node_modules"))

/** Runs npm in a folder, and gives what it wrote to stdout; it fails as npm does. */
export const npm = async (folder: string, ...args: ReadonlyArray<string>): Promise<string> =>
  (await run("npm", args, { cwd: folder, maxBuffer: 2 ** 26 })).stdout.trim()

/** Packs a clone, and gives the tarball's path. */
export const pack = async (folder: string): Promise<string> =>
  Path.join(folder, (await npm(folder, "pack", "--silent")).split("\n").at(-1) ?? "")

/** The files of a tarball, without the folder that npm puts them in. */
export const filesOf = (tarball: string): ReadonlyArray<string> =>
  execFileSync("tar", ["-tzf", tarball], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((file) => file.replace(/^package\//, ""))
