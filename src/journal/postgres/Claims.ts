import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import type { Fragment } from "@effect/sql/Statement"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as DockerEvent from "../../event/DockerEvent.ts"
import type { Script } from "../../scripts/ScriptDirectory.ts"
import { weigh } from "../Admission.ts"
import { actorOf, type Earlier, type Entry, type JournalError, type Result, type TakeOrder } from "../Journal.ts"
import type { Actor } from "../sql/Rows.ts"
import { keptRecord, sizeOfEvent, sizeOfRun } from "../sql/Size.ts"
import * as Failure from "./Failure.ts"
import type { Member, Membership } from "./Member.ts"
import { patiently } from "./Patience.ts"

/** How many bytes of events that are out may be in memory: 64 MiB, or one larger event. */
const mostTaken = 67_108_864

/** How often an idle node looks for work, in milliseconds: the news of it are lost with their connection. */
const lookEvery = 1000

/**
 * After how long an actor that this node has is given back if the node does not know of it, in milliseconds: the answer to the claim was
 * lost. It is longer than a statement can take.
 */
const orphanAfter = 10_000

/** How the table `event` writes a result: `done` is the word of the first journals. */
const states: Readonly<Record<Result, string>> = { succeeded: "done", failed: "failed" }

/** How many times of joining the numbers of entries tell apart. */
const epochs = 4096

/** An actor that this node has. `out` are the events that are out, `parked` those that wait for their time. */
interface Lane {
  readonly actor: Actor
  readonly name: string
  readonly member: Membership
  readonly token: number
  readonly out: Set<number>
  readonly parked: Set<number>
  /** One statement about the actor after the other: each writes what is left of the claim. */
  readonly order: Effect.Semaphore
}

/** An event that was taken and is not finished. `bytes` is its size in memory, 0 while it is parked. */
interface Given {
  readonly id: number
  readonly lane: Lane
  readonly record: number
  readonly size: number
  bytes: number
  runs: number
}

/** What the claim of an event is, for the statements about its runs. */
export interface Claim {
  readonly event: number
  readonly actor: Actor
  readonly member: Membership
  readonly token: number
}

interface EarlierRow {
  readonly script: string
  readonly attempt: number
  readonly last: number
  readonly exit: number | null
}

interface ClaimedRow extends Actor {
  readonly token: number
  readonly id: number | null
  readonly record: string
  readonly synthetic: number
  readonly scripts: string
  readonly attempts: number
  readonly accepted_at: number
  readonly inspected: string | null
  readonly runs: ReadonlyArray<EarlierRow> | null
}

const isLane = (sql: SqlClient.SqlClient, { actor, engine, type }: Actor): Fragment =>
  sql`lane.engine = ${engine} AND lane.type = ${type} AND lane.actor = ${actor}`

/**
 * The first event of an actor that waits and is not out. A statement sees the tables as they were when it began, but an actor as it is when
 * it is written. So if more has come in between (`arrivals`), it is looked up later: 0 says so.
 */
const nextHead = (sql: SqlClient.SqlClient, without: number): Fragment =>
  sql`CASE WHEN lane.arrivals = (SELECT before.arrivals FROM lane AS before
        WHERE before.engine = lane.engine AND before.type = lane.type AND before.actor = lane.actor)
      THEN (SELECT min(waiting.id) FROM event AS waiting WHERE waiting.state = 'waiting'
        AND waiting.engine = lane.engine AND waiting.type = lane.type AND waiting.actor = lane.actor
        AND waiting.id <> ${without} AND waiting.parked IS DISTINCT FROM lane.token)
      ELSE 0 END`

/** What happened to the scripts of an event, by their paths. Runs of other nodes have ended, or are cut off. */
const earlierOf = (runs: ReadonlyArray<EarlierRow>): Readonly<Record<string, Earlier>> => {
  const all: Record<string, Earlier> = {}
  for (const { attempt, exit, last, script } of runs) {
    const known = all[script]
    const settled = last === 1 ? (exit === 0 ? "succeeded" : "failed") : undefined
    all[script] = {
      attempts: Math.max(attempt, known?.attempts ?? 0),
      settled: known?.settled ?? settled,
      outlived: []
    }
  }
  return all
}

/** Reads a row as an entry. Returns nothing if its record cannot be read. */
const read = (row: ClaimedRow, id: number): Entry | undefined => {
  const decoded = DockerEvent.decode(row.record, row.engine)
  if (Either.isLeft(decoded)) return undefined
  const written: ReadonlyArray<Script & { readonly coalesced?: number }> = JSON.parse(row.scripts)
  const scripts = written.map(({ coalesced: _, ...script }): Script => script)
  const coalesced = Object.fromEntries(
    written.flatMap((script) => (script.coalesced === undefined ? [] : [[script.path, script.coalesced]]))
  )
  // An event that `des retry` queued counts its attempts on from the runs of another row.
  const counted: Earlier = { attempts: row.attempts, settled: undefined, outlived: [] }
  const retried = row.attempts === 0 ? {} : Object.fromEntries(scripts.map(({ path }) => [path, counted]))
  const event = { ...decoded.right, synthetic: row.synthetic === 1 }
  const earlier = { ...retried, ...earlierOf(row.runs ?? []) }
  const entry = { id, acceptedAt: row.accepted_at, event, scripts, earlier, coalesced }
  return row.inspected === null ? entry : { ...entry, inspected: row.inspected }
}

/**
 * The events that this node takes, actor by actor. A claimed actor is this node's until none of its events is out or parked here.
 *
 * - `take`, `park`, `reload`, `coalesce`, `finish`, `close`: as the journal promises.
 * - `claimOf`: returns the claim under which an entry was given.
 * - `drop`: forgets an entry that the table no longer has as this node's.
 * - `closed`: waits until the journal is closed.
 * - `ran`: adds the output of a run to the size of its event.
 */
export const make = (options: {
  readonly database: string
  readonly member: Member
  readonly engines: ReadonlyArray<string> | undefined
  readonly jobs: number
  readonly unwritten: { readonly count: number }
}) =>
  Effect.gen(function* () {
    const { database, engines, jobs, member, unwritten } = options
    const sql = yield* SqlClient.SqlClient
    const safely = patiently(database)
    const wake = yield* Effect.makeLatch(false)
    member.onNews(() => wake.unsafeOpen())
    const lanes = new Map<string, Lane>()
    const given = new Map<number, Given>()
    let bytes = 0
    const closing = yield* Effect.makeLatch(false)
    let closed = false

    const isWatched = (column: string): Fragment =>
      engines === undefined ? sql`true` : sql`${sql.literal(column)} IN ${sql.in(["", ...engines])}`

    const weighAs = (event: Given, now: number) => {
      bytes += now - event.bytes
      event.bytes = now
    }

    /** How many events are out. Each takes a job, or waits for one. */
    const outNow = () => [...lanes.values()].reduce((sum, { out }) => sum + out.size, 0)

    const hasRoom = () => outNow() < jobs && bytes <= mostTaken

    const isOurs = ({ member: of }: Lane) => member.now() === of

    /** Forgets what this node had before it lost its lease. Other nodes may have it now. */
    const forgetLost = () => {
      for (const [name, lane] of lanes) if (!isOurs(lane)) lanes.delete(name)
      for (const [id, event] of given) {
        if (isOurs(event.lane)) continue
        weighAs(event, 0)
        given.delete(id)
      }
    }

    /** The columns of a {@link ClaimedRow} that come from the table `event`. */
    const columns = sql.literal(`event.id AS id, record, synthetic, scripts, attempts, accepted_at, inspected,
      (SELECT json_agg(json_build_object('script', script, 'attempt', attempt, 'last', last, 'exit', exit) ORDER BY run.id)
        FROM run WHERE run.event_id = event.id) AS runs`)

    const claim = (of: Membership, order: TakeOrder) =>
      sql<ClaimedRow>`WITH alive AS (
          SELECT id FROM node WHERE id = ${of.id} AND NOT ended FOR SHARE
        ), picked AS (
          SELECT lane.engine, lane.type, lane.actor FROM lane, alive
          WHERE lane.head IS NOT NULL AND lane.current IS NULL AND (lane.node IS NULL OR lane.node = ${of.id})
            AND ${isWatched("lane.engine")}
          ORDER BY ${sql.literal(order === "total" ? "lane.head" : "lane.turn")} LIMIT 1
          FOR UPDATE OF lane SKIP LOCKED
        ), claimed AS (
          UPDATE lane SET node = ${of.id}, current = lane.head, claimed_at = clock_timestamp(),
            token = CASE WHEN lane.node IS NULL THEN nextval('tick') ELSE lane.token END
          FROM picked
          WHERE lane.engine = picked.engine AND lane.type = picked.type AND lane.actor = picked.actor
          RETURNING lane.engine, lane.type, lane.actor, lane.token, lane.current
        )
        SELECT claimed.engine, claimed.type, claimed.actor, claimed.token, ${columns} FROM claimed
        LEFT JOIN event ON event.id = claimed.current AND event.state = 'waiting'
          AND event.parked IS DISTINCT FROM claimed.token`

    /** Looks up which event of a claimed actor is first, and gives the actor back. */
    const lookUp = (row: ClaimedRow, of: Membership) =>
      sql`UPDATE lane SET head = ${nextHead(sql, 0)}, current = NULL, idle_at = clock_timestamp(),
          node = ${laneOf(row, of) === undefined ? null : of.id}
        WHERE ${isLane(sql, row)} AND node = ${of.id} AND token = ${row.token}`

    const nameOf = ({ actor, engine, type }: Actor) =>
      actorOf({ engine, Type: type, Actor: { ID: actor, Attributes: {} } })

    /**
     * The lane of a claim, if this node has it already. A new claim has a new token, and a new lane: the actor may be free in the table before
     * this node has learned that here.
     */
    const laneOf = (row: Actor & { readonly token: number }, of: Membership): Lane | undefined => {
      const lane = lanes.get(nameOf(row))
      return lane !== undefined && lane.token === row.token && lane.member === of ? lane : undefined
    }

    const give = Effect.fnUntraced(function* (row: ClaimedRow, eventId: number, of: Membership) {
      const { actor, engine, token, type } = row
      const name = nameOf(row)
      const lane = laneOf(row, of) ?? {
        actor: { actor, engine, type },
        name,
        member: of,
        token,
        out: new Set(),
        parked: new Set(),
        order: Effect.unsafeMakeSemaphore(1)
      }
      lanes.set(name, lane)
      const id = eventId * epochs + (of.epoch % epochs)
      const size = sizeOfEvent(row.record, row.inspected)
      const event: Given = { id: eventId, lane, record: row.record.length, size, bytes: 0, runs: 0 }
      lane.out.add(id)
      given.set(id, event)
      weighAs(event, weigh({ event: row, inspected: row.inspected }))
      const entry = read(row, id)
      if (entry !== undefined) return entry
      yield* Effect.logError(
        `event ${eventId} of the journal ${database} does not run, since its record cannot be read`
      )
      yield* finish(id, "failed")
      return undefined
    })

    /** Waits until it may be worth to look again. */
    const rest = Effect.raceFirst(wake.await, Effect.sleep(lookEvery))

    const take = Effect.fnUntraced(function* (order: TakeOrder): Effect.fn.Return<Option.Option<Entry>, JournalError> {
      while (true) {
        const of = yield* member.current
        forgetLost()
        wake.unsafeClose()
        if (!hasRoom()) {
          yield* rest
          continue
        }
        const [row] = yield* safely(claim(of, order))
        if (row === undefined) {
          if (closed && unwritten.count === 0 && (yield* isEmpty(of))) return Option.none()
          yield* rest
          continue
        }
        if (row.id === null) {
          yield* safely(lookUp(row, of))
          continue
        }
        const entry = yield* give(row, row.id, of)
        if (entry !== undefined) return Option.some(entry)
      }
    })

    /** True if no event is left that this node could take. */
    const isEmpty = (of: Membership) =>
      Effect.map(
        safely(sql`SELECT 1 FROM lane WHERE head IS NOT NULL AND (node IS NULL OR node = ${of.id})
          AND ${isWatched("engine")} LIMIT 1`),
        (rows) => rows.length === 0
      )

    /** The event that is out of an actor in the table: any of them, since there it says only that one is. */
    const currentOf = ({ out }: Lane): number | null => {
      const [first] = out
      return first === undefined ? null : Math.floor(first / epochs)
    }

    const isFree = ({ out, parked }: Lane) => out.size === 0 && parked.size === 0

    /** Writes to the table what is left of a claim after an event of it is parked or finished. */
    const giveBack = (lane: Lane, event: number) => {
      const { actor, member: of, token } = lane
      return sql`UPDATE lane SET head = ${nextHead(sql, event)}, current = ${currentOf(lane)},
          node = ${isFree(lane) ? null : of.id}, turn = nextval('tick'), idle_at = clock_timestamp()
        WHERE ${isLane(sql, actor)} AND node = ${of.id} AND token = ${token} RETURNING 1 AS held`
    }

    /** Changes what is left of a claim, here and in the table. An actor that is free then is forgotten here afterwards. */
    const changing = (lane: Lane, change: () => Effect.Effect<unknown, SqlError>) =>
      lane.order
        .withPermits(1)(Effect.suspend(() => safely(change())))
        .pipe(
          Effect.zipRight(
            Effect.sync(() => {
              if (isFree(lane) && lanes.get(lane.name) === lane) lanes.delete(lane.name)
              wake.unsafeOpen()
            })
          )
        )

    const finish = Effect.fnUntraced(function* (id: number, result: Result) {
      const event = given.get(id)
      if (event === undefined) return
      const { lane } = event
      given.delete(id)
      weighAs(event, 0)
      // A retry needs the record. A large record of an event that succeeded is deleted; its history stays.
      const cut = result === "succeeded" && event.record > keptRecord
      const size = event.runs + (cut ? sizeOfEvent("") : event.size)
      yield* changing(lane, () => {
        lane.out.delete(id)
        lane.parked.delete(id)
        return sql`WITH held AS (${giveBack(lane, event.id)}), cut_off AS (
            UPDATE run SET ended_at = began_at, outcome = 'cut off'
            WHERE event_id = ${event.id} AND ended_at IS NULL AND EXISTS (SELECT FROM held)
          )
          UPDATE event SET state = ${states[result]}, size = ${size}, parked = NULL
            ${cut ? sql`, record = '', inspected = NULL` : sql``}
          WHERE id = ${event.id} AND state = 'waiting' AND EXISTS (SELECT FROM held)`
      })
    })

    /** Drops an event from memory. Its actor stays with this node, which knows for what the event waits. */
    const park = (id: number) =>
      Effect.suspend(() => {
        const event = given.get(id)
        if (event === undefined || event.bytes === 0) return Effect.void
        const { lane } = event
        weighAs(event, 0)
        // An error here is one of the next statement as well.
        return Effect.ignore(
          changing(lane, () => {
            lane.out.delete(id)
            lane.parked.add(id)
            return sql`WITH parked AS (UPDATE event SET parked = ${lane.token} WHERE id = ${event.id} AND state = 'waiting')
              ${giveBack(lane, event.id)}`
          })
        )
      })

    const reload = Effect.fnUntraced(function* (id: number) {
      const event = given.get(id)
      if (event === undefined) return yield* Failure.takenOver("an event that waited for its cooldown")
      const { lane } = event
      const { member: of, token } = lane
      const loaded = safely(
        sql<ClaimedRow>`WITH held AS (
            UPDATE lane SET current = coalesce(lane.current, ${event.id}), claimed_at = clock_timestamp()
            WHERE ${isLane(sql, lane.actor)} AND node = ${of.id} AND token = ${token}
            RETURNING engine, type, actor, token
          )
          SELECT held.engine, held.type, held.actor, held.token, ${columns} FROM held, event
          WHERE event.id = ${event.id} AND event.state = 'waiting'`
      )
      const entry = yield* lane.order.withPermits(1)(
        Effect.map(loaded, ([row]) => {
          const found = row === undefined ? undefined : read(row, id)
          if (found === undefined) return undefined
          lane.parked.delete(id)
          lane.out.add(id)
          return found
        })
      )
      if (entry === undefined) {
        // It was skipped or set aside meanwhile. Its actor is free again.
        given.delete(id)
        yield* changing(lane, () => {
          lane.parked.delete(id)
          return giveBack(lane, event.id)
        })
        return yield* Failure.takenOver("an event that waited for its cooldown")
      }
      weighAs(event, weigh(entry))
      return entry
    })

    const coalesce = (entry: Pick<Entry, "id" | "scripts">, script: Script, count: number) =>
      Effect.suspend(() => {
        const event = given.get(entry.id)
        if (event === undefined) return Effect.void
        const index = entry.scripts.findIndex(({ path }) => path === script.path)
        return Effect.asVoid(
          safely(
            sql`UPDATE event SET scripts = jsonb_set(scripts::jsonb, ${`{${index},coalesced}`}::text[], to_jsonb(${count}::int))::text
              WHERE id = ${event.id}`
          )
        )
      })

    /** Gives back the actors that the table has as this node's, and the node does not know of. */
    const giveBackOrphans = Effect.gen(function* () {
      const of = yield* member.current
      const known = [...lanes.values()].filter(isOurs).map((lane) => ({ token: lane.token, current: currentOf(lane) }))
      yield* safely(sql`UPDATE lane SET head = 0, current = NULL, node = CASE
          WHEN token IN (SELECT token FROM json_to_recordset(${JSON.stringify(known)}::json) AS known (token bigint))
          THEN node END
        WHERE node = ${of.id} AND claimed_at < clock_timestamp() - ${orphanAfter} * interval '1 millisecond'
          AND NOT EXISTS (SELECT FROM json_to_recordset(${JSON.stringify(known)}::json)
            AS known (token bigint, current bigint)
            WHERE known.token = lane.token AND (lane.current IS NULL OR known.current IS NOT NULL))`)
    }).pipe(Effect.delay(orphanAfter), Effect.ignore, Effect.forever)
    yield* Effect.forkScoped(giveBackOrphans)

    const claimOf = (id: number): Option.Option<Claim> => {
      const event = given.get(id)
      if (event === undefined) return Option.none()
      const { actor, member: of, token } = event.lane
      return Option.some({ event: event.id, actor, member: of, token })
    }

    const drop = (id: number) =>
      Effect.sync(() => {
        const event = given.get(id)
        if (event === undefined) return
        const { lane } = event
        weighAs(event, 0)
        given.delete(id)
        lane.out.delete(id)
        if (isFree(lane) && lanes.get(lane.name) === lane) lanes.delete(lane.name)
        wake.unsafeOpen()
      })

    return {
      take,
      park,
      reload,
      coalesce,
      finish,
      claimOf,
      drop,
      isWatched,
      arrived: Effect.asVoid(wake.open),
      ran: (id: number, output: string) => {
        const event = given.get(id)
        if (event !== undefined) event.runs += sizeOfRun(output)
      },
      close: Effect.suspend(() => {
        closed = true
        return Effect.zipRight(wake.open, Effect.asVoid(closing.open))
      }),
      closed: closing.await
    }
  })

/** The claims of a node: see {@link make}. */
export type Claims = Effect.Effect.Success<ReturnType<typeof make>>
