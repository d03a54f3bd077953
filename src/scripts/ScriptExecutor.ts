import type * as Command from "@effect/platform/Command"
import * as CommandExecutor from "@effect/platform/CommandExecutor"
import { BadArgument, type PlatformError, SystemError } from "@effect/platform/Error"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import type { OutputPipe } from "./OutputPipe.ts"
import * as ScriptProcess from "./ScriptProcess.ts"
import { type Exit, type Owner, type Program, Spawner } from "./Spawner.ts"

/** Reads the next bytes of an output. It fails with none at the end. */
export type Pull = Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<PlatformError>>

/** The process of a script. Its outputs can be read without a stream, which would cost a third of a short run. */
interface Script extends CommandExecutor.Process {
  readonly pulls: { readonly stdout: Pull; readonly stderr: Pull }
}

/** True if this executor started the process. Its outputs then keep all bytes until they are read, also after the end. */
export const isScript = (process: CommandExecutor.Process): process is Script => "pulls" in process

/** Reads an output of a process with `use`. */
export const read = (
  process: CommandExecutor.Process,
  output: "stdout" | "stderr",
  use: (pull: Pull) => Effect.Effect<void>
): Effect.Effect<void> =>
  isScript(process) ? use(process.pulls[output]) : Effect.scoped(Effect.flatMap(Stream.toPull(process[output]), use))

const pullOf = (output: OutputPipe): Pull => {
  const readable = Effect.async<void>((resume) => output.whenReadable(() => resume(Effect.void)))
  const pull: Pull = Effect.suspend(() => {
    const found = output.read()
    if (found === "end") return Effect.fail(Option.none())
    return found === "nothing yet" ? Effect.zipRight(readable, pull) : Effect.succeed(Chunk.of(found))
  })
  return pull
}

const couldNotStart = (path: string, error: ScriptProcess.CannotStartError) =>
  new SystemError({
    reason: "Unknown",
    module: "Command",
    method: "spawn",
    pathOrDescriptor: path,
    description: error.message,
    cause: error
  })

const unsupported = (description: string) => new BadArgument({ module: "Command", method: "start", description })

type Input = Pick<Program, "owner" | "stdin">

/** The inputs that {@link inputOf} made. */
const inputs = new WeakMap<Command.Command.Input & object, Input>()

/**
 * A whole stdin for a command, and the user to whom it and the outputs belong. This executor takes the bytes as they are;
 * every other one reads the stream.
 */
export const inputOf = (stdin: Uint8Array, owner?: Owner): Stream.Stream<Uint8Array> => {
  const input = Stream.make(stdin)
  inputs.set(input, { stdin, owner })
  return input
}

/** Reads the whole stdin of a command, because a script gets all of it before it starts. */
const readInput = ({ stdin }: Command.StandardCommand): Effect.Effect<Input, PlatformError> => {
  if (stdin === "pipe") return Effect.succeed({ stdin: new Uint8Array() })
  if (stdin === "inherit") return unsupported("a script does not get the stdin of des")
  const input = inputs.get(stdin)
  if (input !== undefined) return Effect.succeed(input)
  return Effect.map(Stream.runCollect(stdin), (pieces) => ({ stdin: Buffer.concat(Chunk.toReadonlyArray(pieces)) }))
}

/** Translates a command. Fails if it asks for something that a script cannot have. */
const programOf = (command: Command.Command): Effect.Effect<Program, PlatformError> => {
  if (command._tag === "PipedCommand") return unsupported("a script is one command, not a pipeline")
  const { args, command: path, cwd, env, extendEnv, shell } = command
  if (extendEnv) return unsupported("a script has its own environment, not that of des")
  if (shell !== false || Option.isSome(cwd))
    return unsupported("a script is started without a shell, in the working directory of des")
  if (command.stdout !== "pipe" || command.stderr !== "pipe") return unsupported("des reads the output of a script")
  return Effect.map(readInput(command), (input) => ({ path, args, environment: env, ...input }))
}

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

const processOf = (path: string, script: ScriptProcess.ScriptProcess): Script => {
  const { exit, pid } = script
  const pulls = { stdout: pullOf(script.stdout), stderr: pullOf(script.stderr) }
  return {
    ...Inspectable.BaseProto,
    [CommandExecutor.ProcessTypeId]: CommandExecutor.ProcessTypeId,
    pid: CommandExecutor.ProcessId(pid),
    exitCode: Effect.flatMap(Deferred.await(exit), (how) => codeOf(path, how)),
    isRunning: Effect.negate(Deferred.isDone(exit)),
    kill: (signal = "SIGTERM") => ScriptProcess.kill(script, signal),
    // The script got its whole stdin before it started.
    stdin: Sink.drain,
    get stdout() {
      return Stream.fromPull(Effect.succeed(pulls.stdout))
    },
    get stderr() {
      return Stream.fromPull(Effect.succeed(pulls.stderr))
    },
    pulls,
    toJSON: () => ({ pid, path })
  }
}

/** Cleans up after a script. If it still runs, its whole process group gets SIGTERM. */
const release = (script: ScriptProcess.ScriptProcess) =>
  Effect.flatMap(Deferred.isDone(script.exit), (hasEnded) =>
    hasEnded ? script.release : Effect.zipRight(ScriptProcess.kill(script, "SIGTERM"), script.release)
  )

const start =
  (spawner: Spawner["Type"]) =>
  (command: Command.Command): Effect.Effect<CommandExecutor.Process, PlatformError, Scope.Scope> =>
    Effect.flatMap(programOf(command), (program) =>
      Effect.acquireRelease(
        Effect.mapError(ScriptProcess.start(spawner, program), (error) => couldNotStart(program.path, error)),
        release
      ).pipe(Effect.map((script) => processOf(program.path, script)))
    )

/**
 * An executor for scripts only. Each command is one program in its own session. It gets its whole stdin before it
 * starts, and des reads its output.
 */
export const layer: Layer.Layer<CommandExecutor.CommandExecutor, never, Spawner> = Layer.effect(
  CommandExecutor.CommandExecutor,
  Effect.map(Spawner, (spawner) => CommandExecutor.makeExecutor(start(spawner)))
)
