import * as Migrator from "@effect/sql/Migrator"
import * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import { JournalError } from "../Journal.ts"

/**
 * The journal's tables, as those in SQLite, and what a fleet needs beside them. Times are the database's: milliseconds since 1970, and
 * `timestamptz` for leases. Texts compare by bytes, as in SQLite.
 *
 * - `node`: each des that took part, from its start or from the last loss of its lease. `until` is the end of its lease.
 * - `feed`: the watched engines, and which node watches each. A new watcher gets a new `token`.
 * - `lane`: the actors with work, and which node has each. `head` is the first event that waits (0: look it up), `current` the one that is
 *   out, `turn` says who was served longest ago, and `arrivals` counts what came.
 * - `pace`: the cooldowns that have begun.
 * - `event.parked`: the token of the claim in which the event waits for its cooldown. `event.deaths`: how often a node died of it.
 * - `run.node`, `run.member`, `run.token`: the name of the node that began the run, its row in `node`, and the claim.
 */
const first = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  yield* sql`CREATE SEQUENCE tick`
  yield* sql`CREATE TABLE journal (name text NOT NULL, oldest integer NOT NULL)`
  yield* sql`INSERT INTO journal (name, oldest) VALUES (substr(md5(random()::text || clock_timestamp()::text), 1, 16), 1)`
  yield* sql`CREATE TABLE node (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    began_at bigint NOT NULL,
    until timestamptz NOT NULL,
    ended boolean NOT NULL DEFAULT false
  )`
  yield* sql`CREATE INDEX node_live ON node (until) WHERE NOT ended`
  yield* sql`CREATE TABLE feed (engine text COLLATE "C" PRIMARY KEY, node bigint, token bigint NOT NULL)`
  yield* sql`CREATE TABLE event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    engine text COLLATE "C" NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    actor text COLLATE "C" NOT NULL,
    name text COLLATE "C",
    time_nano text NOT NULL,
    record text NOT NULL,
    inspected text,
    synthetic integer NOT NULL,
    scripts text NOT NULL,
    attempts integer NOT NULL,
    accepted_at bigint NOT NULL,
    state text NOT NULL,
    size bigint NOT NULL,
    parked bigint,
    deaths integer NOT NULL DEFAULT 0
  )`
  yield* sql`CREATE UNIQUE INDEX event_once ON event (engine, fingerprint)`
  yield* sql`CREATE INDEX event_actor ON event (engine, type, actor, id) WHERE state = 'waiting'`
  yield* sql`CREATE INDEX event_over ON event (id, accepted_at, size) WHERE state <> 'waiting'`
  yield* sql`CREATE INDEX event_kind ON event (type, action)`
  yield* sql`CREATE INDEX event_id ON event (actor)`
  yield* sql`CREATE INDEX event_name ON event (name)`
  yield* sql`CREATE TABLE lane (
    engine text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    actor text COLLATE "C" NOT NULL,
    head bigint,
    current bigint,
    node bigint,
    token bigint NOT NULL DEFAULT 0,
    turn bigint NOT NULL,
    arrivals bigint NOT NULL,
    claimed_at timestamptz,
    idle_at timestamptz,
    PRIMARY KEY (engine, type, actor)
  )`
  yield* sql`CREATE INDEX lane_turn ON lane (turn) WHERE head IS NOT NULL AND current IS NULL`
  yield* sql`CREATE INDEX lane_head ON lane (head) WHERE head IS NOT NULL AND current IS NULL`
  yield* sql`CREATE INDEX lane_node ON lane (node) WHERE node IS NOT NULL`
  yield* sql`CREATE INDEX lane_idle ON lane (idle_at) WHERE head IS NULL AND node IS NULL`
  yield* sql`CREATE TABLE run (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id bigint NOT NULL REFERENCES event (id),
    script text COLLATE "C" NOT NULL,
    attempt integer NOT NULL,
    began_at bigint NOT NULL,
    pid integer,
    ended_at bigint,
    outcome text,
    exit integer,
    output text,
    last integer NOT NULL,
    node text COLLATE "C" NOT NULL,
    member bigint NOT NULL,
    token bigint NOT NULL
  )`
  yield* sql`CREATE UNIQUE INDEX run_once ON run (event_id, script, attempt, token)`
  yield* sql`CREATE INDEX run_script ON run (script)`
  yield* sql`CREATE INDEX run_began ON run (began_at)`
  yield* sql`CREATE INDEX run_open ON run (member) WHERE ended_at IS NULL`
  yield* sql`CREATE TABLE engine (
    name text COLLATE "C" PRIMARY KEY,
    identity text NOT NULL,
    last text NOT NULL,
    is_over text NOT NULL,
    gaps integer NOT NULL
  )`
  yield* sql`CREATE TABLE seen (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    engine text COLLATE "C" NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    time_nano text NOT NULL
  )`
  yield* sql`CREATE INDEX seen_engine ON seen (engine, id)`
  yield* sql`CREATE TABLE running (
    engine text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    attributes text NOT NULL,
    started_at text NOT NULL,
    PRIMARY KEY (engine, id)
  )`
  yield* sql`CREATE TABLE pace (key text COLLATE "C" PRIMARY KEY, until timestamptz NOT NULL)`
  yield* sql`CREATE TABLE probe (at timestamptz NOT NULL)`
  // Small tables of which every row changes all the time.
  yield* sql`ALTER TABLE node SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)`
  yield* sql`ALTER TABLE lane SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000)`
  yield* sql`ALTER TABLE event SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05)`
  yield* sql`ALTER TABLE run SET (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05)`
})

/** The newest version of the tables that this des knows. */
export const newest = 1

const migrate = Migrator.make({})({
  loader: Migrator.fromRecord({ "0001_first": first }),
  table: "migration"
})

/** A number that no other program uses for its locks (pg_advisory_xact_lock). */
const migrationLock = 1_684_370_275

/**
 * Refuses tables that a newer des has made so that this one cannot use them. A newer des that only adds to the tables lets older ones go
 * on: it leaves `journal.oldest` as it is.
 */
export const checkVersion = (database: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [found] = yield* sql<{ oldest: number; version: number }>`SELECT journal.oldest AS oldest,
      (SELECT max(migration_id) FROM migration) AS version FROM journal`
    if (found !== undefined && found.oldest > newest) {
      return yield* new JournalError({
        reason: "Unusable",
        detail: `the journal ${database} was written by a newer des (version ${found.version} of its tables, this one knows ${newest}). Install that des here, too`
      })
    }
  })

/** A migration that failed is thrown. The error of the database within it says why. */
const thrown =
  (database: string) =>
  (defect: unknown): Effect.Effect<never, SqlError | JournalError> => {
    if (defect instanceof SqlError) return Effect.fail(defect)
    if (!(defect instanceof Migrator.MigrationError)) return Effect.die(defect)
    if (defect.cause instanceof SqlError) return Effect.fail(defect.cause)
    return new JournalError({
      reason: "Failed",
      detail: `the tables of the journal ${database} cannot be made: ${defect.message}`,
      cause: defect
    })
  }

/** Makes the tables, or brings them to the newest version. Nodes that start together take turns. */
export const prepare = (database: string) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [table] = yield* sql<{ found: string | null }>`SELECT to_regclass('migration')::text AS found`
    if (typeof table?.found === "string") {
      yield* checkVersion(database)
      const [version] = yield* sql<{ id: number }>`SELECT coalesce(max(migration_id), 0) AS id FROM migration`
      if ((version?.id ?? 0) >= newest) return
    }
    const all = Effect.gen(function* () {
      yield* sql`SET LOCAL idle_in_transaction_session_timeout = '30s'`
      yield* sql`SELECT pg_advisory_xact_lock(${migrationLock})`
      yield* sql`CREATE TABLE IF NOT EXISTS migration (
        migration_id integer PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now(), name text NOT NULL)`
      yield* migrate
    })
    yield* sql
      .withTransaction(all)
      .pipe(Effect.catchTag("MigrationError", Effect.die), Effect.catchAllDefect(thrown(database)))
  })
