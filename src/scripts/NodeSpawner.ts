import * as ChildProcess from "node:child_process"
import { randomUUID } from "node:crypto"
import { closeSync, constants, openSync, unlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Descriptors from "./Descriptors.ts"
import * as Fifos from "./Fifos.ts"
import * as OutputPipe from "./OutputPipe.ts"
import { type Exit, type Program, type SpawnError, type Spawned, Spawner, spawnErrorOf } from "./Spawner.ts"

/** Where the file with the record is created: in memory, or else on the disk. */
const places = ["/dev/shm", tmpdir()]

const openFileIn = (place: string, bytes: Uint8Array): number => {
  const path = join(place, `des-${randomUUID()}`)
  const descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600)
  try {
    unlinkSync(path)
    Descriptors.writeFromStart(descriptor, bytes)
    return descriptor
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

/** Opens a file without a name that has these bytes. Its reader begins at the first byte. */
const openFileOf = (bytes: Uint8Array): number => {
  let failure: unknown
  for (const place of places) {
    try {
      return openFileIn(place, bytes)
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

/**
 * Returns a function that takes the FIFOs for stdout and stderr. It returns `undefined` if the system has no FIFOs. If
 * des has too many open files it throws instead, so that the next run tries FIFOs again. A FIFO that is not `shared` is used
 * once: another user owned it, whose processes could still read what a later run writes.
 */
const makeOutputs = (
  fifos: ReturnType<typeof Fifos.make>
): ((shared: boolean) => readonly [Fifos.Ends, Fifos.Ends] | undefined) => {
  let hasFifos = process.platform === "linux"
  const usedOnce = (ends: Fifos.Ends): Fifos.Ends => ({ ...ends, giveBack: () => ends.giveBack(false) })
  return (shared) => {
    if (!hasFifos) return undefined
    let first: Fifos.Ends | undefined
    try {
      first = fifos.take()
      const second = fifos.take()
      return shared ? [first, second] : [usedOnce(first), usedOnce(second)]
    } catch (error) {
      if (first !== undefined) {
        Descriptors.closeAll([first.read, first.write])
        first.giveBack(true)
      }
      if (["EMFILE", "ENFILE"].includes(spawnErrorOf(error).code)) throw error
      hasFifos = false
      return undefined
    }
  }
}

const exitOf = (code: number | null, signal: NodeJS.Signals | null): Exit =>
  code === null ? { signal: signal ?? "an unknown signal" } : { code }

/** Replaces every descriptor that des inherited by `instead`. Without this, Node would pass them to the script. */
const hide = (inherited: ReadonlyArray<number>, instead: number): ReadonlyArray<number | "ignore"> =>
  Array.from({ length: Math.max(2, ...inherited) - 2 }, (_, at) => (inherited.includes(at + 3) ? instead : "ignore"))

const make = Effect.gen(function* () {
  const fifos = yield* Effect.acquireRelease(Effect.sync(Fifos.make), ({ close }) => Effect.sync(close))
  const takeOutputs = makeOutputs(fifos)
  const nothing = yield* Effect.acquireRelease(
    Effect.sync(() => openSync("/dev/null", "r")),
    (descriptor) => Effect.sync(() => closeSync(descriptor))
  )
  const hidden = hide(Descriptors.inheritable(), nothing)

  const spawn = (program: Program, onExit: (exit: Exit) => void): Effect.Effect<Spawned, SpawnError> =>
    Effect.async((resume) => {
      // Descriptors that the script gets, and that des closes after the start.
      const given: Array<number> = []
      let pipes: ReadonlyArray<OutputPipe.OutputPipe> = []
      const fail = (error: unknown) => {
        // Nobody can write any more, so the FIFOs can be used again.
        Descriptors.closeAll(given.splice(0))
        for (const pipe of pipes) {
          pipe.read()
          pipe.close()
        }
        resume(Effect.fail(spawnErrorOf(error)))
      }
      try {
        given.push(openFileOf(program.stdin))
        const ends = takeOutputs(program.owner === undefined)
        given.push(...(ends ?? []).map(({ write }) => write))
        pipes = (ends ?? []).map(({ giveBack, read }) => OutputPipe.ofDescriptor(read, giveBack))
        if (program.owner !== undefined) Descriptors.give(given, program.owner)
        const [stdin = "ignore", stdout = "pipe", stderr = "pipe"] = given
        const child = ChildProcess.spawn(program.path, program.args, {
          stdio: [stdin, stdout, stderr, ...hidden],
          env: Object.fromEntries(program.environment),
          detached: true
        })
        Descriptors.closeAll(given.splice(0))
        // Also for a child that was started: without a listener, a later error event would end des.
        child.on("error", child.pid === undefined ? fail : () => undefined)
        child.on("exit", (code, signal) => onExit(exitOf(code, signal)))
        if (child.pid !== undefined) resume(Effect.succeed(spawnedOf(child, child.pid, pipes)))
      } catch (error) {
        fail(error)
      }
    })

  return { name: "child_process" as const, spawn }
})

const spawnedOf = (
  child: ChildProcess.ChildProcess,
  pid: number,
  pipes: ReadonlyArray<OutputPipe.OutputPipe>
): Spawned => {
  const sockets = [child.stdout, child.stderr].flatMap((socket) =>
    socket === null ? [] : [OutputPipe.ofSocket(socket)]
  )
  const [stdout = OutputPipe.none, stderr = OutputPipe.none] = [...pipes, ...sockets]
  return { pid, stdout, stderr }
}

/**
 * Starts scripts with Node's child_process, on systems where posix_spawn cannot be called. Node gives its children
 * sockets instead of pipes. des gives them FIFOs, if the system has FIFOs.
 */
export const layer: Layer.Layer<Spawner> = Layer.scoped(Spawner, make)
