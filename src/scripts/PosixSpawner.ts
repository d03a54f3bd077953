import { closeSync } from "node:fs"
import { constants } from "node:os"
import { isMainThread } from "node:worker_threads"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Descriptors from "./Descriptors.ts"
import * as LibC from "./LibC.ts"
import * as OutputPipe from "./OutputPipe.ts"
import * as Reaper from "./Reaper.ts"
import { type Exit, type Program, SpawnError, type Spawned, Spawner, spawnErrorOf } from "./Spawner.ts"

// Numbers of the C library on Linux. They are the same on every platform that LibC.ts knows.
const O_CLOEXEC = 0o2000000
const O_NONBLOCK = 0o4000
const F_SETFD = 2
const FD_CLOEXEC = 1
const F_SETFL = 4
const F_ADD_SEALS = 1033
/** F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_WRITE: nobody can change the file any more. */
const sealed = 0x1 | 0x2 | 0x4 | 0x8
const MFD_CLOEXEC = 0x1
const MFD_ALLOW_SEALING = 0x2
/** Linux 6.3 and later: the file can never be executed. A hardened system may require this. */
const MFD_NOEXEC_SEAL = 0x8
const POSIX_SPAWN_SETSIGDEF = 0x04
const POSIX_SPAWN_SETSIGMASK = 0x08
const POSIX_SPAWN_SETSID = 0x80

/**
 * More than the largest of these structures needs, in bytes: posix_spawnattr_t is 336, a signal set 128, the actions
 * 80.
 */
const structureBytes = 1024

const names = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]))

const failed = (errno: number, call: string): SpawnError => {
  const code = names.get(errno) ?? `error ${errno}`
  return new SpawnError({ code, detail: `${call} ${code}` })
}

/**
 * The attributes of a script's process: its own session without a terminal, every signal at its default, no signal
 * blocked.
 */
const makeAttributes = (libC: LibC.LibC): LibC.Pointer => {
  const attributes = libC.allocate(structureBytes)
  const signals = libC.allocate(structureBytes)
  libC.attributesInit(attributes)
  libC.attributesSetFlags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK)
  libC.sigfillset(signals)
  libC.attributesSetDefault(attributes, signals)
  libC.sigemptyset(signals)
  libC.attributesSetMask(attributes, signals)
  return attributes
}

/** Opens the descriptors for one start, and closes all of them if the start fails. */
const makeOpener = (libC: LibC.LibC) => {
  const opened = new Set<number>()
  const own = (descriptor: number, what: string): number => {
    if (descriptor === -1) throw failed(libC.errno(), what)
    opened.add(descriptor)
    return descriptor
  }
  return {
    /** Opens a file in memory that has these bytes and cannot be changed. Its reader begins at the first byte. */
    openRecord: (bytes: Uint8Array): number => {
      const flags = MFD_CLOEXEC | MFD_ALLOW_SEALING
      const hardened = libC.memfdCreate("des-record", flags | MFD_NOEXEC_SEAL)
      const descriptor = own(hardened === -1 ? libC.memfdCreate("des-record", flags) : hardened, "memfd_create")
      Descriptors.writeFromStart(descriptor, bytes)
      libC.fcntl(descriptor, F_ADD_SEALS, "int", sealed)
      return descriptor
    },
    /** Opens a pipe whose reading end does not block. */
    openPipe: (): readonly [read: number, write: number] => {
      const ends: [number, number] = [-1, -1]
      if (libC.pipe2(ends, O_CLOEXEC) === -1) throw failed(libC.errno(), "pipe2")
      libC.fcntl(own(ends[0], "pipe2"), F_SETFL, "int", O_NONBLOCK)
      return [ends[0], own(ends[1], "pipe2")]
    },
    close: (descriptor: number) => {
      opened.delete(descriptor)
      closeSync(descriptor)
    },
    closeAll: () => Descriptors.closeAll(opened)
  }
}

const make = Effect.gen(function* () {
  const libC = yield* Effect.try({
    try: () => {
      // Only the main thread learns from Node that a child has ended.
      if (!isMainThread) throw new Error("this is not the main thread")
      return LibC.load()
    },
    catch: spawnErrorOf
  })
  const attributes = makeAttributes(libC)
  const actions = libC.allocate(structureBytes)
  const reaper = yield* Effect.acquireRelease(
    Effect.sync(() => Reaper.make(libC, { adoptsOrphans: process.pid === 1 })),
    ({ close }) => Effect.sync(close)
  )
  if (libC.actionsAddCloseFrom === undefined) {
    // Descriptors that des opens later close by themselves when a program starts.
    for (const descriptor of Descriptors.inheritable()) libC.fcntl(descriptor, F_SETFD, "int", FD_CLOEXEC)
  }

  /** Starts a program with these three descriptors and no other. Throws if the system does not start it. */
  const execute = (program: Program, descriptors: ReadonlyArray<number>): number => {
    const environment: Array<string | null> = []
    for (const [name, value] of program.environment) environment.push(`${name}=${value}`)
    environment.push(null)
    const argv = [program.path, ...program.args, null]
    const pid: [number] = [0]
    libC.actionsInit(actions)
    try {
      descriptors.forEach((descriptor, target) => {
        libC.actionsAddDup2(actions, descriptor, target)
      })
      libC.actionsAddCloseFrom?.(actions, descriptors.length)
      const error = libC.posixSpawn(pid, program.path, actions, attributes, argv, environment)
      if (error !== 0) throw failed(error, "posix_spawn")
      return pid[0]
    } finally {
      libC.actionsDestroy(actions)
    }
  }

  const start = (program: Program, onExit: (exit: Exit) => void): Spawned => {
    const opener = makeOpener(libC)
    try {
      const stdin = opener.openRecord(program.stdin)
      const [stdout, writeStdout] = opener.openPipe()
      const [stderr, writeStderr] = opener.openPipe()
      if (program.owner !== undefined) Descriptors.give([stdin, writeStdout, writeStderr], program.owner)
      const pid = execute(program, [stdin, writeStdout, writeStderr])
      for (const descriptor of [stdin, writeStdout, writeStderr]) opener.close(descriptor)
      reaper.watch(pid, onExit)
      return { pid, stdout: OutputPipe.ofDescriptor(stdout), stderr: OutputPipe.ofDescriptor(stderr) }
    } catch (error) {
      opener.closeAll()
      throw error
    }
  }

  return {
    name: "posix_spawn" as const,
    spawn: (program: Program, onExit: (exit: Exit) => void) =>
      Effect.try({
        try: () => start(program, onExit),
        catch: (error) => (error instanceof SpawnError ? error : spawnErrorOf(error))
      })
  }
})

/**
 * Starts scripts with the C library's posix_spawn. It does not copy des's memory, so a start takes the same time
 * however much memory des uses. The layer fails if posix_spawn cannot be called.
 */
export const layer: Layer.Layer<Spawner, SpawnError> = Layer.scoped(Spawner, make)
