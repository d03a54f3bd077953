import { chmodSync, closeSync, existsSync, lstatSync, openSync, readdirSync, statSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import * as FileSystem from "@effect/platform/FileSystem"
import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlError from "@effect/sql/SqlError"
import * as LibsqlClient from "@effect/sql-libsql/LibsqlClient"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Trust from "../../scripts/Trust.ts"
import { JournalError } from "../Journal.ts"
import * as DiskSpace from "./DiskSpace.ts"
import * as Failure from "./Failure.ts"
import * as Migrations from "./Migrations.ts"

/**
 * The journal's file in a state directory.
 *
 * @example
 * import * as State from "docker-event-scripts/state"
 *
 * // /var/lib/des/journal.sqlite
 * export const file = State.StateDirectory.journalFile("/var/lib/des")
 *
 * @since 1.0.0
 * @category constructors
 */
export const journalFile = (directory: string): string => join(directory, "journal.sqlite")

const lockFile = (directory: string): string => join(directory, "lock.sqlite")

const pidFile = (directory: string): string => join(directory, "des.pid")

/** The files of des in the directory, and the files that SQLite puts beside a database. */
const ownFiles = (directory: string): ReadonlyArray<string> => {
  const databases = [journalFile(directory), lockFile(directory)]
  const all = readdirSync(directory).map((name) => join(directory, name))
  return all.filter((file) => file === pidFile(directory) || databases.some((database) => file.startsWith(database)))
}

/**
 * Lets no other user open the databases. A user who can read one can also lock it, and des would wait. SQLite gives the
 * files that it puts beside a database the same mode.
 */
const close = (directory: string): void => {
  for (const file of [journalFile(directory), lockFile(directory)]) {
    // Existing files are not opened: a process that closes a file loses its locks on that file (fcntl(2)).
    if (!existsSync(file)) closeSync(openSync(file, "wx", 0o600))
  }
  for (const file of ownFiles(directory)) if ((statSync(file).mode & 0o077) !== 0) chmodSync(file, 0o600)
}

const unusable = (detail: string) => new JournalError({ reason: "Unusable", detail })

const reasonOf = (error: { readonly message: string; readonly cause?: unknown }): string =>
  error.cause instanceof Error ? error.cause.message : error.message

/**
 * Creates the directory if it is missing. Refuses a directory that other users could change, because they could choose
 * what des runs.
 */
const prepare = Effect.fnUntraced(function* (directory: string) {
  const fileSystem = yield* FileSystem.FileSystem
  const refuse = (error: { readonly message: string }) =>
    unusable(
      `the state directory ${directory} cannot be used (${reasonOf(error)}). des's user must be able to create and write it`
    )
  yield* Effect.mapError(fileSystem.makeDirectory(directory, { recursive: true, mode: 0o700 }), refuse)
  const stat = yield* Effect.mapError(fileSystem.stat(directory), refuse)
  // Stricter than Trust below: no group at all may write here, since the members of a group can change.
  if ((stat.mode & 0o022) !== 0) {
    return yield* unusable(
      `the state directory ${directory} can be written by others, who could change what des runs: chmod go-w ${directory}`
    )
  }
  const attempt = <A>(look: () => A) =>
    Effect.try({ try: look, catch: (cause) => refuse(cause instanceof Error ? cause : new Error(String(cause))) })
  const trust = yield* Effect.provide(Trust.Trust, Trust.layer({ directory }))
  // Files may be left from a time when others could write to the directory. Each check includes every directory above.
  for (const file of [directory, ...(yield* attempt(() => ownFiles(directory)))]) {
    if (file !== directory && !(yield* attempt(() => lstatSync(file).isFile()))) {
      return yield* unusable(
        `the state directory ${directory} is not safe: ${file} is not a plain file; rm ${file} fixes it`
      )
    }
    yield* Effect.mapError(trust.check(file), ({ message }) =>
      unusable(`the state directory ${directory} is not safe: ${message}`)
    )
  }
  yield* attempt(() => close(directory))
})

/** Opens a database file. The client throws if it cannot open it, which becomes an error here. */
const open = (file: string): Effect.Effect<LibsqlClient.LibsqlClient, JournalError, Scope.Scope> =>
  Layer.build(LibsqlClient.layer({ url: pathToFileURL(file).href })).pipe(
    Effect.map((context) => Context.get(context, LibsqlClient.LibsqlClient)),
    Effect.catchAllDefect((defect) => Failure.explain(file)(defect))
  )

/**
 * Lets SQLite wait up to 10 seconds while another process writes. A retry does not work instead: the client leaves a
 * busy statement open, and SQLite commits nothing on a connection with an open statement.
 */
const beginPatience = (client: LibsqlClient.LibsqlClient, file: string) =>
  Failure.explained(file)(client`PRAGMA busy_timeout = 10000`)

/**
 * Locks the directory for this process. The kernel releases the lock when the process ends, however it ends. The lock
 * has its own file, so `des history` and `des retry` can use the journal meanwhile.
 */
const lock = Effect.fnUntraced(function* (directory: string) {
  const fileSystem = yield* FileSystem.FileSystem
  const file = lockFile(directory)
  const client = yield* open(file)
  const held = yield* Deferred.make<void, SqlError.SqlError>()
  yield* client.withTransaction(Effect.zipRight(Deferred.succeed(held, undefined), Effect.never)).pipe(
    Effect.catchAll((error) => Deferred.fail(held, error)),
    Effect.forkScoped
  )
  yield* Effect.catchAll(Deferred.await(held), (error) =>
    Effect.gen(function* () {
      if (!Failure.isBusy(error)) return yield* Failure.explain(file)(error)
      const pid = yield* Effect.orElseSucceed(fileSystem.readFileString(pidFile(directory)), () => "")
      const who = /^\d+\s*$/.test(pid) ? `, process ${pid.trim()}` : ""
      return yield* new JournalError({
        reason: "InUse",
        detail: `the state directory ${directory} is used by another des${who}. Stop that one, or give this one another --state`
      })
    })
  )
  yield* Effect.mapError(fileSystem.writeFileString(pidFile(directory), `${process.pid}\n`), (error) =>
    unusable(`${pidFile(directory)} cannot be written: ${reasonOf(error)}`)
  )
})

/** Refuses a damaged file. It is read as a whole for this, which takes about three seconds for 1 GiB. */
const checkPages = Effect.fnUntraced(function* (file: string) {
  const sql = yield* SqlClient.SqlClient
  const [checked] = yield* Failure.explained(file)(sql<{ quick_check: string }>`PRAGMA quick_check(1)`)
  if (checked?.quick_check !== "ok") return yield* Failure.damaged(file, checked?.quick_check ?? "it cannot be checked")
})

/** Refuses a file that is not a journal, or was written by a newer des. */
const checkKind = Effect.fnUntraced(function* (file: string) {
  const sql = yield* SqlClient.SqlClient
  const safely = Failure.explained(file)
  const [view] = yield* safely(sql<{ name: string }>`SELECT name FROM sqlite_master WHERE type = 'view'`)
  if (view !== undefined) {
    return yield* unusable(
      `${file} is not a journal of des: it has a view (${view.name}), and a journal has none. Use another --state`
    )
  }
  const [table] = yield* safely(sql`SELECT name FROM sqlite_master WHERE name = 'migration'`)
  if (table === undefined) return
  const [version] = yield* safely(sql<{ id: number }>`SELECT max(migration_id) AS id FROM migration`)
  if ((version?.id ?? 0) > Migrations.newest) {
    return yield* unusable(
      `the journal ${file} was written by a newer des (version ${version?.id} of its tables, this one knows ${Migrations.newest}). Use that one, or another --state`
    )
  }
})

/**
 * The database of a state directory: `DIR/journal.sqlite`, created with its directory (mode 0700) if it is missing,
 * checked, and migrated to the newest version. Only one process at a time can use it.
 *
 * @example
 * import * as State from "docker-event-scripts/state"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 *
 * export const events = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`SELECT count(*) FROM event`).pipe(
 *   Effect.provide(State.StateDirectory.layer({ directory: "/var/lib/des" }))
 * )
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: {
  readonly directory: string
}): Layer.Layer<SqlClient.SqlClient, JournalError, FileSystem.FileSystem> =>
  Layer.scoped(
    SqlClient.SqlClient,
    Effect.gen(function* () {
      const { directory } = options
      const file = journalFile(directory)
      yield* prepare(directory)
      yield* lock(directory)
      const client = yield* open(file)
      const sql = Effect.provideService(SqlClient.SqlClient, client)
      yield* beginPatience(client, file)
      yield* sql(Effect.zipRight(checkPages(file), checkKind(file)))
      // In this mode readers do not block the writer.
      yield* Failure.explained(file)(client`PRAGMA journal_mode = WAL`)
      yield* sql(Migrations.run).pipe(Effect.mapError(Failure.explain(file)))
      // After a transaction the client uses another connection.
      yield* beginPatience(client, file)
      yield* Failure.explained(file)(client`PRAGMA synchronous = NORMAL`)
      yield* Effect.forkScoped(DiskSpace.watch(directory))
      return client
    })
  )

/**
 * Makes a write wait until it is on the disk. Other writes do not wait for the disk: a power cut can lose only the
 * outcomes of runs, and such runs are repeated. Writes of other fibers in between may wait, too.
 *
 * @example
 * import * as State from "docker-event-scripts/state"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 *
 * export const noted = Effect.flatMap(SqlClient.SqlClient, (sql) =>
 *   State.StateDirectory.durably(sql)(sql`INSERT INTO note (text) VALUES ('seen')`)
 * )
 *
 * @since 1.0.0
 * @category combinators
 */
export const durably =
  (sql: SqlClient.SqlClient) =>
  <A>(write: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A, SqlError.SqlError> =>
    sql`PRAGMA synchronous = FULL`.pipe(Effect.zipRight(write), Effect.zipLeft(sql`PRAGMA synchronous = NORMAL`))

/**
 * Refuses the database of another user, and any file that is not a plain file. SQLite runs the views of a database
 * without interruption, and a view can be endless.
 */
const checkOwner = Effect.fnUntraced(function* (file: string) {
  const stat = yield* Effect.try(() => lstatSync(file)).pipe(
    Effect.mapError(() => unusable(`there is no journal at ${file}; --state names the directory that des runs with`))
  )
  const own = process.getuid?.()
  if (!stat.isFile()) return yield* unusable(`the journal ${file} is not a plain file`)
  if (own !== undefined && stat.uid !== own && stat.uid !== 0) {
    return yield* unusable(
      `the journal ${file} belongs to user ${stat.uid}, who could keep this command from ever ending. Run it as that user: sudo -u '#${stat.uid}' des …`
    )
  }
})

/**
 * The database of a state directory, also while a des uses it: for short reads and writes.
 *
 * @example
 * import * as State from "docker-event-scripts/state"
 * import * as SqlClient from "@effect/sql/SqlClient"
 * import * as Effect from "effect/Effect"
 *
 * export const runs = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`SELECT count(*) FROM run`).pipe(
 *   Effect.provide(State.StateDirectory.layerShared({ directory: "/var/lib/des" }))
 * )
 *
 * @since 1.0.0
 * @category layers
 */
export const layerShared = (options: { readonly directory: string }): Layer.Layer<SqlClient.SqlClient, JournalError> =>
  Layer.scoped(
    SqlClient.SqlClient,
    Effect.gen(function* () {
      const file = journalFile(options.directory)
      yield* checkOwner(file)
      const client = yield* open(file)
      yield* beginPatience(client, file)
      // The des that uses the journal has read all pages at its start. A damaged one that is needed here is an error.
      yield* Effect.provideService(checkKind(file), SqlClient.SqlClient, client)
      return client
    })
  )

const identityOf = (file: string) =>
  Effect.map(
    Effect.option(Effect.try(() => lstatSync(file))),
    Option.match({ onNone: () => "", onSome: ({ dev, ino }) => `${dev}:${ino}` })
  )

/**
 * Fails when the journal's file in a state directory is another one than now, or none. A connection goes on to read the
 * old file.
 *
 * @example
 * import * as State from "docker-event-scripts/state"
 * import * as Effect from "effect/Effect"
 *
 * const options = { directory: "/var/lib/des" }
 *
 * export const guarded = Effect.raceFirst(Effect.log("reading").pipe(Effect.zipRight(Effect.never)), State.StateDirectory.replaced(options))
 *
 * @since 1.0.0
 * @category combinators
 */
export const replaced = (options: { readonly directory: string }): Effect.Effect<never, JournalError> =>
  Effect.gen(function* () {
    const file = journalFile(options.directory)
    const known = yield* identityOf(file)
    yield* Effect.repeat(Effect.delay(identityOf(file), "1 second"), { until: (now) => now !== known })
    return yield* unusable(`the journal ${file} was moved, deleted or replaced while it was followed`)
  })
