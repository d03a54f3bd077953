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
  /** When it was started, in ticks since the machine started. */
  readonly startedAt: string
}

/** Reads a process from /proc/PID/stat (proc(5)). */
const describe = (pid: string): Member => {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, "utf8"))
  // The program's name before these fields may hold anything, even `)`.
  const fields = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? []
  return {
    pid: Number(pid),
    state: fields[0] ?? "",
    group: Number(fields[2]),
    parent: Number(fields[1]),
    startedAt: fields[19] ?? ""
  }
}

/** Every process of the system. Only Linux lists them; elsewhere the list is empty. */
const processes = () => (attempt(() => readdirSync("/proc")) ?? []).filter((name) => /^\d+$/.test(name)).map(describe)

/**
 * True if no process of the group runs any more. A zombie does not run. In a container whose first process does not
 * reap, a zombie stays for ever.
 */
export const isGone = (group: number): boolean => {
  if (attempt(() => process.kill(-group, 0)) === undefined) return true
  const members = processes().filter((member) => member.group === group)
  return members.length > 0 && members.every(({ state }) => state === "Z")
}

/** The children of a process that have ended and that nobody has waited for. */
export const zombiesOf = (parent: number): ReadonlyArray<{ readonly pid: number; readonly startedAt: string }> =>
  processes().filter((member) => member.parent === parent && member.state === "Z")

/** Names the current start of the machine. Ticks count from that start. */
const bootId = (): string => attempt(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()) ?? ""

/** Identifies a process even if a later one gets the same id. */
export interface Identity {
  readonly pid: number
  readonly startedAt: string
}

/** The identity of a running process; `undefined` if there is no such process. */
export const identify = (pid: number): Identity | undefined => {
  const { startedAt } = describe(String(pid))
  return startedAt === "" ? undefined : { pid, startedAt: `${bootId()} ${startedAt}` }
}

const hasVariable = (pid: number, variable: string): boolean =>
  attempt(() => readFileSync(`/proc/${pid}/environ`, "latin1"))
    ?.split("\0")
    .includes(variable) === true

/**
 * Finds the running processes of a run that an earlier des started: the leader of the process group, if it is the same
 * process, and every process of the group that has the variable (`name=value`) in its environment. If the leader is
 * unknown, it finds every group leader that has the variable.
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
