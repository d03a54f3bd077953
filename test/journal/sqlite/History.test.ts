/** The history of runs: how it is found, and how it is followed. What a filter selects is in test/cli/History.test.ts. */

import * as Fs from "node:fs"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Journal from "../../../src/journal/Journal.ts"
import * as History from "../../../src/journal/sql/History.ts"
import * as StateDirectory from "../../../src/journal/sqlite/StateDirectory.ts"
import { Outcome } from "../../../src/scripts/ScriptRunner.ts"
import * as State from "../../../src/state.ts"
import { makeEvent } from "../../../src/testing.ts"
import * as TempFolder from "../../support/TempFolder.ts"

const folder = TempFolder.make("history")

/** One life of des with the journal of a directory. */
const life =
  (directory: string) =>
  <A, E>(body: Effect.Effect<A, E, Journal.Journal>): Effect.Effect<A, E | Journal.JournalError> =>
    Effect.provide(body, Layer.provide(State.layer({ directory }), NodeFileSystem.layer))

/** Uses the journal of a directory from outside, as `des history` does. */
const shared =
  (directory: string) =>
  <A, E>(body: Effect.Effect<A, E, SqlClient.SqlClient>): Effect.Effect<A, E | Journal.JournalError> =>
    Effect.provide(body, StateDirectory.layerShared({ directory }))

const script = (path: string) => ({ path, options: { conditions: [] } })

const start = "/d/container/start"

const accept = (name: string, action = "start", path = start) =>
  Effect.flatMap(Journal.Journal, (journal) => {
    const event = { ...makeEvent({ id: `id-of-${name}`, action, attributes: { name } }), engine: "e" }
    return journal.accept({ events: [event], accepted: [{ event, scripts: [script(path)] }] })
  })

/** Begins the run of the next event. */
const begin = Effect.gen(function* () {
  const journal = yield* Journal.Journal
  const entry = yield* Effect.flatten(journal.take("fair"))
  const kept = yield* journal.begin(entry, entry.scripts[0] ?? script(start), 1)
  yield* kept.started(process.pid)
  return {
    end: (code = 0) =>
      Effect.zipRight(
        kept.ended(Outcome.Exited({ code, message: "" }), "output", true),
        journal.finish(entry.id, code === 0 ? "succeeded" : "failed")
      )
  }
})

const run = (name: string, action = "start", path = start) =>
  accept(name, action, path).pipe(
    Effect.zipRight(begin),
    Effect.flatMap(({ end }) => end())
  )

const namesOf = (runs: ReadonlyArray<History.Run>) => runs.map(({ name }) => name)

const listed = (filter: History.Filter) =>
  Effect.map(Stream.runCollect(History.list(filter)), (runs) => namesOf(Chunk.toReadonlyArray(runs)))

/** The steps by which SQLite finds the runs of a filter. */
const planOf = (filter: History.Filter) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const range = { after: 5, until: 1_000_000, limit: 10, newestFirst: filter.last !== undefined }
    const [text, parameters] = History.numbers(sql, filter, range).compile()
    const steps = yield* sql.unsafe<{ detail: string }>(`EXPLAIN QUERY PLAN ${text}`, parameters)
    return steps.map(({ detail }) => detail.replace("COVERING ", "")).join("\n")
  })

describe("the runs of a filter", () => {
  const event = { type: "container", action: "die" }
  const plans: ReadonlyArray<readonly [what: string, History.Filter, ...indexes: ReadonlyArray<string>]> = [
    ["all runs", {}, "run USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"],
    ["the newest runs", { last: 5 }, "run USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"],
    ["a script", { script: "container/die" }, "run USING INDEX run_script (script=? AND rowid>? AND rowid<?)"],
    ["an event", { event }, "event USING INDEX event_kind (type=? AND action>? AND action<?)"],
    [
      "an actor",
      { actor: "web" },
      "event USING INDEX event_id (actor>? AND actor<?)",
      "event USING INDEX event_name (<expr>=?)"
    ],
    [
      "an actor that failed",
      { actor: "web", failed: true, last: 5 },
      "event USING INDEX event_id (actor>? AND actor<?)",
      "event USING INDEX event_name (<expr>=?)"
    ],
    [
      "all runs that failed",
      { failed: true },
      "run USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
      "later USING INDEX run_event (event_id=? AND rowid>?)",
      "again USING INDEX event_once (engine=? AND fingerprint>? AND fingerprint<?)"
    ],
    ["an event of a script", { event, script: "die" }, "run USING INDEX run_script (script=? AND rowid>? AND rowid<?)"]
  ]

  it.scoped("are found by an index, and no table is read as a whole", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* life(directory)(Effect.void)
      yield* Effect.gen(function* () {
        for (const [what, filter, ...indexes] of plans) {
          const plan = yield* planOf(filter)
          for (const index of indexes) assert.include(plan, `SEARCH ${index}`, what)
          assert.notMatch(plan, /SCAN (run|event|later|again|mended)/, what)
        }
      }).pipe(shared(directory))
    })
  )

  it.scoped(
    "are found in a journal of version 3, which had no indexes for them, before and after a des has used it",
    () =>
      Effect.gen(function* () {
        const directory = yield* folder
        yield* life(directory)(Effect.all([run("web"), run("db", "die", "/d/container/die"), run("web", "die")]))
        const filters: ReadonlyArray<readonly [History.Filter, ReadonlyArray<string>]> = [
          [{ actor: "web" }, ["web", "web"]],
          [{ actor: "id-of-d" }, ["db"]],
          [{ event: { type: "container", action: "die" } }, ["db", "web"]],
          [{ script: "container/die" }, ["db"]],
          [{ script: "start", last: 1 }, ["web"]]
        ]
        const select = Effect.gen(function* () {
          for (const [filter, names] of filters) assert.deepStrictEqual(yield* listed(filter), [...names])
        })
        const indexes = Effect.flatMap(
          SqlClient.SqlClient,
          (sql) =>
            sql<{ name: string }>`SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name`
        )
        const all = yield* shared(directory)(indexes)
        yield* Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          for (const name of ["run_script", "run_began", "event_kind", "event_id", "event_name"]) {
            yield* sql`DROP INDEX ${sql(name)}`
          }
          yield* sql`ALTER TABLE event DROP COLUMN inspected`
          yield* sql`DELETE FROM migration WHERE migration_id >= 4`
          yield* select
          assert.isNull(Option.getOrThrow(yield* History.get(1)).inspected)
          assert.deepStrictEqual(yield* History.retry([1]), { unknown: [], cut: [] })
        }).pipe(shared(directory))
        yield* life(directory)(Effect.void)
        assert.deepStrictEqual(yield* shared(directory)(indexes), all)
        yield* shared(directory)(select)
      })
  )
})

/** Copies the first run so many times. */
const copies = (directory: string, count: number) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql`WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ${count})
      INSERT INTO run (event_id, script, attempt, began_at, ended_at, outcome, exit, output, last)
      SELECT event_id, script, n, began_at, ended_at, outcome, exit, output, last FROM run, n WHERE id = 1`
  ).pipe(shared(directory))

describe("a follower of the history", () => {
  /** Follows the history in a fiber, and lists the names that it has got. */
  const follow = (directory: string, filter: History.Filter = {}) =>
    Effect.gen(function* () {
      const got = yield* Ref.make<ReadonlyArray<string | null>>([])
      const fiber = yield* History.follow(filter).pipe(
        Stream.runForEach(({ name }) => Ref.update(got, (names) => [...names, name])),
        shared(directory),
        Effect.fork
      )
      // SQLite answers in promises, so the fiber needs some turns of the event loop until it waits for the clock.
      const turns = Effect.repeatN(
        Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
        50
      )
      yield* turns
      return {
        stop: Fiber.interrupt(fiber),
        after: (seconds: number) =>
          Effect.forEach(Array.from({ length: seconds }), () => Effect.zipRight(TestClock.adjust("1 second"), turns), {
            discard: true
          }).pipe(Effect.zipRight(Ref.get(got)))
      }
    })

  it.scoped("gets a run once that ends while it still reads the runs before it", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const names = yield* Effect.gen(function* () {
        yield* run("first")
        yield* copies(directory, 2000)
        yield* accept("open")
        const open = yield* begin
        const readsOn = yield* Deferred.make<void>()
        const got: Array<string | null> = []
        const slow = ({ name }: History.Run) =>
          Effect.zipRight(
            Effect.sync(() => got.push(name)),
            Deferred.await(readsOn)
          )
        const fiber = yield* Effect.fork(shared(directory)(Stream.runForEach(History.follow({}), slow)))
        const turns = Effect.repeatN(
          Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
          200
        )
        yield* turns
        assert.lengthOf(got, 1)
        yield* open.end()
        yield* Deferred.succeed(readsOn, undefined)
        yield* turns
        yield* TestClock.adjust("1 second")
        yield* turns
        yield* Fiber.interrupt(fiber)
        return got
      }).pipe(life(directory))
      assert.strictEqual(names.length, 2002)
      assert.lengthOf(
        names.filter((name) => name === "open"),
        1
      )
    })
  )

  it.scoped("gets the runs that have ended, then each run when it ends, also those of the next life of des", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const follower = yield* Effect.gen(function* () {
        yield* run("first")
        yield* accept("open")
        const open = yield* begin
        const follower = yield* follow(directory)
        assert.deepStrictEqual(yield* follower.after(0), ["first"])
        yield* run("second")
        assert.deepStrictEqual(yield* follower.after(1), ["first", "second"])
        yield* open.end()
        assert.deepStrictEqual(yield* follower.after(1), ["first", "second", "open"])
        assert.deepStrictEqual(yield* follower.after(3), ["first", "second", "open"])
        return follower
      }).pipe(life(directory))
      yield* life(directory)(run("third"))
      assert.deepStrictEqual(yield* follower.after(1), ["first", "second", "open", "third"])
      yield* follower.stop
    })
  )

  it.scoped("gets what its filter selects, and begins with the last ones", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* Effect.gen(function* () {
        yield* Effect.all([run("a"), run("b"), run("c", "die")])
        const follower = yield* follow(directory, { event: { type: "container", action: "start" }, last: 1 })
        yield* Effect.all([run("d", "die"), run("e")])
        assert.deepStrictEqual(yield* follower.after(1), ["b", "e"])
        yield* follower.stop
      }).pipe(life(directory))
    })
  )

  it.scoped("gets more runs than one reading has", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* Effect.gen(function* () {
        yield* run("a")
        const follower = yield* follow(directory)
        yield* copies(directory, 12_000)
        assert.lengthOf(yield* follower.after(1), 12_001)
        yield* follower.stop
      }).pipe(life(directory))
    })
  )

  it.scoped("is told when the journal is another one", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* life(directory)(Effect.void)
      const watching = yield* Effect.fork(Effect.flip(StateDirectory.replaced({ directory })))
      yield* TestClock.adjust("3 seconds")
      assert.isNull(watching.unsafePoll())
      Fs.renameSync(StateDirectory.journalFile(directory), `${directory}/old`)
      yield* TestClock.adjust("1 second")
      assert.include(
        (yield* Fiber.join(watching)).message,
        `${directory}/journal.sqlite was moved, deleted or replaced`
      )
    })
  )
})
