/** A real systemd that has the unit of contrib/, in namespaces of its own. */

import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { isProgram } from "./Engines.ts"
import { poll } from "./Poll.ts"
import * as TempFolder from "./TempFolder.ts"

const repository = Path.join(import.meta.dirname, "..", "..")

/** Why systemd cannot be booted here, if so. */
export const unavailable = (): string | undefined => {
  if (process.getuid?.() !== 0) return "not root"
  const missing = ["unshare", "nsenter", "systemctl"].filter((name) => !isProgram(name))
  if (missing.length > 0 || !Fs.existsSync("/lib/systemd/systemd"))
    return `not installed: ${missing.join(", ")} systemd`
  return undefined
}

export interface Systemd {
  /** Runs a command in the booted system and gives its exit code and what it wrote. */
  readonly run: (...command: ReadonlyArray<string>) => Effect.Effect<{ readonly code: number; readonly output: string }>
  /** A property of the unit, as systemctl show names it. */
  readonly show: (property: string) => Effect.Effect<string>
  /** Waits until a property of the unit has a value that passes. */
  readonly until: (property: string, passes: (value: string) => boolean) => Effect.Effect<void>
}

const patience = 60_000

const childOf = (pid: number): string =>
  Fs.existsSync(`/proc/${pid}`) ? Fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim() : ""

const removeGroups = (folder: string): void => {
  if (!Fs.existsSync(folder)) return
  for (const entry of Fs.readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) removeGroups(Path.join(folder, entry.name))
  }
  Fs.rmdirSync(folder)
}

/** Boots systemd for the scope. */
export const boot: Effect.Effect<Systemd, never, Scope.Scope> = Effect.gen(function* () {
  const top = yield* TempFolder.make("systemd")
  const groups = / (\S+) cgroup2 /.exec(Fs.readFileSync("/proc/mounts", "utf8"))?.[1] ?? ""
  yield* Effect.addFinalizer(() =>
    Effect.asVoid(
      // The kernel lets go of the processes a moment after they have ended.
      poll(Effect.isSuccess(Effect.try(() => removeGroups(Path.join(groups, Path.basename(top))))), 10_000)
    )
  )
  let log = ""
  const child = yield* Effect.acquireRelease(
    Effect.sync(() =>
      spawn(Path.join(repository, "test/support/boot-systemd.sh"), [top, repository], {
        stdio: ["ignore", "pipe", "pipe"]
      })
    ),
    (child) =>
      Effect.promise(async () => {
        if (child.exitCode !== null || child.signalCode !== null) return
        const closed = once(child, "close")
        const first = childOf(child.pid ?? 0)
        process.kill(first === "" ? (child.pid ?? 0) : Number(first), "SIGKILL")
        await closed
      })
  )
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      log += text
    })
  }

  const run: Systemd["run"] = (...command) =>
    Effect.async((resume) => {
      const first = childOf(child.pid ?? 0)
      const inside = ["-t", first, "-m", "-p", "-i", "-u", "-n", "-C", `--root=/proc/${first}/root`, "--wd=/"]
      execFile("nsenter", [...inside, ...command], (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1
        resume(Effect.succeed({ code, output: `${stdout}${stderr}`.trim() }))
      })
    })
  const show = (property: string) =>
    Effect.map(run("systemctl", "show", "des", "--value", `--property=${property}`), ({ output }) => output)
  const awaited = (what: string, check: Effect.Effect<boolean>) =>
    Effect.filterOrDieMessage(poll(check, patience), (holds) => holds, `waited in vain for ${what}`).pipe(
      Effect.catchAllDefect((defect) => Effect.dieMessage(`${defect}\n${log}`)),
      Effect.asVoid
    )

  yield* awaited(
    "systemd",
    Effect.map(run("systemctl", "is-system-running"), ({ output }) => output === "running")
  )
  return {
    run,
    show,
    until: (property, passes) => awaited(`${property} of the unit`, Effect.map(show(property), passes))
  }
})
