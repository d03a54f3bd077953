import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as DockerEvent from "../../event/DockerEvent.ts"
import type { Script } from "../../scripts/ScriptDirectory.ts"
import { splitByAge, weigh } from "../Admission.ts"
import type { Accepted, Earlier, Entry, JournalError, Result, TakeOrder } from "../Journal.ts"
import * as LargeBacklog from "../sql/LargeBacklog.ts"
import { type Actor, pieces, withoutNul } from "../sql/Rows.ts"
import { keptRecord, sizeOfEvent, sizeOfRun } from "../sql/Size.ts"
import * as Underway from "../Underway.ts"
import * as Backlog from "./Backlog.ts"
import * as Failure from "./Failure.ts"
import type { Quarantine } from "./Quarantine.ts"
import type { RunLog } from "./RunLog.ts"
import * as SqliteOnly from "./SqliteOnly.ts"
import * as Turns from "./Turns.ts"

/** How many bytes of events that are out may be in memory: 64 MiB, or one larger event. */
const mostTaken = 67_108_864

/** How the table `event` writes a result: `done` is the word of the first journals. */
const states: Readonly<Record<Result, string>> = { succeeded: "done", failed: "failed" }

/** How often an idle journal is read again, for events that `des retry` has queued. */
const lookAgain = "1 second"

/**
 * `file` names the database in errors. Events that happened more than `maxAge` milliseconds ago are skipped. With
 * `engines`, only events of these engines, and events without an engine, are given.
 */
export interface Options {
  readonly file: string
  readonly maxAge: number
  readonly engines: ReadonlyArray<string> | undefined
  readonly runs: RunLog
  readonly quarantine: Quarantine
}

/**
 * An event that was taken and is not finished. `bytes` is its size in memory, 0 while it is parked. `runs` is the size
 * of its runs on the disk.
 */
interface Given {
  readonly actor: Actor
  readonly record: { readonly length: number; readonly size: number }
  readonly size: number
  bytes: number
  runs: number
}

/** The events that were taken and are not finished. `room` waits while too many bytes of them are in memory. */
const makeGiven = Effect.map(Effect.makeLatch(true), (room) => {
  const events = new Map<number, Given>()
  let bytes = 0

  const weighAs = (given: Given, now: number) => {
    bytes += now - given.bytes
    given.bytes = now
    if (bytes > mostTaken) room.unsafeClose()
    else room.unsafeOpen()
  }

  return {
    room: room.await,
    get: (id: number) => events.get(id),
    add: (row: Turns.WaitingRow) => {
      const { actor, engine, type } = row
      const record = { length: row.record.length, size: sizeOfEvent(row.record) }
      const size = sizeOfEvent(row.record, row.inspected)
      const given: Given = { actor: { engine, type, actor }, record, size, bytes: 0, runs: 0 }
      events.set(row.id, given)
      weighAs(given, weigh({ event: row, inspected: row.inspected }))
    },
    weighAs,
    remove: (id: number, given: Given) => {
      weighAs(given, 0)
      events.delete(id)
    }
  }
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
  state,
  inspected: accepted.inspected ?? null,
  size: sizeOfEvent(accepted.event.record, accepted.inspected)
})

/**
 * Writes accepted events to the table `event`. Events that are too old are marked as skipped. An event that the table
 * already has is not changed. Returns the events that are lost, because too many large ones of their actor wait.
 */
const insertInto = (sql: SqlClient.SqlClient, maxAge: number, backlog: LargeBacklog.LargeBacklog) =>
  Effect.fnUntraced(function* (all: ReadonlyArray<Accepted>) {
    const now = yield* Clock.currentTimeMillis
    const { fresh, tooOld } = yield* splitByAge(all, maxAge)
    const { kept, lost } = yield* backlog.admit(fresh)
    const rows = [...tooOld.map(rowOf(now, "skipped")), ...kept.map(rowOf(now, "waiting"))]
    for (const piece of pieces(rows)) {
      yield* sql`INSERT INTO event ${sql.insert(piece)} ON CONFLICT (engine, fingerprint) DO NOTHING`
    }
    return lost
  })

/**
 * Reads a row as an entry. Returns nothing if its record cannot be read. `newest` is the last event from before the restart
 * of des.
 */
const makeRead = (options: Options, newest: number) => {
  const earlierOf = Effect.fnUntraced(function* (row: Turns.WaitingRow, scripts: ReadonlyArray<Script>) {
    // An event that `des retry` queued counts its attempts on from the runs of another row.
    const counted: Earlier = { attempts: row.attempts, settled: undefined, outlived: [] }
    const retried = row.attempts === 0 ? {} : Object.fromEntries(scripts.map(({ path }) => [path, counted]))
    if (row.id > newest) return retried
    return { ...retried, ...(yield* options.runs.earlierOf(row.id)) }
  })

  return Effect.fnUntraced(function* (row: Turns.WaitingRow): Effect.fn.Return<Entry | undefined, SqlError> {
    const decode = Effect.sync(() => DockerEvent.decode(row.record, row.engine))
    // This process has already read the events that it accepted itself.
    const decoded = yield* row.id > newest ? decode : options.quarantine.whileReading(row.id, decode)
    if (Either.isLeft(decoded)) return undefined
    const written: ReadonlyArray<Script & { readonly coalesced?: number }> = JSON.parse(row.scripts)
    const scripts = written.map(({ coalesced: _, ...script }): Script => script)
    const coalesced = Object.fromEntries(
      written.flatMap((script) => (script.coalesced === undefined ? [] : [[script.path, script.coalesced]]))
    )
    const event = { ...decoded.right, synthetic: row.synthetic === 1 }
    const earlier = yield* earlierOf(row, scripts)
    const entry = { id: row.id, acceptedAt: row.accepted_at, event, scripts, earlier, coalesced }
    return row.inspected === null ? entry : { ...entry, inspected: row.inspected }
  })
}

/**
 * The accepted events, in the table `event`. It has the members of the journal, and these:
 *
 * - `insert`: writes events, and does not wake `take`. Returns the events that are lost.
 * - `arrived`: wakes `take` for new events.
 * - `begun`: notes that a run of an event begins.
 * - `ran`: adds the output of a run to the size of its event.
 */
export const make = (options: Options) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const safely = Failure.explained(options.file)
    // `engine || ''` is an expression on purpose. For a plain column SQLite would use the index of actors, and sort all
    // rows.
    const isWatched =
      options.engines === undefined ? sql`1 = 1` : sql`engine || '' IN ${sql.in(["", ...options.engines])}`
    yield* safely(options.quarantine.begin)
    yield* safely(Backlog.begin(sql, isWatched, options.maxAge))
    const [newest] = yield* safely(sql<{ id: number }>`SELECT coalesce(max(id), 0) AS id FROM event`)
    const lastBefore = newest?.id ?? 0
    const read = makeRead(options, lastBefore)
    const given = yield* makeGiven
    const underway = Underway.make()
    const backlog = yield* LargeBacklog.make(sql, { isShared: false })
    const wake = yield* Effect.makeLatch(false)
    const inOrder = yield* Turns.makeTotal(isWatched)
    const inTurns = yield* Turns.makeFair(isWatched)
    let turns = inOrder
    let closed = false

    const finish = Effect.fnUntraced(function* (id: number, result: Result) {
      const event = given.get(id)
      if (event === undefined) return
      // An event that another one replaced has not run again after the restart of des.
      if (id <= lastBefore) yield* safely(options.runs.cutOff(id))
      // A retry needs the record. A large record of an event that succeeded is deleted; its history stays.
      const cut = result === "succeeded" && event.record.length > keptRecord
      const size = event.runs + (cut ? sizeOfEvent("") : event.size)
      yield* safely(
        sql`UPDATE event SET state = ${states[result]}, size = ${size}${cut ? sql`, record = '', inspected = NULL` : sql``} WHERE id = ${id}`
      )
      if (event.bytes > 0) turns.back(event.actor, true)
      else turns.done(event.actor)
      given.remove(id, event)
      underway.end(id)
      backlog.finished(event.actor, event.record)
      yield* wake.open
    })

    const give = Effect.fnUntraced(function* (row: Turns.WaitingRow) {
      given.add(row)
      const entry = yield* safely(read(row))
      if (entry !== undefined) return entry
      yield* Effect.logError(
        `event ${row.id} of the journal ${options.file} does not run, since its record cannot be read`
      )
      yield* finish(row.id, "failed")
      return undefined
    })

    const take = Effect.fnUntraced(function* (order: TakeOrder): Effect.fn.Return<Option.Option<Entry>, JournalError> {
      turns = order === "total" ? inOrder : inTurns
      while (true) {
        yield* given.room
        wake.unsafeClose()
        const row = yield* safely(turns.next)
        const entry = row === undefined ? undefined : yield* give(row)
        if (entry !== undefined) return Option.some(entry)
        if (row !== undefined) continue
        if (closed && turns.isEmpty()) return Option.none()
        yield* Effect.raceFirst(wake.await, Effect.sleep(lookAgain))
      }
    })

    /** Drops an event from memory. It stays on the disk. */
    const park = (id: number) =>
      Effect.suspend(() => {
        const event = given.get(id)
        if (event === undefined || event.bytes === 0) return Effect.void
        given.weighAs(event, 0)
        underway.end(id)
        turns.back(event.actor, false)
        return Effect.asVoid(wake.open)
      })

    const reload = Effect.fnUntraced(function* (id: number) {
      const [row] = yield* safely(sql<Turns.WaitingRow>`SELECT ${Turns.columns(sql)} FROM event WHERE id = ${id}`)
      const event = given.get(id)
      const entry = row === undefined ? undefined : yield* safely(read(row))
      if (entry === undefined || event === undefined) return yield* Failure.gone(options.file, id)
      if (event.bytes === 0) turns.out(event.actor)
      given.weighAs(event, weigh(entry))
      return entry
    })

    const coalesce = (entry: Pick<Entry, "id" | "scripts">, script: Script, count: number) => {
      const index = entry.scripts.findIndex(({ path }) => path === script.path)
      return Effect.asVoid(
        safely(sql`UPDATE event SET scripts = ${SqliteOnly.scriptsWithCount(sql, index, count)} WHERE id = ${entry.id}`)
      )
    }

    return {
      insert: insertInto(sql, options.maxAge, backlog),
      arrived: Effect.suspend(() => {
        turns.arrived()
        return wake.open
      }),
      take,
      park,
      reload,
      coalesce,
      finish,
      lost: backlog.lost,
      unwanted: backlog.unwanted,
      begun: (id: number) => Effect.map(Clock.currentTimeMillis, (now) => underway.begin(id, now)),
      ran: (id: number, output: string) => {
        const event = given.get(id)
        if (event !== undefined) event.runs += sizeOfRun(output)
      },
      unfinished: safely(Backlog.count(sql, isWatched)),
      status: safely(Backlog.status(sql, isWatched, underway)),
      close: Effect.suspend(() => {
        closed = true
        return Effect.asVoid(wake.open)
      })
    }
  })
