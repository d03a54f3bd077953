/** A private haproxy before an engine's socket, set up as the socket proxies that people use. Run what uses it with the live clock (`it.scopedLive`). */

import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { poll } from "./Poll.ts"
import { connects, freePort } from "./SshServer.ts"
import * as TempFolder from "./TempFolder.ts"

export interface Haproxy {
  readonly endpoint: string
  /** How many feeds it has cut since nothing came on them. */
  readonly cuts: () => number
  /** The paths that it has answered itself, with 403. */
  readonly denied: () => ReadonlyArray<string>
  readonly stop: Effect.Effect<void>
  readonly start: Effect.Effect<void>
}

/** What is let through of the API, besides that nothing is let through that changes anything. */
const rules = {
  "read-only": "http-request allow if METH_GET",
  "events-only": `http-request allow if METH_GET { path -m reg -i ^(/v[\\d\\.]+)?/(events|_ping|version)$ }`
}

/** As Tecnativa's docker-socket-proxy sets it up, but for what it lets through and for how long it bears silence. */
const configuration = (options: {
  readonly port: number
  readonly socket: string
  readonly allow: keyof typeof rules
}) => `global
    log stdout format raw daemon info
    maxconn 4000
defaults
    mode http
    log global
    option httplog
    option dontlognull
    option http-server-close
    option redispatch
    retries 3
    timeout http-request 10s
    timeout queue 1m
    timeout connect 10s
    timeout client 2s
    timeout server 2s
    timeout http-keep-alive 10s
    maxconn 3000
backend dockerbackend
    server dockersocket unix@${options.socket}
frontend dockerfrontend
    bind 127.0.0.1:${options.port}
    ${rules[options.allow]}
    http-request deny
    default_backend dockerbackend
`

/** The configuration of contrib/haproxy, for another port and another socket. */
const contributed = ({ port, socket }: { readonly port: number; readonly socket: string }) =>
  Fs.readFileSync(new URL("../../contrib/haproxy/socket-proxy.cfg", import.meta.url), "utf8")
    .replace("bind :2375", `bind 127.0.0.1:${port}`)
    .replace("unix@/var/run/docker.sock", `unix@${socket}`)

/** Starts a proxy for the scope on a free port of 127.0.0.1. */
export const haproxy = (options: {
  readonly socket: string
  readonly allow: keyof typeof rules | "contrib"
}): Effect.Effect<Haproxy, never, Scope.Scope> =>
  Effect.gen(function* () {
    const port = yield* freePort
    const dir = yield* TempFolder.make("haproxy")
    const [file, log] = [Path.join(dir, "haproxy.cfg"), Path.join(dir, "log")]
    const { allow, socket } = options
    Fs.writeFileSync(file, allow === "contrib" ? contributed({ port, socket }) : configuration({ allow, port, socket }))
    const path = [process.env["PATH"], "/usr/sbin"].join(":")
    let child: ChildProcess | undefined

    const start = Effect.gen(function* () {
      const started = yield* Effect.sync(() => {
        const output = Fs.openSync(log, "a")
        child = spawn("haproxy", ["-db", "-f", file], { env: { PATH: path }, stdio: ["ignore", output, output] })
        Fs.closeSync(output)
        return child
      })
      const settled = Effect.map(connects(port), (answered) => answered || started.exitCode !== null)
      const isUp = yield* poll(settled, 10_000)
      if (!isUp || started.exitCode !== null) yield* Effect.dieMessage(`haproxy: ${Fs.readFileSync(log, "utf8")}`)
    })
    // KILL, since it lets go of the feeds that are open only then.
    const stop = Effect.suspend(() => {
      const running = child
      child = undefined
      if (running === undefined || running.exitCode !== null) return Effect.void
      const closed = once(running, "close")
      running.kill("SIGKILL")
      return Effect.asVoid(Effect.promise(() => closed))
    })
    yield* Effect.acquireRelease(start, () => stop)

    const lines = () => Fs.readFileSync(log, "utf8").split("\n")
    return {
      endpoint: `tcp://127.0.0.1:${port}`,
      // How a session ended, in haproxy's words: s or c, a timeout of the engine's side or of des's, while data was expected (D).
      cuts: () => lines().filter((line) => / [sc]D[-A-Z]{2} /.test(line) && line.includes("/events")).length,
      denied: () => lines().flatMap((line) => / 403 .* "GET (\S+) HTTP/.exec(line)?.[1] ?? []),
      stop,
      start
    }
  })
