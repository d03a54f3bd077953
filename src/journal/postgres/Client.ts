import { readFileSync, statSync } from "node:fs"
import { isIP, Socket } from "node:net"
import { type ConnectionOptions, checkServerIdentity } from "node:tls"
import * as Reactivity from "@effect/experimental/Reactivity"
import * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import pg from "pg"
import * as Conninfo from "./Conninfo.ts"

/**
 * For how long a connection may be silent while a statement runs, in milliseconds. Then it counts as cut: a network that drops everything
 * says nothing. The server ends the statement after the same time.
 */
const longestSilence = 5000

/** The same for who only reads the history, which can be long. */
const longestRead = 60_000

/** How long des tries to connect to a server, in milliseconds. */
const connectPatience = 2000

/** How long a connection stays open that nobody uses, in milliseconds. It is less than {@link longestSilence}. */
const idleFor = 3000

/** How many connections one des has at most, beside the one for its lease. */
const mostConnections = 8

/** How long a transaction may wait for des, in milliseconds. A node that stands still must not keep rows locked. */
const longestPause = 1000

/** The numbers of the journal fit into a double: they count rows, bytes and milliseconds. */
const types = {
  getTypeParser: (id: number, format?: "text" | "binary") =>
    id === pg.types.builtins.INT8 || id === pg.types.builtins.NUMERIC ? Number : pg.types.getTypeParser(id, format)
} as pg.CustomTypesConfig

const read = (file: string | undefined) => (file === undefined ? undefined : readFileSync(file))

const sslOf = (tls: Conninfo.Tls, host: Conninfo.Host): ConnectionOptions => {
  const ca = read(tls.rootCertificate)
  const cert = read(tls.certificate)
  const key = read(tls.key)
  return {
    rejectUnauthorized: tls.verify !== "nothing",
    // A name for SNI cannot be an address (RFC 6066).
    servername: isIP(host.name) === 0 ? host.name : "",
    checkServerIdentity: (_, certificate) =>
      tls.verify === "name" ? checkServerIdentity(host.name, certificate) : undefined,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key })
  }
}

/** The password of a password file. As for libpq, a file that others can read does not count. */
const filedPassword = (info: Conninfo.Conninfo, host: Conninfo.Host): string | undefined => {
  try {
    if ((statSync(info.passfile).mode & 0o077) !== 0) return undefined
    return Conninfo.passwordIn(readFileSync(info.passfile, "utf8"), info, host)
  } catch {
    return undefined
  }
}

/** A socket that ends by itself when nothing comes for too long. */
const socket = (silence: number): Socket => {
  const made = new Socket()
  made.setTimeout(silence, () => made.destroy(new Error(`the database is silent for ${silence / 1000} seconds`)))
  return made
}

/** Chooses among the hosts of a database: the next one after a failure. */
export interface Hosts {
  readonly info: Conninfo.Conninfo
  readonly current: () => Conninfo.Host
  readonly failed: (host: Conninfo.Host) => void
}

export const makeHosts = (info: Conninfo.Conninfo): Hosts => {
  let at = 0
  const current = () => info.hosts[at % info.hosts.length] ?? info.hosts[0]
  return {
    info,
    current,
    failed: (host) => {
      if (current() === host) at++
    }
  }
}

/** The settings of one connection to a host. */
const settings = ({ info }: Hosts, host: Conninfo.Host, silence: number): pg.ClientConfig => {
  const password = info.password ?? filedPassword(info, host)
  return {
    host: host.name,
    port: host.port,
    user: info.user,
    database: info.database,
    // Without a password here, the client would look for one itself, in other places than these.
    password: password ?? "",
    ssl: info.tls === undefined ? false : sslOf(info.tls, host),
    stream: () => socket(silence),
    statement_timeout: silence,
    keepAlive: true,
    connectionTimeoutMillis: connectPatience,
    idle_in_transaction_session_timeout: longestPause,
    application_name: "des",
    types
  }
}

/** Opens one connection. It refuses a server that takes no writes, as a standby does, and lets the next host be tried. */
export const connect = (hosts: Hosts): Effect.Effect<pg.Client, SqlError, Scope.Scope> =>
  Effect.suspend(() => {
    const host = hosts.current()
    const fail = (cause: unknown) => {
      hosts.failed(host)
      return new SqlError({ cause, message: "cannot connect" })
    }
    return Effect.acquireRelease(
      Effect.tryPromise({
        try: async () => {
          const client = new pg.Client(settings(hosts, host, longestSilence))
          // What breaks the connection also ends the statement that runs.
          client.on("error", () => undefined)
          await client.connect()
          return client
        },
        catch: fail
      }),
      (client) => Effect.sync(() => void client.end().catch(() => undefined))
    )
  })

/** What a connection is for: `work` is refused by a standby, which takes no writes. */
type Use = "work" | "history"

/** Makes the pool for statements. Each new connection goes to the host that is the current one. */
const makePool = (hosts: Hosts, use: Use): pg.Pool => {
  class HostClient extends pg.Client {
    readonly fail: () => void
    constructor() {
      const host = hosts.current()
      super(settings(hosts, host, use === "work" ? longestSilence : longestRead))
      this.fail = () => hosts.failed(host)
      this.on("error", this.fail)
    }
  }
  const refuseStandby = (client: pg.PoolClient, done: (error?: Error) => void) => {
    client.query<{ standby: boolean }>("SELECT pg_is_in_recovery() AS standby").then(({ rows }) => {
      if (rows[0]?.standby !== true) return done()
      if (client instanceof HostClient) client.fail()
      done(new Error("it is a standby, and takes no writes"))
    }, done)
  }
  const pool = new pg.Pool({
    Client: HostClient,
    max: mostConnections,
    idleTimeoutMillis: idleFor,
    connectionTimeoutMillis: connectPatience,
    allowExitOnIdle: true,
    ...(use === "work" ? { verify: refuseStandby } : {})
  } as pg.PoolConfig)
  // An idle connection that breaks is replaced.
  pool.on("error", () => undefined)
  return pool
}

/** The client for statements. */
export const make = (hosts: Hosts, use: Use = "work"): Effect.Effect<SqlClient.SqlClient, SqlError, Scope.Scope> =>
  PgClient.fromPool({
    acquire: Effect.acquireRelease(
      Effect.sync(() => makePool(hosts, use)),
      (pool) =>
        Effect.ignore(
          Effect.timeout(
            Effect.promise(() => pool.end()),
            "2 seconds"
          )
        ).pipe(Effect.interruptible)
    )
  }).pipe(Effect.provide(Reactivity.layer))

/** Tries each of several hosts once, until one takes writes. If none does, statements fail with the reason of the first. */
const choose = (hosts: Hosts): Effect.Effect<void> => {
  const isPrimary = Effect.gen(function* () {
    const host = hosts.current()
    const client = yield* connect(hosts)
    const { rows } = yield* Effect.promise(() =>
      client.query<{ standby: boolean }>("SELECT pg_is_in_recovery() AS standby")
    )
    if (rows[0]?.standby !== true) return true
    hosts.failed(host)
    return false
  }).pipe(
    Effect.scoped,
    Effect.catchAllCause(() => Effect.succeed(false))
  )
  return Effect.gen(function* () {
    if (hosts.info.hosts.length === 1) return
    for (const _ of hosts.info.hosts) if (yield* isPrimary) return
  })
}

/** The database of a connection, for short reads and writes beside a des that runs. */
export const layer = (info: Conninfo.Conninfo): Layer.Layer<SqlClient.SqlClient, SqlError> => {
  const hosts = makeHosts(info)
  return Layer.scoped(SqlClient.SqlClient, Effect.zipRight(choose(hosts), make(hosts, "history")))
}
