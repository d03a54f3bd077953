import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { OutputPipe } from "./OutputPipe.ts"

/**
 * A program to start: its path, its arguments, its whole environment, and its whole stdin. `owner` is the user to whom its
 * stdin and its outputs belong (default: des's user), so that a program that becomes this user can open them again.
 */
export interface Program {
  readonly path: string
  readonly args: ReadonlyArray<string>
  readonly environment: Iterable<readonly [name: string, value: string]>
  readonly stdin: Uint8Array
  readonly owner?: Owner | undefined
}

/** A user and its primary group. */
export interface Owner {
  readonly uid: number
  readonly gid: number
}

/** How a process ended: with an exit code, or by a signal. */
export type Exit =
  | { readonly code: number; readonly signal?: never }
  | { readonly code?: never; readonly signal: NodeJS.Signals | "an unknown signal" }

/** A process that was started. It leads its own session and process group; the id of both is its process id. */
export interface Spawned {
  readonly pid: number
  readonly stdout: OutputPipe
  readonly stderr: OutputPipe
}

/** The system did not start a program: `code` is the name of its error, such as `ENOENT`. */
export class SpawnError extends Data.TaggedError("SpawnError")<{ readonly code: string; readonly detail?: string }> {}

/** Converts an error of Node, as a failed system call throws it. */
export const spawnErrorOf = (error: unknown): SpawnError => {
  const code = error instanceof Error && "code" in error ? String(error.code) : "UNKNOWN"
  return new SpawnError({ code, detail: error instanceof Error ? error.message : String(error) })
}

/**
 * Starts programs, each as a process in its own session. Its stdin is a file that is complete before it starts, its
 * outputs are pipes, and it gets no other descriptor of des.
 */
export class Spawner extends Context.Tag("des/Spawner")<
  Spawner,
  {
    /** Which way of starting processes it uses. */
    readonly name: "posix_spawn" | "child_process"
    /**
     * Starts a program. It cannot be interrupted: when the effect ends, the program has started or the start has
     * failed. `onExit` is called once, after the process has ended.
     */
    readonly spawn: (program: Program, onExit: (exit: Exit) => void) => Effect.Effect<Spawned, SpawnError>
  }
>() {}
