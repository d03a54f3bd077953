import { constants } from "node:os"
import type { LibC } from "./LibC.ts"
import * as ProcessGroup from "./ProcessGroup.ts"
import type { Exit } from "./Spawner.ts"

/** A flag of waitpid(2): return at once, even if nothing has ended. */
const WNOHANG = 1

/** How often the reaper looks for ended processes without a signal, in milliseconds. */
const lookEvery = 1000

const signalName = (number: number): Exit["signal"] & string =>
  (Object.entries(constants.signals) as Array<[NodeJS.Signals, number]>).find(([, value]) => value === number)?.[0] ??
  "an unknown signal"

/** Decodes a status of waitpid(2). */
export const exitOf = (status: number): Exit => {
  const signal = status & 0x7f
  return signal === 0 ? { code: (status >> 8) & 0xff } : { signal: signalName(signal) }
}

/** Waits for processes that Node did not start. */
export interface Reaper {
  /** Calls back once, when this child of des has ended. */
  readonly watch: (pid: number, onExit: (exit: Exit) => void) => void
  /** Stops reaping after the last watched process has ended. To stop earlier would let its waiter wait for ever. */
  readonly close: () => void
}

/**
 * Reaps only the process ids that it was given, because Node reaps its own children. If des is the first process of a
 * container it also reaps orphans, because nobody else does.
 */
export const make = (libC: LibC, options: { readonly adoptsOrphans: boolean }): Reaper => {
  const watched = new Map<number, (exit: Exit) => void>()
  const status: [number] = [0]
  let timer: NodeJS.Timeout | undefined
  let zombies: ReadonlySet<string> = new Set()
  let isClosed = false

  const reap = () => {
    for (const [pid, onExit] of watched) {
      const ended = libC.waitpid(pid, status, WNOHANG)
      if (ended === 0) continue
      watched.delete(pid)
      // Another part of the program has reaped it. This can happen only where des is used as a library.
      onExit(ended === pid ? exitOf(status[0]) : { signal: "an unknown signal" })
    }
  }

  /**
   * Reaps the zombies that are still there at a second look. Node reaps its own children as soon as they end, so these
   * are orphans.
   */
  const reapOrphans = () => {
    const found = ProcessGroup.zombiesOf(process.pid).filter(({ pid }) => !watched.has(pid))
    for (const { pid, startedAt } of found) {
      if (zombies.has(`${pid} ${startedAt}`)) libC.waitpid(pid, status, WNOHANG)
    }
    zombies = new Set(found.map(({ pid, startedAt }) => `${pid} ${startedAt}`))
  }

  const isIdle = () => watched.size === 0 && (isClosed || zombies.size === 0)

  /** Stops the timer. While a process runs, the timer keeps Node from exiting, as a child of Node's own would. */
  const stopLooking = () => {
    clearInterval(timer)
    timer = undefined
    if (isClosed) process.off("SIGCHLD", onChild)
  }

  const lookLater = () => {
    timer ??= setInterval(look, lookEvery)
  }

  const look = () => {
    reap()
    if (options.adoptsOrphans) reapOrphans()
    if (isIdle()) stopLooking()
  }

  const onChild = () => {
    reap()
    if (options.adoptsOrphans && !isClosed) lookLater()
    else if (isIdle()) stopLooking()
  }
  process.on("SIGCHLD", onChild)

  return {
    watch: (pid, onExit) => {
      watched.set(pid, onExit)
      lookLater()
    },
    close: () => {
      isClosed = true
      if (isIdle()) stopLooking()
    }
  }
}
