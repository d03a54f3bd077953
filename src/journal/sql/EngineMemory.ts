import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type { DockerEvent } from "../../event/DockerEvent.ts"
import type * as Belief from "../../feed/Belief.ts"
import * as FeedMemory from "../../feed/FeedMemory.ts"
import * as Dialect from "./Dialect.ts"
import { pieces } from "./Rows.ts"

/** The time of a record that was there when des met the engine. Only its fingerprint is known. */
const unknownTime = ""

interface RunningRow {
  readonly id: string
  readonly attributes: string
  readonly started_at: string
}

/**
 * What des remembers of engines, in the tables `seen`, `running` and `engine`.
 *
 * - `keep`: remembers events that were accepted.
 * - `changesOf`: returns what accepted events of one engine change, for a journal that writes it itself.
 * - `recall`, `meet`: those of {@link FeedMemory.FeedMemory}.
 * - `forgetOld`: deletes the oldest records of each engine, beyond the number that is remembered.
 */
export interface EngineMemory {
  readonly keep: (events: ReadonlyArray<DockerEvent>) => Effect.Effect<void, SqlError>
  readonly changesOf: (
    engine: string,
    events: ReadonlyArray<DockerEvent>
  ) => Effect.Effect<FeedMemory.Changes, SqlError>
  readonly recall: (engine: string) => Effect.Effect<FeedMemory.Recollection, SqlError>
  readonly meet: (engine: string, met: FeedMemory.MetEngine) => Effect.Effect<void, SqlError>
  readonly forgetOld: Effect.Effect<void, SqlError>
}

const beliefOf = (rows: ReadonlyArray<RunningRow>): Belief.Belief =>
  new Map(
    rows.map(({ attributes, id, started_at }) => [
      id,
      { id, attributes: JSON.parse(attributes), startedAt: BigInt(started_at) }
    ])
  )

/**
 * `idOf` and `textOf` make texts of strangers such that the database takes them (default: as they are).
 */
export const make = ({
  idOf = identity,
  textOf = identity
}: {
  readonly idOf?: (id: string) => string
  readonly textOf?: (text: string) => string
} = {}): Effect.Effect<EngineMemory, never, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient

    const insertSeen = Effect.fnUntraced(function* (engine: string, seen: FeedMemory.Changes["seen"]) {
      const rows = seen.map(({ fingerprint, timeNano }) => ({ engine, fingerprint, time_nano: String(timeNano) }))
      for (const piece of pieces(rows)) yield* sql`INSERT INTO seen ${sql.insert(piece)}`
    })

    const insertRunning = Effect.fnUntraced(function* (engine: string, containers: Iterable<Belief.Running>) {
      const rows = [...containers].map(({ attributes, id, startedAt }) => ({
        engine,
        id: idOf(id),
        attributes: textOf(JSON.stringify(attributes)),
        started_at: String(startedAt)
      }))
      for (const piece of pieces(rows)) {
        yield* sql`INSERT INTO running ${sql.insert(piece)}
        ON CONFLICT (engine, id) DO UPDATE SET attributes = excluded.attributes, started_at = excluded.started_at`
      }
    })

    const believed = Effect.fnUntraced(function* (engine: string, ids: Iterable<string>) {
      const rows: Array<RunningRow> = []
      const rawOf = new Map([...ids].map((id) => [idOf(id), id]))
      for (const piece of pieces([...rawOf.keys()])) {
        rows.push(
          ...(yield* sql<RunningRow>`SELECT id, attributes, started_at FROM running
          WHERE engine = ${engine} AND ${sql.in("id", piece)}`)
        )
      }
      return beliefOf(rows.map((row) => ({ ...row, id: rawOf.get(row.id) ?? row.id })))
    })

    const changesOf: EngineMemory["changesOf"] = (engine, events) =>
      Effect.map(believed(engine, FeedMemory.containersOf(events)), (before) => FeedMemory.changes(events, before))

    const keep = Effect.fnUntraced(function* (events: ReadonlyArray<DockerEvent>) {
      for (const [engine, ofEngine] of FeedMemory.byEngine(events)) {
        const changes = yield* changesOf(engine, ofEngine)
        yield* insertRunning(engine, changes.running)
        for (const piece of pieces(changes.gone.map(idOf))) {
          yield* sql`DELETE FROM running WHERE engine = ${engine} AND ${sql.in("id", piece)}`
        }
        // This is last, because the feed never delivers again what is marked as seen.
        yield* insertSeen(engine, changes.seen)
      }
    })

    const recall = Effect.fnUntraced(function* (engine: string) {
      const [met] = yield* sql<{
        identity: string
        last: string
        is_over: string
        gaps: number
      }>`SELECT identity, last, is_over, gaps FROM engine WHERE name = ${engine}`
      const seen = yield* sql<{ fingerprint: string; time_nano: string }>`SELECT fingerprint, time_nano FROM
      (SELECT * FROM seen WHERE engine = ${engine} ORDER BY id DESC LIMIT ${FeedMemory.remembered}) AS newest ORDER BY id`
      const running = yield* sql<RunningRow>`SELECT id, attributes, started_at FROM running WHERE engine = ${engine}`
      return {
        identity: met?.identity,
        fingerprints: seen.map(({ fingerprint }) => fingerprint),
        last: BigInt(seen.findLast(({ time_nano }) => time_nano !== unknownTime)?.time_nano ?? met?.last ?? 0),
        over: BigInt(met?.is_over ?? 0),
        gaps: met?.gaps ?? 0,
        running: [...beliefOf(running).values()]
      }
    })

    // des may be killed after each statement. So new rows are written before old ones are deleted, and the last statement
    // makes the meeting count.
    const meet = Effect.fnUntraced(function* (engine: string, met: FeedMemory.MetEngine) {
      const { gaps, last, over } = met
      const [old] = yield* sql<{ id: number }>`SELECT coalesce(max(id), 0) AS id FROM seen WHERE engine = ${engine}`
      const seen = met.fingerprints.map((fingerprint) => ({ engine, fingerprint, time_nano: unknownTime }))
      for (const piece of pieces(seen)) yield* sql`INSERT INTO seen ${sql.insert(piece)}`
      yield* sql`DELETE FROM seen WHERE engine = ${engine} AND id <= ${old?.id ?? 0}`
      yield* insertRunning(engine, met.running)
      const runs = met.running.map(({ id }) => idOf(id))
      yield* sql`DELETE FROM running WHERE engine = ${engine} AND ${Dialect.notIn(sql, "id", runs)}`
      yield* sql`INSERT INTO engine ${sql.insert({ name: engine, identity: textOf(met.identity), last: String(last), is_over: String(over), gaps })}
      ON CONFLICT (name) DO UPDATE SET identity = excluded.identity, last = excluded.last, is_over = excluded.is_over,
        gaps = excluded.gaps`
    })

    const forgetOld = Effect.gen(function* () {
      const engines = yield* sql<{ engine: string }>`SELECT DISTINCT engine FROM seen`
      for (const { engine } of engines) {
        yield* sql`DELETE FROM seen WHERE engine = ${engine} AND id <=
        (SELECT id FROM seen WHERE engine = ${engine} ORDER BY id DESC LIMIT 1 OFFSET ${FeedMemory.remembered})`
      }
    })

    return { keep, changesOf, recall, meet, forgetOld }
  })
