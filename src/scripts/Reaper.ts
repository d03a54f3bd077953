import { constants } from "node:os"
import type { LibC } from "./LibC.ts"
import * as ProcessGroup from "./ProcessGroup.ts"
import type { Exit } from "./Spawner.ts"

/** Of waitpid(2): answer at once, also where nothing has ended. */
const WNOHANG = 1

/** How often it is looked whether something has ended where no signal said so, in milliseconds. */
const lookEvery = 1000

const signalName = (number: number): Exit["signal"] & string =>
  (Object.entries(constants.signals) as Array<[NodeJS.Signals, number]>).find(([, value]) => value === number)?.[0] ??
  "an unknown signal"

/** A status of waitpid(2). */
export const exitOf = (status: number): Exit => {
  const signal = status & 0x7f
  return signal === 0 ? { code: (status >> 8) & 0xff } : { signal: signalName(signal) }
}

/** Waits for processes that Node did not start. */
export interface Reaper {
  /** Calls back once, when this child of des has ended. */
  readonly watch: (pid: number, onExit: (exit: Exit) => void) => void
  /** Ends with the last process that is watched: whoever waits for it would wait for ever. */
  readonly close: () => void
}

/**
 * Waits for the ids that it was given and for no other, since those of Node's own children are Node's. Where des is the first
 * process of a container it also takes away what was orphaned there: nobody else does.
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
      // Somebody else has waited for it, which only a program can do that des is a part of.
      onExit(ended === pid ? exitOf(status[0]) : { signal: "an unknown signal" })
    }
  }

  /** Node takes its own children away as soon as it hears of them: what is still there at a second look is nobody's. */
  const reapOrphans = () => {
    const found = ProcessGroup.zombiesOf(process.pid).filter(({ pid }) => !watched.has(pid))
    for (const { pid, startedAt } of found) {
      if (zombies.has(`${pid} ${startedAt}`)) libC.waitpid(pid, status, WNOHANG)
    }
    zombies = new Set(found.map(({ pid, startedAt }) => `${pid} ${startedAt}`))
  }

  const isIdle = () => watched.size === 0 && (isClosed || zombies.size === 0)

  /** While something runs the timer keeps Node from ending, as a child of its own would. */
  const rest = () => {
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
    if (isIdle()) rest()
  }

  const onChild = () => {
    reap()
    if (options.adoptsOrphans && !isClosed) lookLater()
    else if (isIdle()) rest()
  }
  process.on("SIGCHLD", onChild)

  return {
    watch: (pid, onExit) => {
      watched.set(pid, onExit)
      lookLater()
    },
    close: () => {
      isClosed = true
      if (isIdle()) rest()
    }
  }
}
