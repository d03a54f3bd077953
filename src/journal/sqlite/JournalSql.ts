import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlError from "@effect/sql/SqlError"
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as DockerEvent from "../../event/DockerEvent.ts"
import * as OwnEvent from "../../event/OwnEvent.ts"
import * as Belief from "../../feed/Belief.ts"
import * as FeedMemory from "../../feed/FeedMemory.ts"
import * as ProcessGroup from "../../scripts/ProcessGroup.ts"
import type { Script } from "../../scripts/ScriptDirectory.ts"
import { exitCode, type Outcome } from "../../scripts/ScriptRunner.ts"
import {
  type Accepted,
  type Batch,
  type Earlier,
  type Entry,
  Journal,
  type JournalError,
  type KeptRun,
  sayTooOld,
  splitByAge,
  weigh
} from "../Journal.ts"
import * as Failure from "./Failure.ts"

/**
 * How long what has run is kept: at most `age` milliseconds, and at most `count` events.
 *
 * @since 1.0.0
 * @category models
 */
export interface Keep {
  readonly age: number
  readonly count: number
}

/**
 * What is kept where nothing else is said: 30 days, 100,000 events.
 *
 * @since 1.0.0
 * @category constructors
 */
export const defaultKeep: Keep = { age: 30 * 86_400_000, count: 100_000 }

/**
 * `file` names the database in errors; `keep` bounds what is kept of what has run; what happened more than `maxAge`
 * milliseconds ago is marked skipped. With `engines` only events of these, and those of none, are given: what waits for
 * another goes on waiting, since its scripts would ask the wrong engine (default: all). `durably` makes a write wait
 * until it is on the disk.
 *
 * @since 1.0.0
 * @category models
 */
export interface Options {
  readonly file: string
  readonly keep: Keep
  readonly maxAge: number
  readonly engines?: ReadonlyArray<string>
  readonly durably: (
    sql: SqlClient.SqlClient
  ) => <A>(write: Effect.Effect<A, SqlError.SqlError>) => Effect.Effect<A, SqlError.SqlError>
}

/** What was taken and is not finished is in memory: at most so many bytes of it. */
const mostTaken = 67_108_864

/** So many rows may be written before what is too old is let go. */
const retentionEvery = 1000

/** How many rows one statement inserts: each has a dozen of SQLite's 32,766 parameters. */
const rowsAtOnce = 500

/** Of what was met and not read as an event, only the fingerprint is known. */
const unknownTime = ""

/** How often an idle journal is looked at, for what `des retry` has queued. */
const lookAgain = "1 second"

interface WaitingRow {
  readonly id: number
  readonly engine: string
  readonly record: string
  readonly synthetic: number
  readonly scripts: string
  readonly attempts: number
}

interface RunningRow {
  readonly id: string
  readonly attributes: string
  readonly started_at: string
}

interface EarlierRow {
  readonly id: number
  readonly script: string
  readonly attempt: number
  readonly began_at: number
  readonly pid: number | null
  readonly process_started: string | null
  readonly ended_at: number | null
  readonly exit: number | null
  readonly last: number
}

const outcomeNames: Readonly<Record<Outcome["_tag"], string>> = {
  Exited: "exited",
  Killed: "killed",
  TimedOut: "timed out",
  NotStarted: "not started"
}

/** What there is to read of a run afterwards. */
const textOf = (outcome: Outcome, output: string): string => (outcome._tag === "NotStarted" ? outcome.message : output)

/** The client gives a text back only up to its first NUL. */
const withoutNul = (text: string): string => text.replaceAll("\0", "\ufffd")

const pieces = <A>(all: ReadonlyArray<A>): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / rowsAtOnce) }, (_, at) =>
    all.slice(at * rowsAtOnce, (at + 1) * rowsAtOnce)
  )

const make = (options: Options) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const safely = Failure.explained(options.file)
    const [named] = yield* safely(sql<{ name: string }>`SELECT name FROM journal`)
    const [newest] = yield* safely(sql<{ id: number }>`SELECT coalesce(max(id), 0) AS id FROM event`)
    /** What is newer was never taken before. */
    const lastOfEarlierLife = newest?.id ?? 0
    const wake = yield* Effect.makeLatch(false)
    const room = yield* Effect.makeLatch(true)
    // What failed where nobody could be told: the next batch is.
    let broken: JournalError | undefined
    let closed = false
    let cursor = 0
    /** What was taken and is not finished, with what it takes of memory: nothing while it rests. */
    const taken = new Map<number, number>()
    let weight = 0
    let written = 0

    const isWatched = options.engines === undefined ? sql`1 = 1` : sql.in("engine", ["", ...options.engines])

    const sayUnwatched = Effect.gen(function* () {
      const waiting = yield* sql<{ engine: string; n: number }>`SELECT engine, count(*) AS n FROM event
        WHERE state = 'waiting' AND NOT (${isWatched}) GROUP BY engine`
      for (const { engine, n } of waiting) {
        yield* Effect.logWarning(
          `${n} ${n === 1 ? "event" : "events"} of ${engine} waited and ${n === 1 ? "goes" : "go"} on waiting, as that engine is not watched now`
        )
      }
    })

    const variableOf = (run: number) => `${named?.name ?? ""}-${run}`

    const retain = Effect.gen(function* () {
      const oldest = (yield* Clock.currentTimeMillis) - options.keep.age
      const [beyond] = yield* sql<{
        id: number
      }>`SELECT id FROM event WHERE state <> 'waiting' ORDER BY id DESC LIMIT 1 OFFSET ${options.keep.count}`
      const gone = sql`state <> 'waiting' AND (accepted_at < ${oldest} OR id <= ${beyond?.id ?? 0})`
      yield* sql`DELETE FROM run WHERE event_id IN (SELECT id FROM event WHERE ${gone})`
      yield* sql`DELETE FROM event WHERE ${gone}`
      const engines = yield* sql<{ engine: string }>`SELECT DISTINCT engine FROM seen`
      for (const { engine } of engines) {
        yield* sql`DELETE FROM seen WHERE engine = ${engine} AND id <=
          (SELECT id FROM seen WHERE engine = ${engine} ORDER BY id DESC LIMIT 1 OFFSET ${FeedMemory.remembered})`
      }
    })

    const count = (rows: number) =>
      Effect.suspend(() => {
        written += rows
        if (written < retentionEvery) return Effect.void
        written = 0
        return retain
      })

    const rowOf = (now: number, state: string) => (accepted: Accepted) => ({
      engine: accepted.event.engine,
      fingerprint: accepted.event.fingerprint,
      type: accepted.event.Type,
      action: withoutNul(accepted.event.Action),
      actor: withoutNul(accepted.event.Actor.ID),
      time_nano: String(accepted.event.timeNano),
      record: accepted.event.record,
      synthetic: accepted.event.synthetic ? 1 : 0,
      scripts: JSON.stringify(accepted.scripts),
      attempts: 0,
      accepted_at: now,
      state
    })

    const keepEvents = Effect.fnUntraced(function* (batch: Batch) {
      const now = yield* Clock.currentTimeMillis
      const { fresh, tooOld } = yield* splitByAge(batch.accepted, options.maxAge)
      const rows = [...tooOld.map(rowOf(now, "skipped")), ...fresh.map(rowOf(now, "waiting"))]
      for (const piece of pieces(rows)) {
        yield* sql`INSERT INTO event ${sql.insert(piece)} ON CONFLICT (engine, fingerprint) DO NOTHING`
      }
    })

    const keepSeen = Effect.fnUntraced(function* (events: ReadonlyArray<DockerEvent.DockerEvent>) {
      const rows = events.slice(-FeedMemory.remembered).map((event) => ({
        engine: event.engine,
        fingerprint: event.fingerprint,
        time_nano: String(event.timeNano)
      }))
      for (const piece of pieces(rows)) yield* sql`INSERT INTO seen ${sql.insert(piece)}`
    })

    const runningOf = (rows: ReadonlyArray<RunningRow>): Belief.Belief =>
      new Map(
        rows.map(({ attributes, id, started_at }) => [
          id,
          { id, attributes: JSON.parse(attributes), startedAt: BigInt(started_at) }
        ])
      )

    const insertRunning = Effect.fnUntraced(function* (engine: string, containers: Iterable<FeedMemory.Running>) {
      const rows = [...containers].map(({ attributes, id, startedAt }) => ({
        engine,
        id,
        attributes: JSON.stringify(attributes),
        started_at: String(startedAt)
      }))
      for (const piece of pieces(rows)) {
        yield* sql`INSERT INTO running ${sql.insert(piece)}
          ON CONFLICT (engine, id) DO UPDATE SET attributes = excluded.attributes, started_at = excluded.started_at`
      }
    })

    const keepRunning = Effect.fnUntraced(function* (engine: string, events: ReadonlyArray<DockerEvent.DockerEvent>) {
      const telling = events.filter(Belief.tells)
      for (const piece of pieces(telling)) {
        const ids = [...new Set(piece.map(({ Actor }) => Actor.ID))]
        const rows = yield* sql<RunningRow>`SELECT id, attributes, started_at FROM running
          WHERE engine = ${engine} AND ${sql.in("id", ids)}`
        const belief = runningOf(rows)
        for (const event of piece) Belief.follow(belief, event)
        yield* insertRunning(engine, belief.values())
        const gone = ids.filter((id) => !belief.has(id))
        if (gone.length > 0) yield* sql`DELETE FROM running WHERE engine = ${engine} AND ${sql.in("id", gone)}`
      }
    })

    // First the events: what is seen but not accepted would be lost, what is accepted but not seen is recognised.
    const accept = Effect.fn("Journal.accept")(function* (batch: Batch) {
      if (broken !== undefined) return yield* broken
      yield* safely(options.durably(sql)(keepEvents(batch)))
      // What is accepted need not wait for what is only noted.
      yield* wake.open
      const fromEngines = batch.events.filter(({ engine, Type }) => engine !== "" && Type !== OwnEvent.type)
      for (const [engine, events] of Object.entries(Arr.groupBy(fromEngines, (event) => event.engine)))
        yield* safely(keepRunning(engine, events))
      // Last: what is seen does not come again.
      yield* safely(keepSeen(fromEngines.filter(({ synthetic }) => !synthetic)))
      yield* safely(count(batch.events.length))
      return []
    })

    const earlierOf = Effect.fnUntraced(function* (row: WaitingRow, scripts: ReadonlyArray<Script>) {
      // What `des retry` queued counts on from the runs of another row.
      const counted: Earlier = { attempts: row.attempts, settled: undefined, outlived: [] }
      const retried = row.attempts === 0 ? {} : Object.fromEntries(scripts.map(({ path }) => [path, counted]))
      if (row.id > lastOfEarlierLife) return retried
      const runs = yield* sql<EarlierRow>`SELECT * FROM run WHERE event_id = ${row.id} ORDER BY id`
      const byScript = Object.entries(Arr.groupBy(runs, ({ script }) => script))
      const begun = Object.fromEntries(
        byScript.map(([script, ofScript]): [string, Earlier] => {
          const last = ofScript.find((run) => run.last === 1)
          return [
            script,
            {
              attempts: Math.max(...ofScript.map(({ attempt }) => attempt)),
              settled: last === undefined ? undefined : last.exit === 0 ? "succeeded" : "failed",
              outlived: ofScript
                .filter(({ ended_at }) => ended_at === null)
                .map(({ began_at, id, pid, process_started }) => ({
                  variable: `DES_RUN=${variableOf(id)}`,
                  process: pid === null || process_started === null ? undefined : { pid, startedAt: process_started },
                  began: began_at
                }))
            }
          ]
        })
      )
      return { ...retried, ...begun }
    })

    const weighAs = (id: number, now: number) =>
      Effect.suspend(() => {
        weight += now - (taken.get(id) ?? 0)
        taken.set(id, now)
        if (weight > mostTaken) room.unsafeClose()
        return weight > mostTaken ? Effect.void : room.open
      })

    /** The entry of a row, or nothing where it cannot be read: then it is failed. */
    const read = Effect.fnUntraced(function* (row: WaitingRow) {
      const decoded = DockerEvent.decode(row.record, row.engine)
      if (Either.isLeft(decoded)) {
        yield* Effect.logError(`Event ${row.id} of the journal cannot be read and is not run`)
        yield* safely(sql`UPDATE event SET state = 'failed' WHERE id = ${row.id}`)
        return undefined
      }
      const scripts: ReadonlyArray<Script> = JSON.parse(row.scripts)
      const event = { ...decoded.right, synthetic: row.synthetic === 1 }
      const entry: Entry = { id: row.id, event, scripts, earlier: yield* safely(earlierOf(row, scripts)) }
      yield* weighAs(row.id, weigh(entry))
      return entry
    })

    const takeRow: Effect.Effect<Option.Option<Entry>, JournalError> = Effect.gen(function* () {
      wake.unsafeClose()
      const [row] = yield* safely(sql<WaitingRow>`SELECT id, engine, record, synthetic, scripts, attempts FROM event
        WHERE state = 'waiting' AND id > ${cursor} AND ${isWatched} ORDER BY id LIMIT 1`)
      if (row === undefined) return Option.none()
      cursor = row.id
      const entry = yield* read(row)
      return entry === undefined ? yield* takeRow : Option.some(entry)
    })

    /** What rests is on the disk, where it takes no memory. */
    const rest = (entry: Entry) => {
      const { id } = entry
      const again = Effect.gen(function* () {
        const rows = yield* safely(sql<WaitingRow>`SELECT id, engine, record, synthetic, scripts, attempts FROM event
          WHERE id = ${id}`)
        const back = rows[0] === undefined ? undefined : yield* read(rows[0])
        return back ?? (yield* Failure.gone(options.file, id))
      })
      return Effect.as(weighAs(id, 0), again)
    }

    const take: Effect.Effect<Option.Option<Entry>, JournalError> = Effect.gen(function* () {
      while (true) {
        yield* room.await
        const taken = yield* takeRow
        if (Option.isSome(taken) || closed) return taken
        yield* Effect.raceFirst(wake.await, Effect.sleep(lookAgain))
      }
    })

    const begin = Effect.fn("Journal.begin")(function* (entry: Entry, script: Script, attempt: number) {
      const now = yield* Clock.currentTimeMillis
      if (entry.earlier[script.path] !== undefined) {
        yield* safely(sql`UPDATE run SET ended_at = ${now}, outcome = 'cut off'
          WHERE event_id = ${entry.id} AND script = ${script.path} AND ended_at IS NULL`)
      }
      const row = { event_id: entry.id, script: script.path, attempt, began_at: now, last: 0 }
      const [inserted] = yield* safely(sql<{ id: number }>`INSERT INTO run ${sql.insert(row)} RETURNING id`)
      const id = inserted?.id ?? 0
      return {
        variables: { DES_RUN: variableOf(id) },
        started: (pid) => {
          const identity = ProcessGroup.identify(pid)
          return sql`UPDATE run SET pid = ${pid}, process_started = ${identity?.startedAt ?? null} WHERE id = ${id}`.pipe(
            safely,
            // The process is known by its variable too, and what follows fails as well.
            Effect.ignore
          )
        },
        ended: (outcome, output, last) =>
          Effect.flatMap(Clock.currentTimeMillis, (ended) =>
            safely(sql`UPDATE run SET ended_at = ${ended}, outcome = ${outcomeNames[outcome._tag]},
              exit = ${exitCode(outcome)}, output = ${withoutNul(textOf(outcome, output))}, last = ${last ? 1 : 0} WHERE id = ${id}`)
          )
      } satisfies KeptRun
    })

    const finish = Effect.fn("Journal.finish")(function* (id: number, state: "done" | "failed") {
      yield* safely(sql`UPDATE event SET state = ${state} WHERE id = ${id}`)
      yield* weighAs(id, 0)
      taken.delete(id)
      yield* safely(count(1))
    })

    const waiting = Effect.gen(function* () {
      const [row] = yield* safely(
        sql<{
          waiting: number
        }>`SELECT count(*) AS waiting FROM event WHERE state = 'waiting' AND id > ${cursor} AND ${isWatched}`
      )
      return row?.waiting ?? 0
    })

    const journal = Journal.of({
      durable: true,
      accept,
      room: Effect.void,
      close: Effect.suspend(() => {
        closed = true
        return Effect.asVoid(wake.open)
      }),
      take,
      rest,
      begin,
      finish,
      waiting
    })

    const remembering = <A>(otherwise: A, effect: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A> =>
      Effect.catchAll(safely(effect), (error) => {
        broken = error
        return Effect.succeed(otherwise)
      })

    const recall = Effect.fnUntraced(function* (engine: string) {
      const [met] = yield* sql<{
        identity: string
        last: string
      }>`SELECT identity, last FROM engine WHERE name = ${engine}`
      const seen = yield* sql<{ fingerprint: string; time_nano: string }>`SELECT fingerprint, time_nano FROM
        (SELECT * FROM seen WHERE engine = ${engine} ORDER BY id DESC LIMIT ${FeedMemory.remembered}) AS newest ORDER BY id`
      const running = yield* sql<{
        id: string
        attributes: string
        started_at: string
      }>`SELECT id, attributes, started_at
        FROM running WHERE engine = ${engine}`
      return {
        identity: met?.identity,
        fingerprints: seen.map(({ fingerprint }) => fingerprint),
        last: BigInt(seen.findLast(({ time_nano }) => time_nano !== unknownTime)?.time_nano ?? met?.last ?? 0),
        running: [...runningOf(running).values()]
      }
    })

    // des may be killed after each statement: the new comes before the old goes, and a first meeting counts with its last one.
    const meet = Effect.fnUntraced(function* (
      engine: string,
      met: FeedMemory.Recollection & { readonly identity: string }
    ) {
      const { identity, last } = met
      const [old] = yield* sql<{ id: number }>`SELECT coalesce(max(id), 0) AS id FROM seen WHERE engine = ${engine}`
      const seen = met.fingerprints.map((fingerprint) => ({ engine, fingerprint, time_nano: unknownTime }))
      for (const piece of pieces(seen)) yield* sql`INSERT INTO seen ${sql.insert(piece)}`
      yield* sql`DELETE FROM seen WHERE engine = ${engine} AND id <= ${old?.id ?? 0}`
      yield* insertRunning(engine, met.running)
      yield* sql`DELETE FROM running WHERE engine = ${engine}
        AND id NOT IN (SELECT value FROM json_each(${JSON.stringify(met.running.map(({ id }) => id))}))`
      yield* sql`INSERT INTO engine ${sql.insert({ name: engine, identity, last: String(last) })}
        ON CONFLICT (name) DO UPDATE SET identity = excluded.identity, last = excluded.last`
    })

    const skipTooOld = Effect.gen(function* () {
      if (options.maxAge === Number.POSITIVE_INFINITY) return
      const oldest = BigInt(Math.floor((yield* Clock.currentTimeMillis) - options.maxAge)) * 1_000_000n
      const skipped = yield* sql`UPDATE event SET state = 'skipped'
        WHERE state = 'waiting' AND CAST(time_nano AS BIGINT) BETWEEN 1 AND ${oldest} AND attempts = 0 RETURNING id`
      if (skipped.length > 0) yield* sayTooOld(skipped.length, options.maxAge)
    })

    yield* safely(skipTooOld)
    yield* safely(sayUnwatched)
    yield* safely(retain)
    const memory = FeedMemory.FeedMemory.of({
      recall: (engine) => remembering(FeedMemory.nothing, recall(engine)),
      meet: (engine, met) => remembering(undefined, meet(engine, met))
    })
    return Context.make(Journal, journal).pipe(Context.add(FeedMemory.FeedMemory, memory))
  })

/**
 * A journal in a database whose tables are there. Nothing is accepted
 * before it is written, and what was accepted and not finished is given again when des starts the next time.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<Journal | FeedMemory.FeedMemory, JournalError, SqlClient.SqlClient> => Layer.effectContext(make(options))
