import { readdirSync, readFileSync } from "node:fs"

const attempt = <A>(look: () => A): A | undefined => {
  try {
    return look()
  } catch {
    return undefined
  }
}

interface Member {
  readonly pid: number
  readonly state: string
  readonly group: number
  readonly parent: number
  /** When it was started, in ticks since the machine was. */
  readonly startedAt: string
}

/** A process from /proc/PID/stat (proc(5)). */
const describe = (pid: string): Member => {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, "utf8"))
  // The name before may hold anything, `)` too.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? []
  return {
    pid: Number(pid),
    state: fields[0] ?? "",
    group: Number(fields[2]),
    parent: Number(fields[1]),
    startedAt: fields[19] ?? ""
  }
}

/** Every process, where the system says it: Linux. */
const processes = () => (attempt(() => readdirSync("/proc")) ?? []).filter((name) => /^\d+$/.test(name)).map(describe)

/**
 * Whether nothing of a process group runs any more. A zombie does not run, and it stays for ever where the first process of
 * a container reaps nobody.
 */
export const isGone = (group: number): boolean => {
  if (attempt(() => process.kill(-group, 0)) === undefined) return true
  const members = processes().filter((member) => member.group === group)
  return members.length > 0 && members.every(({ state }) => state === "Z")
}

/** The children of a process that have ended and that nobody has waited for. */
export const zombiesOf = (parent: number): ReadonlyArray<{ readonly pid: number; readonly startedAt: string }> =>
  processes().filter((member) => member.parent === parent && member.state === "Z")

/** Ticks count from the start of the machine, so it is told which start that was. */
const bootId = (): string => attempt(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()) ?? ""

/** A process that cannot be taken for a later one with the same id. */
export interface Identity {
  readonly pid: number
  readonly startedAt: string
}

/** The identity of a process that runs. */
export const identify = (pid: number): Identity | undefined => {
  const { startedAt } = describe(String(pid))
  return startedAt === "" ? undefined : { pid, startedAt: `${bootId()} ${startedAt}` }
}

const hasVariable = (pid: number, variable: string): boolean =>
  attempt(() => readFileSync(`/proc/${pid}/environ`, "latin1"))
    ?.split("\0")
    .includes(variable) === true

/**
 * What still runs of a process group that somebody else started: its leader, if that is it, and every process that has the
 * variable (`name=value`) in its environment. Where the leader is unknown, each leader that has the variable counts.
 */
export const find = (sought: {
  readonly variable: string
  readonly process: Identity | undefined
}): ReadonlyArray<{ readonly pid: number }> =>
  processes().filter(({ group, pid, startedAt, state }) => {
    if (state === "Z") return false
    if (sought.process === undefined) return group === pid && hasVariable(pid, sought.variable)
    if (group !== sought.process.pid) return false
    return pid === sought.process.pid
      ? `${bootId()} ${startedAt}` === sought.process.startedAt
      : hasVariable(pid, sought.variable)
  })
