import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Schedule from "effect/Schedule"
import * as Metrics from "../Metrics.ts"
import * as CannotStart from "./CannotStart.ts"
import type { Exit, Program, SpawnError, Spawned, Spawner } from "./Spawner.ts"

/** How long the start of a script is retried while it is open for writing. A copy onto it takes less time. */
const busyFor = Duration.seconds(1)

const whileBusy = Schedule.spaced("20 millis").pipe(
  Schedule.upTo(busyFor),
  Schedule.whileInput(({ code }: SpawnError) => code === "ETXTBSY")
)

/** Starts a program. A text file without a `#!` line is run by /bin/sh, as a shell would do. */
const spawnOnce = (spawner: Spawner["Type"], program: Program, onExit: (exit: Exit) => void) =>
  Effect.catchAll(spawner.spawn(program, onExit), (error) =>
    error.code === "ENOEXEC" && CannotStart.isText(program.path)
      ? spawner.spawn({ ...program, path: "/bin/sh", args: [program.path, ...program.args] }, onExit)
      : Effect.fail(error)
  )

const spawn = (spawner: Spawner["Type"], program: Program, onExit: (exit: Exit) => void) => {
  const once = spawnOnce(spawner, program, onExit)
  return Effect.catchAll(once, (error) =>
    error.code === "ETXTBSY" ? Effect.retry(once, whileBusy) : Effect.fail(error)
  )
}

/** A script was not started. The message says why and what to do. */
export class CannotStartError extends Data.TaggedError("CannotStartError")<{ readonly message: string }> {}

/** How long des still reads output after the exit, from a child that holds the stream open, in milliseconds. */
const lingering = 1000

/**
 * A script's process, which runs or has ended. Its outputs end with it, or at most `lingering` later.
 *
 * - `exit`: is done when the process has ended.
 * - `release`: cleans up after the process has ended. A process group whose leader failed gets SIGTERM.
 */
export interface ScriptProcess extends Spawned {
  readonly exit: Deferred.Deferred<Exit>
  readonly release: Effect.Effect<void>
}

/** Sends a signal to a process group. A group without a process is no error. */
const signalGroup = (group: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(-group, signal)
  } catch {
    // The group is gone.
  }
}

/** Sends a signal to a script and every process in its group, and waits until the script has ended. */
export const kill = ({ exit, pid }: ScriptProcess, signal: NodeJS.Signals): Effect.Effect<void> =>
  Effect.suspend(() => {
    signalGroup(pid, signal)
    return Effect.asVoid(Deferred.await(exit))
  })

/** Starts a script. Whoever starts it must wait for its exit, and then release it. */
export const start = (spawner: Spawner["Type"], program: Program): Effect.Effect<ScriptProcess, CannotStartError> =>
  Effect.suspend(() => {
    const exit = Deferred.unsafeMake<Exit>(FiberId.none)
    let close = () => {}
    let timer: NodeJS.Timeout | undefined
    const onExit = (how: Exit) => {
      Deferred.unsafeDone(exit, Effect.succeed(how))
      timer = setTimeout(() => close(), lingering)
    }
    return Effect.mapBoth(spawn(spawner, program, onExit), {
      onFailure: (error) => new CannotStartError({ message: CannotStart.explain(program.path, error) }),
      onSuccess: (spawned) => {
        Metrics.spawned(spawner.name)
        close = () => {
          clearTimeout(timer)
          spawned.stdout.close()
          spawned.stderr.close()
        }
        const release = Effect.map(Deferred.await(exit), ({ code }) => {
          if (code !== 0) signalGroup(spawned.pid, "SIGTERM")
          close()
        })
        return { ...spawned, exit, release }
      }
    })
  })
