import type * as Command from "@effect/platform/Command"
import * as CommandExecutor from "@effect/platform/CommandExecutor"
import { BadArgument, type PlatformError, SystemError } from "@effect/platform/Error"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
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

/** How long a script that is open for writing is tried again: whoever copies it in place has closed it by then. */
const busyFor = Duration.seconds(1)

const whileBusy = Schedule.spaced("20 millis").pipe(
  Schedule.upTo(busyFor),
  Schedule.whileInput(({ code }: SpawnError) => code === "ETXTBSY")
)

/** A text that does not say what runs it is run by the shell, as a shell does. */
const spawn = (spawner: Spawner["Type"], program: Program): Effect.Effect<Spawned, SpawnError> =>
  spawner.spawn(program).pipe(
    Effect.catchAll((error) =>
      error.code === "ENOEXEC" && CannotStart.isText(CannotStart.readHead(program.path))
        ? spawner.spawn({ ...program, path: "/bin/sh", args: [program.path, ...program.args] })
        : Effect.fail(error)
    ),
    Effect.retry(whileBusy)
  )

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

/** Everything that a command has on its stdin: nothing is fed to a script that runs already. */
const readInput = ({ stdin }: Command.StandardCommand): Effect.Effect<Uint8Array, PlatformError> => {
  if (stdin === "pipe") return Effect.succeed(new Uint8Array())
  if (stdin === "inherit") return unsupported("a script does not get the stdin of des")
  return Effect.map(Stream.runCollect(stdin), (pieces) => Buffer.concat(Chunk.toReadonlyArray(pieces)))
}

/** What a command asks for, where a script can have it. */
const programOf = (command: Command.Command): Effect.Effect<Program, PlatformError> => {
  if (command._tag === "PipedCommand") return unsupported("a script is one command, and no pipeline")
  const { args, command: path, env, extendEnv, shell } = command
  if (extendEnv) return unsupported("a script has its own environment, and not that of des")
  if (shell !== false || Option.isSome(command.cwd)) return unsupported("a script is started as it is, where des is")
  if (command.stdout !== "pipe" || command.stderr !== "pipe")
    return unsupported("the output of a script is read by des")
  return Effect.map(readInput(command), (stdin) => ({ path, args, environment: env, stdin }))
}

/** The bytes of an output as they come. */
const streamOf = (output: OutputPipe): Stream.Stream<Uint8Array> => {
  const pull: Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<never>> = Effect.suspend(() => {
    const read = output.read()
    if (read === "end") return Effect.fail(Option.none())
    if (read !== "nothing yet") return Effect.succeed(Chunk.of(read))
    return Effect.async<void>((resume) => output.whenReadable(() => resume(Effect.void))).pipe(Effect.zipRight(pull))
  })
  return Stream.fromPull(Effect.succeed(pull))
}

/** A group that has no process any more has nothing to be told. */
const signalGroup = (group: number, signal: CommandExecutor.Signal) =>
  Effect.sync(() => {
    try {
      process.kill(-group, signal)
    } catch {
      // It is gone.
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

/** What is left of a script when nobody wants it any more: all that runs in the group of one that did not succeed. */
const release = ({ exit, pid, stderr, stdout }: Spawned) =>
  Effect.gen(function* () {
    const hasEnded = yield* Deferred.isDone(exit)
    if (!hasEnded || (yield* Deferred.await(exit)).code !== 0) yield* signalGroup(pid, "SIGTERM")
    yield* Deferred.await(exit)
    stdout.close()
    stderr.close()
  })

const processOf = (path: string, { exit, pid, stderr, stdout }: Spawned): CommandExecutor.Process => {
  const process = {
    [CommandExecutor.ProcessTypeId]: CommandExecutor.ProcessTypeId,
    pid: CommandExecutor.ProcessId(pid),
    exitCode: Effect.flatMap(Deferred.await(exit), (how) => codeOf(path, how)),
    isRunning: Effect.negate(Deferred.isDone(exit)),
    kill: (signal: CommandExecutor.Signal = "SIGTERM") =>
      Effect.zipRight(signalGroup(pid, signal), Effect.asVoid(Deferred.await(exit))),
    // It has been given all already.
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
      const spawned = yield* Effect.acquireRelease(
        Effect.mapError(spawn(spawner, program), (error) => couldNotStart(program.path, error)),
        release
      )
      return processOf(program.path, spawned)
    })

/**
 * An executor for scripts alone: one program in a session of its own, its whole input there before it starts, its output
 * read by des.
 */
export const layer: Layer.Layer<CommandExecutor.CommandExecutor, never, Spawner> = Layer.effect(
  CommandExecutor.CommandExecutor,
  Effect.map(Spawner, (spawner) => CommandExecutor.makeExecutor(start(spawner)))
)
