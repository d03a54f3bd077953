/** Runs the bundled program as its users do: as a process of its own. Run what uses it with the live clock (`it.scopedLive`). */

import { spawn } from "node:child_process"
import { once } from "node:events"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { poll } from "./Poll.ts"

/** The bundle, which vitest's global setup makes before the first test. */
export const bin = Path.join(import.meta.dirname, "..", "..", "dist", "bin.js")

/** How a command is started. Of the tests' own environment it gets PATH alone. */
export interface Options {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** What it can read before the end of its input; `open` leaves the input open for {@link Program.write}. */
  readonly stdin?: string | "open"
  /** Gives it a session of its own, as a daemon has. The kernel shares the processor between sessions, not processes. */
  readonly ownSession?: boolean
  /** How many milliseconds it may take until it ends or shows what a test waits for. */
  readonly deadline?: number
}

/** What is left of a program that has ended. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  /** The text of stderr, and the same as lines. */
  readonly stderr: string
  readonly lines: ReadonlyArray<string>
}

/** A program that was started and may still run. */
export interface Program {
  readonly pid: number
  readonly stderr: Effect.Effect<string>
  readonly write: (text: string) => Effect.Effect<void>
  readonly endInput: Effect.Effect<void>
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** Waits until the program has ended; that it has not in time is a defect. */
  readonly ended: Effect.Effect<Ended>
  /** Waits until a check holds; that it does not in time, or that the program ends before, is a defect. */
  readonly until: (what: string, check: () => boolean) => Effect.Effect<void>
  /** Waits until stderr has this text, so many times where that is given. */
  readonly said: (text: string, times?: number) => Effect.Effect<void>
}

const patience = 60_000

const linesOf = (text: string): ReadonlyArray<string> => (text === "" ? [] : text.replace(/\n$/, "").split("\n"))

/** Starts a command. It is ended with the scope, and is told so first, since that is when des ends its scripts. */
export const start = (
  command: ReadonlyArray<string>,
  options: Options = {}
): Effect.Effect<Program, never, Scope.Scope> =>
  Effect.gen(function* () {
    const deadline = options.deadline ?? patience
    const output = { stdout: "", stderr: "" }
    const [file = "", ...args] = command
    const child = yield* Effect.sync(() =>
      spawn(file, args, {
        stdio: "pipe",
        detached: options.ownSession === true,
        env: { PATH: process.env["PATH"], ...options.env },
        ...(options.cwd === undefined ? {} : { cwd: options.cwd })
      })
    )
    const closed = once(child, "close")
    yield* Effect.promise(() => once(child, "spawn"))
    const pid = child.pid ?? 0
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream].setEncoding("utf8").on("data", (text: string) => {
        output[stream] += text
      })
    }
    // A program may end before it has read its input.
    child.stdin.on("error", () => undefined)
    if (options.stdin !== "open") child.stdin.end(options.stdin ?? "")

    const hasEnded = () => child.exitCode !== null || child.signalCode !== null
    const ending = Effect.promise(() => closed)
    const within = (milliseconds: number) => Effect.timeoutOption(ending, milliseconds)
    yield* Effect.addFinalizer(() =>
      Effect.gen(function* () {
        child.kill("SIGTERM")
        const ended = yield* Effect.interruptible(within(5000))
        if (ended._tag === "None") child.kill("SIGKILL")
        yield* ending
      })
    )

    const tail = () => linesOf(output.stderr).slice(-20).join("\n")
    const defect = (what: string) =>
      Effect.dieMessage(`${what}: ${command.join(" ").slice(0, 500)}\nIts stderr ends with:\n${tail()}`)
    const until = (what: string, check: () => boolean) =>
      poll(
        Effect.sync(() => check() || hasEnded()),
        deadline
      ).pipe(
        Effect.flatMap(() => {
          if (check()) return Effect.void
          return defect(`${hasEnded() ? "ended before" : "waited in vain for"} ${JSON.stringify(what)}`)
        })
      )

    return {
      pid,
      stderr: Effect.sync(() => output.stderr),
      write: (text) => Effect.sync(() => void child.stdin.write(text)),
      endInput: Effect.sync(() => void child.stdin.end()),
      kill: (signal) => Effect.sync(() => void process.kill(pid, signal)),
      ended: within(deadline).pipe(
        Effect.filterOrElse(
          (ended) => ended._tag === "Some",
          () => defect("did not end in time")
        ),
        Effect.map(() => ({
          code: child.exitCode,
          signal: child.signalCode,
          ...output,
          lines: linesOf(output.stderr)
        }))
      ),
      until,
      said: (text, times = 1) => until(text, () => output.stderr.split(text).length > times)
    }
  })

/** Runs a command to its end. */
export const run = (command: ReadonlyArray<string>, options: Options = {}): Effect.Effect<Ended> =>
  Effect.scoped(Effect.flatMap(start(command, options), (program) => program.ended))

/** The command that is des with these arguments. */
export const des = (...args: ReadonlyArray<string>): ReadonlyArray<string> => [process.execPath, bin, ...args]
