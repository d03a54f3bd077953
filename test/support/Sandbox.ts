/** A temporary folder with a script directory, where the program runs with a home, a working directory and scripts of its own. */

import * as Fs from "node:fs"
import * as Path from "node:path"
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { poll } from "./Poll.ts"
import * as Program from "./Program.ts"
import { processes, signal } from "./Sweep.ts"
import * as TempFolder from "./TempFolder.ts"

export interface Sandbox {
  /** The folder, which is the home and the working directory of what runs here. */
  readonly top: string
  /** The script directory. */
  readonly dir: string
  /** Writes a shell script; its name is relative to the script directory. */
  readonly script: (name: string, body: string, mode?: number) => void
  /** Writes a file that is not a script; its name is relative to the folder. */
  readonly write: (name: string, text: string, mode?: number) => void
  readonly path: (name: string) => string
  readonly exists: (name: string) => boolean
  readonly read: (name: string) => string
  /** The whole lines that a file in the folder has by now; none where there is no such file. */
  readonly lines: (name: string) => ReadonlyArray<string>
  /** The processes that were started here and still run, whoever their parent is. */
  readonly processes: () => ReadonlyArray<number>
  /** Runs des to its end, or starts it, with these arguments. */
  readonly des: (args: ReadonlyArray<string>, options?: Program.Options) => Effect.Effect<Program.Ended>
  readonly start: (
    args: ReadonlyArray<string>,
    options?: Program.Options
  ) => Effect.Effect<Program.Program, never, Scope.Scope>
  /** Runs des with the script directory, to the last script of a feed on stdin. */
  readonly feed: (
    records: ReadonlyArray<string>,
    args?: ReadonlyArray<string>,
    options?: Program.Options
  ) => Effect.Effect<Program.Ended>
}

/** Whatever the umask is: des may refuse scripts that others can write to. */
const writeFile = (path: string, text: string, mode: number) => {
  const made = Fs.mkdirSync(Path.dirname(path), { recursive: true, mode: 0o755 })
  for (let at = Path.dirname(path); made !== undefined && at.length >= made.length; at = Path.dirname(at)) {
    Fs.chmodSync(at, 0o755)
  }
  Fs.writeFileSync(path, text)
  Fs.chmodSync(path, mode)
}

const make = (top: string): Sandbox => {
  const dir = Path.join(top, "events.d")
  Fs.mkdirSync(dir)
  Fs.chmodSync(dir, 0o755)
  const path = (name: string) => Path.join(top, name)
  const here = (options: Program.Options = {}): Program.Options => ({
    cwd: top,
    ...options,
    // HOME marks every process that is started here: scripts inherit it.
    env: { HOME: top, ...options.env }
  })
  const des: Sandbox["des"] = (args, options) => Program.run(Program.des(...args), here(options))
  return {
    top,
    dir,
    path,
    script: (name, body, mode = 0o755) => writeFile(Path.join(dir, name), `#!/bin/sh\n${body}\n`, mode),
    write: (name, text, mode = 0o644) => writeFile(path(name), text, mode),
    exists: (name) => Fs.existsSync(path(name)),
    read: (name) => Fs.readFileSync(path(name), "utf8"),
    lines: (name) => (Fs.existsSync(path(name)) ? Fs.readFileSync(path(name), "utf8").split("\n").slice(0, -1) : []),
    processes: () => processes(top),
    des,
    start: (args, options) => Program.start(Program.des(...args), here(options)),
    feed: (records, args = [], options = {}) =>
      des(["-d", dir, "--from", "-", ...args], { ...options, stdin: records.map((record) => `${record}\n`).join("") })
  }
}

/** A test that failed leaves nothing behind, neither files nor the processes of its scripts. */
const remove = ({ processes, top }: Sandbox): Effect.Effect<void> =>
  poll(
    Effect.suspend(() => {
      const left = processes()
      return Effect.as(
        Effect.forEach(left, (pid) => signal(pid, "SIGKILL"), { discard: true }),
        left.length === 0
      )
    }),
    10_000
  ).pipe(Effect.zipRight(Effect.sync(() => TempFolder.removeSync(top))))

const sandbox: Effect.Effect<Sandbox, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => make(TempFolder.makeSync("sandbox"))),
  remove
)

/** A test in a sandbox of its own, with the live clock. */
export const test = (
  name: string,
  body: (sandbox: Sandbox) => Effect.Effect<unknown, never, Scope.Scope>,
  timeout?: number
): void => it.scopedLive(name, () => Effect.flatMap(sandbox, body), timeout)
