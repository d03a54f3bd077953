/** Nodes come and go as their administrators want it: stops, clocks that differ, and upgrades. */

import * as Fs from "node:fs"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as V from "vitest"
import * as Fleet from "../support/Fleet.ts"
import { test } from "../support/Sandbox.ts"
import { shareEngine } from "../support/SharedEngine.ts"

/** The library that gives a process another time (Debian's package faketime). */
const faketime = Fs.readdirSync("/usr/lib")
  .map((name) => `/usr/lib/${name}/faketime/libfaketimeMT.so.1`)
  .find((file) => Fs.existsSync(file))

Fleet.describeFleet("nodes that come and go as planned", () => {
  const shared = shareEngine(Fleet.ground)

  test(
    "a node that is stopped gives up its feeds and actors at once, and cuts no run off",
    (sandbox) =>
      Effect.gen(function* () {
        const { database, east, west } = yield* shared
        const state = yield* database.freshUrl
        const name = state.split("/").at(-1)
        Fleet.prepare(sandbox, "sleep 0.5")
        const sources = [east, west]
        const leaving = yield* Fleet.node(sandbox, { name: "n1", state, sources })
        yield* Fleet.watched([leaving], sources)
        const staying = yield* Fleet.node(sandbox, { name: "n2", state, sources })
        const first = (yield* Effect.all([east.emit(30, 20), west.emit(30, 20)], { concurrency: "unbounded" })).flat()
        const stopped = yield* leaving.stop
        assert.strictEqual(stopped.code, 143, stopped.stderr)
        // Not when the lease is over, but by the time when the node has ended.
        assert.strictEqual(
          yield* database.psql("SELECT count(*) FROM node WHERE name = 'n1' AND NOT ended", name),
          "0\n"
        )
        const held = `SELECT (SELECT count(*) FROM feed JOIN node ON node.id = feed.node WHERE node.name = 'n1'),
        (SELECT count(*) FROM lane JOIN node ON node.id = lane.node WHERE node.name = 'n1')`
        assert.strictEqual(yield* database.psql(held, name), "0|0\n")
        yield* Fleet.watched([staying], sources)
        const events = [...first, ...(yield* east.emit(10, 20)), ...(yield* west.emit(10, 20))]
        assert.isTrue(yield* Fleet.untilEnded(sandbox, events.length, 60_000))
        yield* staying.stop
        const runs = yield* Fleet.assertWell(sandbox, state, events)
        assert.deepStrictEqual(
          runs.filter(({ attempt, outcome }) => outcome !== "exited" || attempt !== 1),
          []
        )
        assert.deepStrictEqual([...new Set(Fleet.ran(sandbox).map(({ node }) => node))].toSorted(), ["n1", "n2"])
      }).pipe(Effect.orDie),
    180_000
  )

  const clocks = faketime === undefined && process.env["DES_REQUIRE_ENGINES"] !== "1" ? V.describe.skip : V.describe
  clocks(`clocks that differ${faketime === undefined ? " (not installed: faketime)" : ""}`, () => {
    test(
      "nodes whose clocks differ by ten minutes keep their leases, and take over from one that is killed",
      (sandbox) =>
        Effect.gen(function* () {
          assert.isDefined(faketime, "not installed: faketime")
          const { database, east } = yield* shared
          const state = yield* database.freshUrl
          Fleet.prepare(sandbox, "sleep 0.1")
          const begin = (name: string, offset: string) =>
            Fleet.node(sandbox, {
              name,
              state,
              sources: [east],
              env: { LD_PRELOAD: faketime ?? "", FAKETIME: offset, FAKETIME_DONT_FAKE_MONOTONIC: "1" }
            })
          const early = yield* begin("early", "-5m")
          yield* Fleet.watched([early], [east])
          const late = yield* begin("late", "+5m")
          const first = yield* east.emit(60, 50)
          assert.isTrue(yield* Fleet.untilEnded(sandbox, first.length, 60_000))
          for (const { program } of [early, late]) assert.notInclude(yield* program.stderr, "lease")
          yield* early.kill9
          const second = yield* east.emit(60, 50)
          const events = [...first, ...second]
          assert.isTrue(yield* Fleet.untilEnded(sandbox, events.length, 60_000))
          yield* late.stop
          yield* Fleet.assertWell(sandbox, state, events)
          const nodes = new Set(Fleet.ran(sandbox).map(({ node }) => node))
          assert.deepStrictEqual([...nodes].toSorted(), ["early", "late"])
        }).pipe(Effect.orDie),
      180_000
    )
  })

  test(
    "events run while a newer des adds to the tables; what they need is refused to a des that is too old for them",
    (sandbox) =>
      Effect.gen(function* () {
        const { database, east } = yield* shared
        const state = yield* database.freshUrl
        const name = state.split("/").at(-1)
        Fleet.prepare(sandbox, "sleep 0.1")
        const begin = (node: string) => Fleet.node(sandbox, { name: node, state, sources: [east] })
        const old = yield* begin("n1")
        yield* Fleet.watched([old], [east])
        const first = yield* east.emit(30, 50)
        // What the next version does with its first node: it adds, and says which versions may go on.
        const migrate = (
          oldest: number
        ) => `BEGIN; ALTER TABLE event ADD COLUMN later${oldest} text; ALTER TABLE run ADD COLUMN later${oldest} text;
        INSERT INTO migration (migration_id, name) SELECT max(migration_id) + 1, 'later' FROM migration;
        UPDATE journal SET oldest = ${oldest}; COMMIT`
        yield* database.psql(migrate(1), name)
        const second = yield* east.emit(30, 50)
        const another = yield* begin("n2")
        const third = yield* east.emit(30, 50)
        const events = [...first, ...second, ...third]
        assert.isTrue(yield* Fleet.untilEnded(sandbox, events.length, 60_000))
        for (const one of [old, another]) assert.strictEqual((yield* one.stop).code, 143)
        yield* Fleet.assertWell(sandbox, state, events)

        yield* database.psql(migrate(99), name)
        const refused = yield* (yield* begin("n3")).program.ended
        assert.strictEqual(refused.code, 1)
        assert.include(refused.stderr, "was written by a newer des")
      }).pipe(Effect.orDie),
    180_000
  )
})
