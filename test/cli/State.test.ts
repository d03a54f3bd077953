/** The journal on disk as a sysadmin meets it: what des says, how it ends, and what the next start does. */

import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { assert } from "vitest"
import * as StateDirectory from "../../src/journal/sqlite/StateDirectory.ts"
import { describeRoot } from "../support/DescribeRoot.ts"
import { poll } from "../support/Poll.ts"
import type * as Program from "../support/Program.ts"
import { record } from "../support/Record.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"

const feedOf = (...records: ReadonlyArray<string>) => records.map((line) => `${line}\n`).join("")

const recordsOf = (...ids: ReadonlyArray<string>) => feedOf(...ids.map((id) => record({ id })))

/** Runs des with a journal, to the last script of a feed. */
const life = (sandbox: Sandbox, stdin = "", args: ReadonlyArray<string> = [], options: Program.Options = {}) =>
  sandbox.des(["-d", sandbox.dir, "--from", "-", "--state", sandbox.path("state"), ...args], { stdin, ...options })

/** A des with a journal that goes on until it is ended. */
const start = (sandbox: Sandbox, stdin = "", args: ReadonlyArray<string> = [], options: Program.Options = {}) =>
  Effect.gen(function* () {
    const all = ["-d", sandbox.dir, "--from", "-", "--state", sandbox.path("state"), ...args]
    const des = yield* sandbox.start(all, { stdin: "open", ...options })
    yield* des.write(stdin)
    return des
  })

const killed = (des: Program.Program) => Effect.zipRight(des.kill("SIGKILL"), des.ended)

const assertRuns = (ended: Program.Ended) => assert.strictEqual(ended.code, 0, ended.stderr)

/** A life in which a script failed in the end. */
const assertFailed = (ended: Program.Ended) => assert.strictEqual(ended.code, 1, ended.stderr)

/** The one line that says why des did not start, or did not go on. */
const refusal = (ended: Program.Ended) => {
  const errors = ended.lines.filter((line) => line.includes(" - ERROR - "))
  assert.strictEqual(ended.code, 1, ended.stderr)
  assert.lengthOf(errors, 1, ended.stderr)
  return errors[0] ?? ""
}

const json = (text: string): ReadonlyArray<Record<string, unknown>> =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))

const historyOf = (sandbox: Sandbox, ...args: ReadonlyArray<string>) =>
  Effect.map(sandbox.des(["history", "--state", sandbox.path("state"), "--json", ...args]), (ended) => {
    assertRuns(ended)
    return json(ended.stdout)
  })

const retry = (sandbox: Sandbox, ...ids: ReadonlyArray<string>) =>
  sandbox.des(["retry", "--state", sandbox.path("state"), ...ids])

/** Asks, or changes, the journal beside des. */
const ask = (sandbox: Sandbox, statement: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql.unsafe<Record<string, unknown>>(statement)).pipe(
    Effect.provide(
      Layer.provide(StateDirectory.layerShared({ directory: sandbox.path("state") }), NodeFileSystem.layer)
    )
  )

const query = (sandbox: Sandbox, statement: string) => Effect.orDie(ask(sandbox, statement))

/** What became of each actor's last event; nothing before there is a journal. */
const states = (sandbox: Sandbox) =>
  Effect.map(
    Effect.orElseSucceed(ask(sandbox, "SELECT actor, state FROM event ORDER BY id"), () => []),
    (rows) => Object.fromEntries(rows.map(({ actor, state }) => [String(actor), state]))
  )

/** Waits until the journal has marked so many events done. */
const marked = (sandbox: Sandbox, count: number) =>
  Effect.map(
    poll(
      Effect.map(states(sandbox), (all) => Object.values(all).filter((state) => state === "done").length === count),
      10_000
    ),
    (came) => assert.isTrue(came, `${count} events are marked`)
  )

/** Keeps others from writing to the journal for a second, from before an effect. */
const whileLocked = <A>(sandbox: Sandbox, effect: Effect.Effect<A, never, Scope.Scope>) =>
  Effect.gen(function* () {
    const layer = StateDirectory.layerShared({ directory: sandbox.path("state") })
    const client = Context.get(yield* Layer.build(Layer.provide(layer, NodeFileSystem.layer)), SqlClient.SqlClient)
    return yield* client.withTransaction(Effect.zipLeft(effect, Effect.sleep("1 second")))
  }).pipe(Effect.orDie)

/** Everything below the folder, by name. */
const filesOf = ({ top }: Sandbox) => Fs.readdirSync(top, { recursive: true }).map(String).sort()

describe("a journal that cannot be used", () => {
  test("is a directory that cannot be created", (sandbox) =>
    Effect.gen(function* () {
      sandbox.write("file", "")
      const error = refusal(yield* life(sandbox, "", ["--state", sandbox.path("file/state")]))
      assert.include(error, `the state directory ${sandbox.path("file/state")} cannot be used (ENOTDIR`)
      assert.include(error, "des's user must be able to create and write it")
    }))

  test("is a directory that others can write to", (sandbox) =>
    Effect.gen(function* () {
      const state = sandbox.path("state")
      Fs.mkdirSync(state)
      Fs.chmodSync(state, 0o777)
      const error = refusal(yield* life(sandbox))
      assert.include(error, `${state} can be written by others`)
      assert.include(error, `chmod go-w ${state}`)
      assert.deepStrictEqual(Fs.readdirSync(state), [])
      execFileSync("chmod", ["go-w", state])
      assertRuns(yield* life(sandbox))
    }))

  test("is used by another des, until that is killed", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", "echo $ACTOR_ID >>ran")
      const first = yield* start(sandbox, recordsOf("a"))
      yield* first.until("a run", () => sandbox.exists("ran"))
      const error = refusal(yield* life(sandbox, recordsOf("b")))
      assert.include(error, `${sandbox.path("state")} is used by another des, process ${first.pid}`)
      yield* first.write(recordsOf("c"))
      yield* first.until("that the first goes on", () => sandbox.lines("ran").length === 2)
      yield* marked(sandbox, 2)
      yield* killed(first)
      assertRuns(yield* life(sandbox, recordsOf("d")))
      assert.deepStrictEqual(sandbox.lines("ran"), ["a", "c", "d"])
    }))

  const damages: Readonly<Record<string, (file: string) => void>> = {
    "is no database": (file) => Fs.writeFileSync(file, "x".repeat(10_000)),
    "was cut short": (file) => Fs.truncateSync(file, 5000)
  }
  for (const [what, damage] of Object.entries(damages)) {
    test(`${what}: it is refused and stays as it is, for des, des history and des retry`, (sandbox) =>
      Effect.gen(function* () {
        sandbox.script("container/start", "echo $ACTOR_ID >>ran")
        assertRuns(yield* life(sandbox, recordsOf("a")))
        const state = sandbox.path("state")
        const file = StateDirectory.journalFile(state)
        // Everything is in the one file.
        yield* query(sandbox, "PRAGMA wal_checkpoint(TRUNCATE)")
        damage(file)
        const before = Fs.readFileSync(file)
        const all = [
          yield* life(sandbox, recordsOf("b")),
          yield* sandbox.des(["history", "--state", state]),
          yield* retry(sandbox, "1")
        ]
        for (const ended of all) {
          assert.include(refusal(ended), `mv ${state} ${state}.damaged`)
          assert.strictEqual(ended.stdout, "")
        }
        assert.isTrue(before.equals(Fs.readFileSync(file)))
        assert.deepStrictEqual(sandbox.lines("ran"), ["a"])
        execFileSync("mv", [state, `${state}.damaged`])
        assertRuns(yield* life(sandbox, recordsOf("c")))
        assert.deepStrictEqual(sandbox.lines("ran"), ["a", "c"])
      }))
  }

  test("was written by a newer des", (sandbox) =>
    Effect.gen(function* () {
      assertRuns(yield* life(sandbox))
      yield* query(sandbox, "INSERT INTO migration (migration_id, name) VALUES (99, 'later')")
      for (const ended of [
        yield* life(sandbox),
        yield* sandbox.des(["history", "--state", sandbox.path("state")]),
        yield* retry(sandbox, "1")
      ]) {
        assert.match(refusal(ended), /written by a newer des \(version 99 of its tables, this one knows \d+\)/)
      }
    }))
})

describeRoot("a state directory whose disk is full", () => {
  const mount = (sandbox: Sandbox, size: string): Effect.Effect<void, never, Scope.Scope> =>
    Effect.asVoid(
      Effect.acquireRelease(
        Effect.sync(() => {
          Fs.mkdirSync(sandbox.path("state"))
          execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size},mode=700`, "none", sandbox.path("state")])
        }),
        () => Effect.sync(() => execFileSync("umount", ["--lazy", sandbox.path("state")]))
      )
    )
  const makeRoom = (sandbox: Sandbox) => execFileSync("mount", ["-o", "remount,size=64m", sandbox.path("state")])

  /** Sends more than there is room for, until des has ended. */
  const fill = (sandbox: Sandbox) =>
    Effect.gen(function* () {
      const label = "x".repeat(50_000)
      const des = yield* start(sandbox, "", ["--drain", "0"])
      for (let at = 0; at < 100; at++) {
        yield* des.write(feedOf(record({ id: String(at), attributes: { label } })))
      }
      const ended = yield* des.ended
      assert.include(refusal(ended), "its disk is full. Free some space and start des again")
      makeRoom(sandbox)
      const kept = Object.entries(yield* states(sandbox))
      assert.isAbove(kept.length, 5)
      assert.isBelow(kept.length, 100)
      return kept
    })

  test("while events are accepted: des stops, and the next start runs what was accepted", (sandbox) =>
    Effect.gen(function* () {
      yield* mount(sandbox, "2m")
      sandbox.script("container/start", "echo $ACTOR_ID >>ran")
      const kept = yield* fill(sandbox)
      const done = kept.flatMap(([id, state]) => (state === "done" ? [id] : []))
      const before = sandbox.lines("ran")
      // The run that met the full disk is not marked.
      assert.deepStrictEqual(before.slice(0, done.length), done)
      assert.isAtMost(before.length, done.length + 1)
      assertRuns(yield* life(sandbox))
      // Its end may have been the last that there was room for.
      assert.deepStrictEqual(
        [...new Set(sandbox.lines("ran"))],
        kept.map((_, at) => String(at))
      )
      assert.isAtMost(sandbox.lines("ran").length, kept.length + 1)
    }))

  test("while events are accepted and a script runs: des does not wait for what it has accepted", (sandbox) =>
    Effect.gen(function* () {
      yield* mount(sandbox, "2m")
      sandbox.script("container/start", "test -e go || sleep 60; echo $ACTOR_ID >>ran")
      const kept = yield* fill(sandbox)
      assert.deepStrictEqual(new Set(kept.map(([, state]) => state)), new Set(["waiting"]))
      assert.isFalse(sandbox.exists("ran"))
      sandbox.write("go", "")
      assertRuns(yield* life(sandbox))
      assert.deepStrictEqual(
        sandbox.lines("ran"),
        kept.map((_, at) => String(at))
      )
    }))

  test("while a run is to be recorded: it is not marked, nothing more runs, and the next start runs it again", (sandbox) =>
    Effect.gen(function* () {
      yield* mount(sandbox, "2m")
      sandbox.script(
        "container/start",
        'echo "$ACTOR_ID $DES_ATTEMPT" >>ran; until test -e go; do sleep 0.05; done; head -c 4000 /dev/zero | tr "\\0" x'
      )
      const des = yield* start(sandbox, recordsOf("a", "b", "c"))
      yield* des.until("the first run", () => sandbox.exists("ran"))
      yield* poll(
        Effect.map(states(sandbox), (all) => Object.keys(all).length === 3),
        10_000
      )
      assert.throws(() => Fs.writeFileSync(sandbox.path("state/fill"), Buffer.alloc(4_000_000)), /ENOSPC/)
      sandbox.write("go", "")
      const ended = yield* des.ended
      assert.include(refusal(ended), "its disk is full")
      assert.match(ended.stderr, /des stops; 3 accepted events did not run to the end; the next start runs them/)
      assert.deepStrictEqual(sandbox.lines("ran"), ["a 1"])
      Fs.rmSync(sandbox.path("state/fill"))
      makeRoom(sandbox)
      assert.deepStrictEqual(yield* states(sandbox), { a: "waiting", b: "waiting", c: "waiting" })
      assertRuns(yield* life(sandbox))
      assert.deepStrictEqual(sandbox.lines("ran"), ["a 1", "a 2", "b 1", "c 1"])
      assert.deepStrictEqual(yield* states(sandbox), { a: "done", b: "done", c: "done" })
    }))

  test("nearly: des warns once of how much is left, and once that there is room again", (sandbox) =>
    Effect.gen(function* () {
      yield* mount(sandbox, "64m")
      Fs.writeFileSync(sandbox.path("state/fill"), Buffer.alloc(62_000_000))
      const des = yield* start(sandbox)
      yield* des.said("MiB are left on the disk of the journal, less than 6 MiB; when the disk is full, des stops")
      Fs.rmSync(sandbox.path("state/fill"))
      yield* des.said("The disk of the journal has space again: 63 MiB are left")
      yield* des.endInput
      const ended = yield* des.ended
      assertRuns(ended)
      assert.lengthOf(
        ended.lines.filter((line) => line.includes(" - WARNING - ")),
        2
      )
    }))

  test("before des starts", (sandbox) =>
    Effect.gen(function* () {
      yield* mount(sandbox, "64k")
      assert.throws(() => Fs.writeFileSync(sandbox.path("state/fill"), Buffer.alloc(100_000)), /ENOSPC/)
      assert.include(refusal(yield* life(sandbox)), "its disk is full")
      // Room for the journal, but not for what SQLite puts beside it.
      Fs.writeFileSync(sandbox.path("state/fill"), Buffer.alloc(40_000))
      assert.match(refusal(yield* life(sandbox)), /its disk is full/)
    }))
})

describe("the state directory", () => {
  test("is named by DES_STATE_DIR, and else by systemd", (sandbox) =>
    Effect.gen(function* () {
      const [own, first, second] = ["own", "first", "second"].map(sandbox.path)
      const env = { STATE_DIRECTORY: `${first}:${second}` }
      assertRuns(yield* sandbox.feed([], [], { env }))
      assert.isTrue(sandbox.exists("first/journal.sqlite"))
      assert.isFalse(sandbox.exists("second"))
      assertRuns(yield* sandbox.feed([], [], { env: { ...env, DES_STATE_DIR: own ?? "" } }))
      assert.isTrue(sandbox.exists("own/journal.sqlite"))
      assertRuns(yield* life(sandbox, "", [], { env: { ...env, DES_STATE_DIR: own ?? "" } }))
      assert.isTrue(sandbox.exists("state/journal.sqlite"))
      assertRuns(yield* sandbox.des(["history"], { env }))
    }))

  test("that an empty variable names counts as unset, and without one des writes nothing", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", 'echo "${DES_RUN-none}"')
      const before = filesOf(sandbox)
      const env = { DES_STATE_DIR: "", STATE_DIRECTORY: "", TMPDIR: sandbox.top }
      const ended = yield* sandbox.feed([record()], [], { env })
      assertRuns(ended)
      assert.include(ended.stderr, "container/start web: none")
      assert.deepStrictEqual(filesOf(sandbox), before)
    }))

  test("names each run to its script", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", 'echo "$DES_RUN $DES_ATTEMPT" >>ran')
      assertRuns(yield* life(sandbox, recordsOf("a", "b")))
      const runs = yield* historyOf(sandbox)
      assert.lengthOf(sandbox.lines("ran"), 2)
      for (const [at, line] of sandbox.lines("ran").entries()) {
        assert.match(line, new RegExp(`^[0-9a-f]{16}-${runs[at]?.["id"]} 1$`))
      }
    }))

  test("runs a record once, however often its file is read", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", "echo $ACTOR_ID >>ran")
      assertRuns(yield* life(sandbox, recordsOf("a", "b")))
      assertRuns(yield* life(sandbox, recordsOf("a", "b", "c")))
      assert.deepStrictEqual(sandbox.lines("ran"), ["a", "b", "c"])
    }))
})

describe("options of the journal", () => {
  const malformed = {
    "--keep": ["x", "30d,", "30d,x", "30d,1,0", "30d,1,1G,1", "30d,1,2m", "-1d", "30d,-1", "30d,1.5"],
    "--max-age": ["x", "-1h", "1w"],
    "--queue": ["x", "0", "-1", "64m", "64MB", "1.5G"]
  }
  for (const [option, values] of Object.entries(malformed)) {
    test(`${option} that makes no sense is a usage error`, (sandbox) =>
      Effect.gen(function* () {
        for (const value of values) {
          const ended = yield* sandbox.des(["-d", sandbox.dir, "--from", "-", `${option}=${value}`])
          assert.strictEqual(ended.code, 2, `${option}=${value}: ${ended.stderr}`)
          assert.include(ended.stderr, `${option} ${JSON.stringify(value)}: `)
        }
        assert.deepStrictEqual(filesOf(sandbox), ["events.d"])
      }))
  }

  test("are read as documented", (sandbox) =>
    Effect.gen(function* () {
      for (const keep of ["0", "1h", "90s,0", "30d,100000", "0.5h,10", "30d,10,1G", "0.0001s"]) {
        assertRuns(yield* life(sandbox, "", ["--keep", keep, "--max-age", keep.split(",")[0] ?? ""]))
      }
      for (const queue of ["1", "64K", "64M", "1G"]) assertRuns(yield* sandbox.feed([], ["--queue", queue]))
    }))

  test("--keep deletes events that have run", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", "exit 0")
      assertRuns(yield* life(sandbox, recordsOf("a", "b", "c")))
      assert.lengthOf(yield* historyOf(sandbox), 3)
      assertRuns(yield* life(sandbox, "", ["--keep", "1h,2"]))
      assert.deepStrictEqual(
        (yield* historyOf(sandbox)).map(({ actor }) => actor),
        ["b", "c"]
      )
      assertRuns(yield* life(sandbox, "", ["--keep", "0"]))
      assert.deepStrictEqual(yield* historyOf(sandbox), [])
    }))

  test("--max-age skips older events, even if they waited in the journal, and logs it once", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", "echo $ACTOR_ID >>ran; sleep 60")
      const des = yield* start(sandbox, recordsOf("a", "b"))
      yield* des.until("a run", () => sandbox.exists("ran"))
      yield* poll(
        Effect.map(states(sandbox), (all) => Object.keys(all).length === 2),
        10_000
      )
      yield* killed(des)
      const ended = yield* life(sandbox, recordsOf("c"), ["--max-age", "1h"])
      assertRuns(ended)
      assert.include(ended.stderr, "2 events are skipped: older than --max-age (1h)")
      assert.include(ended.stderr, "1 event is skipped: older than --max-age (1h)")
      assert.deepStrictEqual(yield* states(sandbox), { a: "skipped", b: "skipped", c: "skipped" })
      assert.deepStrictEqual(sandbox.lines("ran"), ["a"])
    }))
})

test("events and runs that des has logged are on the disk, even if another program wrote meanwhile", (sandbox) =>
  Effect.gen(function* () {
    sandbox.script("container/start", "echo $ACTOR_ID >>ran")
    const des = yield* start(sandbox, recordsOf("a"))
    yield* marked(sandbox, 1)
    yield* whileLocked(sandbox, des.write(recordsOf("b")))
    yield* des.write(recordsOf("c"))
    yield* marked(sandbox, 3)
    assertRuns(yield* retry(sandbox, "1"))
    yield* des.until("the retry", () => sandbox.lines("ran").length === 4)
    yield* killed(des)
    assert.deepStrictEqual(sandbox.lines("ran"), ["a", "b", "c", "a"])
    assert.lengthOf(yield* historyOf(sandbox), 4)
  }))

describe("des history", () => {
  const table = (ended: Program.Ended) => {
    assertRuns(ended)
    return ended.stdout
      .trimEnd()
      .split("\n")
      .map((line) => line.split(/ {2,}/))
  }
  const history = (sandbox: Sandbox, ...args: ReadonlyArray<string>) =>
    sandbox.des(["history", "--state", sandbox.path("state"), ...args])

  test("prints each run, those that failed, those since a time", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script(
        "container/start",
        "case $ACTOR_ID in bad) echo why >&2; exit 3 ;; killed) kill -9 $$ ;; slow) sleep 60 ;; esac"
      )
      sandbox.script("container/die", "exit 0")
      const feed = feedOf(
        record({ id: "good0123456789" }),
        record({ id: "bad" }),
        record({ id: "killed" }),
        record({ id: "slow" }),
        record({ id: "last", Action: "die" })
      )
      const begun = Date.now()
      assertFailed(yield* life(sandbox, feed, ["--timeout", "300ms"]))
      const [heads, ...rows] = table(yield* history(sandbox))
      assert.deepStrictEqual(heads, ["RUN", "BEGAN", "EVENT", "ACTOR", "NAME", "SCRIPT", "ATTEMPT", "EXIT", "DURATION"])
      const start = `${sandbox.dir}/container/start`
      assert.deepStrictEqual(
        rows.map(([id, , ...row]) => [id, ...row.slice(0, -1)]),
        [
          ["1", "container/start", "good01234567", "web", start, "1", "0"],
          ["2", "container/start", "bad", "web", start, "1", "3"],
          ["3", "container/start", "killed", "web", start, "1", "-9"],
          ["4", "container/start", "slow", "web", start, "1", "124"],
          ["5", "container/die", "last", "web", `${sandbox.dir}/container/die`, "1", "0"]
        ]
      )
      for (const row of rows) {
        assert.match(row[1] ?? "", /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/)
        assert.match(row.at(-1) ?? "", /^\d+\.\d\ds$/)
      }
      const idsOf = (...args: ReadonlyArray<string>) =>
        Effect.map(history(sandbox, ...args), (ended) =>
          table(ended)
            .slice(1)
            .map(([id]) => id)
        )
      assert.deepStrictEqual(yield* idsOf("--failed"), ["2", "3", "4"])
      assert.deepStrictEqual(yield* idsOf("--since", "1h"), ["1", "2", "3", "4", "5"])
      assert.deepStrictEqual(yield* idsOf("--since", "0"), [])
      assert.deepStrictEqual(yield* idsOf("--since", new Date(begun - 1000).toISOString()), ["1", "2", "3", "4", "5"])
      assert.deepStrictEqual(yield* idsOf("--since", "2999-01-01T10:00"), [])
      assert.deepStrictEqual(yield* idsOf("--since", "2999-01-01T10:00", "--failed"), [])
      const [, bad] = yield* historyOf(sandbox)
      assert.deepInclude(bad, { id: 2, action: "start", actor: "bad", exit: 3, outcome: "exited", output: "why" })
      for (const since of ["yesterday", "2h ago", "-1h"]) {
        const ended = yield* history(sandbox, `--since=${since}`)
        assert.strictEqual(ended.code, 2, ended.stderr)
        assert.include(ended.stderr, `--since ${JSON.stringify(since)}: expected a duration before now`)
      }
    }))

  test("shows a running run, and one that was cut off", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", "echo >>ran; until test -e go; do sleep 0.05; done")
      const des = yield* start(sandbox, recordsOf("a"))
      yield* des.until("a run", () => sandbox.exists("ran"))
      assert.deepStrictEqual(table(yield* history(sandbox))[1]?.slice(6), ["1", "-", "-"])
      yield* killed(des)
      sandbox.write("go", "")
      assertRuns(yield* life(sandbox))
      const [, first, second] = table(yield* history(sandbox))
      assert.deepStrictEqual(first?.slice(6, 8), ["1", "cut off"])
      assert.deepStrictEqual(second?.slice(6, 8), ["2", "0"])
      // The second run has fixed it.
      assert.deepStrictEqual(yield* historyOf(sandbox, "--failed"), [])
    }))

  test("lets no event and no script forge a row or drive the terminal", (sandbox) =>
    Effect.gen(function* () {
      const hostile = "a\u001b[2J\u009b31m\u202e\n1  2026-01-01 00:00:00\r\u2028\u0000\ud800\u{e0041}"
      sandbox.script(
        "container/exec_start",
        "printf 'one\\n\\033[2J\\302\\233\\342\\200\\256\\0\\377 \\360\\237\\220\\263\\n'; exit 1"
      )
      const feed = feedOf(record({ Action: `exec_start: ${hostile}`, id: hostile, attributes: { [hostile]: hostile } }))
      const ended = yield* life(sandbox, feed)
      assertFailed(ended)
      const print = yield* history(sandbox)
      const lines = print.stdout.trimEnd().split("\n")
      assert.lengthOf(lines, 2)
      const printed = yield* history(sandbox, "--json")
      assertRuns(printed)
      for (const text of [print.stdout, printed.stdout]) {
        assert.notMatch(text.replaceAll("\n", ""), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/u)
      }
      const [run] = json(printed.stdout)
      const wellFormed = hostile.replace("\ud800", "\ufffd").replace("\0", "\ufffd")
      assert.strictEqual(JSON.stringify(run?.["actor"]), JSON.stringify(wellFormed))
      assert.strictEqual(run?.["action"], `exec_start: ${wellFormed}`)
      assert.strictEqual(run?.["output"], "one\n\u001b[2J\u009b\u202e\ufffd\ufffd 🐳")
    }))

  test("keeps the last 4 KiB of an output", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", "i=0; while test $i -lt 5000; do i=$((i+1)); echo 🐳 $i; done")
      assertRuns(yield* life(sandbox, recordsOf("a")))
      const [run] = yield* historyOf(sandbox)
      const output = String(run?.["output"])
      assert.isAtMost(output.length, 4096)
      assert.isAbove(output.length, 4000)
      assert.isTrue(output.endsWith("🐳 4999\n🐳 5000"))
    }))

  for (const command of [["history"], ["retry", "1"]]) {
    test(`${command.join(" ")} without a journal is an error that names the missing journal`, (sandbox) =>
      Effect.gen(function* () {
        const [name = "", ...rest] = command
        const unnamed = yield* sandbox.des(command)
        assert.strictEqual(unnamed.code, 2)
        assert.include(unnamed.stderr, "the state directory is missing: give --state DIR (or DES_STATE_DIR)")
        const missing = sandbox.path("missing")
        const error = refusal(yield* sandbox.des([name, "--state", missing, ...rest]))
        assert.include(error, `there is no journal at ${missing}/journal.sqlite`)
        Fs.mkdirSync(missing)
        assert.include(refusal(yield* sandbox.des([name, "--state", missing, ...rest])), "there is no journal at")
        assert.deepStrictEqual(Fs.readdirSync(missing), [])
      }))
  }
})

describe("a journal that another user could have made", () => {
  const history = (sandbox: Sandbox) => sandbox.des(["history", "--state", sandbox.path("state")])

  test("with an endless view is refused, and the command ends", (sandbox) =>
    Effect.gen(function* () {
      assertRuns(yield* life(sandbox, recordsOf("a")))
      yield* query(sandbox, "ALTER TABLE run RENAME TO other")
      yield* query(
        sandbox,
        "CREATE VIEW run AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n) SELECT * FROM n"
      )
      assert.include(refusal(yield* history(sandbox)), "is not a journal of des: it has a view (run)")
      assert.include(refusal(yield* retry(sandbox, "1")), "is not a journal of des")
    }))

  if (process.getuid?.() === 0) {
    test("is refused if it belongs to another user", (sandbox) =>
      Effect.gen(function* () {
        assertRuns(yield* life(sandbox, recordsOf("a")))
        Fs.chownSync(StateDirectory.journalFile(sandbox.path("state")), 1000, 1000)
        assert.match(refusal(yield* history(sandbox)), /journal.sqlite belongs to user 1000, .* sudo -u '#1000' des/)
      }))
  }
})

test("an event that crashes des twice is quarantined and logged once, and des retry runs it again", (sandbox) =>
  Effect.gen(function* () {
    sandbox.script("container/die", "echo $ACTOR_ID >>ran")
    sandbox.script("container/start", "echo $ACTOR_ID >>ran")
    sandbox.write(
      "poison.cjs",
      `const child = require("node:child_process")
      const { spawn } = child
      const { dlopen } = process
      // What starts scripts without Node cannot be changed from here, so that Node starts them.
      process.dlopen = (module, file, ...rest) => {
        if (file.includes("koffi")) throw new Error("left out")
        return dlopen(module, file, ...rest)
      }
      child.spawn = (file, ...rest) => {
        if (String(file).endsWith("/container/die")) process.kill(process.pid, "SIGKILL")
        return spawn(file, ...rest)
      }
      require("node:module").syncBuiltinESMExports()`
    )
    const feed = feedOf(record({ Action: "die", id: "poison" }), record({ id: "innocent" }))
    const poisoned = { env: { NODE_OPTIONS: `--require=${sandbox.path("poison.cjs")}` } }
    for (let at = 0; at < 2; at++) assert.strictEqual((yield* life(sandbox, feed, [], poisoned)).signal, "SIGKILL")
    const ended = yield* life(sandbox, "", [], poisoned)
    assertRuns(ended)
    assert.include(ended.stderr, "1 event from before the restart runs first")
    const errors = ended.lines.filter((line) => line.includes(" - ERROR - "))
    assert.lengthOf(errors, 1)
    assert.include(errors[0], "container/die poison: quarantined, its scripts do not run: des died 2 times")
    assert.include(errors[0], `des retry --state ${sandbox.path("state")} 3`)
    assert.deepStrictEqual(sandbox.lines("ran"), ["innocent"])
    const again = yield* life(sandbox, "", [], poisoned)
    assertRuns(again)
    assert.notInclude(again.stderr, "quarantined")
    assert.deepStrictEqual(
      (yield* historyOf(sandbox)).map(({ id, outcome }) => `${id} ${outcome}`),
      ["1 des died", "2 des died", "3 quarantined", "4 exited"]
    )
    assertRuns(yield* retry(sandbox, "3"))
    assertRuns(yield* life(sandbox))
    assert.deepStrictEqual(sandbox.lines("ran"), ["innocent", "poison"])
  }))

describe("des retry", () => {
  test("runs the named runs again, at once if des runs, otherwise at the next start", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", 'echo "$ACTOR_ID $DES_ATTEMPT" >>ran; test -e good')
      const des = yield* start(sandbox, recordsOf("a", "b"))
      yield* des.until("two runs", () => sandbox.lines("ran").length === 2)
      yield* poll(
        Effect.map(historyOf(sandbox, "--failed"), (runs) => runs.length === 2),
        10_000
      )
      const queued = yield* retry(sandbox, "1")
      assertRuns(queued)
      assert.include(queued.stderr, "queued 1 run again")
      yield* des.until("the retry", () => sandbox.lines("ran").length === 3)
      assert.strictEqual(sandbox.lines("ran")[2], "a 2")
      yield* des.endInput
      assertFailed(yield* des.ended)
      sandbox.write("good", "")
      assert.include((yield* retry(sandbox, "2", "3")).stderr, "queued 2 runs again")
      assert.lengthOf(sandbox.lines("ran"), 3)
      assertRuns(yield* life(sandbox))
      assert.deepStrictEqual(sandbox.lines("ran").slice(3), ["b 2", "a 3"])
      assert.deepStrictEqual(
        (yield* historyOf(sandbox)).map(({ id, exit }) => [id, exit]),
        [
          [1, 1],
          [2, 1],
          [3, 1],
          [4, 0],
          [5, 0]
        ]
      )
    }))

  test("waits for a des that writes", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", "test -e good || exit 1; echo $ACTOR_ID >>ran")
      assertFailed(yield* life(sandbox, recordsOf("a", "b", "c")))
      sandbox.write("good", "")
      const queued = yield* whileLocked(sandbox, Effect.fork(retry(sandbox, "1", "2", "3")))
      assertRuns(yield* Fiber.join(queued))
      assertRuns(yield* life(sandbox))
      assert.deepStrictEqual(sandbox.lines("ran"), ["a", "b", "c"])
    }))

  test("queues nothing if one of the numbers is not a run", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", "echo >>ran; exit 1")
      assertFailed(yield* life(sandbox, recordsOf("a")))
      assert.include(
        refusal(yield* retry(sandbox, "1", "7", "0")),
        "nothing is queued: the journal has no run 7, 0; des history lists all runs"
      )
      for (const id of ["x", "1.5", "1e3x", "", "-1"]) {
        assert.strictEqual((yield* retry(sandbox, id)).code, 2, id)
      }
      assert.strictEqual((yield* sandbox.des(["retry", "--state", sandbox.path("state")])).code, 2)
      assertRuns(yield* life(sandbox))
      assert.lengthOf(sandbox.lines("ran"), 1)
    }))
})

describe("work that des had begun", () => {
  test("retries that a stop cut go on at the next start, with the attempts counted on", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", 'echo "$DES_ATTEMPT" >>ran; test "$DES_ATTEMPT" -ge 3')
      const des = yield* start(sandbox, recordsOf("a"), ["--retries", "5"])
      yield* des.said("is retried in")
      yield* des.kill("SIGTERM")
      const ended = yield* des.ended
      assert.strictEqual(ended.code, 143)
      assert.include(ended.stderr, "1 accepted event did not run to the end; the next start runs them")
      const before = sandbox.lines("ran").length
      assertRuns(yield* life(sandbox, "", ["--retries", "5"]))
      assert.isAtMost(before, 2)
      assert.deepStrictEqual(sandbox.lines("ran"), ["1", "2", "3"])
    }))

  test("an event that waited for a cooldown when des was killed runs at the next start", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", 'echo "$ACTOR_ATTRIBUTES_NAME" >>ran')
      const feed = feedOf(...["1", "2", "3"].map((name) => record({ id: "a", attributes: { name } })))
      const des = yield* start(sandbox, feed, ["--cooldown", "1h"])
      // The first has run, and the second is what the third stands for.
      const count = Effect.map(
        Effect.orElseSucceed(ask(sandbox, "SELECT id FROM event WHERE state = 'done'"), () => []),
        (rows) => rows.length === 2
      )
      assert.isTrue(yield* poll(count, 10_000))
      assert.deepStrictEqual(sandbox.lines("ran"), ["1"])
      yield* killed(des)
      assertRuns(yield* life(sandbox, feed))
      assert.deepStrictEqual(sandbox.lines("ran"), ["1", "3"])
    }))

  const bounds = ["--timeout", "2s", "--grace", "1s"]

  /** One run of it is deaf to SIGTERM and never ends by itself. */
  const deaf = (attempt: number) => `trap '' TERM; echo "$DES_ATTEMPT" >>ran
    test "$DES_ATTEMPT" -eq ${attempt} && while :; do sleep 0.1; done; test "$DES_ATTEMPT" -gt ${attempt}`

  /** des is killed while the script is deaf: the next start ends it, and only then runs its event again. */
  const assertEndedFirst = (sandbox: Sandbox, des: Program.Program, attempt: number) =>
    Effect.gen(function* () {
      yield* des.until("the deaf run", () => sandbox.lines("ran").length === attempt)
      const began = Date.now()
      yield* killed(des)
      const again = yield* life(sandbox, "", bounds)
      assertRuns(again)
      assert.include(again.stderr, "A run outlived des (process")
      assert.isAtLeast(Date.now() - began, 2900)
      assert.deepStrictEqual(sandbox.processes(), [])
      assert.deepStrictEqual(
        sandbox.lines("ran"),
        Array.from({ length: attempt + 1 }, (_, at) => String(at + 1))
      )
      assert.deepStrictEqual((yield* historyOf(sandbox)).map(({ attempt, outcome }) => [attempt, outcome]).slice(-2), [
        [attempt, "cut off"],
        [attempt + 1, "exited"]
      ])
    })

  test("a script that outlived des, deaf to SIGTERM, is ended after its timeout before its event runs again", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", deaf(1))
      yield* assertEndedFirst(sandbox, yield* start(sandbox, recordsOf("a"), bounds), 1)
    }))

  test("a run of des retry that outlived des is ended in the same way", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", deaf(2))
      assertFailed(yield* life(sandbox, recordsOf("a"), bounds))
      assertRuns(yield* retry(sandbox, "1"))
      yield* assertEndedFirst(sandbox, yield* start(sandbox, "", bounds), 2)
    }))
})
