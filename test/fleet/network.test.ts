/** The network between a node and the database is cut, both ways and one way. */

import * as Fs from "node:fs"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { leaseFor } from "../../src/journal/postgres/Member.ts"
import * as Fleet from "../support/Fleet.ts"
import { poll } from "../support/Poll.ts"
import { proxy } from "../support/Proxy.ts"
import { test } from "../support/Sandbox.ts"
import { shareEngine } from "../support/SharedEngine.ts"

Fleet.describeFleet("a node without a way to the database", () => {
  const shared = shareEngine(Fleet.ground)

  for (const [what, way] of [
    ["in both directions", "both"],
    ["towards the database", "toServer"],
    ["towards the node", "toClient"]
  ] as const) {
    test(
      `cut ${what}: its scripts have ended before others begin them, nobody accepts an event twice, and it takes part again`,
      (sandbox) =>
        Effect.gen(function* () {
          const { database, east } = yield* shared
          const between = yield* proxy(database.port)
          const state = yield* database.freshUrl
          const name = state.split("/").at(-1)
          const far = state.replace(`:${database.port}/`, `:${between.port}/`)
          // What runs when the network is cut takes longer than a lease.
          Fleet.prepare(sandbox, 'if [ -e "$RAN.long" ]; then sleep 10; else sleep 0.2; fi')
          sandbox.write("ran.long", "")
          const events: Array<string> = []
          const emit = (count: number) => Effect.map(east.emit(count, 20), (more) => void events.push(...more))
          const isMember = (node: string) =>
            poll(
              Effect.orDie(
                Effect.map(
                  database.psql(
                    `SELECT count(*) FROM node WHERE name = '${node}' AND NOT ended AND until > clock_timestamp()`,
                    name
                  ),
                  (count) => count === "1\n"
                )
              ),
              30_000
            )
          const of = (node: string, since: number) =>
            Fleet.ran(sandbox)
              .slice(since)
              .filter((line) => line.node === node)
          const works = (node: string, count: number, since = 0) =>
            poll(
              Effect.sync(() => of(node, since).filter(({ kind }) => kind === "begin").length >= count),
              30_000
            )

          const cut = yield* Fleet.node(sandbox, { name: "n1", state: far, sources: [east], jobs: 16 })
          yield* Fleet.watched([cut], [east])
          yield* emit(10)
          assert.isTrue(yield* works("n1", 10), "n1 runs all")
          const other = yield* Fleet.node(sandbox, { name: "n2", state, sources: [east], jobs: 16 })
          assert.isTrue(yield* isMember("n2"), "n2 has joined")
          yield* Effect.sync(() => Fs.rmSync(sandbox.path("ran.long")))

          yield* between.cut(way)
          assert.isTrue(yield* works("n2", 1), "n2 takes over")
          yield* emit(20)
          yield* Effect.sleep(leaseFor)
          const since = Fleet.ran(sandbox).length
          yield* emit(20)
          assert.isTrue(yield* works("n2", 1, since), "n2 goes on")
          assert.deepStrictEqual(of("n1", since), [])

          yield* between.heal
          assert.isTrue(yield* isMember("n1"), "n1 joins again")
          yield* other.stop
          const healed = Fleet.ran(sandbox).length
          yield* emit(10)
          assert.isTrue(yield* works("n1", 1, healed), "n1 takes part again")
          const ended = yield* Fleet.untilEnded(sandbox, events.length, 60_000)
          yield* cut.stop
          yield* Fleet.assertWell(sandbox, state, events)
          assert.isTrue(ended)
          const accepted = yield* database.psql("SELECT count(*) FROM event WHERE type = 'image'", name)
          assert.strictEqual(Number(accepted), events.length)
        }).pipe(Effect.orDie),
      240_000
    )
  }
})
