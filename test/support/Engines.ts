/**
 * Private, real engines for tests: each has its own folder, socket, images and containers, and shares none of them with the machine's engines.
 * Run what uses them with the live clock (`it.scopedLive`): they wait for real processes.
 */

import { type ChildProcess, execFile, execFileSync, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { poll } from "./Poll.ts"
import { containerProcesses, own, processes, signal, sweep, sweepAbandoned } from "./Sweep.ts"
import * as TempFolder from "./TempFolder.ts"

/** An engine that could not be started, or a command or request to it that failed. */
export class EngineError extends Data.TaggedError("EngineError")<{ readonly message: string }> {}

/** The engines that tests can start. */
export type EngineName = "dockerd" | "podman"

/** A private engine that runs. */
export interface Engine {
  readonly name: EngineName
  /** Its folder, with all that it owns and its log in the file `log`. */
  readonly dir: string
  readonly socket: string
  readonly endpoint: string
  /** Runs the engine's own command line client and gives what it wrote to stdout. */
  readonly cli: (...args: ReadonlyArray<string>) => Effect.Effect<string, EngineError>
  /** Asks the engine for a path and gives the whole body of the answer. */
  readonly get: (path: string) => Effect.Effect<string, EngineError>
  /** Makes an image that has busybox and its commands in /bin. */
  readonly importImage: (tag: string) => Effect.Effect<void, EngineError>
  /** Ends the engine as a crash does. Its containers keep running. */
  readonly kill9: Effect.Effect<void>
  /** Stops the engine with SIGSTOP: its sockets stay open and take connections, but nothing is answered. */
  readonly freeze: Effect.Effect<void>
  /** Continues a frozen engine. */
  readonly thaw: Effect.Effect<void>
  /** Ends the engine with SIGTERM, if it runs, and starts it again with the same data. */
  readonly restart: Effect.Effect<void, EngineError>
}

/** How to start an engine differently; all that has a default fits most tests. */
export interface EngineOptions {
  /** More arguments for the engine, such as a second `-H` or `--live-restore`. */
  readonly args?: ReadonlyArray<string>
  /** Starts the engine in a network namespace of its own, in which it may make bridges and rules for packets. */
  readonly ownNetwork?: boolean
}

interface Kind {
  readonly name: EngineName
  readonly configure: (dir: string) => Record<string, string>
  readonly serve: (dir: string, socket: string) => ReadonlyArray<string>
  readonly client: (dir: string, socket: string) => readonly [command: string, ...args: ReadonlyArray<string>]
}

const path = [process.env["PATH"], "/usr/sbin", "/sbin"].join(":")

const programs: Record<EngineName, ReadonlyArray<string>> = {
  dockerd: ["dockerd", "containerd", "containerd-shim-runc-v2", "runc", "docker", "busybox", "tar", "umount"],
  podman: ["podman", "conmon", "runc", "busybox", "tar", "umount"]
}

/** Whether a program is installed. */
export const isProgram = (name: string): boolean => path.split(":").some((dir) => Fs.existsSync(Path.join(dir, name)))

/** Whether an engine can be started here, and `also` these programs, and the reason when they cannot. */
export const engineAvailable = (
  name: EngineName,
  also: ReadonlyArray<string> = []
): { readonly available: true } | { readonly available: false; readonly reason: string } => {
  const missing = [...programs[name], ...also].filter((program) => !isProgram(program))
  if (missing.length > 0) return { available: false, reason: `not installed: ${missing.join(", ")}` }
  if (process.getuid?.() !== 0) return { available: false, reason: "not root" }
  return { available: true }
}

const exec = (
  command: string,
  args: ReadonlyArray<string>,
  env: NodeJS.ProcessEnv,
  what = [command, ...args]
): Effect.Effect<string, EngineError> =>
  Effect.async((resume, abort) => {
    const options = { env, signal: abort, killSignal: "SIGKILL", maxBuffer: 64 * 1024 * 1024 } as const
    const child = execFile(command, [...args], options, (error, stdout, stderr) => {
      if (error === null) return resume(Effect.succeed(stdout))
      const message = `${what.join(" ")}: ${stderr.trim() || `ended with ${error.code ?? error.signal}`}`
      resume(Effect.fail(new EngineError({ message })))
    })
    child.stdin?.end()
  })

const get = (socketPath: string, path: string): Effect.Effect<string, EngineError> =>
  Effect.async((resume) => {
    const failed = (reason: string) => resume(Effect.fail(new EngineError({ message: `GET ${path}: ${reason}` })))
    const request = Http.get({ socketPath, path, agent: false }, (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on("error", (error) => failed(error.message))
      response.on("end", () => {
        const body = Buffer.concat(chunks).toString("utf8")
        if (response.statusCode === 200) resume(Effect.succeed(body))
        else failed(`${response.statusCode} ${body.trim()}`)
      })
    })
    request.on("error", (error) => failed(error.message))
    return Effect.sync(() => request.destroy())
  })

const runs = (child: ChildProcess): boolean =>
  child.pid !== undefined && child.exitCode === null && child.signalCode === null

const send = (child: ChildProcess, name: NodeJS.Signals): Effect.Effect<void> =>
  Effect.suspend(() => (child.pid !== undefined && runs(child) ? signal(child.pid, name) : Effect.void))

/** TERM, then KILL when it is still there after `grace` milliseconds; `meanwhile` runs again and again between them. */
const stop = (child: ChildProcess, grace: number, meanwhile: Effect.Effect<void> = Effect.void): Effect.Effect<void> =>
  Effect.gen(function* () {
    const ended = Effect.sync(() => !runs(child))
    yield* send(child, "SIGTERM")
    if (yield* poll(Effect.zipRight(meanwhile, ended), grace)) return
    yield* send(child, "SIGKILL")
    yield* poll(ended, 10_000)
  })

/**
 * dockerd's containerd dies with it. Where process 1 is slow to reap the dead, the next dockerd would take that containerd for running, wait
 * for it and give up, as long as the file with its pid is there.
 */
const forgetContainerd = (dir: string): Effect.Effect<void> =>
  Effect.gen(function* () {
    const file = `${dir}/exec/containerd/containerd.pid`
    if (!Fs.existsSync(file)) return
    const pid = Number(Fs.readFileSync(file, "utf8"))
    const dead = yield* poll(
      Effect.sync(() => !processes(dir).includes(pid)),
      2_000
    )
    if (dead) yield* Effect.sync(() => Fs.rmSync(file, { force: true }))
  })

const busybox = (dir: string, env: NodeJS.ProcessEnv): Effect.Effect<string, EngineError> =>
  Effect.gen(function* () {
    const root = `${dir}/busybox`
    const tar = `${dir}/busybox.tar`
    if (Fs.existsSync(tar)) return tar
    const names = (yield* exec("busybox", ["--list"], env))
      .split("\n")
      .filter((name) => !["", "busybox"].includes(name))
    const binary = (yield* exec("sh", ["-c", "command -v busybox"], env)).trim()
    yield* Effect.sync(() => {
      Fs.mkdirSync(`${root}/bin`, { recursive: true })
      Fs.mkdirSync(`${root}/tmp`)
      Fs.copyFileSync(binary, `${root}/bin/busybox`)
      for (const name of names) Fs.symlinkSync("busybox", `${root}/bin/${name}`)
    })
    yield* exec("tar", ["-C", root, "-cf", tar, "."], env)
    return tar
  })

const start = (kind: Kind, options: EngineOptions = {}): Effect.Effect<Engine, EngineError, Scope.Scope> =>
  Effect.gen(function* () {
    yield* sweepAbandoned(Os.tmpdir())
    let child: ChildProcess | undefined
    const dir = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const dir = TempFolder.makeSync(kind.name)
        own(dir)
        return dir
      }),
      (dir) => {
        // Containers that ignore TERM would make the engine wait ten seconds for each.
        const endContainers = Effect.suspend(() =>
          Effect.forEach(containerProcesses(dir), (pid) => signal(pid, "SIGKILL"), { discard: true })
        )
        return Effect.zipRight(child === undefined ? Effect.void : stop(child, 10_000, endContainers), sweep(dir))
      }
    )
    const socket = `${dir}/engine.sock`
    const log = `${dir}/log`
    // HOME marks every process of this engine, see Sweep.ts.
    const env = { PATH: path, HOME: dir, TMPDIR: dir, ...kind.configure(dir) }

    const launch = Effect.gen(function* () {
      const launched = yield* Effect.sync(() => {
        const output = Fs.openSync(log, "a")
        const args = [...kind.serve(dir, socket), ...(options.args ?? [])]
        const [command, before] = options.ownNetwork === true ? ["unshare", ["--net", kind.name]] : [kind.name, []]
        child = spawn(command, [...before, ...args], { cwd: dir, env, stdio: ["ignore", output, output] })
        child.once("error", (error) => Fs.appendFileSync(log, `${error.message}\n`))
        Fs.closeSync(output)
        return child
      })
      const settled = get(socket, "/_ping").pipe(
        Effect.timeout("2 seconds"),
        Effect.isSuccess,
        Effect.map((answered) => answered || !runs(launched))
      )
      const inTime = yield* poll(settled, 30_000)
      if (inTime && runs(launched)) return
      const tail = Fs.readFileSync(log, "utf8").trim().split("\n").slice(-20).join("\n")
      const reason = inTime ? `ended with ${launched.exitCode ?? launched.signalCode}` : "did not answer in time"
      return yield* Effect.fail(new EngineError({ message: `${kind.name} ${reason}:\n${tail}` }))
    })

    const [command, ...flags] = kind.client(dir, socket)
    const cli = (...args: ReadonlyArray<string>) => exec(command, [...flags, ...args], env, [command, ...args])

    yield* launch
    return {
      name: kind.name,
      dir,
      socket,
      endpoint: `unix://${socket}`,
      cli,
      get: (path) => get(socket, path),
      importImage: (tag) => Effect.flatMap(busybox(dir, env), (tar) => cli("import", tar, tag)),
      kill9: Effect.gen(function* () {
        if (child === undefined || !runs(child)) return
        const killed = child
        yield* send(killed, "SIGKILL")
        yield* poll(
          Effect.sync(() => !runs(killed)),
          10_000
        )
        yield* forgetContainerd(dir)
      }),
      freeze: Effect.suspend(() => (child === undefined ? Effect.void : send(child, "SIGSTOP"))),
      thaw: Effect.suspend(() => (child === undefined ? Effect.void : send(child, "SIGCONT"))),
      restart: Effect.suspend(() => Effect.zipRight(child === undefined ? Effect.void : stop(child, 30_000), launch))
    }
  })

/** Starts a private dockerd for the scope: no bridge, no iptables, images and containers as plain directories. */
export const dockerd = (options?: EngineOptions): Effect.Effect<Engine, EngineError, Scope.Scope> =>
  start(
    {
      name: "dockerd",
      configure: (dir) => {
        // Only 20.10 knows this setting, and only it would write a key to /etc/docker.
        const version = execFileSync("dockerd", ["--version"], { env: { PATH: path }, encoding: "utf8" })
        const settings = version.includes(" 20.10.") ? { "deprecated-key-path": `${dir}/key.json` } : {}
        Fs.writeFileSync(`${dir}/daemon.json`, JSON.stringify(settings))
        return { DOCKER_CONFIG: `${dir}/client` }
      },
      serve: (dir, socket) => [
        ...["--config-file", `${dir}/daemon.json`, "--data-root", `${dir}/data`, "--exec-root", `${dir}/exec`],
        ...["--pidfile", `${dir}/pid`, "-H", `unix://${socket}`, "--storage-driver=vfs", "--bridge=none"],
        ...["--iptables=false", "--ip6tables=false", "--exec-opt", "native.cgroupdriver=cgroupfs"],
        ...["--cgroup-parent", `/${Path.basename(dir)}`]
      ],
      client: (_dir, socket) => ["docker", "-H", `unix://${socket}`]
    },
    options
  )

const podmanFlags = (dir: string): ReadonlyArray<string> => [
  ...["--root", `${dir}/root`, "--runroot", `${dir}/run`, "--tmpdir", `${dir}/tmp`, "--storage-driver", "vfs"],
  ...["--network-config-dir", `${dir}/net`, "--cgroup-manager", "cgroupfs", "--events-backend", "file"],
  ...["--runtime", `${dir}/runc`]
]

/** What podman has no flag for. Without it events, locks and storage options are the machine's. */
const podmanConf = (dir: string): string =>
  `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
netns = "none"
[engine]
events_logfile_path = "${dir}/events.log"
lock_type = "file"
`

const podmanStorage = (dir: string): string =>
  `[storage]
driver = "vfs"
graphroot = "${dir}/root"
runroot = "${dir}/run"
`

/** Starts a private podman service for the scope. Its containers have no network and few files and processes unless told otherwise. */
export const podman = (options?: EngineOptions): Effect.Effect<Engine, EngineError, Scope.Scope> =>
  start(
    {
      name: "podman",
      configure: (dir) => {
        Fs.writeFileSync(`${dir}/containers.conf`, podmanConf(dir))
        Fs.writeFileSync(`${dir}/storage.conf`, podmanStorage(dir))
        // runc keeps its state in /run/runc, which all engines share, unless every call says otherwise.
        Fs.writeFileSync(`${dir}/runc`, `#!/bin/sh\nexec runc --root ${dir}/runc-state "$@"\n`, { mode: 0o755 })
        return { CONTAINERS_CONF: `${dir}/containers.conf`, CONTAINERS_STORAGE_CONF: `${dir}/storage.conf` }
      },
      serve: (dir, socket) => [...podmanFlags(dir), "system", "service", "--time=0", `unix://${socket}`],
      client: (dir) => ["podman", ...podmanFlags(dir)]
    },
    options
  )
