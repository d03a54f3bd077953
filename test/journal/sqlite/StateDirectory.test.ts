import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type { JournalError } from "../../../src/journal/Journal.ts"
import { Journal } from "../../../src/journal/Journal.ts"
import * as StateDirectory from "../../../src/journal/sqlite/StateDirectory.ts"
import * as State from "../../../src/state.ts"
import { makeEvent } from "../../../src/testing.ts"
import { describeRoot } from "../../support/DescribeRoot.ts"
import * as TempFolder from "../../support/TempFolder.ts"

const folder = TempFolder.make("state")

const use = <A, E>(directory: string, body: Effect.Effect<A, E, Journal>) =>
  Effect.provide(body, Layer.provide(State.layer({ directory }), NodeFileSystem.layer))

const accept = (id: string, label = "") =>
  Effect.flatMap(Journal, (journal) => {
    const event = makeEvent({ id, attributes: { label } })
    return journal.accept({ events: [event], accepted: [{ event, scripts: [] }] })
  })

const waiting = Effect.flatMap(Journal, (journal) => journal.unfinished)

const refused = (directory: string) =>
  Effect.map(Effect.either(use(directory, waiting)), (result): JournalError => {
    assert.isTrue(Either.isLeft(result))
    return Either.isLeft(result) ? result.left : assert.fail()
  })

describe("a state directory", () => {
  it.scoped("is created with its parents, for its user alone", () =>
    Effect.gen(function* () {
      const directory = Path.join(yield* folder, "var/lib/des")
      yield* use(directory, accept("1"))
      assert.strictEqual(Fs.statSync(directory).mode & 0o777, 0o700)
      assert.strictEqual(yield* use(directory, waiting), 1)
    })
  )

  it.scoped("is used by one des at a time, and the message to a second one names the first", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* use(
        directory,
        Effect.gen(function* () {
          const error = yield* refused(directory)
          assert.strictEqual(error.reason, "InUse")
          assert.include(error.message, `${directory} is used by another des, process ${process.pid}`)
        })
      )
      assert.strictEqual(yield* use(directory, waiting), 0)
    })
  )

  it.scoped(
    "has a log of 4 MB at most, however often des tries whether it can be written, also while others read it",
    () =>
      Effect.gen(function* () {
        const directory = yield* folder
        const look = Effect.flatMap(SqlClient.SqlClient, (sql) => sql`SELECT count(*) AS n FROM event`)
        const logged = () => Fs.statSync(`${directory}/journal.sqlite-wal`).size
        yield* use(
          directory,
          Effect.gen(function* () {
            const { probe } = yield* Journal
            const reader = yield* Layer.build(StateDirectory.layerShared({ directory }))
            yield* probe
            const first = logged()
            yield* probe
            assert.isAbove(logged(), first, "it writes")
            for (let times = 0; times < 6; times++) {
              yield* Effect.repeatN(probe, 500)
              yield* Effect.provide(look, reader)
            }
            // SQLite writes its log from the start again after 1,000 pages.
            assert.isAtMost(logged(), 4_200_000)
          }).pipe(Effect.scoped)
        )
      })
  )

  it.scoped("can be read while a des uses it", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const look = Effect.flatMap(
        SqlClient.SqlClient,
        (sql) => sql<{ n: number }>`SELECT count(*) AS n FROM event`
      ).pipe(Effect.provide(Layer.provide(StateDirectory.layerShared({ directory }), NodeFileSystem.layer)))
      const missing = yield* Effect.either(look)
      assert.include(String(Either.isLeft(missing) ? missing.left : ""), `there is no journal at ${directory}`)
      yield* use(
        directory,
        Effect.gen(function* () {
          yield* accept("1")
          assert.deepStrictEqual(
            (yield* look).map(({ n }) => n),
            [1]
          )
        })
      )
    })
  )

  it.scoped("that others can write to is refused, with the command that fixes it", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      Fs.chmodSync(directory, 0o770)
      const error = yield* refused(directory)
      assert.strictEqual(error.reason, "Unusable")
      assert.include(error.message, `chmod go-w ${directory}`)
    })
  )

  it.scoped("that is a file is refused", () =>
    Effect.gen(function* () {
      const directory = Path.join(yield* folder, "file")
      Fs.writeFileSync(directory, "")
      const error = yield* refused(directory)
      assert.strictEqual(error.reason, "Unusable")
      assert.include(error.message, `the state directory ${directory} cannot be used`)
    })
  )

  const damages: Readonly<Record<string, (file: string) => void>> = {
    "is no database": (file) => Fs.writeFileSync(file, "x".repeat(10_000)),
    "was cut short": (file) => Fs.truncateSync(file, 5000),
    "has lost a page": (file) => {
      const bytes = Fs.readFileSync(file)
      Fs.writeFileSync(file, bytes.fill(0xff, 4096, 3 * 4096))
    }
  }
  for (const [what, damage] of Object.entries(damages)) {
    it.scoped(`whose journal ${what} is refused and not changed, with advice what to do`, () =>
      Effect.gen(function* () {
        const directory = yield* folder
        yield* use(
          directory,
          Effect.forEach(
            Array.from({ length: 100 }, (_, at) => String(at)),
            (id) => accept(id)
          )
        )
        const file = StateDirectory.journalFile(directory)
        // Everything is in the one file.
        yield* Effect.flatMap(SqlClient.SqlClient, (sql) => sql`PRAGMA wal_checkpoint(TRUNCATE)`).pipe(
          Effect.provide(Layer.provide(StateDirectory.layer({ directory }), NodeFileSystem.layer))
        )
        damage(file)
        const before = Fs.readFileSync(file)
        const error = yield* refused(directory)
        assert.strictEqual(error.reason, "Damaged")
        assert.include(error.message, `mv ${directory} ${directory}.damaged`)
        assert.isTrue(before.equals(Fs.readFileSync(file)))
        Fs.renameSync(directory, `${directory}.damaged`)
        assert.strictEqual(yield* use(directory, waiting), 0)
        Fs.rmSync(`${directory}.damaged`, { recursive: true })
      })
    )
  }

  it.scoped("of a newer des is refused", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      yield* Effect.flatMap(
        SqlClient.SqlClient,
        (sql) => sql`INSERT INTO migration (migration_id, name) VALUES (99, 'later')`
      ).pipe(Effect.provide(Layer.provide(StateDirectory.layer({ directory }), NodeFileSystem.layer)))
      const error = yield* refused(directory)
      assert.strictEqual(error.reason, "Unusable")
      assert.match(error.message, /written by a newer des \(version 99 of its tables, this one knows \d+\)/)
    })
  )
})

describeRoot("a state directory as root", () => {
  it.scoped("lets no other user open its files", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      Fs.chmodSync(directory, 0o755)
      const databases = () =>
        Fs.readdirSync(directory)
          .filter((name) => name.includes("sqlite"))
          .map((name) => Path.join(directory, name))
      const closed = Effect.sync(() => {
        assert.includeMembers(
          databases().map((file) => Path.basename(file)),
          ["journal.sqlite", "journal.sqlite-shm", "journal.sqlite-wal", "lock.sqlite"]
        )
        for (const file of databases()) assert.strictEqual(Fs.statSync(file).mode & 0o777, 0o600, file)
      })
      yield* use(directory, Effect.zipRight(accept("1"), closed))
      for (const file of databases()) Fs.chmodSync(file, 0o644)
      yield* use(directory, Effect.zipRight(accept("2"), closed))
    })
  )

  const plants = {
    "a journal of another user": (directory: string) => {
      Fs.writeFileSync(`${directory}/journal.sqlite`, "")
      Fs.chownSync(`${directory}/journal.sqlite`, 7, 7)
    },
    "a log of the journal of another user": (directory: string) => {
      Fs.writeFileSync(`${directory}/journal.sqlite-wal`, "")
      Fs.chownSync(`${directory}/journal.sqlite-wal`, 7, 7)
    },
    "a link to a file of root": (directory: string) => Fs.symlinkSync(`${directory}/../victim`, `${directory}/des.pid`)
  }
  for (const [what, plant] of Object.entries(plants)) {
    it.scoped(`with ${what} is refused, and nothing is changed`, () =>
      Effect.gen(function* () {
        const top = yield* folder
        const directory = Path.join(top, "state")
        Fs.mkdirSync(directory)
        Fs.writeFileSync(`${top}/victim`, "precious")
        plant(directory)
        const error = yield* refused(directory)
        assert.strictEqual(error.reason, "Unusable")
        assert.match(
          error.message,
          /is not safe: \S+ (belongs to user 7, who could change it; chown root|is not a plain file; rm) \S+ fixes it/
        )
        assert.strictEqual(Fs.readFileSync(`${top}/victim`, "utf8"), "precious")
        assert.lengthOf(Fs.readdirSync(directory), 1)
      })
    )
  }

  it.scoped("below a directory of another user is refused, because that user can replace it", () =>
    Effect.gen(function* () {
      const top = yield* folder
      Fs.mkdirSync(`${top}/state`)
      Fs.chownSync(top, 7, 7)
      const error = yield* refused(`${top}/state`)
      assert.strictEqual(error.reason, "Unusable")
      assert.include(error.message, `${top} belongs to user 7, who could change it; chown root ${top} fixes it`)
      assert.deepStrictEqual(Fs.readdirSync(`${top}/state`), [])
    })
  )

  it.scoped("of another user is refused, with the command that fixes it", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      Fs.chownSync(directory, 7, 7)
      const error = yield* refused(directory)
      assert.strictEqual(error.reason, "Unusable")
      assert.include(error.message, `belongs to user 7, who could change it; chown root ${directory} fixes it`)
    })
  )

  it.scoped("on a full disk accepts nothing more and says why, keeps its events, and goes on when there is room", () =>
    Effect.gen(function* () {
      const directory = yield* folder
      const mount = (...args: ReadonlyArray<string>) => execFileSync("mount", [...args, directory])
      mount("-t", "tmpfs", "-o", "size=2m,mode=700", "none")
      // Lazily: the client leaves connections to the garbage collector.
      yield* Effect.addFinalizer(() => Effect.sync(() => execFileSync("umount", ["--lazy", directory])))
      const { accepted, error } = yield* use(
        directory,
        Effect.gen(function* () {
          const { probe } = yield* Journal
          yield* probe
          assert.throws(() => Fs.writeFileSync(`${directory}/fill`, Buffer.alloc(2 ** 21)), /ENOSPC/)
          // The log may have room for some writes.
          const probed = yield* Effect.flip(Effect.repeatN(probe, 1000))
          assert.strictEqual(probed.reason, "Full")
          Fs.rmSync(`${directory}/fill`)
          yield* probe
          for (let at = 0; at < 100; at++) {
            const result = yield* Effect.either(accept(String(at), "x".repeat(50_000)))
            if (Either.isLeft(result)) return { accepted: at, error: result.left }
          }
          return assert.fail("it was never full")
        })
      )
      assert.strictEqual(error.reason, "Full")
      assert.include(error.message, "its disk is full. Free some space and start des again")
      assert.isAbove(accepted, 5)
      mount("-o", "remount,size=8m")
      yield* use(
        directory,
        Effect.gen(function* () {
          assert.strictEqual(yield* waiting, accepted)
          yield* accept("more", "x".repeat(50_000))
          assert.strictEqual(yield* waiting, accepted + 1)
        })
      )
    })
  )
})
