/**
 * What a private engine has on the machine, found by its folder, and its removal. Nothing is asked of the engine: it may be dead, stopped or lost.
 */

import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import { poll } from "./Poll.ts"

const read = (file: string): string => {
  try {
    return Fs.readFileSync(file, "utf8")
  } catch {
    // A process that has just ended has no such file any more.
    return ""
  }
}

const list = (dir: string): ReadonlyArray<Fs.Dirent> => {
  try {
    return Fs.readdirSync(dir, { withFileTypes: true })
  } catch {
    return []
  }
}

/** Sends a signal to a process that may be gone already. */
export const signal = (pid: number, name: NodeJS.Signals): Effect.Effect<void> =>
  Effect.ignore(Effect.try(() => process.kill(pid, name)))

const pids = (): ReadonlyArray<number> =>
  list("/proc").flatMap(({ name }) => (/^\d+$/.test(name) ? [Number(name)] : []))

/** A container's process has its root below the engine's folder, whoever its parent is by now. */
const runsIn = (dir: string) => (pid: number) =>
  read(`/proc/${pid}/mountinfo`)
    .split("\n")
    .map((line) => line.split(" "))
    .some(([, , , root, at]) => at === "/" && root?.split("/").includes(Path.basename(dir)))

/** The engine has its folder as HOME, and containerd, shims and conmon inherit that. */
const startedBy = (dir: string) => (pid: number) => read(`/proc/${pid}/environ`).split("\0").includes(`HOME=${dir}`)

/** The processes in the containers of the engine with this folder. */
export const containerProcesses = (dir: string): ReadonlyArray<number> => pids().filter(runsIn(dir))

/** All processes of the engine with this folder, its own and those in its containers. */
export const processes = (dir: string): ReadonlyArray<number> =>
  pids().filter((pid) => startedBy(dir)(pid) || runsIn(dir)(pid))

/** The mount points below a folder, innermost first. */
export const mounts = (dir: string): ReadonlyArray<string> =>
  read("/proc/self/mounts")
    .split("\n")
    .flatMap((line) => line.split(" ")[1] ?? [])
    .filter((at) => at.startsWith(`${dir}/`))
    .reverse()

/** The control groups with one of these names, and what is below them, innermost first. */
const controlGroups = (names: ReadonlySet<string>, dir = "/sys/fs/cgroup", all = false): ReadonlyArray<string> =>
  list(dir)
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => {
      const path = Path.join(dir, name)
      const taken = all || names.has(name)
      return [...controlGroups(names, path, taken), ...(taken ? [path] : [])]
    })

/** dockerd is told to use a group with the folder's name; podman makes one for each container below a group that all podmans share. */
const groupNames = (dir: string): ReadonlySet<string> =>
  new Set([Path.basename(dir), ...list(`${dir}/root/vfs-containers`).map(({ name }) => `libpod-${name}`)])

/** Shims listen in a folder that all containerds share. */
const shimSockets = (dir: string): ReadonlyArray<string> => {
  const tasks = `${dir}/exec/containerd/daemon/io.containerd.runtime.v2.task/moby`
  return list(tasks)
    .map(({ name }) => read(`${tasks}/${name}/address`).trim().replace("unix://", ""))
    .filter((file) => Path.dirname(file) === "/run/containerd/s")
}

const allEnded = (dir: string): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const left = processes(dir)
    return Effect.forEach(left, (pid) => signal(pid, "SIGKILL"), { discard: true }).pipe(Effect.as(left.length === 0))
  })

const allUnmounted = (dir: string): Effect.Effect<boolean> =>
  Effect.async<boolean>((resume) => {
    const left = mounts(dir)
    if (left.length === 0) resume(Effect.succeed(true))
    else execFile("umount", [...left], () => resume(Effect.succeed(mounts(dir).length === 0)))
  })

const groupsRemoved = (names: ReadonlySet<string>): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const left = controlGroups(names)
    return Effect.forEach(left, (path) => Effect.ignore(Effect.try(() => Fs.rmdirSync(path))), { discard: true }).pipe(
      Effect.as(left.length === 0)
    )
  })

/** Ends all processes of the engine with this folder, takes its mounts and control groups away and removes the folder. What resists is a defect. */
export const sweep = (dir: string): Effect.Effect<void> =>
  Effect.gen(function* () {
    if (!(yield* poll(allEnded(dir), 10_000))) {
      return yield* Effect.dieMessage(`processes of ${dir} do not end: ${processes(dir).join(" ")}`)
    }
    if (!(yield* poll(allUnmounted(dir), 5_000))) {
      return yield* Effect.dieMessage(`mounts below ${dir} do not go: ${mounts(dir).join(" ")}`)
    }
    const names = groupNames(dir)
    if (!(yield* poll(groupsRemoved(names), 5_000))) {
      return yield* Effect.dieMessage(`control groups of ${dir} do not go: ${controlGroups(names).join(" ")}`)
    }
    for (const socket of shimSockets(dir)) yield* Effect.promise(() => Fs.promises.rm(socket, { force: true }))
    yield* Effect.promise(() => Fs.promises.rm(dir, { recursive: true, force: true, maxRetries: 3 }))
  })

const owner = (pid: number | "self"): string => `${pid} ${Fs.readlinkSync(`/proc/${pid}/ns/pid`)}`

/** Writes into an engine's folder that it goes with this process. */
export const own = (dir: string): void => Fs.writeFileSync(`${dir}/owner`, owner(process.pid))

const abandoned = (dir: string): boolean => {
  const [pid, namespace] = read(`${dir}/owner`).split(" ")
  const ours = Fs.statSync(dir, { throwIfNoEntry: false })?.uid === process.getuid?.()
  return ours && namespace === owner("self").split(" ")[1] && !Fs.existsSync(`/proc/${pid}`)
}

/** Sweeps the engines in this folder whose process ended without a chance to do so, as after Ctrl-C. */
export const sweepAbandoned = (parent: string): Effect.Effect<void> =>
  Effect.suspend(() => {
    const dirs = list(parent)
      .filter((entry) => entry.isDirectory() && /^des-(dockerd|podman)-/.test(entry.name))
      .map(({ name }) => Path.join(parent, name))
    return Effect.forEach(dirs.filter(abandoned), sweep, { discard: true })
  })
