import * as SqlClient from "@effect/sql/SqlClient"
import { SqlError } from "@effect/sql/SqlError"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type pg from "pg"
import type { JournalError } from "../Journal.ts"
import * as Client from "./Client.ts"
import * as Conninfo from "./Conninfo.ts"
import * as Failure from "./Failure.ts"
import * as Guard from "./Guard.ts"
import * as Release from "./Release.ts"

/** How long a lease holds after its last renewal, in milliseconds. Then other nodes take what this one had. */
export const leaseFor = 2000

/** How often a lease is renewed, in milliseconds. */
const renewEvery = 500

/** After which part of a lease the node itself gives up: its runs have ended before others begin them again. */
const usedPart = 0.8

/** How long a renewal may take, in milliseconds. */
const renewPatience = 1500

/** How long des waits before it connects again, in milliseconds. */
const reconnectAfter = 250

/** The channel of NOTIFY that says that there is work, or a feed without a watcher. */
export const channel = "des"

/**
 * This node as the journal knows it, from when it joined until it lost its lease.
 *
 * - `id`: its row in the table `node`.
 * - `epoch`: how often this process has joined before.
 * - `isHeld`: returns true as long as no other node can have taken its work.
 * - `lost`: ends when it has lost its lease.
 */
export interface Membership {
  readonly id: number
  readonly epoch: number
  readonly isHeld: () => boolean
  readonly lost: Deferred.Deferred<void>
}

/**
 * Keeps this process a node of the fleet, as long as the journal can be reached.
 *
 * - `current`: waits until this node has a lease.
 * - `now`: the membership, if this node has a lease.
 * - `onNews`: is told of a function that is called whenever there may be work or a feed for this node.
 * - `onJoined`: is told of an effect that runs whenever this node has joined.
 * - `guard`: ends the runs if the lease is lost.
 * - `late`: statements that record how runs ended while this node had its lease, by the numbers of the runs. If it loses the lease before they are
 *   done, they are done when it joins again, unless another node has taken the work by then.
 * - `feeds`: the engines that this node watches, with their tokens. It is replaced when the node joins again.
 */
export interface Member {
  readonly current: Effect.Effect<Membership>
  readonly now: () => Membership | undefined
  readonly onNews: (listener: () => void) => void
  readonly onJoined: (listener: Effect.Effect<void>) => void
  readonly guard: Guard.Guard
  readonly late: Map<number, Effect.Effect<unknown, SqlError>>
  readonly feeds: Map<string, number>
}

const query = <A extends pg.QueryResultRow>(client: pg.Client, text: string, values: ReadonlyArray<unknown> = []) =>
  Effect.tryPromise({
    try: () => client.query<A>(text, [...values]),
    catch: (cause) => new SqlError({ cause, message: "cannot renew" })
  }).pipe(
    Effect.timeoutFail({
      duration: renewPatience,
      onTimeout: () =>
        new SqlError({ cause: new Error(`the database is silent for ${renewPatience / 1000} seconds`), message: "" })
    })
  )

export const make = (options: {
  readonly hosts: Client.Hosts
  readonly node: string
}): Effect.Effect<Member, JournalError, SqlClient.SqlClient | Scope.Scope> =>
  Effect.gen(function* () {
    const { hosts, node } = options
    const database = Conninfo.format(hosts.info)
    const sql = yield* SqlClient.SqlClient
    const guard = yield* Guard.make
    const joined = yield* Effect.makeLatch(false)
    const listeners: Array<() => void> = []
    const joiners: Array<Effect.Effect<void>> = []
    const tell = () => {
      for (const listener of listeners) listener()
    }
    const feeds = new Map<string, number>()
    const late: Member["late"] = new Map()
    let membership: Membership | undefined
    let before: number | undefined
    let epoch = 0
    let deadline = 0
    /** Since when every renewal has succeeded, on the monotonic clock. */
    let steadySince = 0
    let isAway = false

    const renewed = (sent: number) => {
      deadline = sent + usedPart * leaseFor
      guard.lease(deadline)
    }

    const lose = Effect.fnUntraced(function* (why: string) {
      if (membership === undefined) return
      const { id, lost } = membership
      membership = undefined
      before = id
      yield* joined.close
      yield* Effect.logWarning(
        `this node has lost its lease in the journal ${database} (${why}): its running scripts are ended, and other nodes may take their events`
      )
      yield* Deferred.succeed(lost, undefined)
    })

    /** Gives up when the time is over, whatever the connection does. */
    const watchDeadline = Effect.forever(
      Effect.suspend(() => {
        const left = deadline - Guard.monotonic()
        if (left > 0) return Effect.sleep(left + 1)
        return Effect.zipRight(lose("the lease was not renewed in time"), Effect.sleep(renewEvery / 5))
      })
    )

    /** Becomes a node. What this process had as an earlier one is given up, but the feeds that nobody has taken stay. */
    const join = Effect.gen(function* () {
      const sent = Guard.monotonic()
      const { id, kept } = yield* Release.transaction(
        sql,
        Effect.gen(function* () {
          const [row] = yield* sql<{ id: number }>`INSERT INTO node (name, began_at, until)
            VALUES (${node}, ${Release.nowMillis(sql)}, clock_timestamp() + ${leaseFor} * interval '1 millisecond')
            RETURNING id`
          const made = row?.id ?? 0
          if (before === undefined) return { id: made, kept: [] }
          // In the order of `reap`: first the node, then its runs. Else the two could wait for each other.
          yield* sql`SELECT 1 FROM node WHERE id = ${before} FOR UPDATE`
          for (const statement of late.values()) yield* statement
          return { id: made, kept: yield* Release.leave(sql, before, made) }
        })
      )
      feeds.clear()
      for (const { engine, token } of kept) feeds.set(engine, token)
      const lost = yield* Deferred.make<void>()
      const joining: Membership = {
        id,
        epoch: epoch++,
        isHeld: () => membership === joining && Guard.monotonic() < deadline,
        lost
      }
      membership = joining
      renewed(sent)
      steadySince = sent
      yield* Effect.all(joiners, { discard: true })
      yield* joined.open
      tell()
    })

    const renew = Effect.fnUntraced(function* (client: pg.Client, { id }: Membership) {
      const sent = Guard.monotonic()
      const { rowCount } = yield* query(
        client,
        "UPDATE node SET until = clock_timestamp() + $2 * interval '1 millisecond' WHERE id = $1 AND NOT ended",
        [id, leaseFor]
      )
      // After the deadline the guard ends scripts, and runs are given up: then the lease is lost, whatever the table says.
      if (rowCount === 1 && Guard.monotonic() < deadline) return renewed(sent)
      yield* lose(rowCount === 1 ? "the lease was not renewed in time" : "another node has ended it")
    })

    const back = Effect.suspend(() => {
      if (!isAway) return Effect.void
      isAway = false
      return Effect.logWarning(`the journal ${database} can be reached again`)
    })

    /** Takes what dead nodes had. After an outage of the database every lease is old: a node that lives has renewed its own by then. */
    const reaping = Effect.suspend(() =>
      Guard.monotonic() - steadySince >= leaseFor ? Effect.ignoreLogged(Release.reap(sql, node)) : Effect.void
    ).pipe(Effect.delay(renewEvery), Effect.forever)

    const session = Effect.gen(function* () {
      const client = yield* Client.connect(hosts)
      const { rows } = yield* query<{ standby: boolean }>(client, "SELECT pg_is_in_recovery() AS standby")
      if (rows[0]?.standby === true) {
        hosts.failed(hosts.current())
        return yield* new SqlError({ cause: new Error("it is a standby, and takes no writes"), message: "" })
      }
      yield* query(client, `LISTEN ${channel}`)
      // A lease need not be on the disk: after a crash of the database no lease is taken from a node before it could renew it.
      yield* query(client, "SET synchronous_commit = off")
      client.on("notification", tell)
      tell()
      steadySince = Guard.monotonic()
      // Beside the renewals, which must not wait for it.
      yield* Effect.forkScoped(reaping)
      while (true) {
        yield* membership === undefined ? join : renew(client, membership)
        yield* back
        yield* Effect.sleep(renewEvery)
      }
    }).pipe(Effect.scoped)

    const attend = session.pipe(
      Effect.catchAll((error) =>
        Effect.gen(function* () {
          if (isAway) return
          isAway = true
          yield* Effect.logWarning(
            `the journal ${database} cannot be reached: ${Failure.reasonOf(error)}. des goes on when it is back`
          )
        })
      ),
      // Without this fiber the node would be lost for good, and nobody would know why.
      Effect.catchAllDefect((defect) => Effect.logError("internal error, please report it", defect)),
      Effect.zipRight(Effect.sleep(reconnectAfter)),
      Effect.forever
    )

    yield* Effect.acquireRelease(Effect.void, () =>
      Effect.suspend(() => {
        const id = membership?.id
        membership = undefined
        if (id === undefined) return Effect.void
        // What is not given up here, other nodes take when the lease is over.
        return Release.transaction(sql, Release.leave(sql, id, undefined)).pipe(
          Effect.interruptible,
          Effect.disconnect,
          Effect.timeout(leaseFor),
          Effect.ignore
        )
      })
    )
    yield* Effect.forkScoped(attend)
    yield* Effect.forkScoped(watchDeadline)

    const current: Member["current"] = Effect.suspend(() =>
      membership === undefined ? Effect.zipRight(joined.await, current) : Effect.succeed(membership)
    )
    return {
      current,
      now: () => membership,
      onNews: (listener) => void listeners.push(listener),
      onJoined: (listener) => void joiners.push(listener),
      guard,
      late,
      feeds
    }
  })
