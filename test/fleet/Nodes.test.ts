/** Several nodes on one journal, as layers in one process. What whole processes do is in the other files. */

import { spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { afterAll, beforeAll } from "vitest"
import * as Journal from "../../src/journal/Journal.ts"
import * as Keep from "../../src/journal/Keep.ts"
import * as Client from "../../src/journal/postgres/Client.ts"
import * as Conninfo from "../../src/journal/postgres/Conninfo.ts"
import * as Failure from "../../src/journal/postgres/Failure.ts"
import * as Guard from "../../src/journal/postgres/Guard.ts"
import * as JournalPostgres from "../../src/journal/postgres/JournalPostgres.ts"
import * as Release from "../../src/journal/postgres/Release.ts"
import * as Role from "../../src/journal/postgres/Role.ts"
import * as History from "../../src/journal/sql/History.ts"
import type { Script } from "../../src/scripts/ScriptDirectory.ts"
import { Outcome } from "../../src/scripts/ScriptRunner.ts"
import { makeEvent } from "../../src/testing.ts"
import * as Certificates from "../support/Certificates.ts"
import { poll } from "../support/Poll.ts"
import { describePostgres, type Postgres, postgres } from "../support/Postgres.ts"

const engine = "east"

const script: Script = { path: "/d/container/start", options: { conditions: [] } }

const storm = (id: string, count: number): ReadonlyArray<Journal.Accepted> =>
  Array.from({ length: count }, (_, number) => ({
    event: { ...makeEvent({ id, attributes: { number: String(number) } }), engine },
    scripts: [script]
  }))

const accept = (journal: Journal.Journal["Type"], ...all: ReadonlyArray<Journal.Accepted>) =>
  journal.accept({ events: all.map(({ event }) => event), accepted: all })

const take = (journal: Journal.Journal["Type"]) => Effect.flatten(journal.take("fair"))

const nameOf = ({ event }: Journal.Entry) => `${event.Actor.ID}${event.Actor.Attributes["number"]}`

const isWaiting = <A, E>(fiber: Fiber.RuntimeFiber<A, E>) =>
  Effect.as(Effect.sleep("300 millis"), fiber.unsafePoll() === null)

const exited = (code: number) => Outcome.Exited({ code, message: "" })

const infoOf = (url: string) => Either.getOrThrow(Conninfo.parse(url, { ...Conninfo.surroundings(), variables: {} }))

const layer = (url: string, node: string, options: Partial<JournalPostgres.Options> = {}) =>
  JournalPostgres.layer({
    info: infoOf(url),
    node,
    directory: "/d",
    keep: Keep.defaults,
    maxAge: Number.POSITIVE_INFINITY,
    jobs: 100,
    watches: true,
    runs: true,
    ...options
  })

const nodeOf = (url: string, name: string, options?: Partial<JournalPostgres.Options>) =>
  Effect.map(Layer.build(layer(url, name, options)), (made) => Context.get(made, Journal.Journal))

const sqlOf = (url: string) =>
  Effect.map(Layer.build(Client.layer(infoOf(url))), (made) => Context.get(made, SqlClient.SqlClient))

describePostgres("nodes on one PostgreSQL", () => {
  const scope = Effect.runSync(Scope.make())
  let server: Postgres
  beforeAll(async () => {
    server = await Effect.runPromise(Scope.extend(postgres(), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  /** Lets another node end the lease of one, as if it had not been renewed. */
  const endLease = (sql: SqlClient.SqlClient, node: string) =>
    sql.withTransaction(
      sql`UPDATE node SET until = clock_timestamp() - interval '1 second' WHERE name = ${node}`.pipe(
        Effect.zipRight(Release.reap(sql, "other"))
      )
    )

  it.scopedLive("give the events of an actor one at a time, over all nodes, and different actors to both", () =>
    Effect.gen(function* () {
      const url = yield* server.freshUrl
      const [a, b] = [yield* nodeOf(url, "a"), yield* nodeOf(url, "b")]
      yield* a.memory.recall(engine)
      yield* accept(a, ...storm("x", 3), ...storm("y", 1))
      const [x0, y0] = [yield* take(a), yield* take(b)]
      assert.deepStrictEqual([nameOf(x0), nameOf(y0)], ["x0", "y0"])
      const next = yield* Effect.fork(take(b))
      assert.isTrue(yield* isWaiting(next))
      yield* a.finish(x0.id, "succeeded")
      const x1 = yield* Fiber.join(next)
      assert.strictEqual(nameOf(x1), "x1")
      yield* b.finish(x1.id, "succeeded")
      assert.strictEqual(nameOf(yield* take(a)), "x2")
    })
  )

  it.scopedLive("leave an actor to the node at which one of its events waits for its time", () =>
    Effect.gen(function* () {
      const url = yield* server.freshUrl
      const [a, b] = [yield* nodeOf(url, "a"), yield* nodeOf(url, "b")]
      yield* a.memory.recall(engine)
      yield* accept(a, ...storm("x", 2))
      const x0 = yield* take(a)
      yield* a.park(x0.id)
      const elsewhere = yield* Effect.fork(take(b))
      assert.isTrue(yield* isWaiting(elsewhere))
      const x1 = yield* take(a)
      yield* a.coalesce(x1, script, 1)
      yield* a.finish(x0.id, "succeeded")
      yield* a.park(x1.id)
      assert.isTrue(yield* isWaiting(elsewhere))
      yield* a.reload(x1.id)
      yield* a.finish(x1.id, "succeeded")
      yield* accept(a, ...storm("y", 1))
      assert.strictEqual(nameOf(yield* Fiber.join(elsewhere)), "y0")
    })
  )

  it.scopedLive("begin a cooldown for all of them", () =>
    Effect.gen(function* () {
      const url = yield* server.freshUrl
      const [a, b] = [yield* nodeOf(url, "a"), yield* nodeOf(url, "b")]
      const cool = (journal: Journal.Journal["Type"], isAgain = false) =>
        journal.cool(`/d/all ${"x".repeat(5000)}`, { cooldown: 60_000, isAgain })
      assert.strictEqual(yield* cool(a), 0)
      const left = yield* cool(b)
      assert.isAbove(left, 50_000)
      assert.isAtMost(left, 60_000)
      assert.strictEqual(yield* cool(b, true), 0)
      assert.strictEqual(yield* a.cool("another", { cooldown: 1, isAgain: false }), 0)
      for (let at = 0; at < 30; at++) {
        const both = yield* Effect.all(
          [a, b].map((journal) => journal.cool(`at once ${at}`, { cooldown: 60_000, isAgain: false })),
          { concurrency: 2 }
        )
        assert.lengthOf(
          both.filter((wait) => wait === 0),
          1,
          String(both)
        )
      }
    })
  )

  it.scopedLive("take over what a node had that lost its lease, and what that one still does changes nothing", () =>
    Effect.gen(function* () {
      const url = yield* server.freshUrl
      const sql = yield* sqlOf(url)
      const a = yield* nodeOf(url, "a")
      yield* a.memory.recall(engine)
      yield* accept(a, ...storm("x", 2))
      const entry = yield* take(a)
      const run = yield* a.begin(entry, script, 1)
      assert.match(run.variables["DES_RUN"] ?? "", /^[0-9a-f]{16}-1$/)
      assert.deepInclude(run.variables, { DES_NODE: "a" })
      yield* run.started(2 ** 22 + 1)
      const held = yield* Effect.fork(Effect.flip(run.whileHeld(Effect.never)))
      const revoked = yield* Effect.fork(a.memory.revoked?.(engine) ?? Effect.never)
      assert.isTrue(yield* isWaiting(held))
      yield* endLease(sql, "a")
      const b = yield* nodeOf(url, "b", { runs: true })
      yield* b.memory.recall(engine)
      const again = yield* take(b)
      assert.strictEqual(nameOf(again), "x0")
      assert.deepStrictEqual(again.earlier, { [script.path]: { attempts: 1, settled: undefined, outlived: [] } })
      const other = yield* b.begin(again, script, 2)
      assert.isAbove(Number(other.variables["DES_TOKEN"]), Number(run.variables["DES_TOKEN"]))

      assert.strictEqual((yield* Fiber.join(held)).reason, "TakenOver")
      yield* run.ended(exited(0), "late", true)
      yield* a.finish(entry.id, "succeeded")
      assert.strictEqual((yield* Effect.flip(a.begin(entry, script, 2))).reason, "TakenOver")
      yield* Fiber.join(revoked)
      // The watcher is another one, so this batch is not written.
      yield* accept(a, ...storm("late", 1))
      yield* other.ended(exited(0), "", true)
      yield* b.finish(again.id, "succeeded")
      const runs = yield* Stream.runCollect(History.list({})).pipe(Effect.provideService(SqlClient.SqlClient, sql))
      const newest = yield* Stream.runCollect(History.list({ last: 1 })).pipe(
        Effect.provideService(SqlClient.SqlClient, sql)
      )
      assert.deepStrictEqual([...newest], [...runs].slice(-1))
      assert.deepStrictEqual(
        [...runs].map(({ attempt, node, outcome, output }) => [attempt, node, outcome, output]),
        [
          [1, "a", "cut off", null],
          [2, "b", "exited", ""]
        ]
      )
      const events = yield* sql<{ actor: string; state: string }>`SELECT actor, state FROM event ORDER BY id`
      assert.deepStrictEqual(
        events.map(({ actor, state }) => `${actor} ${state}`),
        ["x done", "x waiting"]
      )
    })
  )

  it.scopedLive("run nothing that is not in their script directory, whoever wrote it into the journal", () =>
    Effect.gen(function* () {
      const url = yield* server.freshUrl
      const sql = yield* sqlOf(url)
      const a = yield* nodeOf(url, "a")
      yield* a.memory.recall(engine)
      const foreign = ["/bin/sh", "/d/../bin/sh", "/d"].map((path) => ({ ...script, path }))
      yield* accept(a, ...storm("x", 1).map((one) => ({ ...one, scripts: [...foreign, script] })))
      const { earlier } = yield* take(a)
      const refused = { attempts: 1, settled: "failed" as const, outlived: [] }
      assert.deepStrictEqual(earlier, { "/bin/sh": refused, "/d/../bin/sh": refused, "/d": refused })
      const runs = yield* Stream.runCollect(History.list({ failed: true })).pipe(
        Effect.provideService(SqlClient.SqlClient, sql)
      )
      assert.deepStrictEqual(
        [...runs].map(({ exit, outcome }) => [exit, outcome]),
        Array.from({ length: 3 }, () => [127, "not started"])
      )
    })
  )

  it.scopedLive("set an event aside of which two nodes died before its script had started", () =>
    Effect.gen(function* () {
      const url = yield* server.freshUrl
      const sql = yield* sqlOf(url)
      const a = yield* nodeOf(url, "a")
      yield* a.memory.recall(engine)
      yield* accept(a, ...storm("poison", 1), ...storm("long", 1))
      for (let death = 1; death <= 2; death++) {
        const taken = [yield* take(a), yield* take(a)]
        for (const entry of taken) {
          const run = yield* a.begin(entry, script, death)
          if (nameOf(entry) === "long0") yield* run.started(2 ** 22 + 1)
        }
        yield* endLease(sql, "a")
      }
      assert.strictEqual(nameOf(yield* take(a)), "long0")
      const runs = yield* Stream.runCollect(History.list({ actor: "poison" })).pipe(
        Effect.provideService(SqlClient.SqlClient, sql)
      )
      assert.deepStrictEqual(
        [...runs].map(({ outcome }) => outcome),
        ["des died", "des died", "quarantined"]
      )
    })
  )

  it.scopedLive("delete events that have run, with their runs, beyond the bounds, and never waiting ones", () =>
    Effect.gen(function* () {
      const url = yield* server.freshUrl
      const sql = yield* sqlOf(url)
      const a = yield* nodeOf(url, "a")
      yield* a.memory.recall(engine)
      yield* accept(a, ...storm("x", 6))
      for (let at = 0; at < 5; at++) {
        const entry = yield* take(a)
        yield* (yield* a.begin(entry, script, 1)).ended(exited(0), "output", true)
        yield* a.finish(entry.id, "succeeded")
      }
      const left = Effect.map(
        sql<{
          events: number
          runs: number
          waiting: number
        }>`SELECT count(*) AS events, (SELECT count(*) FROM run) AS runs,
          count(*) FILTER (WHERE state = 'waiting') AS waiting FROM event`,
        ([row]) => row
      )
      assert.deepStrictEqual(yield* left, { events: 6, runs: 5, waiting: 1 })
      for (const [keep, expected] of [
        [
          { ...Keep.defaults, count: 3 },
          { events: 4, runs: 3, waiting: 1 }
        ],
        [
          { ...Keep.defaults, size: 4000 },
          { events: 3, runs: 2, waiting: 1 }
        ],
        [
          { ...Keep.defaults, age: 0 },
          { events: 1, runs: 0, waiting: 1 }
        ]
      ] as const) {
        yield* nodeOf(url, "b", { keep })
        const isDone = Effect.map(left, (row) => JSON.stringify(row) === JSON.stringify(expected))
        assert.isTrue(yield* poll(Effect.orDie(isDone), 5000), JSON.stringify([keep, yield* left]))
      }
    })
  )

  it.scopedLive("do not end before what was read from a file is written", () =>
    Effect.gen(function* () {
      const url = yield* server.freshUrl
      const a = yield* nodeOf(url, "a")
      const database = url.split("/").at(-1)
      const locked = yield* Effect.fork(
        server.psql("BEGIN; LOCK TABLE event IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(2.5); COMMIT", database)
      )
      yield* Effect.sleep("300 millis")
      const writing = yield* Effect.fork(
        accept(a, ...storm("x", 1).map((one) => ({ ...one, event: { ...one.event, engine: "" } })))
      )
      yield* Effect.sleep("1500 millis")
      assert.isNull(writing.unsafePoll())
      yield* Fiber.join(writing)
      yield* a.close
      assert.strictEqual(nameOf(yield* take(a)), "x0")
      yield* Fiber.join(locked)
    })
  )

  it.scopedLive("get at once what a node had that was stopped, its feed too", () =>
    Effect.gen(function* () {
      const url = yield* server.freshUrl
      const b = yield* nodeOf(url, "b")
      const leaving = yield* Scope.make()
      const a = yield* Scope.extend(nodeOf(url, "a"), leaving)
      yield* a.memory.recall(engine)
      yield* accept(a, ...storm("x", 1))
      yield* take(a)
      const watched = yield* Effect.fork(b.memory.recall(engine))
      const taken = yield* Effect.fork(take(b))
      assert.isTrue(yield* isWaiting(watched))
      assert.deepStrictEqual((yield* b.status).watchedElsewhere, { [engine]: "a" })
      assert.deepStrictEqual((yield* a.status).watchedElsewhere, {})
      yield* Scope.close(leaving, Exit.void)
      const both = yield* Effect.timeoutOption(Effect.all([Fiber.join(watched), Fiber.join(taken)]), "1500 millis")
      assert.isTrue(Option.isSome(both))
    })
  )

  it.scopedLive("go on if a newer des has only added to the tables, and refuse others", () =>
    Effect.gen(function* () {
      const url = yield* server.freshUrl
      const sql = yield* sqlOf(url)
      yield* Effect.scoped(nodeOf(url, "a"))
      yield* sql`INSERT INTO migration (migration_id, name) VALUES (9, 'newer')`
      yield* Effect.scoped(nodeOf(url, "a"))
      yield* sql`UPDATE journal SET oldest = 9`
      const refused = yield* Effect.flip(Effect.scoped(nodeOf(url, "a")))
      assert.include(refused.message, "was written by a newer des (version 9 of its tables, this one knows 1)")
    })
  )

  it.scopedLive("need no more rights than the printed SQL gives", () =>
    Effect.gen(function* () {
      let database = "postgres"
      for (const line of Role.sqlOf({ database: "journal", user: "watcher" })) {
        if (line.startsWith("\\connect")) database = "journal"
        else yield* server.psql(line, database)
      }
      const url = `postgresql://watcher@127.0.0.1:${server.port}/journal`
      const a = yield* nodeOf(url, "a")
      yield* a.memory.recall(engine)
      yield* accept(a, ...storm("x", 1))
      assert.strictEqual(nameOf(yield* take(a)), "x0")
      const refused = yield* Effect.flip(Effect.scoped(nodeOf(`${server.url.replace("postgres@", "watcher@")}`, "a")))
      assert.include(refused.message, "des state init --print")
    })
  )

  it.scopedLive("check the certificate of a database, and its name", () =>
    Effect.gen(function* () {
      const { issue } = yield* Certificates.authority
      const named = issue({ names: "DNS:localhost" })
      for (const file of ["cert.pem", "key.pem"]) {
        Fs.copyFileSync(Path.join(named, file), Path.join(server.data, file))
        Fs.chmodSync(Path.join(server.data, file), 0o600)
        const { gid, uid } = Fs.statSync(server.data)
        Fs.chownSync(Path.join(server.data, file), uid, gid)
      }
      yield* server.psql("ALTER SYSTEM SET ssl_cert_file = 'cert.pem'")
      yield* server.psql("ALTER SYSTEM SET ssl_key_file = 'key.pem'")
      yield* server.psql("ALTER SYSTEM SET ssl = on")
      yield* server.psql("SELECT pg_reload_conf()")
      const url = yield* server.freshUrl
      const encrypted = (host: string, sslmode: string, authority: string) =>
        Effect.gen(function* () {
          const sql = yield* sqlOf(
            `${url.replace("127.0.0.1", host)}?sslmode=${sslmode}&sslrootcert=${Path.join(authority, "ca.pem")}`
          )
          const [row] = yield* sql<{ ssl: boolean }>`SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()`
          return row?.ssl === true
        }).pipe(
          Effect.scoped,
          Effect.catchAll((error) => Effect.succeed(Failure.reasonOf(error)))
        )
      yield* poll(
        Effect.map(encrypted("localhost", "verify-full", named), (found) => found === true),
        10_000
      )
      const stranger = (yield* Certificates.authority).issue()
      assert.strictEqual(yield* encrypted("localhost", "verify-full", named), true)
      assert.match(String(yield* encrypted("127.0.0.1", "verify-full", named)), /127[.]0[.]0[.]1 is not in the cert/)
      assert.strictEqual(yield* encrypted("127.0.0.1", "verify-ca", named), true)
      assert.match(String(yield* encrypted("localhost", "verify-full", stranger)), /certificate/)
      assert.match(String(yield* encrypted("127.0.0.1", "verify-ca", stranger)), /certificate/)
    })
  )

  it.scopedLive("wait for a database that is away, keep what is accepted meanwhile, and go on", () =>
    Effect.gen(function* () {
      const url = yield* server.freshUrl
      const a = yield* nodeOf(url, "a")
      yield* a.memory.recall(engine)
      yield* accept(a, ...storm("x", 1))
      const entry = yield* take(a)
      const run = yield* a.begin(entry, script, 1)
      yield* run.started(process.pid)
      yield* server.kill9
      assert.isTrue((yield* accept(a, ...storm("y", 2))).isAll)
      // A stop asks this, and must not wait for the database.
      assert.strictEqual((yield* Effect.flip(a.unfinished)).reason, "Away")
      // The script ends while the node still has its lease.
      const ended = yield* Effect.fork(
        Effect.zipRight(run.ended(exited(0), "seen", true), a.finish(entry.id, "succeeded"))
      )
      yield* Effect.sleep("2 seconds")
      yield* server.start
      yield* Fiber.join(ended)
      const first = yield* take(a)
      // It ran to its end, so it does not run again, also if its actor was given up meanwhile.
      if (nameOf(first) === "x0") {
        assert.strictEqual(first.earlier[script.path]?.settled, "succeeded")
        yield* a.finish(first.id, "succeeded")
      } else yield* a.finish(first.id, "succeeded")
      const second = yield* take(a)
      assert.include(["y0", "y1"], nameOf(second))
    })
  )
})

it.scopedLive("the guard ends the processes of runs when the lease is over, and no others", () =>
  Effect.gen(function* () {
    const guard = yield* Guard.make
    guard.lease(Guard.monotonic() + 60_000)
    const start = (variable: string, args: ReadonlyArray<string> = ["sleep", "60"]) =>
      spawn("/usr/bin/env", [...args], {
        detached: true,
        stdio: "ignore",
        env: { PATH: "/usr/bin:/bin", DES_RUN: variable }
      })
    const before = start("guarded-1")
    const known = start("guarded-2", ["-i", "sleep", "60"])
    const ended = start("guarded-3")
    const all = [before, known, ended]
    yield* Effect.addFinalizer(() => Effect.sync(() => all.forEach((child) => void child.kill("SIGKILL"))))
    yield* Effect.sleep("200 millis")
    guard.begin(1, "DES_RUN=guarded-1")
    guard.begin(2, "DES_RUN=guarded-2")
    guard.begin(3, "DES_RUN=guarded-3")
    guard.process(2, known.pid ?? 0)
    guard.end(3)
    const gone = [before, known].map((child) => once(child, "exit"))
    guard.lease(Guard.monotonic() + 300)
    yield* Effect.promise(() => Promise.all(gone))
    assert.deepStrictEqual([before.signalCode, known.signalCode], ["SIGKILL", "SIGKILL"])
    assert.isNull(ended.exitCode)
    assert.isNull(ended.signalCode)
  })
)
