import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlError from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as FeedMemory from "../../feed/FeedMemory.ts"
import * as Metrics from "../../Metrics.ts"
import type { Script } from "../../scripts/ScriptDirectory.ts"
import {
  type Accepted,
  type Batch,
  type Entry,
  Journal,
  type JournalError,
  type KeptRun,
  type Result,
  unkeptEvent
} from "../Journal.ts"
import { type Keep as Bounds, defaults } from "../Keep.ts"
import * as EngineMemory from "../sql/EngineMemory.ts"
import * as EventQueue from "./EventQueue.ts"
import * as Failure from "./Failure.ts"
import * as Quarantine from "./Quarantine.ts"
import * as Retention from "./Retention.ts"
import * as RunLog from "./RunLog.ts"
import * as SqliteOnly from "./SqliteOnly.ts"

/**
 * How much the journal keeps of events that have run: for at most `age` milliseconds, at most `count` events, and at
 * most `size` bytes.
 */
export interface Keep extends Bounds {}

/** The default: 30 days, 100,000 events, 1 GiB. */
export const defaultKeep: Keep = defaults

/**
 * The options of the journal.
 *
 * - `file`: names the database in errors.
 * - `keep`: how much is kept of events that have run.
 * - `maxAge`: events that happened more than so many milliseconds ago are skipped.
 * - `engines`: only events of these engines, and events without an engine, are run (default: all). Events of other
 *   engines stay in the journal and wait, because their scripts would ask the wrong engine.
 * - `durably`: makes a write wait until it is on the disk.
 */
export interface Options {
  readonly file: string
  readonly keep: Keep
  readonly maxAge: number
  readonly engines?: ReadonlyArray<string>
  readonly durably: (
    sql: SqlClient.SqlClient
  ) => <A>(write: Effect.Effect<A, SqlError.SqlError>) => Effect.Effect<A, SqlError.SqlError>
}

/** How much of an accepted event is written. */
const lengthOf = ({ event, inspected = "" }: Accepted): number => event.record.length + inspected.length

const make = (options: Options) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const safely = Failure.explained(options.file)
    const runs = yield* RunLog.make(safely)
    const quarantine = yield* Quarantine.make({ file: options.file, noteDeaths: runs.noteDeaths })
    const queue = yield* EventQueue.make({ ...options, engines: options.engines, runs, quarantine })
    const engines = yield* EngineMemory.make()
    const retention = yield* Retention.make({ keep: options.keep, alsoForget: engines.forgetOld })
    // A failure of the feed memory, whose callers expect none. The next `accept` fails with it.
    let broken: JournalError | undefined
    const turn = yield* Effect.makeSemaphore(1)

    /** Writes events to the disk, one batch after the other: `durably` changes a setting of the connection meanwhile. */
    const insert = (accepted: ReadonlyArray<Accepted>) =>
      turn.withPermits(1)(Metrics.journalWrite(safely(options.durably(sql)(queue.insert(accepted)))))

    // The events are written first. An event that is marked as seen but not accepted would be lost; one that is
    // accepted but not marked as seen is recognised as a duplicate.
    const accept = Effect.fnUntraced(function* (batch: Batch) {
      if (broken !== undefined) return yield* broken
      const lost = yield* insert(batch.accepted)
      // The scripts of accepted events need not wait for the writes below.
      yield* queue.arrived
      // A lost event is not remembered, so that it is accepted if the engine replays it after the next connection.
      const notKept = new Set(lost.map(({ event }) => event))
      yield* safely(
        engines.keep(lost.length === 0 ? batch.events : batch.events.filter((event) => !notKept.has(event)))
      )
      const bytes = batch.accepted.reduce((sum, accepted) => sum + lengthOf(accepted), 0)
      yield* safely(retention.count({ rows: batch.events.length, bytes }))
      return { ...batch, isAll: true }
    })

    const acceptOwn = Effect.fnUntraced(function* (accepted: Accepted) {
      const lost = yield* insert([accepted])
      yield* queue.arrived
      yield* safely(retention.count({ rows: 1, bytes: lengthOf(accepted) }))
      return lost.length === 0
    })

    const begin = Effect.fnUntraced(function* (entry: Entry, script: Script, attempt: number) {
      const leave = yield* quarantine.enter(entry.id)
      const kept = yield* Effect.tapError(runs.begin(entry, script, attempt), () => leave)
      yield* queue.begun(entry.id)
      return {
        ...kept,
        started: (pid) => Effect.zipRight(kept.started(pid), leave),
        ended: (outcome, output, last) => {
          queue.ran(entry.id, output)
          return Effect.ensuring(kept.ended(outcome, output, last), leave)
        },
        skipped: (reason) => {
          queue.ran(entry.id, reason)
          return Effect.ensuring(kept.skipped(reason), leave)
        },
        interrupted: Effect.zipRight(kept.interrupted, leave)
      } satisfies KeptRun
    })

    const finish = (id: number, result: Result) =>
      Effect.zipRight(queue.finish(id, result), safely(retention.count({ rows: 1, bytes: 0 })))

    const remembering = <A>(otherwise: A, effect: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A> =>
      Effect.catchAll(safely(effect), (error) => {
        broken = error
        return Effect.succeed(otherwise)
      })

    yield* safely(retention.now)
    return Journal.of({
      durable: true,
      accept,
      acceptOwn,
      room: Effect.void,
      close: queue.close,
      take: queue.take,
      park: queue.park,
      reload: queue.reload,
      coalesce: queue.coalesce,
      cool: () => Effect.succeed(0),
      memory: {
        recall: (engine) => remembering(FeedMemory.nothing, engines.recall(engine)),
        meet: (engine, met) => remembering(undefined, engines.meet(engine, met)),
        unwanted: queue.unwanted
      },
      begin,
      unkept: () => Effect.succeed(unkeptEvent),
      finish,
      lost: queue.lost,
      unfinished: queue.unfinished,
      status: queue.status,
      probe: safely(SqliteOnly.writeNothing(sql))
    })
  })

/**
 * A journal in a database that already has its tables. `accept` returns after the events are written. At the next start
 * of des, accepted events that are not finished run again.
 */
export const layer = (options: Options): Layer.Layer<Journal, JournalError, SqlClient.SqlClient> =>
  Layer.scoped(Journal, make(options))
