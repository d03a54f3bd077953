/** The database goes away and comes back: nothing is lost, and no des is restarted. */

import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { leaseFor } from "../../src/journal/postgres/Member.ts"
import * as Fleet from "../support/Fleet.ts"
import { poll } from "../support/Poll.ts"
import { postgres } from "../support/Postgres.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"
import { shareEngine } from "../support/SharedEngine.ts"

const names = ["n1", "n2"]

/** Two nodes that watch an engine, and what holds for them at the end of each case. */
const begin = (sandbox: Sandbox, state: string, east: Fleet.Source) =>
  Effect.gen(function* () {
    Fleet.prepare(sandbox, "sleep 0.05")
    const nodes = yield* Effect.forEach(names, (name) => Fleet.node(sandbox, { name, state, sources: [east] }), {
      concurrency: "unbounded"
    })
    yield* Fleet.watched(nodes, [east])
    const settled = (events: ReadonlyArray<string>) =>
      Effect.gen(function* () {
        const ended = yield* Fleet.untilEnded(sandbox, events.length, 90_000)
        const ends = yield* Effect.forEach(nodes, ({ stop }) => stop, { concurrency: "unbounded" })
        yield* Fleet.assertWell(sandbox, state, events)
        assert.isTrue(ended)
        // None had ended before it was told to.
        assert.deepStrictEqual(
          ends.map(({ code }) => code),
          [143, 143]
        )
      })
    return { nodes, settled }
  })

/** A file system of its own in memory, with so many megabytes, that is the server's. */
const smallDisk = (dir: string, megabytes: number): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const path = Path.join(dir, "small")
      Fs.mkdirSync(path)
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", path])
      execFileSync("chown", ["postgres", path])
      return path
    }),
    (path) => Effect.sync(() => void execFileSync("umount", ["--lazy", path]))
  )

Fleet.describeFleet("a database that goes away", () => {
  const shared = shareEngine(Fleet.ground)

  test(
    "killed (-9) five times under load: nothing is lost, and the nodes go on by themselves",
    (sandbox) =>
      Effect.gen(function* () {
        const { database, east } = yield* shared
        const state = yield* database.freshUrl
        const { settled } = yield* begin(sandbox, state, east)
        const emitting = yield* Effect.fork(east.emit(400, 40))
        for (let kills = 0; kills < 5; kills++) {
          const before = Fleet.ended(sandbox)
          assert.isTrue(yield* Fleet.untilEnded(sandbox, before + 20, 60_000), `after ${kills} kills`)
          yield* database.kill9
          // Some outages are shorter than a lease, some are longer.
          yield* Effect.sleep(kills % 2 === 0 ? 100 : leaseFor)
          yield* database.start
        }
        yield* settled(yield* Fiber.join(emitting))
      }).pipe(Effect.orDie),
    300_000
  )

  test(
    "its disk is full: nothing is marked that was not done, and all runs when there is room again",
    (sandbox) =>
      Effect.gen(function* () {
        const { database, east } = yield* shared
        const disk = yield* smallDisk(database.dir, 24)
        yield* database.psql(`CREATE TABLESPACE small LOCATION '${disk}'`)
        yield* database.psql("CREATE DATABASE narrow TABLESPACE small")
        yield* Effect.addFinalizer(() =>
          Effect.ignore(
            Effect.zipRight(database.psql("DROP DATABASE narrow WITH (FORCE)"), database.psql("DROP TABLESPACE small"))
          )
        )
        const { settled } = yield* begin(sandbox, database.url.replace(/postgres$/, "narrow"), east)
        const first = yield* east.emit(20, 20)
        assert.isTrue(yield* Fleet.untilEnded(sandbox, first.length, 30_000))
        const filler = Path.join(disk, "filler")
        const isFull = () => Fs.readFileSync(Path.join(database.dir, "log"), "utf8").includes("No space left on device")
        const filling = yield* Effect.fork(
          Effect.forever(
            Effect.zipRight(
              Effect.sync(() => {
                const block = Buffer.alloc(8192)
                const file = Fs.openSync(filler, "a")
                try {
                  while (true) Fs.writeSync(file, block)
                } catch {
                  // This is what it is for.
                } finally {
                  Fs.closeSync(file)
                }
              }),
              Effect.sleep(50)
            )
          )
        )
        const second = yield* east.emit(100, 20)
        assert.isTrue(yield* poll(Effect.sync(isFull), 30_000), "the disk is full")
        yield* Fiber.interrupt(filling)
        yield* Effect.sync(() => Fs.rmSync(filler))
        yield* settled([...first, ...second])
      }).pipe(Effect.orDie),
    240_000
  )

  test(
    "a standby that follows synchronously takes over: nothing is lost, and the nodes find it by themselves",
    (sandbox) =>
      Effect.gen(function* () {
        const { east } = yield* shared
        const primary = yield* postgres()
        const standby = yield* postgres({ standbyOf: primary })
        yield* primary.psql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        yield* primary.psql("SELECT pg_reload_conf()")
        yield* primary.psql("CREATE DATABASE des")
        // The standby is named first: it takes no writes yet, and nodes pass it by.
        const state = `postgresql://postgres@127.0.0.1:${standby.port},127.0.0.1:${primary.port}/des`
        const { settled } = yield* begin(sandbox, state, east)
        const emitting = yield* Effect.fork(east.emit(200, 40))
        assert.isTrue(yield* Fleet.untilEnded(sandbox, 40, 60_000))
        yield* primary.kill9
        yield* standby.psql("ALTER SYSTEM SET synchronous_standby_names = ''")
        yield* standby.promote
        yield* standby.psql("SELECT pg_reload_conf()")
        yield* settled(yield* Fiber.join(emitting))
      }).pipe(Effect.orDie),
    240_000
  )
})
