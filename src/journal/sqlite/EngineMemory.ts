import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import type { DockerEvent } from "../../event/DockerEvent.ts"
import * as OwnEvent from "../../event/OwnEvent.ts"
import * as Belief from "../../feed/Belief.ts"
import * as FeedMemory from "../../feed/FeedMemory.ts"
import { pieces } from "./Rows.ts"
import * as SqliteOnly from "./SqliteOnly.ts"

/** Of what was met and not read as an event, only the fingerprint is known. */
const unknownTime = ""

interface RunningRow {
  readonly id: string
  readonly attributes: string
  readonly started_at: string
}

/**
 * What is remembered of engines, in the tables `seen`, `running` and `engine`.
 *
 * `keep` remembers events that were accepted. `recall` and `meet` are those of {@link FeedMemory.FeedMemory}. `forgetOld`
 * deletes the records of each engine beyond the number that is remembered.
 */
export interface EngineMemory {
  readonly keep: (events: ReadonlyArray<DockerEvent>) => Effect.Effect<void, SqlError>
  readonly recall: (engine: string) => Effect.Effect<FeedMemory.Recollection, SqlError>
  readonly meet: (
    engine: string,
    met: FeedMemory.Recollection & { readonly identity: string }
  ) => Effect.Effect<void, SqlError>
  readonly forgetOld: Effect.Effect<void, SqlError>
}

const beliefOf = (rows: ReadonlyArray<RunningRow>): Belief.Belief =>
  new Map(
    rows.map(({ attributes, id, started_at }) => [
      id,
      { id, attributes: JSON.parse(attributes), startedAt: BigInt(started_at) }
    ])
  )

export const make: Effect.Effect<EngineMemory, never, SqlClient.SqlClient> = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient

  const keepSeen = Effect.fnUntraced(function* (events: ReadonlyArray<DockerEvent>) {
    const rows = events.slice(-FeedMemory.remembered).map((event) => ({
      engine: event.engine,
      fingerprint: event.fingerprint,
      time_nano: String(event.timeNano)
    }))
    for (const piece of pieces(rows)) yield* sql`INSERT INTO seen ${sql.insert(piece)}`
  })

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

  const keepRunning = Effect.fnUntraced(function* (engine: string, events: ReadonlyArray<DockerEvent>) {
    const telling = events.filter(Belief.tells)
    for (const piece of pieces(telling)) {
      const ids = [...new Set(piece.map(({ Actor }) => Actor.ID))]
      const rows = yield* sql<RunningRow>`SELECT id, attributes, started_at FROM running
        WHERE engine = ${engine} AND ${sql.in("id", ids)}`
      const belief = beliefOf(rows)
      for (const event of piece) Belief.follow(belief, event)
      yield* insertRunning(engine, belief.values())
      const gone = ids.filter((id) => !belief.has(id))
      if (gone.length > 0) yield* sql`DELETE FROM running WHERE engine = ${engine} AND ${sql.in("id", gone)}`
    }
  })

  const keep = Effect.fnUntraced(function* (events: ReadonlyArray<DockerEvent>) {
    const fromEngines = events.filter(({ engine, Type }) => engine !== "" && Type !== OwnEvent.type)
    for (const [engine, ofEngine] of Object.entries(Arr.groupBy(fromEngines, (event) => event.engine)))
      yield* keepRunning(engine, ofEngine)
    // Last: what is seen does not come again.
    yield* keepSeen(fromEngines.filter(({ synthetic }) => !synthetic))
  })

  const recall = Effect.fnUntraced(function* (engine: string) {
    const [met] = yield* sql<{
      identity: string
      last: string
    }>`SELECT identity, last FROM engine WHERE name = ${engine}`
    const seen = yield* sql<{ fingerprint: string; time_nano: string }>`SELECT fingerprint, time_nano FROM
      (SELECT * FROM seen WHERE engine = ${engine} ORDER BY id DESC LIMIT ${FeedMemory.remembered}) AS newest ORDER BY id`
    const running = yield* sql<RunningRow>`SELECT id, attributes, started_at FROM running WHERE engine = ${engine}`
    return {
      identity: met?.identity,
      fingerprints: seen.map(({ fingerprint }) => fingerprint),
      last: BigInt(seen.findLast(({ time_nano }) => time_nano !== unknownTime)?.time_nano ?? met?.last ?? 0),
      running: [...beliefOf(running).values()]
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
    const runs = met.running.map(({ id }) => id)
    yield* sql`DELETE FROM running WHERE engine = ${engine} AND ${SqliteOnly.notIn(sql, "id", runs)}`
    yield* sql`INSERT INTO engine ${sql.insert({ name: engine, identity, last: String(last) })}
      ON CONFLICT (name) DO UPDATE SET identity = excluded.identity, last = excluded.last`
  })

  const forgetOld = Effect.gen(function* () {
    const engines = yield* sql<{ engine: string }>`SELECT DISTINCT engine FROM seen`
    for (const { engine } of engines) {
      yield* sql`DELETE FROM seen WHERE engine = ${engine} AND id <=
        (SELECT id FROM seen WHERE engine = ${engine} ORDER BY id DESC LIMIT 1 OFFSET ${FeedMemory.remembered})`
    }
  })

  return { keep, recall, meet, forgetOld }
})
