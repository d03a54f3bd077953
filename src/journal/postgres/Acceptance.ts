import * as SqlClient from "@effect/sql/SqlClient"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Queue from "effect/Queue"
import type { DockerEvent } from "../../event/DockerEvent.ts"
import { eventFields, eventName } from "../../event/EventName.ts"
import * as OwnEvent from "../../event/OwnEvent.ts"
import * as FeedMemory from "../../feed/FeedMemory.ts"
import * as Metrics from "../../Metrics.ts"
import { sayTooOld, weigh } from "../Admission.ts"
import { type Accepted, type Batch, JournalError } from "../Journal.ts"
import * as Dialect from "../sql/Dialect.ts"
import type { EngineMemory } from "../sql/EngineMemory.ts"
import type { LargeBacklog } from "../sql/LargeBacklog.ts"
import { sizeOfEvent } from "../sql/Size.ts"
import * as Failure from "./Failure.ts"
import type { Feeds } from "./Feeds.ts"
import type { Member } from "./Member.ts"
import { channel } from "./Member.ts"
import { patiently } from "./Patience.ts"
import { nowMillis } from "./Release.ts"
import { indexed, textOf } from "./Texts.ts"

/** How many bytes of events are kept in memory while the database is away. Beyond them, the feed is closed until it is back. */
const mostKept = 67_108_864

/** How long the feed waits for the database, in milliseconds. Then its events are kept in memory, and it reads on. */
const patience = 1000

const rowOf = ({ event, inspected, scripts }: Accepted, at: number) => ({
  at,
  engine: event.engine,
  fingerprint: event.fingerprint,
  type: indexed(event.Type),
  action: indexed(event.Action),
  actor: indexed(event.Actor.ID),
  name: event.Actor.Attributes["name"] === undefined ? null : indexed(event.Actor.Attributes["name"]),
  time_nano: String(event.timeNano),
  record: textOf(event.record),
  inspected: inspected === undefined ? null : textOf(inspected),
  synthetic: event.synthetic ? 1 : 0,
  scripts: JSON.stringify(scripts).replaceAll("\\u0000", "\\ufffd"),
  size: sizeOfEvent(event.record, inspected)
})

/** The engine whose watcher alone may write an event; none for events that every node makes itself. */
const watcherOf = (event: DockerEvent): string =>
  event.Type === OwnEvent.type && (event.Actor.ID === "des" || event.Action === "failed") ? "" : event.engine

/** A batch that is not yet written. `tokens` are those of the watched engines when it was accepted. */
interface Waiting {
  readonly batch: Batch
  readonly tokens: ReadonlyMap<string, number>
  readonly bytes: number
  readonly done: Deferred.Deferred<ReadonlyArray<DockerEvent>, JournalError>
}

/**
 * Writes accepted events.
 *
 * - `accept`: as the journal promises. While the database is away it keeps events in memory: what is lost of them, the engine may replay to
 *   the next watcher.
 * - `acceptOwn`: returns after the event is written.
 * - `idle`: waits until everything is written that is accepted by now.
 * - `breakWith`: makes the next `accept` fail with an error of another part.
 * - `room`: waits until enough of what is kept in memory is written.
 */
export const make = (options: {
  readonly database: string
  readonly member: Member
  readonly feeds: Feeds
  readonly memory: EngineMemory
  readonly backlog: LargeBacklog
  readonly maxAge: number
  readonly unwritten: { count: number }
  readonly written: (size: { readonly rows: number; readonly bytes: number }) => Effect.Effect<void>
}) =>
  Effect.gen(function* () {
    const { backlog, database, feeds, maxAge, member, memory, unwritten } = options
    const sql = yield* SqlClient.SqlClient
    const safely = patiently(database)
    const queue = yield* Queue.unbounded<Waiting>()
    const room = yield* Effect.makeLatch(true)
    let bytes = 0
    let broken: JournalError | undefined

    const tooOld =
      maxAge === Number.POSITIVE_INFINITY
        ? sql`false`
        : sql`given.time_nano::numeric BETWEEN 1 AND (${nowMillis(sql)} - ${Math.floor(maxAge)})::numeric * 1000000`

    /** One statement: the events, their actors, and what is remembered of their engine; nothing if another node watches it. */
    const insert = (
      fence: { readonly engine: string; readonly token: number; readonly node: number } | undefined,
      accepted: ReadonlyArray<Accepted>,
      engine: string,
      changes: FeedMemory.Changes
    ) => {
      const isHeld =
        fence === undefined
          ? sql`SELECT true AS held`
          : sql`SELECT true AS held FROM feed
              WHERE engine = ${fence.engine} AND node = ${fence.node} AND token = ${fence.token} FOR SHARE`
      const seen = changes.seen.map(({ fingerprint, timeNano }, at) => ({ at, fingerprint, time: String(timeNano) }))
      const running = changes.running.map(({ attributes, id, startedAt }) => ({
        id: indexed(id),
        attributes: textOf(JSON.stringify(attributes)),
        started: String(startedAt)
      }))
      return sql<{ held: boolean | null; too_old: number }>`WITH fence AS MATERIALIZED (${isHeld}),
        given AS (
          SELECT * FROM json_to_recordset(${JSON.stringify(accepted.map(rowOf))}::json) AS given (at int, engine text,
            fingerprint text, type text, action text, actor text, name text, time_nano text, record text, inspected text,
            synthetic int, scripts text, size bigint)
        ), added AS (
          INSERT INTO event (engine, fingerprint, type, action, actor, name, time_nano, record, inspected, synthetic, scripts,
            attempts, accepted_at, state, size)
          SELECT engine, fingerprint, type, action, actor, name, time_nano, record, inspected, synthetic, scripts, 0,
            ${nowMillis(sql)}, CASE WHEN ${tooOld} THEN 'skipped' ELSE 'waiting' END, size
          FROM given, fence ORDER BY at
          ON CONFLICT (engine, fingerprint) DO NOTHING
          RETURNING id, engine, type, actor, state
        ), lanes AS (
          ${Dialect.queued(sql)}
        ), seen_now AS (
          INSERT INTO seen (engine, fingerprint, time_nano)
          SELECT ${engine}, seen.fingerprint, seen.time
          FROM json_to_recordset(${JSON.stringify(seen)}::json) AS seen (at int, fingerprint text, time text), fence ORDER BY at
        ), running_now AS (
          INSERT INTO running (engine, id, attributes, started_at)
          SELECT ${engine}, one.id, one.attributes, one.started
          FROM json_to_recordset(${JSON.stringify(running)}::json) AS one (id text, attributes text, started text), fence
          ON CONFLICT (engine, id) DO UPDATE SET attributes = excluded.attributes, started_at = excluded.started_at
        ), gone AS (
          DELETE FROM running USING fence WHERE running.engine = ${engine} AND running.id IN (
            SELECT json_array_elements_text(${JSON.stringify(changes.gone.map(indexed))}::json))
        )
        SELECT (SELECT held FROM fence) AS held, (SELECT count(*) FROM added WHERE state = 'skipped') AS too_old,
          (SELECT count(pg_notify(${channel}, '')) FROM (SELECT FROM added WHERE state = 'waiting' LIMIT 1) AS arrived) AS told`
    }

    /** Writes the events of one watcher, or of this node itself. Returns those that are lost. */
    const writeOf = Effect.fnUntraced(function* (
      engine: string,
      token: number | undefined,
      { accepted, events }: Batch
    ): Effect.fn.Return<ReadonlyArray<Accepted>, JournalError> {
      const { kept, lost } = yield* safely(backlog.admit(accepted))
      const notKept = new Set(lost.map(({ event }) => event))
      const remembered = notKept.size === 0 ? events : events.filter((event) => !notKept.has(event))
      while (true) {
        const of = yield* member.current
        // Another node watches this engine now, or has watched it meanwhile, and reads these events itself.
        if (engine !== "" && (token === undefined || feeds.tokenOf(engine) !== token)) return lost
        const changes = yield* safely(memory.changesOf(engine, FeedMemory.byEngine(remembered).get(engine) ?? []))
        const fence = token === undefined ? undefined : { engine, token, node: of.id }
        const [row] = yield* Metrics.journalWrite(safely(insert(fence, kept, engine, changes)))
        if (row !== undefined && row.held !== null) {
          if (row.too_old > 0) yield* sayTooOld(row.too_old, maxAge)
          return lost
        }
        // It is this node's if the node has only joined again meanwhile.
        if (member.now() === of) yield* feeds.lose(engine, token)
      }
    })

    /** Writes events. If the database refuses what is in one of them, only that one is not written. */
    const writeEach = (
      engine: string,
      token: number | undefined,
      part: Batch
    ): Effect.Effect<ReadonlyArray<Accepted>, JournalError> =>
      Effect.catchIf(writeOf(engine, token, part), Failure.isRefused, (error) => {
        const [only] = part.events.length > 0 ? part.events : part.accepted.map(({ event }) => event)
        if (only === undefined || part.events.length + part.accepted.length === 0) return error
        if (part.events.length <= 1) {
          return Effect.as(
            Effect.annotateLogs(
              Effect.logError(`${eventName(only)}: not accepted, since the journal cannot hold it: ${error.message}`),
              eventFields(only)
            ),
            part.accepted
          )
        }
        return Effect.map(
          Effect.forEach(part.events, (event) =>
            writeEach(engine, token, {
              events: [event],
              accepted: part.accepted.filter((one) => one.event === event)
            })
          ),
          (lost) => lost.flat()
        )
      })

    const write = Effect.fnUntraced(function* ({ batch, tokens }: Waiting) {
      const lost: Array<DockerEvent> = []
      const byWatcher = new Map<string, { events: Array<DockerEvent>; accepted: Array<Accepted> }>()
      const partOf = (event: DockerEvent) => {
        const engine = watcherOf(event)
        const part = byWatcher.get(engine) ?? { events: [], accepted: [] }
        byWatcher.set(engine, part)
        return part
      }
      for (const event of batch.events) partOf(event).events.push(event)
      for (const accepted of batch.accepted) partOf(accepted.event).accepted.push(accepted)
      for (const [engine, part] of byWatcher) {
        lost.push(...(yield* writeEach(engine, tokens.get(engine), part)).map(({ event }) => event))
      }
      return lost
    })

    const writeNext = Effect.gen(function* () {
      const waiting = yield* Queue.take(queue)
      const result = yield* write(waiting).pipe(
        // Without the writer nothing is accepted any more, and nobody would know.
        Effect.catchAllDefect(
          (cause) =>
            new JournalError({ reason: "Failed", detail: `internal error, please report it: ${String(cause)}`, cause })
        ),
        Effect.either
      )
      bytes -= waiting.bytes
      unwritten.count--
      if (bytes <= mostKept / 2) yield* room.open
      if (result._tag === "Left") broken = result.left
      yield* options.written({ rows: waiting.batch.events.length, bytes: waiting.bytes })
      yield* Deferred.done(waiting.done, result._tag === "Left" ? Exit.fail(result.left) : Exit.succeed(result.right))
    })
    yield* Effect.forkScoped(Effect.forever(writeNext))

    const tokensOf = (batch: Batch): ReadonlyMap<string, number> =>
      new Map(
        [...new Set([...batch.events, ...batch.accepted.map(({ event }) => event)].map(watcherOf))].flatMap(
          (engine) => {
            const token = feeds.tokenOf(engine)
            return token === undefined ? [] : [[engine, token] as const]
          }
        )
      )

    const enqueue = Effect.fnUntraced(function* (batch: Batch) {
      const done = yield* Deferred.make<ReadonlyArray<DockerEvent>, JournalError>()
      // An event without a script is kept in memory, too, since the feed remembers it.
      const kept = [...batch.events.map((event) => ({ event })), ...batch.accepted]
      const size = kept.reduce((sum, one) => sum + weigh(one), 1024)
      bytes += size
      unwritten.count++
      yield* Queue.offer(queue, { batch, tokens: tokensOf(batch), bytes: size, done })
      return done
    })

    const idle = Effect.asVoid(Effect.flatMap(enqueue({ events: [], accepted: [] }), Deferred.await))
    // What is in memory is not on the disk. If the database answers, it is a moment later.
    yield* Effect.addFinalizer(() =>
      idle.pipe(Effect.interruptible, Effect.disconnect, Effect.timeout(patience), Effect.ignore)
    )

    const accept = Effect.fnUntraced(function* (batch: Batch) {
      if (broken !== undefined) return yield* broken
      if (bytes > mostKept) {
        yield* room.close
        return { events: [], accepted: [], isAll: false }
      }
      const done = yield* enqueue(batch)
      // A file can wait. An engine would drop events.
      yield* batch.events.every(({ engine }) => engine === "")
        ? Deferred.await(done)
        : Effect.timeoutOption(Deferred.await(done), patience)
      return { ...batch, isAll: true }
    })

    const acceptOwn = Effect.fnUntraced(function* (accepted: Accepted) {
      const done = yield* enqueue({ events: [], accepted: [accepted] })
      return (yield* Deferred.await(done)).length === 0
    })

    return {
      accept,
      acceptOwn,
      idle,
      room: room.await,
      breakWith: (error: JournalError) =>
        Effect.sync(() => {
          broken ??= error
        })
    }
  })
