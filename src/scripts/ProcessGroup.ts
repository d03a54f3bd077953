import { readdirSync, readFileSync } from "node:fs"

const attempt = <A>(look: () => A): A | undefined => {
  try {
    return look()
  } catch {
    return undefined
  }
}

/** State and process group of a process, from /proc/PID/stat (proc(5)). */
const describe = (pid: string) => {
  const stat = attempt(() => readFileSync(`/proc/${pid}/stat`, "utf8"))
  // The name before may hold anything, `)` too.
  const [state = "", , group] = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? []
  return { state, group: Number(group) }
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
