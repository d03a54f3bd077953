/** A private ssh server on a port of 127.0.0.1, with keys of its own, and an ssh command that knows it. */

import { execFileSync, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { poll } from "./Poll.ts"
import * as TempFolder from "./TempFolder.ts"

export interface SshServer {
  readonly dir: string
  readonly port: number
  /** A folder for the front of PATH: its ssh has this server's configuration, keys and known hosts, where ssh would take those of the user's home. */
  readonly bin: string
  /** What the file of known hosts has; an empty text makes the server unknown. */
  readonly knownHosts: string
  readonly setKnownHosts: (text: string) => void
  /** Ends the sessions that are open, as a restart of the host does. */
  readonly endSessions: () => void
  /** The ssh commands that still run for this server, by what they were called with. */
  readonly clients: () => ReadonlyArray<string>
}

/** Whether something listens on a port of 127.0.0.1. */
export const connects = (port: number): Effect.Effect<boolean> =>
  Effect.async((resume) => {
    const socket = Net.connect(port, "127.0.0.1")
    const answer = (holds: boolean) => {
      socket.destroy()
      resume(Effect.succeed(holds))
    }
    socket.once("connect", () => answer(true)).once("error", () => answer(false))
    return Effect.sync(() => socket.destroy())
  })

/** A port that nothing listens on now. */
export const freePort: Effect.Effect<number> = Effect.async((resume) => {
  const server = Net.createServer()
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    server.close(() => resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0)))
  })
})

const readProc = (name: string): string => {
  try {
    return Fs.readFileSync(`/proc/${name}`, "utf8")
  } catch {
    // A process that has just ended has no such file any more.
    return ""
  }
}

const pids = (): ReadonlyArray<string> => Fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name))

const commands = (): ReadonlyArray<string> =>
  pids().map((pid) => readProc(`${pid}/cmdline`).replaceAll("\0", " ").trim())

/** The children of a process. */
const childrenOf = (parent: number): ReadonlyArray<number> =>
  pids()
    .filter((pid) => Number(/\) \S (\d+) /.exec(readProc(`${pid}/stat`))?.[1]) === parent)
    .map(Number)

/** Starts a server for the scope, which only root can. `environment` is what its sessions get. Its alias for ssh is `des-engine`. */
export const sshServer = (
  environment: Readonly<Record<string, string>>
): Effect.Effect<SshServer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const port = yield* freePort
    const dir = yield* TempFolder.make("ssh")
    const file = (name: string) => Path.join(dir, name)
    for (const key of ["host", "user"]) execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file(key)])
    const knownHosts = `[127.0.0.1]:${port} ${Fs.readFileSync(file("host.pub"), "utf8")}`
    Fs.writeFileSync(file("known_hosts"), knownHosts)
    Fs.writeFileSync(
      file("sshd_config"),
      `ListenAddress 127.0.0.1
Port ${port}
HostKey ${file("host")}
AuthorizedKeysFile ${file("user.pub")}
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
SetEnv ${Object.entries(environment)
        .map(([name, value]) => `"${name}=${value}"`)
        .join(" ")}
`
    )
    Fs.writeFileSync(
      file("ssh_config"),
      `Host des-engine
  HostName 127.0.0.1
  Port ${port}
  User root
Host *
  IdentityFile ${file("user")}
  IdentitiesOnly yes
  UserKnownHostsFile ${file("known_hosts")}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
`
    )
    const bin = file("bin")
    Fs.mkdirSync(bin)
    const ssh = execFileSync("sh", ["-c", "command -v ssh"], { encoding: "utf8" }).trim()
    Fs.writeFileSync(`${bin}/ssh`, `#!/bin/sh\nexec ${ssh} -F ${file("ssh_config")} "$@"\n`, { mode: 0o755 })
    // Where sshd puts its processes that have no privileges.
    Fs.mkdirSync("/run/sshd", { recursive: true })
    const server = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn("/usr/sbin/sshd", ["-D", "-e", "-f", file("sshd_config")], {
          stdio: ["ignore", "ignore", Fs.openSync(file("log"), "a")]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGTERM"))
    )
    if (!(yield* poll(connects(port), 10_000))) {
      return yield* Effect.dieMessage(`sshd did not start: ${Fs.readFileSync(file("log"), "utf8")}`)
    }
    return {
      dir,
      port,
      bin,
      knownHosts,
      setKnownHosts: (text) => Fs.writeFileSync(file("known_hosts"), text),
      endSessions: () => {
        for (const pid of childrenOf(server.pid ?? -1)) process.kill(pid, "SIGKILL")
      },
      clients: () => commands().filter((command) => command.includes(file("ssh_config")))
    }
  })
