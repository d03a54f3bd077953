import * as SqlClient from "@effect/sql/SqlClient"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as DockerEvent from "../../event/DockerEvent.ts"
import type { Script } from "../../scripts/ScriptDirectory.ts"
import { type Accepted, type Earlier, type Entry, type JournalError, sayTooOld, splitByAge, weigh } from "../Journal.ts"
import * as Failure from "./Failure.ts"
import { pieces, withoutNul } from "./Rows.ts"
import type { RunLog } from "./RunLog.ts"

/** What was taken and is not finished is in memory: at most so many bytes of it. */
const mostTaken = 67_108_864

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

/**
 * `file` names the database in errors. What happened more than `maxAge` milliseconds ago is skipped. With `engines` only
 * events of these, and those of none, are given. `earlierOf` says what became of an event's scripts before.
 */
export interface Options {
  readonly file: string
  readonly maxAge: number
  readonly engines: ReadonlyArray<string> | undefined
  readonly earlierOf: RunLog["earlierOf"]
}

/** What was taken and is not finished, with the bytes that it takes of memory. `room` is open while more may be taken. */
const makeTaken = Effect.gen(function* () {
  const room = yield* Effect.makeLatch(true)
  const weights = new Map<number, number>()
  let weight = 0

  const weighAs = (id: number, now: number) =>
    Effect.suspend(() => {
      weight += now - (weights.get(id) ?? 0)
      weights.set(id, now)
      if (weight > mostTaken) room.unsafeClose()
      return weight > mostTaken ? Effect.void : room.open
    })

  const remove = (id: number) =>
    Effect.zipRight(
      weighAs(id, 0),
      Effect.sync(() => weights.delete(id))
    )

  return { room, weighAs, remove }
})

/** The accepted events, in the table `event`. Its members are those of the journal; `insert` adds to the queue. */
export const make = (options: Options) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const safely = Failure.explained(options.file)
    const [newest] = yield* safely(sql<{ id: number }>`SELECT coalesce(max(id), 0) AS id FROM event`)
    /** What is newer was never taken before. */
    const lastOfEarlierLife = newest?.id ?? 0
    const wake = yield* Effect.makeLatch(false)
    const taken = yield* makeTaken
    let closed = false
    let cursor = 0

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

    const skipTooOld = Effect.gen(function* () {
      if (options.maxAge === Number.POSITIVE_INFINITY) return
      const oldest = BigInt(Math.floor((yield* Clock.currentTimeMillis) - options.maxAge)) * 1_000_000n
      const skipped = yield* sql`UPDATE event SET state = 'skipped'
        WHERE state = 'waiting' AND CAST(time_nano AS BIGINT) BETWEEN 1 AND ${oldest} AND attempts = 0 RETURNING id`
      if (skipped.length > 0) yield* sayTooOld(skipped.length, options.maxAge)
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

    const insert = Effect.fnUntraced(function* (all: ReadonlyArray<Accepted>) {
      const now = yield* Clock.currentTimeMillis
      const { fresh, tooOld } = yield* splitByAge(all, options.maxAge)
      const rows = [...tooOld.map(rowOf(now, "skipped")), ...fresh.map(rowOf(now, "waiting"))]
      for (const piece of pieces(rows)) {
        yield* sql`INSERT INTO event ${sql.insert(piece)} ON CONFLICT (engine, fingerprint) DO NOTHING`
      }
    })

    const earlierOf = Effect.fnUntraced(function* (row: WaitingRow, scripts: ReadonlyArray<Script>) {
      // What `des retry` queued counts on from the runs of another row.
      const counted: Earlier = { attempts: row.attempts, settled: undefined, outlived: [] }
      const retried = row.attempts === 0 ? {} : Object.fromEntries(scripts.map(({ path }) => [path, counted]))
      if (row.id > lastOfEarlierLife) return retried
      return { ...retried, ...(yield* options.earlierOf(row.id)) }
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
      yield* taken.weighAs(row.id, weigh(entry))
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

    const take: Effect.Effect<Option.Option<Entry>, JournalError> = Effect.gen(function* () {
      while (true) {
        yield* taken.room.await
        const row = yield* takeRow
        if (Option.isSome(row) || closed) return row
        yield* Effect.raceFirst(wake.await, Effect.sleep(lookAgain))
      }
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
      return Effect.as(taken.weighAs(id, 0), again)
    }

    const finish = Effect.fn("Journal.finish")(function* (id: number, state: "done" | "failed") {
      yield* safely(sql`UPDATE event SET state = ${state} WHERE id = ${id}`)
      yield* taken.remove(id)
    })

    const waiting = Effect.gen(function* () {
      const [row] = yield* safely(
        sql<{
          waiting: number
        }>`SELECT count(*) AS waiting FROM event WHERE state = 'waiting' AND id > ${cursor} AND ${isWatched}`
      )
      return row?.waiting ?? 0
    })

    const close = Effect.suspend(() => {
      closed = true
      return Effect.asVoid(wake.open)
    })

    yield* safely(skipTooOld)
    yield* safely(sayUnwatched)
    return { insert, wake: wake.open, take, rest, finish, waiting, close }
  })
