import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type { OutputPipe } from "./OutputPipe.ts"

/** A program that is to be started: its path, its arguments, its whole environment, and all that it can read from stdin. */
export interface Program {
  readonly path: string
  readonly args: ReadonlyArray<string>
  readonly environment: Iterable<readonly [name: string, value: string]>
  readonly stdin: Uint8Array
}

/** How a process ended: with an exit code, or by a signal. */
export type Exit =
  | { readonly code: number; readonly signal?: never }
  | { readonly code?: never; readonly signal: NodeJS.Signals | "an unknown signal" }

/** A process that was started. It leads a session and a process group of its own, whose id is its own. */
export interface Spawned {
  readonly pid: number
  readonly stdout: OutputPipe
  readonly stderr: OutputPipe
}

/** The system did not start a program: `code` is the name of its error, such as `ENOENT`. */
export class SpawnError extends Data.TaggedError("SpawnError")<{ readonly code: string; readonly detail?: string }> {}

/** What an error of Node's says, where a system call failed. */
export const spawnErrorOf = (error: unknown): SpawnError => {
  const code = error instanceof Error && "code" in error ? String(error.code) : "UNKNOWN"
  return new SpawnError({ code, detail: error instanceof Error ? error.message : String(error) })
}

/**
 * Starts one program as a process of its own session. Its stdin is a file that is complete before it starts, its outputs
 * are pipes, and no other descriptor of des reaches it.
 */
export class Spawner extends Context.Tag("des/Spawner")<
  Spawner,
  {
    /** The system's way that it takes. */
    readonly name: "posix_spawn" | "child_process"
    /**
     * Starts a program, once: it is done or has failed when the effect ends, and cannot be interrupted in between. `onExit` is
     * called once, after that.
     */
    readonly spawn: (program: Program, onExit: (exit: Exit) => void) => Effect.Effect<Spawned, SpawnError>
  }
>() {}
