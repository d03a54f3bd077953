import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as FeedMemory from "../../feed/FeedMemory.ts"
import { type Entry, Journal, type JournalError, type TakeOrder, unkeptEvent } from "../Journal.ts"
import type { Keep } from "../Keep.ts"
import * as EngineMemory from "../sql/EngineMemory.ts"
import * as LargeBacklog from "../sql/LargeBacklog.ts"
import * as Acceptance from "./Acceptance.ts"
import * as Backlog from "./Backlog.ts"
import * as Claims from "./Claims.ts"
import * as Client from "./Client.ts"
import * as Conninfo from "./Conninfo.ts"
import * as Cooldown from "./Cooldown.ts"
import * as Failure from "./Failure.ts"
import * as Feeds from "./Feeds.ts"
import * as Foreign from "./Foreign.ts"
import * as Member from "./Member.ts"
import { once, patiently, spaced } from "./Patience.ts"
import { transaction } from "./Release.ts"
import * as Retention from "./Retention.ts"
import * as RunLog from "./RunLog.ts"
import * as Schema from "./Schema.ts"
import { indexed, textOf } from "./Texts.ts"

/**
 * The options of a node.
 *
 * - `info`: how the database is reached.
 * - `node`: the name of this node, in messages and in the history.
 * - `directory`: the script directory, as an absolute path. Scripts elsewhere do not run.
 * - `keep`: how much is kept of events that have run.
 * - `maxAge`: events that happened more than so many milliseconds ago are skipped, by the clock of the database.
 * - `engines`: only events of these engines, and events without an engine, run here (default: all).
 * - `jobs`: how many events may be out at the same time.
 * - `watches`: false if this node reads no feed.
 * - `runs`: false if this node runs no scripts.
 */
export interface Options {
  readonly info: Conninfo.Conninfo
  readonly node: string
  readonly directory: string
  readonly keep: Keep
  readonly maxAge: number
  readonly engines?: ReadonlyArray<string>
  readonly jobs: number
  readonly watches: boolean
  readonly runs: boolean
}

/** Waits until the database can be reached, and makes its tables. */
const open = Effect.fnUntraced(function* (database: string) {
  let isSaid = false
  yield* Schema.prepare(database).pipe(
    Effect.catchTag("SqlError", (error) =>
      Effect.gen(function* () {
        if (!Failure.isPassing(error)) return yield* Failure.explain(database)(error)
        if (!isSaid) {
          yield* Effect.logWarning(
            `the journal ${database} cannot be reached: ${Failure.reasonOf(error)}. des waits for it`
          )
        }
        isSaid = true
        return yield* Effect.fail("away" as const)
      })
    ),
    Effect.retry({ while: (error) => error === "away", schedule: spaced }),
    Effect.catchAll((error) => (error === "away" ? Effect.never : error))
  )
  if (isSaid) yield* Effect.logWarning(`the journal ${database} can be reached again`)
})

const make = (options: Options) =>
  Effect.gen(function* () {
    const database = Conninfo.format(options.info)
    const hosts = Client.makeHosts(options.info)
    const sql = yield* Effect.mapError(Client.make(hosts), Failure.explain(database))
    const safely = patiently(database)
    return yield* Effect.gen(function* () {
      yield* open(database)
      const member = yield* Member.make({ hosts, node: options.node })
      const feeds = yield* Feeds.make({ database, member })
      const memory = yield* EngineMemory.make({ idOf: indexed, textOf })
      const backlog = yield* LargeBacklog.make(sql, { isShared: true })
      const retention = yield* Retention.make({ keep: options.keep, alsoForget: memory.forgetOld })
      /** How many batches are accepted and not yet written. */
      const unwritten = { count: 0 }
      const claims = yield* Claims.make({ database, member, engines: options.engines, jobs: options.jobs, unwritten })
      const log = yield* RunLog.make({ database, node: options.node, member, claims })
      const acceptance = yield* Acceptance.make({
        database,
        member,
        feeds,
        memory,
        backlog,
        maxAge: options.maxAge,
        unwritten,
        written: (size) => Effect.zipRight(retention.count(size), claims.arrived)
      })
      const refuseForeign = Foreign.refuse(options.directory, log.begin)
      /** An event that another node takes meanwhile is not this one's. */
      const take = (order: TakeOrder): Effect.Effect<Option.Option<Entry>, JournalError> =>
        claims.take(order).pipe(
          Effect.flatMap(
            Option.match({
              onNone: () => Effect.succeedNone,
              onSome: (entry) => Effect.asSome(refuseForeign(entry))
            })
          ),
          Effect.catchIf(
            ({ reason }) => reason === "TakenOver",
            () => take(order)
          )
        )
      const waiting = Backlog.make(sql, claims.isWatched("event.engine"))
      yield* safely(waiting.begin(options.maxAge))

      /** The feed expects no error. The next `accept` fails with it. */
      const remembering = <A>(otherwise: A, effect: Effect.Effect<A, JournalError>): Effect.Effect<A> =>
        Effect.catchAll(effect, (error) => Effect.as(acceptance.breakWith(error), otherwise))

      const recall = Effect.fnUntraced(function* (engine: string) {
        // What is still in memory of this engine belongs to what is recalled.
        yield* Effect.ignore(acceptance.idle)
        yield* feeds.watch(engine)
        return yield* safely(memory.recall(engine))
      })

      /** What another watcher has written by now stays. */
      const meet = (engine: string, met: FeedMemory.MetEngine): Effect.Effect<void, SqlError> =>
        transaction(
          sql,
          Effect.gen(function* () {
            const token = feeds.tokenOf(engine) ?? 0
            const [held] = yield* sql`SELECT 1 FROM feed WHERE engine = ${engine} AND token = ${token} FOR SHARE`
            if (held !== undefined) yield* memory.meet(engine, met)
          })
        )

      return Journal.of({
        durable: true,
        accept: acceptance.accept,
        acceptOwn: acceptance.acceptOwn,
        room: acceptance.room,
        memory: {
          recall: (engine) => (options.watches ? remembering(FeedMemory.nothing, recall(engine)) : Effect.never),
          meet: (engine, met) => remembering(undefined, safely(meet(engine, met))),
          unwanted: backlog.unwanted,
          revoked: feeds.revoked
        },
        close: claims.close,
        take: (order) => (options.runs ? take(order) : Effect.as(claims.closed, Option.none())),
        park: claims.park,
        reload: claims.reload,
        coalesce: claims.coalesce,
        cool: Cooldown.make(sql, safely),
        begin: log.begin,
        unkept: () => Effect.succeed(unkeptEvent),
        finish: claims.finish,
        lost: backlog.lost,
        unfinished: once(database)(waiting.count),
        status: once(database)(waiting.status(() => member.now()?.id)),
        probe: once(database)(waiting.probe)
      })
    }).pipe(Effect.provideService(SqlClient.SqlClient, sql))
  })

/** One node of a fleet: a journal in PostgreSQL that several des use. */
export const layer = (options: Options): Layer.Layer<Journal, JournalError> => Layer.scoped(Journal, make(options))
