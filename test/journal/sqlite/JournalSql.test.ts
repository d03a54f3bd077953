import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as DockerEvent from "../../../src/event/DockerEvent.ts"
import * as Fingerprint from "../../../src/event/Fingerprint.ts"
import * as FeedMemory from "../../../src/feed/FeedMemory.ts"
import * as Journal from "../../../src/journal/Journal.ts"
import * as Keep from "../../../src/journal/Keep.ts"
import * as History from "../../../src/journal/sql/History.ts"
import * as JournalSql from "../../../src/journal/sqlite/JournalSql.ts"
import * as StateDirectory from "../../../src/journal/sqlite/StateDirectory.ts"
import { Outcome } from "../../../src/scripts/ScriptRunner.ts"
import { makeEvent } from "../../../src/testing.ts"
import * as Engine29 from "../../support/Engine29.ts"
import { takeAll } from "../../support/JournalContract.ts"
import { collectLogs } from "../../support/Logs.ts"
import { samples } from "../../support/Samples.ts"
import * as TempFolder from "../../support/TempFolder.ts"

/** The name has characters that a URL would escape. */
const folder = TempFolder.make("journal #?%")

const noBounds = {
  keep: Keep.defaults,
  maxAge: Number.POSITIVE_INFINITY,
  durably: StateDirectory.durably
}

/** One process of des with the journal of a directory. */
const life =
  (directory: string, options: Partial<JournalSql.Options> = {}) =>
  <A, E>(
    body: Effect.Effect<A, E, Journal.Journal | SqlClient.SqlClient>
  ): Effect.Effect<A, E | Journal.JournalError> =>
    body.pipe(
      Effect.provide(
        JournalSql.layer({ file: StateDirectory.journalFile(directory), ...noBounds, ...options }).pipe(
          Layer.provideMerge(StateDirectory.layer({ directory })),
          Layer.provide(NodeFileSystem.layer)
        )
      )
    )

const script = {
  path: "/d/container/start",
  options: {
    timeout: 5000,
    conditions: [{ text: "label=a=b*", excludes: false, on: "attribute" as const, key: "a", patterns: ["b*"] }]
  }
}

const accepted = (
  id: string,
  fields: { readonly timeNano?: bigint; readonly engine?: string } = {}
): Journal.Accepted => ({
  event: { ...makeEvent({ id, ...fields }), engine: fields.engine ?? "unix:///e" },
  scripts: [script]
})

const accept = (...all: ReadonlyArray<Journal.Accepted>) =>
  Effect.flatMap(Journal.Journal, (journal) => journal.accept({ events: all.map(({ event }) => event), accepted: all }))

const take = Effect.flatMap(Journal.Journal, (journal) => Effect.flatten(journal.take("fair")))

const idOf = (entry: Journal.Entry) => entry.event.Actor.ID

const succeeded = Outcome.Exited({ code: 0, message: "" })

const run = (entry: Journal.Entry, outcome: Outcome, last = true) =>
  Effect.gen(function* () {
    const journal = yield* Journal.Journal
    const kept = yield* journal.begin(entry, script, (entry.earlier[script.path]?.attempts ?? 0) + 1)
    yield* kept.started(process.pid)
    yield* kept.ended(outcome, "the last\nof its output", last)
    if (last) yield* journal.finish(entry.id, outcome === succeeded ? "succeeded" : "failed")
  })

describe("the journal on disk", () => {
  it.scoped("keeps inspect data over a restart and for a retry, as long as it has the record", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const inspected = `{"inspect":{"Id":"1"}}`
      const large = {
        ...accepted("large"),
        event: makeEvent({ id: "large", attributes: { label: "x".repeat(70_000) } })
      }
      yield* life(directory)(accept({ ...accepted("1"), inspected }, { ...large, inspected }, accepted("2")))
      yield* life(directory)(
        Effect.gen(function* () {
          const journal = yield* Journal.Journal
          const first = yield* take
          assert.strictEqual(first.inspected, inspected)
          yield* journal.park(first.id)
          assert.strictEqual((yield* journal.reload(first.id)).inspected, inspected)
          yield* run(first, Outcome.Exited({ code: 1, message: "" }))
          yield* run(yield* take, succeeded)
          assert.notProperty(yield* take, "inspected")
          yield* History.retry([1])
          assert.isNull(Option.getOrThrow(yield* History.get(1)).inspected)
          const sql = yield* SqlClient.SqlClient
          yield* sql`UPDATE event SET scripts = json_set(scripts, '$[0].options.inspect', json('true')) WHERE id = 1`
          assert.strictEqual(Option.getOrThrow(yield* History.get(1)).inspected, inspected)
        })
      )
      yield* life(directory)(
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const kept = yield* sql<{
            inspected: string | null
            size: number
          }>`SELECT inspected, size FROM event ORDER BY id`
          assert.deepStrictEqual(
            kept.map((row) => row.inspected),
            [inspected, null, null, inspected]
          )
          assert.isAbove(kept[0]?.size ?? 0, 1024 + accepted("1").event.record.length + inspected.length - 1)
          yield* take
          assert.strictEqual((yield* take).inspected, inspected)
        })
      )
    })
  )

  it.scoped("keeps an event of des's own over the death of des, and wakes a reader for it", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* Effect.gen(function* () {
        const journal = yield* Journal.Journal
        const waiting = yield* Effect.fork(take)
        yield* Effect.yieldNow()
        assert.isTrue(yield* journal.acceptOwn(accepted("own")))
        assert.strictEqual(idOf(yield* Fiber.join(waiting)), "own")
      }).pipe(life(directory))
      assert.strictEqual(idOf(yield* life(directory)(take)), "own")
    })
  )

  it.scoped("records a skipped run as such, which is no failure, and does not run it after a restart", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* Effect.gen(function* () {
        const journal = yield* Journal.Journal
        yield* accept(accepted("1"))
        const kept = yield* journal.begin(yield* take, script, 1)
        yield* kept.skipped("10-a has failed")
        const runs = yield* Stream.runCollect(History.list({}))
        assert.deepInclude(Chunk.toReadonlyArray(runs)[0], {
          attempt: 1,
          outcome: "skipped",
          exit: null,
          output: "10-a has failed"
        })
        assert.strictEqual(Chunk.size(yield* Stream.runCollect(History.list({ failed: true }))), 0)
      }).pipe(life(directory))
      const again = yield* life(directory)(take)
      assert.deepStrictEqual(again.earlier[script.path], { attempts: 1, settled: "failed", outlived: [] })
    })
  )

  it.scoped(
    "takes events only up to the memory bound; a parked event takes no memory, and is complete when reloaded",
    () =>
      Effect.gen(function* () {
        const directory = yield* folder
        const large = (id: string) => {
          const event = makeEvent({ id, attributes: { label: "x".repeat(5_000_000) } })
          return { event: { ...event, engine: "unix:///e" }, scripts: [script] }
        }
        yield* Effect.gen(function* () {
          const journal = yield* Journal.Journal
          yield* accept(...["1", "2", "3", "4", "5"].map(large), accepted("innocent"))
          const first = yield* take
          for (let at = 2; at <= 4; at++) yield* take
          const more = yield* Effect.fork(take)
          yield* TestClock.adjust("1 minute")
          assert.isNull(more.unsafePoll())
          yield* journal.park(first.id)
          assert.strictEqual(idOf(yield* Fiber.join(more)), "5")
          const back = yield* journal.reload(first.id)
          assert.isTrue(back.event.record === first.event.record)
          yield* journal.finish(first.id, "succeeded")
          yield* journal.finish(first.id + 1, "succeeded")
          assert.strictEqual(idOf(yield* take), "innocent")
        }).pipe(life(directory))
      })
  )

  it.scoped("gives unfinished events again after a restart, and no finished ones", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* TestClock.adjust("5 seconds")
      yield* Effect.gen(function* () {
        yield* accept(accepted("1"), accepted("2"), accepted("3"), accepted("4"))
        yield* run(yield* take, succeeded)
        yield* run(yield* take, Outcome.Exited({ code: 1, message: "" }))
        const third = yield* take
        yield* run(third, Outcome.Exited({ code: 1, message: "" }), false)
        const journal = yield* Journal.Journal
        const second = yield* journal.begin(third, script, 2)
        yield* second.started(process.pid)
        assert.strictEqual(yield* journal.unfinished, 2)
        yield* journal.probe
        assert.isAbove((yield* journal.status).size, 8192)
      }).pipe(life(directory))
      yield* Effect.gen(function* () {
        const [third, fourth, ...rest] = yield* takeAll
        assert.deepStrictEqual(rest, [])
        assert.strictEqual(third?.event.Actor.ID, "3")
        assert.strictEqual(third?.earlier[script.path]?.attempts, 2)
        assert.isUndefined(third?.earlier[script.path]?.settled)
        const [outlived] = third?.earlier[script.path]?.outlived ?? []
        assert.match(outlived?.variable ?? "", /^DES_RUN=[0-9a-f]{16}-4$/)
        assert.strictEqual(fourth?.event.Actor.ID, "4")
        assert.deepStrictEqual(fourth?.earlier, {})
      }).pipe(life(directory))
    })
  )

  it.scoped("ends the run of an event that outlived des when the event is finished without a further run", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* Effect.gen(function* () {
        const journal = yield* Journal.Journal
        yield* accept(accepted("1"))
        const kept = yield* journal.begin(yield* take, script, 1)
        yield* kept.started(process.pid)
      }).pipe(life(directory))
      yield* Effect.gen(function* () {
        const journal = yield* Journal.Journal
        yield* journal.finish((yield* take).id, "succeeded")
        const sql = yield* SqlClient.SqlClient
        const [ended] = yield* sql<{ outcome: string }>`SELECT outcome FROM run WHERE ended_at IS NOT NULL`
        assert.strictEqual(ended?.outcome, "cut off")
      }).pipe(life(directory))
    })
  )

  it.scoped("skips events that are too old, even if they waited in the journal, and logs it", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const logs = collectLogs()
      const at = (milliseconds: number) =>
        accepted(String(milliseconds), { timeNano: BigInt(milliseconds) * 1_000_000n })
      yield* Effect.gen(function* () {
        yield* TestClock.setTime(10_000)
        yield* life(directory, { maxAge: 5000 })(accept(at(4999), at(5000), at(9000)))
        yield* TestClock.setTime(11_000)
        const entries = yield* life(directory, { maxAge: 5000 })(takeAll)
        assert.deepStrictEqual(entries.map(idOf), ["9000"])
      }).pipe(Effect.provide(logs.layer))
      const line = "WARN 1 event is skipped: older than --max-age (5s)"
      assert.deepStrictEqual(
        logs.lines.filter((said) => !said.startsWith("DEBUG")),
        [line, line, "INFO 1 event from before the restart runs first"]
      )
    })
  )

  it.scoped("keeps the events of an engine until it is watched again, and logs it", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const logs = collectLogs()
      const all = ["west", "local", ""].map((engine) => accepted(`of ${engine}`, { engine }))
      yield* life(directory)(accept(...all))
      const local = life(directory, { engines: ["local"] })(takeAll)
      assert.deepStrictEqual((yield* Effect.provide(local, logs.layer)).map(idOf), ["of local", "of "])
      assert.deepStrictEqual(
        logs.lines.filter((line) => line.startsWith("WARN")),
        ["WARN 1 event of west stays in the journal and waits, since that engine is not watched now"]
      )
      const west = yield* life(directory, { engines: ["west"] })(takeAll)
      assert.deepStrictEqual(west.map(idOf), ["of west", "of "])
    })
  )

  it.scoped("deletes events that have run, by age and by count, and never waiting ones", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const count = Effect.gen(function* () {
        const sql = yield* SqlClient.SqlClient
        const [events] = yield* sql<{ n: number }>`SELECT count(*) AS n FROM event`
        const [runs] = yield* sql<{ n: number }>`SELECT count(*) AS n FROM run`
        return [events?.n, runs?.n]
      })
      yield* Effect.gen(function* () {
        yield* accept(...Array.from({ length: 10 }, (_, at) => accepted(String(at))))
        for (let at = 0; at < 6; at++) yield* run(yield* take, succeeded)
        assert.deepStrictEqual(yield* count, [10, 6])
      }).pipe(life(directory))
      assert.deepStrictEqual(yield* life(directory, { keep: { ...Keep.defaults, age: 1000, count: 2 } })(count), [6, 2])
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* life(directory, { keep: { ...Keep.defaults, age: 1000, count: 2 } })(count), [4, 0])
      const [deleted = ""] = yield* samples("des_journal_deleted_events_total")
      assert.isAtLeast(Number(deleted.split(" ")[1]), 6)
      const [written = ""] = yield* samples("des_journal_write_seconds_count")
      assert.isAtLeast(Number(written.split(" ")[1]), 1)
    })
  )

  it.scoped("stays within its bounds while it runs, however many events come", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* Effect.gen(function* () {
        const journal = yield* Journal.Journal
        const sql = yield* SqlClient.SqlClient
        for (let at = 0; at < 20; at++) {
          const events = Array.from({ length: 300 }, (_, number) => accepted(`${at}-${number}`).event)
          yield* journal.accept({ events, accepted: [] })
        }
        const [seen] = yield* sql<{ n: number }>`SELECT count(*) AS n FROM seen`
        assert.isAtMost(seen?.n ?? 0, FeedMemory.remembered + 1500)
      }).pipe(life(directory))
    })
  )

  it.scoped("remembers of each engine its records, its containers and its identity", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const start = (id: string) => accepted(id, { timeNano: 5n }).event
      const die = (id: string) => ({ ...makeEvent({ id, action: "die", timeNano: 6n }), engine: "unix:///e" })
      const synthetic = { ...start("synthetic"), synthetic: true }
      yield* Effect.gen(function* () {
        const journal = yield* Journal.Journal
        const { memory } = journal
        assert.deepStrictEqual(yield* memory.recall("unix:///e"), FeedMemory.nothing)
        yield* memory.meet("unix:///e", {
          identity: "I",
          fingerprints: ["before"],
          last: 1n,
          over: 4n,
          gaps: 3,
          running: ["old", "gone"].map((id) => ({ id, attributes: { name: id }, startedAt: 3n }))
        })
        yield* memory.meet("unix:///other", {
          identity: "J",
          fingerprints: ["a", "b"],
          last: 9n,
          over: 0n,
          gaps: 0,
          running: []
        })
        const events = [start("new"), die("gone"), start("brief"), die("brief"), synthetic]
        yield* journal.accept({ events, accepted: [] })
      }).pipe(life(directory))
      yield* Effect.gen(function* () {
        const { memory } = yield* Journal.Journal
        const recalled = yield* memory.recall("unix:///e")
        assert.strictEqual(recalled.identity, "I")
        assert.strictEqual(recalled.last, 6n)
        assert.strictEqual(recalled.over, 4n)
        assert.strictEqual(recalled.gaps, 3)
        assert.deepStrictEqual(recalled.fingerprints, [
          "before",
          ...[start("new"), die("gone"), start("brief"), die("brief")].map(({ fingerprint }) => fingerprint)
        ])
        assert.deepStrictEqual(
          [...recalled.running].sort((a, b) => (a.id < b.id ? -1 : 1)),
          [
            { id: "new", attributes: { image: "nginx", name: "web" }, startedAt: 5n },
            { id: "old", attributes: { name: "old" }, startedAt: 3n },
            { id: "synthetic", attributes: { image: "nginx", name: "web" }, startedAt: 5n }
          ]
        )
        assert.deepStrictEqual(yield* memory.recall("unix:///other"), {
          ...{ identity: "J", fingerprints: ["a", "b"], last: 9n, over: 0n, gaps: 0, running: [] }
        })
      }).pipe(life(directory))
    })
  )
})

/** All of them. */
const listed = (filter: History.Filter) => Effect.map(Stream.runCollect(History.list(filter)), Chunk.toReadonlyArray)

describe("a journal of version 1, which knew a record by its text", () => {
  /** Makes a journal what des wrote before version 2. */
  const downgrade = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql<{
      id: number
      record: string
    }>`SELECT id, record FROM event WHERE fingerprint NOT LIKE 'retry%'`
    for (const { id, record } of rows) {
      yield* sql`UPDATE event SET fingerprint = ${Fingerprint.ofText(record)} WHERE id = ${id}`
    }
    yield* sql`ALTER TABLE event DROP COLUMN inspected`
    for (const name of ["run_script", "run_began", "event_kind", "event_id", "event_name"]) {
      yield* sql`DROP INDEX ${sql(name)}`
    }
    yield* sql`DROP INDEX event_over`
    yield* sql`CREATE INDEX event_over ON event (id, accepted_at) WHERE state <> 'waiting'`
    yield* sql`DROP INDEX event_actor`
    yield* sql`DROP TABLE handling`
    yield* sql`ALTER TABLE event DROP COLUMN size`
    yield* sql`ALTER TABLE engine DROP COLUMN is_over`
    yield* sql`ALTER TABLE engine DROP COLUMN gaps`
    yield* sql`DELETE FROM migration WHERE migration_id >= 2`
  })

  it.scoped("recognises the events that it accepted, in every form that the engine sends", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const large = {
        ...accepted("large"),
        event: makeEvent({ id: "large", attributes: { label: "x".repeat(9_000_000) } })
      }
      const many = Array.from({ length: 1200 }, (_, at) => accepted(`many ${at}`))
      yield* life(directory)(
        Effect.gen(function* () {
          yield* accept(accepted("1"), accepted("2"), large, ...many)
          yield* run(yield* take, succeeded)
          yield* run(yield* take, Outcome.Exited({ code: 1, message: "" }))
          yield* History.retry([2])
          yield* downgrade
        })
      )
      const inOtherForm = (all: Journal.Accepted): Journal.Accepted => ({
        ...all,
        event: Either.getOrThrow(DockerEvent.decode(Engine29.asOlderApi(all.event.record), all.event.engine))
      })
      const entries = yield* life(directory)(
        Effect.zipRight(accept(...[accepted("1"), accepted("2"), large, ...many].map(inOtherForm)), takeAll)
      )
      assert.deepStrictEqual(entries.map(idOf), ["large", ...many.map(({ event }) => event.Actor.ID), "2"])
    })
  )

  it.scoped("keeps both rows of an event that it stored in two forms", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* life(directory)(
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          yield* accept(accepted("1"), accepted("2"))
          yield* run(yield* take, succeeded)
          yield* run(yield* take, succeeded)
          yield* sql`UPDATE event SET record = (SELECT record FROM event WHERE id = 1) || ' ' WHERE id = 2`
          yield* downgrade
        })
      )
      yield* life(directory)(
        Effect.gen(function* () {
          assert.deepStrictEqual(
            (yield* listed({})).map(({ id }) => id),
            [1, 2]
          )
          yield* accept(accepted("1"))
          assert.deepStrictEqual(yield* takeAll, [])
        })
      )
    })
  )
})

describe("a meeting with an engine that is cut off", () => {
  const met = (fingerprint: string) => ({
    identity: "I",
    fingerprints: [fingerprint],
    last: 1n,
    over: 0n,
    gaps: 0,
    running: [{ id: fingerprint, attributes: {}, startedAt: 3n }]
  })

  /** Meets an engine, and gives what is recalled when a statement of that met its end. */
  const cut = (statement: string, ...before: ReadonlyArray<FeedMemory.MetEngine>) =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* Effect.gen(function* () {
        const { memory } = yield* Journal.Journal
        const sql = yield* SqlClient.SqlClient
        for (const each of before) yield* memory.meet("unix:///e", each)
        yield* sql.unsafe(`CREATE TRIGGER cut BEFORE ${statement} BEGIN SELECT RAISE(ABORT, 'cut'); END`)
        yield* memory.meet("unix:///e", met("new"))
      }).pipe(life(directory))
      return yield* Effect.flatMap(Journal.Journal, ({ memory }) => memory.recall("unix:///e")).pipe(life(directory))
    })

  for (const statement of ["INSERT ON seen", "INSERT ON running", "INSERT ON engine"]) {
    it.scoped(`(${statement}) does not count, if it was the first`, () =>
      Effect.map(cut(statement), ({ identity }) => assert.isUndefined(identity))
    )
  }

  for (const statement of ["INSERT ON seen", "DELETE ON seen", "INSERT ON running", "DELETE ON running"]) {
    it.scoped(`(${statement}) forgets nothing that was known`, () =>
      Effect.map(cut(statement, met("old")), ({ fingerprints, identity, running }) => {
        assert.strictEqual(identity, "I")
        assert.isAbove(fingerprints.length, 0)
        assert.isAbove(running.length, 0)
      })
    )
  }
})

describe("the order of the journal on disk", () => {
  const numbered = (id: string, number: number): Journal.Accepted => ({
    event: { ...makeEvent({ id, attributes: { number: String(number) } }), engine: "unix:///e" },
    scripts: [script]
  })
  const storm = (id: string, count: number) => Array.from({ length: count }, (_, number) => numbered(id, number))

  const takeIds = (order: Journal.TakeOrder, count: number) =>
    Effect.gen(function* () {
      const journal = yield* Journal.Journal
      const taken: Array<string> = []
      for (let at = 0; at < count; at++) {
        const { event, id } = yield* Effect.flatten(journal.take(order))
        taken.push(`${event.Actor.ID}${event.Actor.Attributes["number"]}`)
        yield* journal.finish(id, "succeeded")
      }
      return taken.join(" ")
    })

  it.scoped("gives each actor its turn if it is fair, before and after a restart of des", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const first = Effect.gen(function* () {
        yield* accept(...storm("a", 5), ...storm("b", 2))
        const taken = yield* takeIds("fair", 3)
        yield* accept(...storm("c", 2))
        return `${taken} ${yield* takeIds("fair", 2)}`
      })
      assert.strictEqual(yield* life(directory)(first), "a0 b0 a1 b1 a2")
      assert.strictEqual(yield* life(directory)(takeIds("fair", 4)), "a3 c0 a4 c1")
    })
  )

  it.scoped("leaves the backlog of an actor on the disk, however large it is, and gives the events of others", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const large = (number: number): Journal.Accepted => ({
        event: {
          ...makeEvent({ id: "storm", attributes: { number: String(number), label: "x".repeat(4_000_000) } }),
          engine: "unix:///e"
        },
        scripts: [script]
      })
      yield* Effect.gen(function* () {
        const journal = yield* Journal.Journal
        for (let at = 0; at < 10; at++) yield* accept(large(at))
        yield* accept(...storm("a", 1), ...storm("b", 1))
        // All of them are out at once: three jobs are busy.
        const out = [yield* take, yield* take, yield* take]
        assert.deepStrictEqual(out.map(idOf), ["storm", "a", "b"])
        const next = yield* Effect.fork(take)
        yield* TestClock.adjust("1 minute")
        assert.isNull(next.unsafePoll())
        yield* journal.finish(out[0]?.id ?? 0, "succeeded")
        assert.strictEqual(idOf(yield* Fiber.join(next)), "storm")
      }).pipe(life(directory))
    })
  )

  it.scoped("is bounded for large events of one actor, also after a restart, and says how many were lost", () => {
    const logs = collectLogs()
    const large = (number: number, id = "storm"): Journal.Accepted => ({
      event: {
        ...makeEvent({ id, attributes: { number: String(number), label: "x".repeat(5_000_000) } }),
        engine: "unix:///e"
      },
      scripts: [script]
    })
    const waiting = Effect.flatMap(Journal.Journal, (journal) => journal.unfinished)
    const lostOnes = (records: ReadonlyArray<string>) => records.filter((line) => line.startsWith("WARN"))
    return Effect.gen(function* () {
      const directory = yield* folder
      yield* Effect.gen(function* () {
        const journal = yield* Journal.Journal
        // Each comes alone, and the last four in one batch with events that are kept.
        for (let at = 0; at < 6; at++) yield* accept(large(at))
        yield* accept(large(6), ...storm("storm", 2), large(7, "other"), large(7), large(8), large(2))
        assert.strictEqual(yield* waiting, 3 + 2 + 1)
        yield* TestClock.adjust("1 minute")
        assert.deepInclude(yield* journal.lost, { engine: "unix:///e", type: "container", id: "storm", count: 6 })
        yield* accept(large(9))
        assert.strictEqual(yield* waiting, 6, "its events still wait")
        // An event of a file can wait, so it is never lost.
        yield* accept(...[10, 11, 12, 13].map((at) => ({ ...large(at), event: { ...large(at).event, engine: "" } })))
        assert.strictEqual(yield* waiting, 10)
      }).pipe(life(directory))
      assert.deepStrictEqual(lostOnes(logs.lines), [
        "WARN container/start storm: records over 64 KiB of this actor fill its share of the journal (16 MiB), and further ones are lost for a minute, and until its scripts catch up. Make them faster, or let them run for fewer events",
        "WARN container/start storm: too many events of this actor still wait; 6 were lost",
        "WARN container/start storm: des stops; 1 was lost"
      ])
      yield* Effect.gen(function* () {
        yield* accept(large(14))
        assert.strictEqual(yield* waiting, 10)
        const journal = yield* Journal.Journal
        for (let at = 0; at < 10; at++) yield* journal.finish((yield* take).id, "succeeded")
        yield* accept(large(15))
        assert.strictEqual(yield* waiting, 0, "its minute is not over")
        yield* TestClock.adjust("1 minute")
        yield* accept(large(15))
        assert.strictEqual(yield* waiting, 1)
      }).pipe(life(directory))
    }).pipe(Effect.provide(logs.layer))
  })

  it.scoped("loses large events of one actor while des is behind its engine, although they do not wait", () =>
    Effect.gen(function* () {
      const late = (number: number, delay: number): Journal.Accepted => ({
        event: {
          ...makeEvent({
            id: "storm",
            attributes: { number: String(number), label: "x".repeat(4_000_000) },
            timeNano: BigInt(3_600_000 - delay) * 1_000_000n
          }),
          engine: "unix:///e"
        },
        scripts: [script]
      })
      yield* TestClock.adjust("1 hour")
      yield* Effect.gen(function* () {
        const journal = yield* Journal.Journal
        const run = Effect.flatMap(take, ({ id }) => journal.finish(id, "succeeded"))
        yield* Effect.zipRight(accept(late(1, 0)), run)
        yield* Effect.zipRight(accept(late(2, 3000)), run)
        yield* accept(late(3, 3001), accepted("innocent"))
        assert.strictEqual(yield* journal.unfinished, 1)
        yield* run
        yield* TestClock.adjust("1 minute")
        assert.deepInclude(yield* journal.lost, { id: "storm", count: 1 })
      }).pipe(life(yield* folder))
    })
  )

  it.scoped("finds each event by an index, however many wait", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const planOf = (statement: string) =>
        Effect.gen(function* () {
          const sql = yield* SqlClient.SqlClient
          const steps = yield* sql.unsafe<{ detail: string }>(`EXPLAIN QUERY PLAN ${statement}`)
          return steps.map(({ detail }) => detail).join("; ")
        })
      yield* Effect.gen(function* () {
        const waiting = "SELECT id, record FROM event WHERE state = 'waiting' AND"
        const ofActor = yield* planOf(
          `${waiting} engine = '' AND type = '' AND actor = '' AND id > 0 ORDER BY id LIMIT 1`
        )
        assert.match(ofActor, /^SEARCH event USING INDEX event_actor \(engine=\? AND type=\? AND actor=\? AND id>\?\)$/)
        const next = yield* planOf(`${waiting} id > 0 AND engine || '' IN ('', 'e') ORDER BY id LIMIT 1`)
        assert.match(next, /^SEARCH event USING (INDEX event_waiting|INTEGER PRIMARY KEY) \((id|rowid)>\?\)$/)
      }).pipe(life(directory))
    })
  )
})

describe("the history that the journal keeps", () => {
  const large = (id: string, length: number): Journal.Accepted => ({
    event: { ...makeEvent({ id, attributes: { label: "x".repeat(length) } }), engine: "unix:///e" },
    scripts: [script]
  })
  const failed = Outcome.Exited({ code: 1, message: "" })
  const stored = Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    return yield* sql<{
      actor: string
      characters: number
      size: number
    }>`SELECT actor, length(record) AS characters, size
      FROM event ORDER BY id`
  })

  it.scoped("has no large record of an event that succeeded, and des retry refuses its runs", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* Effect.gen(function* () {
        yield* accept(large("done", 100_000), large("failed", 100_000), large("small", 60_000))
        yield* run(yield* take, succeeded)
        yield* run(yield* take, failed)
        yield* run(yield* take, succeeded)
        const [done, failing, small] = yield* stored
        assert.strictEqual(done?.characters, 0)
        assert.isBelow(done?.size ?? 0, 2000)
        assert.isAbove(failing?.characters ?? 0, 100_000)
        assert.isAbove(failing?.size ?? 0, 100_000)
        assert.isAbove(small?.characters ?? 0, 60_000)
        assert.deepStrictEqual(yield* History.retry([1, 2, 3]), { unknown: [], cut: [1] })
        assert.deepStrictEqual(yield* History.retry([2, 3]), { unknown: [], cut: [] })
        yield* TestClock.adjust("1 second")
        assert.strictEqual(idOf(yield* take), "failed")
        assert.lengthOf(yield* listed({}), 3)
      }).pipe(life(directory))
    })
  )

  it.scoped("is bounded in bytes, oldest first, while des runs and at its start", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const keep = { ...Keep.defaults, size: 4_000_000 }
      const sizes = Effect.map(stored, (rows) => rows.reduce((sum, { size }) => sum + size, 0))
      yield* Effect.gen(function* () {
        for (let at = 0; at < 30; at++) {
          yield* accept(large(String(at), 500_000))
          yield* run(yield* take, failed)
        }
        assert.isBelow(yield* sizes, 6_000_000)
        assert.strictEqual((yield* stored).at(-1)?.actor, "29")
      }).pipe(life(directory, { keep }))
      assert.isAtMost(yield* life(directory, { keep })(sizes), 4_000_000)
      const actors = Effect.map(stored, (rows) => rows.map(({ actor }) => actor))
      assert.deepStrictEqual(yield* life(directory, { keep: { ...keep, size: 1_100_000 } })(actors), ["28", "29"])
    })
  )
})

describe("an event that makes des crash", () => {
  /** Begins the run of the next event, and dies before its script has started. */
  const die = Effect.gen(function* () {
    const journal = yield* Journal.Journal
    const entry = yield* take
    yield* journal.begin(entry, script, (entry.earlier[script.path]?.attempts ?? 0) + 1)
    return idOf(entry)
  })
  const errorsOf = <A, E>(effect: Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      const logs = collectLogs()
      const value = yield* Effect.provide(effect, logs.layer)
      return [value, logs.lines.filter((line) => line.startsWith("ERROR"))] as const
    })

  it.scoped("is retried once, and set aside after the second crash, which is logged once", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* life(directory)(accept(accepted("poison"), accepted("innocent")))
      assert.strictEqual(yield* life(directory)(die), "poison")
      assert.strictEqual(yield* life(directory)(die), "poison")
      const [taken, errors] = yield* errorsOf(life(directory)(takeAll))
      assert.deepStrictEqual(taken.map(idOf), ["innocent"])
      assert.deepStrictEqual(errors, [
        `ERROR container/start poison: quarantined, its scripts do not run: des died 2 times while it read this event or started its scripts. Please report it. To run them again: des retry --state ${directory} 3`
      ])
      const [again, silent] = yield* errorsOf(life(directory)(takeAll))
      assert.deepStrictEqual(again.map(idOf), ["innocent"])
      assert.deepStrictEqual(silent, [])
    })
  )

  it.scoped("is in the history, and des retry runs it again, with two more deaths allowed", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* life(directory)(accept(accepted("poison")))
      for (let at = 0; at < 2; at++) yield* life(directory)(die)
      yield* Effect.gen(function* () {
        const summary = (runs: ReadonlyArray<History.Run>) =>
          runs.map(({ attempt, id, outcome }) => [id, attempt, outcome])
        assert.deepStrictEqual(summary(yield* listed({})), [
          [1, 1, "des died"],
          [2, 2, "des died"],
          [3, 3, "quarantined"]
        ])
        assert.deepStrictEqual(summary(yield* listed({ failed: true })), [[3, 3, "quarantined"]])
        assert.deepStrictEqual(yield* History.retry([3]), { unknown: [], cut: [] })
      }).pipe(life(directory))
      assert.strictEqual(yield* life(directory)(die), "poison")
      assert.lengthOf(yield* life(directory)(takeAll), 1)
    })
  )

  it.scoped("is not an event whose script ran when des was killed, however often", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* life(directory)(accept(accepted("slow")))
      for (let at = 0; at < 5; at++) {
        yield* Effect.gen(function* () {
          const journal = yield* Journal.Journal
          const entry = yield* take
          const kept = yield* journal.begin(entry, script, at + 1)
          yield* kept.started(process.pid)
        }).pipe(life(directory))
      }
      // Two deaths with a started run between them are not in a row.
      yield* life(directory)(die)
      yield* Effect.gen(function* () {
        const kept = yield* (yield* Journal.Journal).begin(yield* take, script, 7)
        yield* kept.started(process.pid)
      }).pipe(life(directory))
      yield* life(directory)(die)
      assert.lengthOf(yield* life(directory)(takeAll), 1)
    })
  )

  it.scoped("is not an event whose run was stopped with des, and not one that waited", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* life(directory)(accept(accepted("a"), accepted("b")))
      for (let at = 0; at < 4; at++) {
        yield* Effect.gen(function* () {
          const kept = yield* (yield* Journal.Journal).begin(yield* take, script, at + 1)
          yield* kept.interrupted
        }).pipe(life(directory))
      }
      assert.deepStrictEqual((yield* life(directory)(takeAll)).map(idOf), ["a", "b"])
    })
  )

  it.scoped("begins alone the second time, so that no other event is set aside with it", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* life(directory)(accept(accepted("a"), accepted("poison"), accepted("b")))
      const beginAll = Effect.gen(function* () {
        const journal = yield* Journal.Journal
        const begun: Array<string> = []
        const entries = [yield* take, yield* take, yield* take]
        const begin = (entry: Journal.Entry) =>
          Effect.gen(function* () {
            const kept = yield* journal.begin(entry, script, 1)
            begun.push(idOf(entry))
            yield* Effect.yieldNow()
            // des dies when it handles this one.
            if (idOf(entry) === "poison") return yield* Effect.never
            yield* kept.started(process.pid)
          })
        yield* Effect.forkScoped(Effect.forEach(entries, begin, { concurrency: "unbounded" }))
        yield* Effect.repeatN(
          Effect.promise(() => new Promise(setImmediate)),
          200
        )
        return begun
      }).pipe(Effect.scoped)
      // The first death: the three had begun.
      yield* life(directory)(Effect.replicateEffect(die, 3))
      assert.deepStrictEqual(yield* life(directory)(beginAll), ["a", "poison"])
      assert.deepStrictEqual((yield* life(directory)(takeAll)).map(idOf), ["a", "b"])
    })
  )

  it.scoped("is also set aside if des crashes while it reads it from the journal", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* life(directory)(accept(accepted("poison"), accepted("innocent")))
      const mark = Effect.flatMap(
        SqlClient.SqlClient,
        (sql) =>
          sql`INSERT INTO handling (event_id, times) VALUES (1, 1) ON CONFLICT (event_id) DO UPDATE SET times = 2`
      )
      yield* life(directory)(mark)
      const first = yield* life(directory)(takeAll)
      assert.deepStrictEqual(first.map(idOf), ["poison", "innocent"], "it was read, which ends the count")
      yield* life(directory)(Effect.zipRight(mark, mark))
      assert.deepStrictEqual((yield* life(directory)(takeAll)).map(idOf), ["innocent"])
    })
  )
})

describe("the history", () => {
  it.scoped("says why a script was not started", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* Effect.gen(function* () {
        yield* accept(accepted("1"))
        yield* run(yield* take, Outcome.NotStarted({ message: "spawn EACCES" }))
        assert.deepStrictEqual(
          (yield* listed({ failed: true })).map(({ exit, outcome, output }) => [exit, outcome, output]),
          [[127, "not started", "spawn EACCES"]]
        )
      }).pipe(life(directory))
    })
  )

  it.scoped("can be read to its end, however long it is", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const names = Array.from({ length: 2500 }, (_, at) => String(at))
      yield* Effect.gen(function* () {
        yield* accept(...names.map((name) => accepted(name)))
        for (const _ of names) yield* run(yield* take, succeeded)
        assert.deepStrictEqual(
          (yield* listed({})).map(({ actor }) => actor),
          names
        )
      }).pipe(life(directory))
    })
  )

  it.scoped("lists runs, those that failed, and those since a time", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* Effect.gen(function* () {
        yield* accept(accepted("1"), accepted("2"), accepted("3"))
        yield* run(yield* take, succeeded)
        yield* TestClock.adjust("1 minute")
        yield* run(yield* take, Outcome.Killed({ signal: "SIGKILL", message: "" }))
        const all = yield* listed({})
        assert.deepStrictEqual(
          all.map(({ actor, attempt, duration, exit, outcome, output, script, type }) => [
            ...[actor, attempt, duration, exit, outcome, output, script, type]
          ]),
          [
            ["1", 1, 0, 0, "exited", "the last\nof its output", script.path, "container"],
            ["2", 1, 0, -9, "killed", "the last\nof its output", script.path, "container"]
          ]
        )
        assert.deepStrictEqual(
          (yield* listed({ failed: true })).map(({ actor }) => actor),
          ["2"]
        )
        assert.deepStrictEqual(
          (yield* listed({ since: 1 })).map(({ actor }) => actor),
          ["2"]
        )
        assert.deepStrictEqual(
          (yield* listed({ since: 60_001 })).map(({ actor }) => actor),
          []
        )
      }).pipe(life(directory))
    })
  )

  it.scoped("queues a run again for a journal in use, and goes on counting its attempts", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* Effect.gen(function* () {
        yield* accept({ ...accepted("1"), scripts: [script, { ...script, path: "/d/all" }] })
        yield* run(yield* take, Outcome.Exited({ code: 1, message: "" }))
        const waiting = yield* Effect.fork(take)
        yield* Effect.yieldNow()
        assert.deepStrictEqual(yield* History.retry([1, 7]), { unknown: [7], cut: [] })
        assert.deepStrictEqual(yield* History.retry([1]), { unknown: [], cut: [] })
        yield* TestClock.adjust("1 second")
        const again = yield* Fiber.join(waiting)
        assert.strictEqual(idOf(again), "1")
        assert.deepStrictEqual(again.scripts, [script])
        assert.strictEqual(again.earlier[script.path]?.attempts, 1)
        yield* run(again, succeeded)
        assert.deepStrictEqual(
          (yield* listed({})).map(({ attempt, exit }) => [attempt, exit]),
          [
            [1, 1],
            [2, 0]
          ]
        )
      }).pipe(life(directory))
    })
  )

  it.scoped("knows after a restart how a run ended that was queued again", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const failed = Outcome.Exited({ code: 1, message: "" })
      yield* Effect.gen(function* () {
        const journal = yield* Journal.Journal
        yield* accept(accepted("1"))
        yield* run(yield* take, failed)
        yield* History.retry([1])
        yield* TestClock.adjust("1 second")
        yield* History.retry([1])
        const begun = yield* take
        yield* journal.begin(begun, script, 2)
        yield* journal.park(begun.id)
        const kept = yield* journal.begin(yield* take, script, 2)
        yield* kept.ended(failed, "", true)
      }).pipe(life(directory))
      const [begun, ended] = yield* life(directory)(takeAll)
      assert.strictEqual(begun?.earlier[script.path]?.attempts, 2)
      assert.lengthOf(begun?.earlier[script.path]?.outlived ?? [], 1)
      assert.strictEqual(ended?.earlier[script.path]?.settled, "failed")
    })
  )
})
