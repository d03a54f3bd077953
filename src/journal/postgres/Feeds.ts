import * as SqlClient from "@effect/sql/SqlClient"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { JournalError } from "../Journal.ts"
import type { Member } from "./Member.ts"
import { patiently } from "./Patience.ts"

/** How often a node asks for a feed that another one watches, in milliseconds: the news of it are lost with their connection. */
const askEvery = 500

/** How much later a node asks for a feed for each one that it watches, in milliseconds. So the feeds are spread over the nodes. */
const modesty = 25

/** The longest such delay, in milliseconds. */
const mostModest = 250

/**
 * The feeds that this node watches.
 *
 * - `watch`: waits until this node is the watcher of an engine.
 * - `revoked`: waits until it is that no more.
 * - `tokenOf`: the token with which this node watches an engine; none if it does not.
 * - `lose`: notes that another node watches an engine.
 */
export interface Feeds {
  readonly watch: (engine: string) => Effect.Effect<void, JournalError>
  readonly revoked: (engine: string) => Effect.Effect<void>
  readonly tokenOf: (engine: string) => number | undefined
  readonly lose: (engine: string, token: number | undefined) => Effect.Effect<void>
}

export const make = (options: { readonly database: string; readonly member: Member }) =>
  Effect.gen(function* () {
    const { database, member } = options
    const sql = yield* SqlClient.SqlClient
    const safely = patiently(database)
    const news = yield* Effect.makeLatch(false)
    member.onNews(() => news.unsafeOpen())
    /** The engines that are read here. They end when another node watches the engine. */
    const read = new Map<string, Deferred.Deferred<void>>()

    const stop = (engine: string) =>
      Effect.suspend(() => {
        const reading = read.get(engine)
        read.delete(engine)
        return reading === undefined ? Effect.void : Effect.asVoid(Deferred.succeed(reading, undefined))
      })

    // After this node has joined again, it may have lost some.
    member.onJoined(
      Effect.suspend(() =>
        Effect.forEach([...read.keys()], (engine) => (member.feeds.has(engine) ? Effect.void : stop(engine)), {
          discard: true
        })
      )
    )

    const ask = (engine: string, node: number) =>
      // While another node watches the engine, this only reads: locks and writes of all nodes would delay the renewals of leases.
      sql<{ token: number }>`WITH alive AS (SELECT id FROM node WHERE id = ${node} AND NOT ended
          AND NOT EXISTS (SELECT FROM feed WHERE engine = ${engine} AND feed.node <> ${node}) FOR SHARE)
        INSERT INTO feed (engine, node, token) SELECT ${engine}, alive.id, nextval('tick') FROM alive
        ON CONFLICT (engine) DO UPDATE SET node = excluded.node, token = excluded.token
          WHERE feed.node IS NULL OR feed.node = excluded.node
        RETURNING token`

    const watch = Effect.fnUntraced(function* (engine: string) {
      while (true) {
        const of = yield* member.current
        news.unsafeClose()
        const [row] = yield* safely(ask(engine, of.id))
        if (row !== undefined && member.now() === of) {
          member.feeds.set(engine, row.token)
          read.set(engine, yield* Deferred.make<void>())
          return
        }
        yield* Effect.raceFirst(news.await, Effect.sleep(askEvery))
        yield* Effect.sleep(Math.min(mostModest, member.feeds.size * modesty))
      }
    })

    return {
      watch,
      revoked: (engine) =>
        Effect.suspend(() => {
          const reading = read.get(engine)
          return reading === undefined ? Effect.void : Deferred.await(reading)
        }),
      tokenOf: (engine) => member.feeds.get(engine),
      lose: (engine, token) =>
        Effect.suspend(() => {
          if (member.feeds.get(engine) !== token) return Effect.void
          member.feeds.delete(engine)
          return Effect.zipRight(Effect.logWarning(`${engine}: another node watches this engine now`), stop(engine))
        })
    } satisfies Feeds as Feeds
  })
