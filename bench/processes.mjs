// @ts-check
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync, readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"

/**
 * What the bench's own processes tell their parent. `times` are those at which what was asked for was sent or begun.
 *
 * @typedef {{ kind: "listening" } | { kind: "open" } | { kind: "sent", times: number[] } | { kind: "failed", message: string }} Report
 */

/**
 * @typedef {object} Started
 * @property {number} pid
 * @property {(message: import("node:child_process").Serializable) => void} send
 * @property {(kind: Report["kind"]) => Promise<number[]>} expect takes the next report, which must be of this kind
 * @property {<A>(promise: Promise<A>) => Promise<A>} whileRunning fails when the process ends before the promise does
 * @property {() => Promise<void>} stop
 */

/** Longer than anything here takes on a slow machine: it is for what will never come. */
export const patience = 300_000

/** @type {Set<Started>} */
const running = new Set()

/**
 * Fails when a promise takes for ever.
 *
 * @template A
 * @param {string} what
 * @param {Promise<A>} promise
 * @returns {Promise<A>}
 */
export const within = async (what, promise) => {
  const timer = new AbortController()
  const late = sleep(patience, undefined, { signal: timer.signal, ref: false }).then(() => {
    throw new Error(`waited ${patience / 1000} s for ${what}`)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    timer.abort()
    late.catch(() => {})
  }
}

/**
 * Starts Node, or another program. With `reports` it is one of the bench's own, which talk by IPC; without, what it logs is let go.
 *
 * @param {ReadonlyArray<string>} args
 * @param {{ reports: boolean, program?: string }} options
 * @returns {Started}
 */
const start = (args, { program = process.execPath, reports }) => {
  const child = spawn(program, args, {
    stdio: reports ? ["ignore", "ignore", "inherit", "ipc"] : "ignore"
  })
  const ended = once(child, "exit").then(([code, signal]) => `${args.join(" ")} ended (${signal ?? code})`)

  /** @type {Report[]} */
  const inbox = []
  child.on("message", (report) => {
    inbox.push(/** @type {Report} */ (report))
    child.emit("report")
  })
  const next = async () => {
    while (inbox.length === 0) await once(child, "report")
    return inbox.shift()
  }
  const endedFirst = ended.then((how) => {
    throw new Error(how)
  })
  endedFirst.catch(() => {})

  /** @type {Started} */
  const started = {
    pid: child.pid ?? Number.NaN,
    whileRunning: (promise) => Promise.race([promise, endedFirst]),
    send: (message) => child.send(message),
    expect: async (kind) => {
      const report = await within(`"${kind}" of ${args.join(" ")}`, started.whileRunning(next()))
      if (report?.kind !== kind) throw new Error(`${args.join(" ")}: ${JSON.stringify(report)} instead of "${kind}"`)
      return report.kind === "sent" ? report.times : []
    },
    stop: async () => {
      child.kill("SIGTERM")
      await Promise.race([ended, sleep(5000, undefined, { ref: false })])
      child.kill("SIGKILL")
      await ended
      running.delete(started)
    }
  }
  running.add(started)
  return started
}

export const startOwn = (/** @type {ReadonlyArray<string>} */ args) => start(args, { reports: true })

export const startSilent = (/** @type {ReadonlyArray<string>} */ args, /** @type {string | undefined} */ program) =>
  start(args, { reports: false, ...(program === undefined ? {} : { program }) })

/** Ends whatever is still there. */
export const stopAll = () => Promise.all(Array.from(running, (process) => process.stop()))

/** The CPU time of a process itself, without what it started, in milliseconds. Linux counts it in steps of 10 ms. */
export const cpuTime = (/** @type {number} */ pid) => {
  const [, fields = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")
  const [user, system] = fields.split(" ").slice(11, 13).map(Number)
  return 10 * ((user ?? Number.NaN) + (system ?? Number.NaN))
}

/** How many descriptors a process has open. */
export const openDescriptors = (/** @type {number} */ pid) => readdirSync(`/proc/${pid}/fd`).length

/** The resident memory of a process, in MB. */
export const residentMemory = (/** @type {number} */ pid) => {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
  if (kilobytes === undefined) throw new Error(`no VmRSS for ${pid}`)
  return Number(kilobytes) / 1024
}
