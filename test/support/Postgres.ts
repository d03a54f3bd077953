/**
 * Private PostgreSQL clusters for tests: each has its own folder, socket and port, waits for the disk as in production (fsync), and shares
 * nothing with a PostgreSQL of the machine. Run what uses them with the live clock (`it.scopedLive`).
 */

import { type ChildProcess, execFile, spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as V from "vitest"
import { freePort } from "./FreePort.ts"
import { poll } from "./Poll.ts"
import * as TempFolder from "./TempFolder.ts"

/** A command of PostgreSQL that failed. */
export class PostgresError extends Data.TaggedError("PostgresError")<{ readonly message: string }> {}

/** A private cluster that runs. */
export interface Postgres {
  /** Its folder, with its log in the file `log`. */
  readonly dir: string
  /** The folder of its data. */
  readonly data: string
  readonly port: number
  /** The URL of its database over TCP, as its superuser. */
  readonly url: string
  /** The URL of a new, empty database over TCP, as its superuser. */
  readonly freshUrl: Effect.Effect<string, PostgresError>
  /** Runs SQL with psql, as the superuser, and gives what it printed. */
  readonly psql: (sql: string, database?: string) => Effect.Effect<string, PostgresError>
  /** Ends the cluster as a crash does: KILL to the postmaster and to all its processes. */
  readonly kill9: Effect.Effect<void>
  /** Ends the cluster at once and cleanly, as `pg_ctl stop -m fast`. */
  readonly stop: Effect.Effect<void>
  /** Starts the cluster again, and waits until it answers. */
  readonly start: Effect.Effect<void, PostgresError>
  /** Makes a standby the primary, and waits until it takes writes. */
  readonly promote: Effect.Effect<void, PostgresError>
}

/** The folder with PostgreSQL's programs; none if it is not installed. Debian has a folder for each version. */
const programs = ((): string | undefined => {
  const debian = "/usr/lib/postgresql"
  const versions = Fs.existsSync(debian)
    ? Fs.readdirSync(debian).toSorted((one, other) => Number(other) - Number(one))
    : []
  return versions.map((version) => `${debian}/${version}/bin`).find((dir) => Fs.existsSync(`${dir}/initdb`))
})()

const program = (name: string): string => Path.join(programs ?? "", name)

/** PostgreSQL refuses to run as root. */
const asUser = process.getuid?.() === 0 ? ["runuser", "-u", "postgres", "--"] : []

/** Why no cluster can be started here; none if one can. */
export const unavailable: string | undefined = programs === undefined ? "not installed: postgresql" : undefined

/** Groups tests of a real PostgreSQL. Where none can run they are skipped with the reason, or fail when DES_REQUIRE_ENGINES is 1. */
export const describePostgres = (name: string, tests: () => void): void => {
  if (unavailable === undefined) return void V.describe(name, tests)
  if (process.env["DES_REQUIRE_ENGINES"] === "1") {
    return void V.describe(name, () => V.it("can be started", () => V.assert.fail(unavailable)))
  }
  V.describe.skip(`${name} (${unavailable})`, tests)
}

const exec = (name: string, args: ReadonlyArray<string>, as: ReadonlyArray<string> = []) =>
  Effect.async<string, PostgresError>((resume) => {
    const [command = "", ...all] = [...as, program(name), ...args]
    const child = execFile(command, all, { cwd: "/", maxBuffer: 67_108_864 }, (error, stdout, stderr) => {
      if (error === null) resume(Effect.succeed(stdout))
      else resume(Effect.fail(new PostgresError({ message: `${name}: ${stderr.trim() || error.message}` })))
    })
    child.stdin?.end()
  })

const superuser = "postgres"

/** Starts a cluster for the scope. `settings` are more lines of its configuration. With `standbyOf` it is a copy that follows another one. */
export const postgres = (
  options: { readonly settings?: ReadonlyArray<string>; readonly standbyOf?: Postgres } = {}
): Effect.Effect<Postgres, PostgresError, Scope.Scope> =>
  Effect.gen(function* () {
    const dir = yield* TempFolder.make("postgres")
    const port = yield* freePort
    const [data, log] = [Path.join(dir, "data"), Path.join(dir, "log")]
    const [, , user] = asUser
    // The server is another user and needs the way into its folder.
    Fs.chmodSync(dir, 0o755)
    Fs.mkdirSync(data, { mode: 0o700 })
    if (user !== undefined) yield* Effect.promise(() => chown(user, dir, data))
    yield* options.standbyOf === undefined
      ? exec("initdb", ["-D", data, "-A", "trust", "-U", superuser, "-E", "UTF8", "--locale=C", "--no-sync"], asUser)
      : exec("pg_basebackup", ["-D", data, "-R", "--no-sync", "-c", "fast", "-d", options.standbyOf.url], asUser)
    Fs.appendFileSync(
      Path.join(data, "postgresql.conf"),
      [
        `port = ${port}`,
        "listen_addresses = '127.0.0.1'",
        `unix_socket_directories = '${dir}'`,
        "shared_buffers = 32MB",
        "max_connections = 60",
        ...(options.settings ?? []),
        ""
      ].join("\n")
    )
    const connection = ["-h", dir, "-p", String(port), "-U", superuser]
    const psql: Postgres["psql"] = (sql, database = "postgres") =>
      exec("psql", [...connection, "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", sql])
    let server: ChildProcess | undefined

    const begin = Effect.sync(() => {
      const output = Fs.openSync(log, "a")
      const [command = "", ...args] = [...asUser, program("postgres"), "-D", data]
      server = spawn(command, args, { cwd: "/", stdio: ["ignore", output, output] })
      Fs.closeSync(output)
    })
    const start = Effect.gen(function* () {
      yield* begin
      if (yield* poll(Effect.isSuccess(exec("pg_isready", ["-q", ...connection])), 30_000)) return
      yield* new PostgresError({ message: `PostgreSQL does not start: ${Fs.readFileSync(log, "utf8")}` })
    })
    /** The first line of this file is the process id of the postmaster; runuser is its parent. */
    const postmaster = (): number | undefined => {
      const file = Path.join(data, "postmaster.pid")
      return Fs.existsSync(file) ? Number(Fs.readFileSync(file, "utf8").split("\n")[0]) : undefined
    }
    const end = (name: "SIGINT" | "SIGKILL") =>
      Effect.promise(async () => {
        const running = server
        const pid = postmaster()
        server = undefined
        if (running === undefined || pid === undefined || running.exitCode !== null) return
        const closed = once(running, "close")
        const children = name === "SIGKILL" ? childrenOf(pid) : []
        for (const one of [pid, ...children]) kill(one, name)
        await closed
      })
    yield* Effect.acquireRelease(start, () => end("SIGINT"))
    let databases = 0

    return {
      dir,
      data,
      port,
      url: `postgresql://${superuser}@127.0.0.1:${port}/postgres`,
      freshUrl: Effect.suspend(() => {
        const name = `fresh${++databases}`
        return Effect.as(psql(`CREATE DATABASE ${name}`), `postgresql://${superuser}@127.0.0.1:${port}/${name}`)
      }),
      psql,
      kill9: end("SIGKILL"),
      stop: end("SIGINT"),
      start,
      promote: Effect.asVoid(psql("SELECT pg_promote()"))
    }
  })

const kill = (pid: number, name: NodeJS.Signals): void => {
  try {
    process.kill(pid, name)
  } catch {
    // It has ended by itself.
  }
}

const childrenOf = (parent: number): ReadonlyArray<number> =>
  Fs.readdirSync("/proc").flatMap((name) => {
    try {
      const stat = Fs.readFileSync(`/proc/${name}/stat`, "utf8")
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === parent ? [Number(name)] : []
    } catch {
      return []
    }
  })

const chown = (user: string, ...paths: ReadonlyArray<string>): Promise<void> =>
  new Promise((resolve, reject) =>
    execFile("chown", [user, ...paths], (error) => (error === null ? resolve() : reject(error)))
  )
