/** Nodes are killed at random: what was accepted runs, in order, and nothing that is done runs again. */

import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Fleet from "../support/Fleet.ts"
import * as Ran from "../support/Ran.ts"
import { test } from "../support/Sandbox.ts"

/** The same seed kills the same nodes after the same pauses: DES_FLEET_SEED repeats a run, as far as the machine allows. */
const seed = Number(process.env["DES_FLEET_SEED"] ?? Date.now() % 1_000_000)

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
const numbers = (from: number) => {
  let state = from
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

Fleet.describeFleet("nodes that are killed", () => {
  test(
    "three nodes, two engines, 2,000 events: nothing is lost, nothing that is done runs again, each actor in order, and attempts tell the truth",
    (sandbox) =>
      Effect.gen(function* () {
        const { database, east, west } = yield* Fleet.ground
        const state = yield* database.freshUrl
        Fleet.prepare(sandbox, "sleep 0.02")
        const begin = (name: string) => Fleet.node(sandbox, { name, state, sources: [east, west] })
        const nodes = yield* Effect.forEach(["n1", "n2", "n3"], begin, { concurrency: "unbounded" })
        yield* Fleet.watched(nodes, [east, west])

        const emitting = yield* Effect.fork(
          Effect.all([east.emit(1000, 30), west.emit(1000, 30)], { concurrency: "unbounded" })
        )
        const next = numbers(seed)
        let kills = 0
        while (emitting.unsafePoll() === null) {
          yield* Effect.sleep(2000 + 3000 * next())
          const at = Math.floor(next() * nodes.length)
          const [killed] = nodes.slice(at)
          if (killed === undefined) break
          yield* killed.kill9
          kills++
          yield* Effect.sleep(2000 * next())
          nodes[at] = yield* begin(killed.name)
        }
        const events = (yield* Fiber.join(emitting)).flat()
        const hint = `DES_FLEET_SEED=${seed}, ${kills} kills`
        const ended = yield* Fleet.untilEnded(sandbox, events.length, 180_000)
        yield* Effect.forEach(nodes, ({ stop }) => stop, { concurrency: "unbounded" })
        yield* Fleet.assertWell(sandbox, state, events, hint)
        assert.isTrue(ended, hint)
        assert.isAtLeast(kills, 5, hint)
        const twice = Ran.endedTwice(Fleet.ran(sandbox))
        yield* Effect.sync(() => console.log(`${hint}; scripts that ended twice: ${twice.length}`))
      }).pipe(Effect.orDie),
    480_000
  )
})
