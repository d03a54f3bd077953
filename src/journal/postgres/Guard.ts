import { type ChildProcess, spawn } from "node:child_process"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as ProcessGroup from "../../scripts/ProcessGroup.ts"
import { JournalError } from "../Journal.ts"

/**
 * The program of the guard, a process of its own. It is written out as text, so it uses nothing of this module. It ends runs whose node has
 * lost its lease: also if that node stands still, or is gone.
 *
 * It reads lines from its descriptor 3. Times are those of the machine's monotonic clock, in milliseconds, which is the same for all
 * processes.
 *
 * - `lease TIME`: the runs may go on until then.
 * - `begin KEY NAME=VALUE`: a run begins, whose processes have this variable.
 * - `process KEY PID TICKS`: the process of a run, which is the first of its group, and when it was started (proc(5), starttime).
 * - `end KEY`: a run has ended.
 * - `bye`: des ends, and no run is left.
 *
 * After the lease it sends KILL to all processes of all runs, again and again until they have ended. If des is gone without a word, it
 * sends TERM at once.
 */
const program = (load: NodeJS.Require) => {
  const fs: typeof import("node:fs") = load("node:fs")
  const net: typeof import("node:net") = load("node:net")
  const runs = new Map<string, { variable: string; pid: number; ticks: string }>()
  const again = 50
  let deadline = 0
  let gone = false
  let timer: NodeJS.Timeout | undefined
  const now = () => Number(process.hrtime.bigint()) / 1e6
  const read = (file: string) => {
    try {
      return fs.readFileSync(file, "latin1")
    } catch {
      return ""
    }
  }
  const kill = (pid: number, name: NodeJS.Signals) => {
    try {
      process.kill(pid, name)
    } catch {
      // It has ended.
    }
  }
  const ticksOf = (pid: number) => {
    const stat = read(`/proc/${pid}/stat`)
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""
  }
  const signal = (name: NodeJS.Signals) => {
    if (runs.size === 0) return
    for (const { pid, ticks } of runs.values()) if (pid > 0 && ticksOf(pid) === ticks) kill(-pid, name)
    const variables = new Set([...runs.values()].map(({ variable }) => variable))
    for (const pid of fs.readdirSync("/proc")) {
      if (!/^\d+$/.test(pid)) continue
      const found = read(`/proc/${pid}/environ`)
        .split("\0")
        .find((line) => line.startsWith("DES_RUN="))
      if (found !== undefined && variables.has(found)) kill(Number(pid), name)
    }
  }
  const look = () => {
    clearTimeout(timer)
    const left = deadline - now()
    if (left > 0) {
      timer = setTimeout(look, left + 1)
      return
    }
    signal("SIGKILL")
    // A script that des was starting at that moment may appear after this look.
    if (gone && left < -20 * again) process.exit(0)
    if (gone || runs.size > 0) timer = setTimeout(look, again)
  }
  const follow = (line: string) => {
    const [word, key = "", ...rest] = line.split(" ")
    const run = runs.get(key)
    if (word === "lease") deadline = Number(key)
    if (word === "begin") runs.set(key, { variable: rest.join(" "), pid: 0, ticks: "" })
    if (word === "process" && run !== undefined) {
      run.pid = Number(rest[0])
      run.ticks = rest[1] ?? ""
    }
    if (word === "end") runs.delete(key)
    if (word === "bye") process.exit(0)
    look()
  }
  process.title = "des: guard"
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => undefined)
  let text = ""
  const pipe = new net.Socket({ fd: 3 })
  pipe.setEncoding("utf8")
  pipe.on("data", (data) => {
    const lines = (text + data).split("\n")
    text = lines.pop() ?? ""
    for (const line of lines) follow(line)
  })
  const end = () => {
    if (gone) return
    gone = true
    signal("SIGTERM")
    look()
  }
  pipe.on("error", end)
  pipe.on("end", end)
  pipe.on("close", end)
}

/** How long des waits before it replaces a guard that has ended, in milliseconds. */
const restartAfter = 100

/** The monotonic clock of the machine, in milliseconds. */
export const monotonic = (): number => Number(process.hrtime.bigint()) / 1e6

/**
 * Ends the runs of this node when its lease is over.
 *
 * - `lease`: the runs may go on until this time of the monotonic clock.
 * - `begin`: a run begins; its processes have the variable `NAME=VALUE`. It must be called before the script starts.
 * - `process`: the process of this run.
 * - `end`: this run has ended.
 */
export interface Guard {
  readonly lease: (until: number) => void
  readonly begin: (run: number, variable: string) => void
  readonly process: (run: number, pid: number) => void
  readonly end: (run: number) => void
}

/** Starts the guard for the scope. A guard that was killed is replaced. */
export const make: Effect.Effect<Guard, JournalError, Scope.Scope> = Effect.gen(function* () {
  const runs = new Map<number, { readonly variable: string; identity: string }>()
  let deadline = 0
  let child: ChildProcess | undefined
  let isOver = false

  const write = (line: string) => {
    const pipe = child?.stdio[3]
    if (pipe !== undefined && pipe !== null && "write" in pipe) pipe.write(`${line}\n`)
  }

  const start = () => {
    const made = spawn(process.execPath, ["-"], {
      // It gets no signal of des's own group, as Ctrl-C sends one.
      detached: true,
      cwd: "/",
      env: {},
      stdio: ["pipe", "ignore", "ignore", "pipe"]
    })
    child = made
    const [input, , , pipe] = made.stdio
    input?.on("error", () => undefined)
    input?.end(`(${program.toString()})(require)`)
    // des need not wait for the guard when it ends.
    made.unref()
    pipe?.on("error", () => undefined)
    if (pipe !== undefined && pipe !== null && "unref" in pipe && typeof pipe.unref === "function") pipe.unref()
    write(`lease ${deadline}`)
    for (const [run, { identity, variable }] of runs) {
      write(`begin ${run} ${variable}`)
      if (identity !== "") write(`process ${run} ${identity}`)
    }
    let isReplaced = false
    const again = () => {
      if (isOver || isReplaced) return
      isReplaced = true
      setTimeout(start, restartAfter).unref()
    }
    made.once("exit", again)
    made.on("error", again)
    return made
  }

  yield* Effect.acquireRelease(
    Effect.async<void, JournalError>((resume) => {
      const made = start()
      made.once("spawn", () => resume(Effect.void))
      made.once("error", (cause) =>
        resume(
          new JournalError({
            reason: "Unusable",
            detail: `the process that ends scripts when this node loses its lease cannot be started (${cause.message})`,
            cause
          })
        )
      )
    }),
    () =>
      Effect.sync(() => {
        isOver = true
        write("bye")
      })
  )

  return {
    lease: (until) => {
      deadline = until
      write(`lease ${until}`)
    },
    begin: (run, variable) => {
      runs.set(run, { variable, identity: "" })
      write(`begin ${run} ${variable}`)
    },
    process: (run, pid) => {
      const known = runs.get(run)
      const ticks = ProcessGroup.identify(pid)?.startedAt.split(" ").at(-1)
      if (known === undefined || ticks === undefined) return
      known.identity = `${pid} ${ticks}`
      write(`process ${run} ${known.identity}`)
    },
    end: (run) => {
      runs.delete(run)
      write(`end ${run}`)
    }
  }
})
