import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as DockerEvent from "../../event/DockerEvent.ts"
import type { Script } from "../../scripts/ScriptDirectory.ts"
import {
  type Accepted,
  type Earlier,
  type Entry,
  type JournalError,
  splitByAge,
  type TakeOrder,
  weigh
} from "../Journal.ts"
import * as Backlog from "./Backlog.ts"
import * as Failure from "./Failure.ts"
import type { Quarantine } from "./Quarantine.ts"
import { keptRecord, sizeOfEvent, sizeOfRun } from "./Retention.ts"
import { pieces, withoutNul } from "./Rows.ts"
import type { RunLog } from "./RunLog.ts"
import * as Turns from "./Turns.ts"

/** How much of the events that are out is in memory, in bytes: 64 MiB, or one event that is larger. */
const mostTaken = 67_108_864

/** How often an idle journal is looked at, for what `des retry` has queued. */
const lookAgain = "1 second"

/**
 * `file` names the database in errors. What happened more than `maxAge` milliseconds ago is skipped. With `engines` only
 * events of these, and those of none, are given.
 */
export interface Options {
  readonly file: string
  readonly maxAge: number
  readonly engines: ReadonlyArray<string> | undefined
  readonly runs: RunLog
  readonly quarantine: Quarantine
}

/**
 * An event that was given and is not finished. `bytes` is what it takes of memory: nothing while it is parked. `runs` is what
 * its runs take of the disk.
 */
interface Given {
  readonly actor: Turns.Actor
  readonly record: { readonly length: number; readonly size: number }
  bytes: number
  runs: number
}

/** The events that were given and are not finished. `room` waits while the bytes of those that are out allow no more. */
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
      const given: Given = { actor: { engine, type, actor }, record, bytes: 0, runs: 0 }
      events.set(row.id, given)
      weighAs(given, weigh({ event: row }))
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
  size: sizeOfEvent(accepted.event.record)
})

/** Puts accepted events into the table `event`: those that are too old as skipped. A record that is there stays as it is. */
const insertInto = (sql: SqlClient.SqlClient, maxAge: number) =>
  Effect.fnUntraced(function* (all: ReadonlyArray<Accepted>) {
    const now = yield* Clock.currentTimeMillis
    const { fresh, tooOld } = yield* splitByAge(all, maxAge)
    const rows = [...tooOld.map(rowOf(now, "skipped")), ...fresh.map(rowOf(now, "waiting"))]
    for (const piece of pieces(rows)) {
      yield* sql`INSERT INTO event ${sql.insert(piece)} ON CONFLICT (engine, fingerprint) DO NOTHING`
    }
  })

/** Reads rows as entries: nothing where a record cannot be read. `newest` is the last event of an earlier life of des. */
const makeRead = (options: Options, newest: number) => {
  const earlierOf = Effect.fnUntraced(function* (row: Turns.WaitingRow, scripts: ReadonlyArray<Script>) {
    // What `des retry` queued counts on from the runs of another row.
    const counted: Earlier = { attempts: row.attempts, settled: undefined, outlived: [] }
    const retried = row.attempts === 0 ? {} : Object.fromEntries(scripts.map(({ path }) => [path, counted]))
    if (row.id > newest) return retried
    return { ...retried, ...(yield* options.runs.earlierOf(row.id)) }
  })

  return Effect.fnUntraced(function* (row: Turns.WaitingRow): Effect.fn.Return<Entry | undefined, SqlError> {
    const decode = Effect.sync(() => DockerEvent.decode(row.record, row.engine))
    // What this life of des accepted it has read before.
    const decoded = yield* row.id > newest ? decode : options.quarantine.whileReading(row.id, decode)
    if (Either.isLeft(decoded)) return undefined
    const scripts: ReadonlyArray<Script> = JSON.parse(row.scripts)
    const event = { ...decoded.right, synthetic: row.synthetic === 1 }
    return { id: row.id, event, scripts, earlier: yield* earlierOf(row, scripts) }
  })
}

/**
 * The accepted events, in the table `event`. Its members are those of the journal, but for `insert`, which only writes,
 * `arrived`, which lets `take` know of it, and `ran`, which counts a run for what it takes of the disk.
 */
export const make = (options: Options) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const safely = Failure.explained(options.file)
    // As an expression: the planner would take the index of actors for a column, and sort all that it finds.
    const isWatched =
      options.engines === undefined ? sql`1 = 1` : sql`engine || '' IN ${sql.in(["", ...options.engines])}`
    yield* safely(options.quarantine.begin)
    yield* safely(Backlog.begin(sql, isWatched, options.maxAge))
    const [newest] = yield* safely(sql<{ id: number }>`SELECT coalesce(max(id), 0) AS id FROM event`)
    const read = makeRead(options, newest?.id ?? 0)
    const given = yield* makeGiven
    const wake = yield* Effect.makeLatch(false)
    const inOrder = yield* Turns.makeTotal(isWatched)
    const inTurns = yield* Turns.makeFair(isWatched)
    let turns = inOrder
    let closed = false

    const finish = Effect.fn("Journal.finish")(function* (id: number, state: "done" | "failed") {
      const event = given.get(id)
      if (event === undefined) return
      // Who repeats a run needs its record. Of a large one that did its work the history is enough.
      const cut = state === "done" && event.record.length > keptRecord
      const size = event.runs + (cut ? sizeOfEvent("") : event.record.size)
      yield* safely(
        sql`UPDATE event SET state = ${state}, size = ${size}${cut ? sql`, record = ''` : sql``} WHERE id = ${id}`
      )
      given.remove(id, event)
      turns.back(event.actor, true)
      yield* wake.open
    })

    const give = Effect.fnUntraced(function* (row: Turns.WaitingRow) {
      given.add(row)
      const entry = yield* safely(read(row))
      if (entry !== undefined) return entry
      yield* Effect.logError(`event ${row.id} of the journal ${options.file} cannot be read, and does not run`)
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

    /** What is parked is on the disk, where it takes no memory. */
    const park = (id: number) =>
      Effect.suspend(() => {
        const event = given.get(id)
        if (event === undefined || event.bytes === 0) return Effect.void
        given.weighAs(event, 0)
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

    return {
      insert: insertInto(sql, options.maxAge),
      arrived: Effect.suspend(() => {
        turns.arrived()
        return wake.open
      }),
      take,
      park,
      reload,
      finish,
      ran: (id: number, output: string) => {
        const event = given.get(id)
        if (event !== undefined) event.runs += sizeOfRun(output)
      },
      unfinished: safely(Backlog.count(sql, isWatched)),
      close: Effect.suspend(() => {
        closed = true
        return Effect.asVoid(wake.open)
      })
    }
  })
