import * as Migrator from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as DockerEvent from "../../event/DockerEvent.ts"
import * as Dialect from "../sql/Dialect.ts"
import * as SqliteOnly from "./SqliteOnly.ts"

/**
 * The journal's tables. Times are milliseconds since 1970. The engine's own times are nanoseconds as text, because they do
 * not fit into a double.
 *
 * - `event`: the accepted events.
 * - `run`: each run of a script for an event. `last`: no retry follows.
 * - `seen`: the fingerprints of an engine's last records.
 * - `running`: the containers that des believes to run.
 * - `engine`: the engines that des was connected to.
 * - `journal`: a name by which des finds the processes of this journal.
 */
const first = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE TABLE journal (name TEXT NOT NULL)`
  yield* sql`INSERT INTO journal (name) VALUES (${SqliteOnly.randomName(sql)})`
  yield* sql`CREATE TABLE event (
    id ${SqliteOnly.growingId(sql)},
    engine TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    type TEXT NOT NULL,
    action TEXT NOT NULL,
    actor TEXT NOT NULL,
    time_nano TEXT NOT NULL,
    record TEXT NOT NULL,
    synthetic INTEGER NOT NULL,
    scripts TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    accepted_at BIGINT NOT NULL,
    state TEXT NOT NULL
  )`
  yield* sql`CREATE UNIQUE INDEX event_once ON event (engine, fingerprint)`
  yield* sql`CREATE INDEX event_waiting ON event (id) WHERE state = 'waiting'`
  // Retention looks for old events again and again. With this index it reads a few pages instead of all records.
  yield* sql`CREATE INDEX event_over ON event (id, accepted_at) WHERE state <> 'waiting'`
  yield* sql`CREATE TABLE run (
    id ${SqliteOnly.growingId(sql)},
    event_id INTEGER NOT NULL REFERENCES event (id),
    script TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    began_at BIGINT NOT NULL,
    pid INTEGER,
    process_started TEXT,
    ended_at BIGINT,
    outcome TEXT,
    exit INTEGER,
    output TEXT,
    last INTEGER NOT NULL
  )`
  yield* sql`CREATE INDEX run_event ON run (event_id)`
  yield* sql`CREATE TABLE engine (name TEXT PRIMARY KEY, identity TEXT NOT NULL, last TEXT NOT NULL)`
  yield* sql`CREATE TABLE seen (
    id ${SqliteOnly.growingId(sql)},
    engine TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    time_nano TEXT NOT NULL
  )`
  yield* sql`CREATE INDEX seen_engine ON seen (engine, id)`
  yield* sql`CREATE TABLE running (
    engine TEXT NOT NULL,
    id TEXT NOT NULL,
    attributes TEXT NOT NULL,
    started_at TEXT NOT NULL,
    PRIMARY KEY (engine, id)
  )`
})

/** How many rows are read at once. */
const page = 1000

/** How many bytes of records are read at once. A larger record is read alone. */
const pieceBytes = 8_388_608

/**
 * A fingerprint now stands for the content of a record, no longer for its text. The rows of `event` have their records
 * and get new fingerprints. If two rows turn out to be the same event, only the first one gets the new fingerprint, and
 * both keep their state. The rows of `seen` have only the hash of a text; the feed matches it when the engine replays
 * the record (KnownRecords). `engine.gaps` counts the gaps. `engine.is_over` has the time of the first connection if the
 * replay from before it could not be read whole (FeedMemory).
 */
const canonicalFingerprints = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`ALTER TABLE engine ADD COLUMN is_over TEXT NOT NULL DEFAULT '0'`
  yield* sql`ALTER TABLE engine ADD COLUMN gaps INTEGER NOT NULL DEFAULT 0`
  let after = 0
  while (true) {
    const listed = yield* sql<{ id: number; size: number }>`SELECT id, length(record) AS size FROM event
      WHERE id > ${after} ORDER BY id LIMIT ${page}`
    let last = listed[0]
    if (last === undefined) return
    let bytes = 0
    for (const row of listed) {
      bytes += row.size
      if (bytes > pieceBytes) break
      last = row
    }
    const rows = yield* sql<{ id: number; engine: string; record: string }>`SELECT id, engine, record FROM event
      WHERE id > ${after} AND id <= ${last.id} AND fingerprint NOT LIKE 'retry of %' ORDER BY id`
    for (const { engine, id, record } of rows) {
      const decoded = DockerEvent.decode(record)
      if (Either.isLeft(decoded)) continue
      const { fingerprint } = decoded.right
      yield* sql`UPDATE event SET fingerprint = ${fingerprint} WHERE id = ${id}
        AND NOT EXISTS (SELECT 1 FROM event WHERE engine = ${engine} AND fingerprint = ${fingerprint})`
    }
    after = last.id
  }
})

/**
 * `event.size` is the size of an event and its runs on the disk, in bytes, as retention counts it. `handling` has the
 * events that des reads at this moment, and how often it began to read them. A new index finds the backlog of one
 * actor.
 */
const third = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`ALTER TABLE event ADD COLUMN size BIGINT NOT NULL DEFAULT 0`
  yield* sql`UPDATE event SET size = length(record)`
  yield* sql`CREATE TABLE handling (event_id BIGINT PRIMARY KEY, times INTEGER NOT NULL)`
  yield* sql`CREATE INDEX event_actor ON event (engine, type, actor, id) WHERE state = 'waiting'`
  yield* sql`DROP INDEX event_over`
  yield* sql`CREATE INDEX event_over ON event (id, accepted_at, size) WHERE state <> 'waiting'`
})

/**
 * Indexes for the filters of `des history`: by script, by time, by type and action, and by an actor's ID and name.
 */
const historyIndexes = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE INDEX run_script ON run (script)`
  yield* sql`CREATE INDEX run_began ON run (began_at)`
  yield* sql`CREATE INDEX event_kind ON event (type, action)`
  yield* sql`CREATE INDEX event_id ON event (actor)`
  yield* sql`CREATE INDEX event_name ON event (${Dialect.nameOf(sql)})`
})

/** `event.inspected` is the line for scripts with `inspect=yes`. */
const inspected = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`ALTER TABLE event ADD COLUMN inspected TEXT`
})

/** The newest version of the tables that this des knows. */
export const newest = 5

/** Brings the tables to the newest version. */
export const run = Migrator.make({})({
  loader: Migrator.fromRecord({
    "0001_first": first,
    "0002_canonical_fingerprints": canonicalFingerprints,
    "0003_fair_share": third,
    "0004_history_indexes": historyIndexes,
    "0005_inspected": inspected
  }),
  table: "migration"
})
