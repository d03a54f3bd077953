/** A node stands still and goes on later, when others have its work. */

import * as Fs from "node:fs"
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
        // Until the node stands still, half of the actors have scripts that take longer than all of this: they have to be ended before another
        // node begins them. The scripts of the others end soon after their node stands still, and it does not see that.
        const slow = east.images.slice(0, 5)
        Fleet.prepare(
          sandbox,
          `if [ -e "$RAN.long" ]; then case $ACTOR_ID in ${slow.join("|")}) long=20 ;; esac; fi; sleep "\${long:-0.4}"`
        )
        sandbox.write("ran.long", "")
        const begin = (name: string) => Fleet.node(sandbox, { name, state, sources: [east], jobs: 16 })
        const nodes = yield* Effect.forEach(["n1", "n2", "n3"], begin, { concurrency: "unbounded" })
        const [frozen] = yield* Fleet.watched(nodes, [east])
        if (frozen === undefined) return
        const emitting = yield* Effect.fork(east.emit(120, 100))
        /** The numbers of the runs on this node that have begun and not ended, of long and of short scripts. */
        const open = Effect.map(
          database.psql(
            `SELECT run.id, event.actor IN (${slow.map((id) => `'${id}'`).join(", ")}) FROM run JOIN event ON event.id = run.event_id
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
        yield* Effect.sync(() => Fs.rmSync(sandbox.path("ran.long")))
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
