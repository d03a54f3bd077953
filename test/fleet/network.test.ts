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

  for (const [what, ways] of [
    ["both ways", ["both"]],
    ["one way", ["toServer", "toClient"]]
  ] as const) {
    test(
      `cut ${what}: it stops before others have its work, nobody accepts an event twice, and it takes part again`,
      (sandbox) =>
        Effect.gen(function* () {
          const { database, east } = yield* shared
          const between = yield* proxy(database.port)
          const state = yield* database.freshUrl
          const name = state.split("/").at(-1)
          const far = state.replace(`:${database.port}/`, `:${between.port}/`)
          // What runs when the network is cut takes longer than a lease: it has to be ended before another node begins it.
          Fleet.prepare(sandbox, 'if [ -e "$RAN.long" ]; then sleep 5; else sleep 0.2; fi')
          const cut = yield* Fleet.node(sandbox, { name: "n1", state: far, sources: [east], jobs: 16 })
          yield* Fleet.watched([cut], [east])
          const near = yield* Fleet.node(sandbox, { name: "n2", state, sources: [east], jobs: 16 })
          const events: Array<string> = []
          const emit = (count: number) => Effect.map(east.emit(count, 50), (more) => void events.push(...more))
          const works = (node: string, since: number) =>
            poll(
              Effect.sync(() =>
                Fleet.ran(sandbox)
                  .slice(since)
                  .some((line) => line.kind === "begin" && line.node === node)
              ),
              30_000
            )
          for (const way of ways) {
            const before = Fleet.ran(sandbox).length
            sandbox.write("ran.long", "")
            yield* emit(20)
            assert.isTrue(yield* works("n1", before))
            yield* Effect.sync(() => Fs.rmSync(sandbox.path("ran.long")))
            yield* between.cut(way)
            yield* emit(20)
            yield* Effect.sleep(2 * leaseFor)
            const since = Fleet.ran(sandbox).length
            yield* emit(20)
            assert.isTrue(yield* works("n2", since))
            const meanwhile = Fleet.ran(sandbox).slice(since)
            assert.deepStrictEqual(
              meanwhile.filter(({ node }) => node === "n1"),
              [],
              way
            )
            yield* between.heal
            const healed = Fleet.ran(sandbox).length
            const takesPart = Effect.sync(() =>
              Fleet.ran(sandbox)
                .slice(healed)
                .some(({ node }) => node === "n1")
            )
            yield* poll(Effect.orDie(Effect.zipRight(emit(10), takesPart)), 30_000)
            assert.isTrue(yield* works("n1", healed), `${way}: it takes part again`)
          }
          assert.isTrue(yield* Fleet.untilEnded(sandbox, events.length, 60_000))
          yield* Effect.all([cut.stop, near.stop], { concurrency: "unbounded" })
          yield* Fleet.assertWell(sandbox, state, events)
          const accepted = yield* database.psql("SELECT count(*) FROM event WHERE type = 'image'", name)
          assert.strictEqual(Number(accepted), events.length)
        }).pipe(Effect.orDie),
      240_000
    )
  }
})
