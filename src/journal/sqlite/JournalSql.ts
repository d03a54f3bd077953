import * as SqlClient from "@effect/sql/SqlClient"
import type * as SqlError from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as FeedMemory from "../../feed/FeedMemory.ts"
import { type Batch, Journal, type JournalError } from "../Journal.ts"
import * as EngineMemory from "./EngineMemory.ts"
import * as EventQueue from "./EventQueue.ts"
import * as Failure from "./Failure.ts"
import * as Retention from "./Retention.ts"
import * as RunLog from "./RunLog.ts"

/**
 * How long what has run is kept.
 *
 * @since 1.0.0
 * @category models
 */
export interface Keep extends Retention.Keep {}

/**
 * What is kept where nothing else is said: 30 days, 100,000 events.
 *
 * @since 1.0.0
 * @category constructors
 */
export const defaultKeep: Keep = Retention.defaultKeep

/**
 * `file` names the database in errors; `keep` bounds what is kept of what has run; what happened more than `maxAge`
 * milliseconds ago is marked skipped. With `engines` only events of these, and those of none, are given: what waits for
 * another goes on waiting, since its scripts would ask the wrong engine (default: all). `durably` makes a write wait
 * until it is on the disk.
 *
 * @since 1.0.0
 * @category models
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

const make = (options: Options) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const safely = Failure.explained(options.file)
    const runs = yield* RunLog.make(safely)
    const queue = yield* EventQueue.make({ ...options, engines: options.engines, earlierOf: runs.earlierOf })
    const engines = yield* EngineMemory.make
    const retention = yield* Retention.make({ keep: options.keep, also: engines.forgetOld })
    // What failed where nobody could be told: the next batch is.
    let broken: JournalError | undefined

    // First the events: what is seen but not accepted would be lost, what is accepted but not seen is recognised.
    const accept = Effect.fn("Journal.accept")(function* (batch: Batch) {
      if (broken !== undefined) return yield* broken
      yield* safely(options.durably(sql)(queue.insert(batch.accepted)))
      // What is accepted need not wait for what is only noted.
      yield* queue.wake
      yield* safely(engines.keep(batch.events))
      yield* safely(retention.count(batch.events.length))
      return true
    })

    const finish = (id: number, state: "done" | "failed") =>
      Effect.zipRight(queue.finish(id, state), safely(retention.count(1)))

    const remembering = <A>(otherwise: A, effect: Effect.Effect<A, SqlError.SqlError>): Effect.Effect<A> =>
      Effect.catchAll(safely(effect), (error) => {
        broken = error
        return Effect.succeed(otherwise)
      })

    yield* safely(retention.now)
    return Journal.of({
      durable: true,
      accept,
      room: Effect.void,
      close: queue.close,
      take: queue.take,
      rest: queue.rest,
      memory: {
        recall: (engine) => remembering(FeedMemory.nothing, engines.recall(engine)),
        meet: (engine, met) => remembering(undefined, engines.meet(engine, met))
      },
      begin: runs.begin,
      finish,
      waiting: queue.waiting
    })
  })

/**
 * A journal in a database whose tables are there. Nothing is accepted
 * before it is written, and what was accepted and not finished is given again when des starts the next time.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Journal, JournalError, SqlClient.SqlClient> =>
  Layer.effect(Journal, make(options))
