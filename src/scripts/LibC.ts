import { createRequire } from "node:module"

/** Memory that the C library allocated. The garbage collector does not move it. */
export type Pointer = { readonly __pointer: unique symbol }

/**
 * The functions of the C library that des starts scripts with. Each returns what it returns in C: 0, an error number,
 * or -1.
 */
export interface LibC {
  readonly memfdCreate: (name: string, flags: number) => number
  readonly pipe2: (ends: [number, number], flags: number) => number
  readonly fcntl: (descriptor: number, command: number, type: "int", argument: number) => number
  readonly posixSpawn: (
    pid: [number],
    path: string,
    actions: Pointer,
    attributes: Pointer,
    argv: ReadonlyArray<string | null>,
    environment: ReadonlyArray<string | null>
  ) => number
  readonly actionsInit: (actions: Pointer) => number
  readonly actionsAddDup2: (actions: Pointer, from: number, to: number) => number
  /** glibc has it since 2.34; musl does not. */
  readonly actionsAddCloseFrom: ((actions: Pointer, from: number) => number) | undefined
  readonly actionsDestroy: (actions: Pointer) => number
  readonly attributesInit: (attributes: Pointer) => number
  readonly attributesSetFlags: (attributes: Pointer, flags: number) => number
  readonly attributesSetDefault: (attributes: Pointer, signals: Pointer) => number
  readonly attributesSetMask: (attributes: Pointer, signals: Pointer) => number
  readonly sigfillset: (signals: Pointer) => number
  readonly sigemptyset: (signals: Pointer) => number
  readonly waitpid: (pid: number, status: [number], options: number) => number
  /** The error number of the last function that returned -1. */
  readonly errno: () => number
  /** Allocates memory that is never freed. */
  readonly allocate: (bytes: number) => Pointer
}

/** The functions of koffi's native part that des uses. */
interface Koffi {
  readonly load: (library: null) => { readonly func: (definition: string) => never }
  readonly alloc: (type: string, length: number) => Pointer
  readonly errno: () => number
}

const bind = (koffi: Koffi): LibC => {
  // `null` means this process, and so the C library that Node itself uses.
  const library = koffi.load(null)
  const optional = (definition: string) => {
    try {
      return library.func(definition)
    } catch {
      return undefined
    }
  }
  return {
    memfdCreate: library.func("int memfd_create(const char *name, unsigned int flags)"),
    pipe2: library.func("int pipe2(_Out_ int *ends, int flags)"),
    fcntl: library.func("int fcntl(int descriptor, int command, ...)"),
    posixSpawn: library.func(
      "int posix_spawn(_Out_ int *pid, const char *path, void *actions, void *attributes, const char **argv, const char **environment)"
    ),
    actionsInit: library.func("int posix_spawn_file_actions_init(void *actions)"),
    actionsAddDup2: library.func("int posix_spawn_file_actions_adddup2(void *actions, int from, int to)"),
    actionsAddCloseFrom: optional("int posix_spawn_file_actions_addclosefrom_np(void *actions, int from)"),
    actionsDestroy: library.func("int posix_spawn_file_actions_destroy(void *actions)"),
    attributesInit: library.func("int posix_spawnattr_init(void *attributes)"),
    attributesSetFlags: library.func("int posix_spawnattr_setflags(void *attributes, short flags)"),
    attributesSetDefault: library.func("int posix_spawnattr_setsigdefault(void *attributes, void *signals)"),
    attributesSetMask: library.func("int posix_spawnattr_setsigmask(void *attributes, void *signals)"),
    sigfillset: library.func("int sigfillset(void *signals)"),
    sigemptyset: library.func("int sigemptyset(void *signals)"),
    waitpid: library.func("int waitpid(int pid, _Out_ int *status, int options)"),
    errno: koffi.errno,
    allocate: (bytes) => koffi.alloc("uint8_t", bytes)
  }
}

/** The platforms for which the package has a native part, and des knows the sizes of the C library's structures. */
const platforms = ["linux-x64", "linux-arm64"]

/**
 * Loads the C library of this process. Throws if it cannot be called. The native part is a separate package for each
 * platform, so no script runs at install. des does not need the rest of koffi.
 */
export const load = (): LibC => {
  const platform = `${process.platform}-${process.arch}`
  if (!platforms.includes(platform)) throw new Error(`des has no native part for ${platform}`)
  return bind(createRequire(import.meta.url)(`@koromix/koffi-${platform}`))
}
