import type * as Command from "@effect/platform/Command"
import * as CommandExecutor from "@effect/platform/CommandExecutor"
import { BadArgument, type PlatformError, SystemError } from "@effect/platform/Error"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import * as CannotStart from "./CannotStart.ts"
import type { OutputPipe } from "./OutputPipe.ts"
import { type Exit, type Program, type SpawnError, type Spawned, Spawner } from "./Spawner.ts"

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

const reasons: Readonly<Record<string, SystemError["reason"]>> = {
  ENOENT: "NotFound",
  EACCES: "PermissionDenied",
  EPERM: "PermissionDenied",
  ETXTBSY: "Busy"
}

const couldNotStart = (path: string, error: SpawnError) =>
  new SystemError({
    reason: reasons[error.code] ?? "Unknown",
    module: "Command",
    method: "spawn",
    pathOrDescriptor: path,
    description: CannotStart.explain(path, error),
    cause: error
  })

const unsupported = (description: string) => new BadArgument({ module: "Command", method: "start", description })

/** Reads the whole stdin of a command, because a script gets all of it before it starts. */
const readInput = ({ stdin }: Command.StandardCommand): Effect.Effect<Uint8Array, PlatformError> => {
  if (stdin === "pipe") return Effect.succeed(new Uint8Array())
  if (stdin === "inherit") return unsupported("a script does not get the stdin of des")
  return Effect.map(Stream.runCollect(stdin), (pieces) => Buffer.concat(Chunk.toReadonlyArray(pieces)))
}

/** Translates a command. Fails if it asks for something that a script cannot have. */
const programOf = (command: Command.Command): Effect.Effect<Program, PlatformError> => {
  if (command._tag === "PipedCommand") return unsupported("a script is one command, not a pipeline")
  const { args, command: path, env, extendEnv, shell } = command
  if (extendEnv) return unsupported("a script has its own environment, not that of des")
  if (shell !== false || Option.isSome(command.cwd))
    return unsupported("a script is started without a shell, in the working directory of des")
  if (command.stdout !== "pipe" || command.stderr !== "pipe") return unsupported("des reads the output of a script")
  return Effect.map(readInput(command), (stdin) => ({ path, args, environment: env, stdin }))
}

/** The bytes of an output, as a stream. */
const streamOf = (output: OutputPipe): Stream.Stream<Uint8Array> => {
  const pull: Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<never>> = Effect.suspend(() => {
    const read = output.read()
    if (read === "end") return Effect.fail(Option.none())
    if (read !== "nothing yet") return Effect.succeed(Chunk.of(read))
    return Effect.async<void>((resume) => output.whenReadable(() => resume(Effect.void))).pipe(Effect.zipRight(pull))
  })
  return Stream.fromPull(Effect.succeed(pull))
}

/** Sends a signal to a process group. A group without a process is no error. */
const signalGroup = (group: number, signal: CommandExecutor.Signal) =>
  Effect.sync(() => {
    try {
      process.kill(-group, signal)
    } catch {
      // The group is gone.
    }
  })

const codeOf = (path: string, exit: Exit): Effect.Effect<CommandExecutor.ExitCode, PlatformError> =>
  exit.code === undefined
    ? new SystemError({
        reason: "Unknown",
        module: "Command",
        method: "exitCode",
        pathOrDescriptor: path,
        description: `a signal ended it; signal: ${exit.signal}`
      })
    : Effect.succeed(CommandExecutor.ExitCode(exit.code))

/** How long des still reads output after the exit, from a child that holds the stream open, in milliseconds. */
const lingering = 1000

/** A process that runs or has ended. Its outputs end with it, or at most `lingering` later. */
interface Running extends Spawned {
  readonly exit: Deferred.Deferred<Exit>
  readonly close: () => void
}

const run = (spawner: Spawner["Type"], program: Program): Effect.Effect<Running, SpawnError> =>
  Effect.suspend(() => {
    const exit = Deferred.unsafeMake<Exit>(FiberId.none)
    let close = () => {}
    let timer: NodeJS.Timeout | undefined
    const onExit = (how: Exit) => {
      Deferred.unsafeDone(exit, Effect.succeed(how))
      timer = setTimeout(close, lingering)
    }
    return Effect.map(spawn(spawner, program, onExit), (spawned) => {
      close = () => {
        clearTimeout(timer)
        spawned.stdout.close()
        spawned.stderr.close()
      }
      return { ...spawned, exit, close: () => close() }
    })
  })

/** Cleans up after a script: if it still runs or has failed, its whole process group gets SIGTERM. */
const release = ({ close, exit, pid }: Running) =>
  Effect.gen(function* () {
    const hasEnded = yield* Deferred.isDone(exit)
    if (!hasEnded || (yield* Deferred.await(exit)).code !== 0) yield* signalGroup(pid, "SIGTERM")
    yield* Deferred.await(exit)
    close()
  })

const processOf = (path: string, { exit, pid, stderr, stdout }: Running): CommandExecutor.Process => {
  const process = {
    [CommandExecutor.ProcessTypeId]: CommandExecutor.ProcessTypeId,
    pid: CommandExecutor.ProcessId(pid),
    exitCode: Effect.flatMap(Deferred.await(exit), (how) => codeOf(path, how)),
    isRunning: Effect.negate(Deferred.isDone(exit)),
    kill: (signal: CommandExecutor.Signal = "SIGTERM") =>
      Effect.zipRight(signalGroup(pid, signal), Effect.asVoid(Deferred.await(exit))),
    // The script got its whole stdin before it started.
    stdin: Sink.drain,
    stdout: streamOf(stdout),
    stderr: streamOf(stderr)
  } as const
  return { ...Inspectable.BaseProto, ...process, toJSON: () => ({ pid, path }) }
}

const start =
  (spawner: Spawner["Type"]) =>
  (command: Command.Command): Effect.Effect<CommandExecutor.Process, PlatformError, Scope.Scope> =>
    Effect.gen(function* () {
      const program = yield* programOf(command)
      const running = yield* Effect.acquireRelease(
        Effect.mapError(run(spawner, program), (error) => couldNotStart(program.path, error)),
        release
      )
      return processOf(program.path, running)
    })

/**
 * An executor for scripts only. Each command is one program in its own session. It gets its whole stdin before it
 * starts, and des reads its output.
 */
export const layer: Layer.Layer<CommandExecutor.CommandExecutor, never, Spawner> = Layer.effect(
  CommandExecutor.CommandExecutor,
  Effect.map(Spawner, (spawner) => CommandExecutor.makeExecutor(start(spawner)))
)
