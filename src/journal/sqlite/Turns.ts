import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { actorOf } from "../Journal.ts"
import * as Line from "../Line.ts"
import type { Actor } from "../sql/Rows.ts"

/** The columns of an event that are needed to run it. */
export interface WaitingRow {
  readonly id: number
  readonly engine: string
  readonly type: string
  readonly actor: string
  readonly record: string
  readonly synthetic: number
  readonly scripts: string
  readonly attempts: number
  readonly inspected: string | null
  readonly accepted_at: number
}

/** The columns of a {@link WaitingRow}. */
export const columns = (sql: SqlClient.SqlClient): Fragment =>
  sql.literal("id, engine, type, actor, record, synthetic, scripts, attempts, inspected, accepted_at")

/**
 * Decides which waiting event is next. Each event is given once.
 *
 * - `next`: returns the event whose turn it is. It is out from then on. Returns nothing if no event has a turn.
 * - `arrived`: notes that new events were written.
 * - `out`: notes that a parked event is out again.
 * - `back`: notes that an event that was out was finished or parked.
 * - `done`: notes that a parked event was finished.
 * - `isEmpty`: returns true if `next` has given every event that it knows.
 */
export interface Turns {
  readonly next: Effect.Effect<WaitingRow | undefined, SqlError>
  readonly arrived: () => void
  readonly out: (actor: Actor) => void
  readonly back: (actor: Actor, finished: boolean) => void
  readonly done: (actor: Actor) => void
  readonly isEmpty: () => boolean
}

/** One event after the other, in the order in which they were accepted. */
export const makeTotal = (isWatched: Fragment): Effect.Effect<Turns, never, SqlClient.SqlClient> =>
  Effect.map(SqlClient.SqlClient, (sql) => {
    let cursor = 0
    let out = 0
    let empty = false

    const next = Effect.gen(function* () {
      if (out > 0) return undefined
      const [row] = yield* sql<WaitingRow>`SELECT ${columns(sql)} FROM event
        WHERE state = 'waiting' AND id > ${cursor} AND ${isWatched} ORDER BY id LIMIT 1`
      empty = row === undefined
      if (row === undefined) return undefined
      cursor = row.id
      out++
      return row
    })

    return {
      next,
      arrived: () => {
        empty = false
      },
      out: () => void out++,
      back: () => void out--,
      done: () => undefined,
      isEmpty: () => empty
    }
  })

/** The most memory for the line of actors, in bytes: 32 MiB, about 100,000 actors. */
const mostInLine = 33_554_432

/** The memory of an actor in the line without its name, in bytes: the objects and the entries of two maps. */
const weightOfLane = 200

/** How many rows one step reads. */
const page = 1000

/** How often the queue is read again for events that another process has added (`des retry`), in milliseconds. */
const lookEvery = 1000

/**
 * An actor with waiting events. `given` is the event that was given last, `newest` the newest that waits, and `open`
 * counts the events that were given and are not finished.
 */
interface Lane {
  readonly actor: Actor
  given: number
  newest: number
  open: number
}

/**
 * Actors take turns. The backlog of an actor stays on the disk; memory has one {@link Lane} for each actor with a
 * backlog.
 *
 * Each waiting event is read twice, so its cost does not depend on how many events wait. First all events are read in
 * the order of acceptance, to put their actors into the line; `cursor` is the last event that was read so. When an
 * event's turn comes, it is read by the index of its actor. While the line is full, the actors of later events wait.
 */
export const makeFair = (isWatched: Fragment): Effect.Effect<Turns, never, SqlClient.SqlClient> =>
  Effect.map(SqlClient.SqlClient, (sql) => {
    const lanes = new Map<string, Lane>()
    const line = Line.make()
    let bytes = 0
    let cursor = 0
    let complete = false
    let lookedAt = Number.NEGATIVE_INFINITY

    const nameOf = ({ actor, engine, type }: Actor) =>
      actorOf({ engine, Type: type, Actor: { ID: actor, Attributes: {} } })

    const laneOf = (actor: Actor): Lane => {
      const name = nameOf(actor)
      const known = lanes.get(name)
      if (known !== undefined) return known
      const lane = {
        actor: { engine: actor.engine, type: actor.type, actor: actor.actor },
        given: 0,
        newest: 0,
        open: 0
      }
      lanes.set(name, lane)
      bytes += weightOfLane + 2 * name.length
      return lane
    }

    const hasMore = (lane: Lane) => lane.newest > lane.given

    const forget = (name: string, lane: Lane) => {
      if (lane.open > 0 || hasMore(lane)) return
      lanes.delete(name)
      bytes -= weightOfLane + 2 * name.length
    }

    /** Puts the actors of new events into the line, as long as there is room. */
    const look = Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      // Math.abs: if the clock was set back, the next read must not wait.
      if (complete && Math.abs(now - lookedAt) < lookEvery) return
      lookedAt = now
      complete = false
      while (!complete && bytes < mostInLine) {
        const rows = yield* sql<Actor & { readonly id: number }>`SELECT id, engine, type, actor FROM event
          WHERE state = 'waiting' AND id > ${cursor} AND ${isWatched} ORDER BY id LIMIT ${page}`
        for (const row of rows) {
          const lane = laneOf(row)
          lane.newest = Math.max(lane.newest, row.id)
          line.arrive(nameOf(row))
          cursor = row.id
        }
        complete = rows.length < page
      }
    })

    const next: Turns["next"] = Effect.gen(function* () {
      yield* look
      for (let name = line.next(); name !== undefined; name = line.next()) {
        const lane = lanes.get(name)
        if (lane === undefined) continue
        const { actor, engine, type } = lane.actor
        const [row] = yield* sql<WaitingRow>`SELECT ${columns(sql)} FROM event WHERE state = 'waiting'
          AND engine = ${engine} AND type = ${type} AND actor = ${actor} AND id > ${lane.given} ORDER BY id LIMIT 1`
        if (row !== undefined) {
          lane.given = row.id
          lane.newest = Math.max(lane.newest, row.id)
          lane.open++
          line.out(name)
          return row
        }
        // Another process has deleted these events.
        lane.given = lane.newest
        forget(name, lane)
      }
      return undefined
    })

    return {
      next,
      arrived: () => {
        complete = false
      },
      out: (actor) => line.out(nameOf(actor)),
      back: (actor, finished) => {
        const name = nameOf(actor)
        const lane = laneOf(actor)
        if (finished) lane.open--
        line.back(name, hasMore(lane))
        forget(name, lane)
      },
      done: (actor) => {
        const lane = laneOf(actor)
        lane.open--
        forget(nameOf(actor), lane)
      },
      isEmpty: () => complete && [...lanes.values()].every((lane) => !hasMore(lane))
    }
  })
