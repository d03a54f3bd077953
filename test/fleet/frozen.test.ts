/** A node stands still and goes on later, when others have its work. */

import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { leaseFor } from "../../src/journal/postgres/Member.ts"
import * as Fleet from "../support/Fleet.ts"
import { poll } from "../support/Poll.ts"
import { test } from "../support/Sandbox.ts"

Fleet.describeFleet("a node that stands still", () => {
  test(
    "its runs count as cut off although their scripts ended, others go on at their rate, and it takes part again when it continues",
    (sandbox) =>
      Effect.gen(function* () {
        const { database, east } = yield* Fleet.ground
        const state = yield* database.freshUrl
        // Each third event takes longer than a lease: its script has to be ended before another node begins it. The others end soon after
        // their node stands still, and it does not see that.
        Fleet.prepare(sandbox, "case $((${ACTOR_ATTRIBUTES_NAME##*:} % 3)) in 0) sleep 4 ;; *) sleep 0.4 ;; esac")
        const begin = (name: string) => Fleet.node(sandbox, { name, state, sources: [east], jobs: 16 })
        const nodes = yield* Effect.forEach(["n1", "n2", "n3"], begin, { concurrency: "unbounded" })
        const [frozen] = yield* Fleet.watched(nodes, [east])
        if (frozen === undefined) return
        const emitting = yield* Effect.fork(east.emit(120, 100))
        /** The numbers of the runs on this node that have begun and not ended, of long and of short scripts. */
        const open = Effect.map(
          database.psql(
            `SELECT run.id, split_part(event.name, ':', 2)::int % 3 = 0 FROM run JOIN event ON event.id = run.event_id
              WHERE node = '${frozen.name}' AND pid IS NOT NULL AND ended_at IS NULL`,
            state.split("/").at(-1)
          ),
          (text) => ({
            all: text.split("\n").flatMap((line) => line.split("|")[0] || []),
            hasBoth: text.includes("|t") && text.includes("|f")
          })
        )
        const freezeBusy = Effect.gen(function* () {
          if (!(yield* open).hasBoth) return false
          yield* frozen.freeze
          if ((yield* open).hasBoth) return true
          yield* frozen.thaw
          return false
        })
        assert.isTrue(yield* poll(Effect.orDie(freezeBusy), 30_000), "it runs long and short scripts")
        const left = (yield* open).all
        const lines = Fleet.ran(sandbox).length
        yield* Effect.sleep(3 * leaseFor)
        const others = Fleet.ran(sandbox)
          .slice(lines)
          .filter(({ kind, node }) => kind === "end" && node !== frozen.name)
        const before = Fleet.ran(sandbox).length
        yield* frozen.thaw
        const events = yield* Fiber.join(emitting)
        const more = yield* east.emit(40, 100)
        const all = [...events, ...more]
        assert.isTrue(yield* Fleet.untilEnded(sandbox, all.length, 60_000))
        const again = yield* poll(
          Effect.sync(() =>
            Fleet.ran(sandbox)
              .slice(before)
              .some(({ kind, node }) => kind === "begin" && node === frozen.name)
          ),
          20_000
        )
        yield* Effect.forEach(nodes, ({ stop }) => stop, { concurrency: "unbounded" })

        const runs = yield* Fleet.assertWell(sandbox, state, all)
        const outcomes = new Map(runs.map(({ id, outcome }) => [String(id), outcome]))
        assert.deepStrictEqual([...new Set(left.map((id) => outcomes.get(id)))], ["cut off"])
        assert.isAtLeast(others.length, 5, "others go on")
        assert.include(yield* frozen.program.stderr, "has lost its lease")
        assert.isTrue(again, "it takes part again")
      }).pipe(Effect.orDie),
    240_000
  )
})
