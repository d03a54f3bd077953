/** What des writes, where its reader is slower than des or does not read at all. */

import * as Fs from "node:fs"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { assert } from "vitest"
import * as StateDirectory from "../../src/journal/sqlite/StateDirectory.ts"
import { poll } from "../support/Poll.ts"
import * as Program from "../support/Program.ts"
import { record } from "../support/Record.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"

/** The output of a script, a line of the log each, is more than a pipe has room for (64 KiB, pipe(7)). */
const noisyLines = 3000
const noise = `seq -f 'noise %g' ${noisyLines}`

/** A reader that never reads. It holds the pipe and nothing else. */
const nobody = "sleep 1000 >/dev/null 2>&1"

const feed = `${record()}\n`

/** Runs des with these arguments between two pieces of a shell's pipeline; the code that it ended with is in `code`. */
const piped = (sandbox: Sandbox, args: ReadonlyArray<string>, reader: string) =>
  Program.start(
    ["sh", "-c", `{ "$@" 2>&1 & echo $! >pid; wait $!; echo $? >code; } | ${reader}`, "sh", ...Program.des(...args)],
    {
      cwd: sandbox.top,
      env: { HOME: sandbox.top }
    }
  )

const codeOf = (sandbox: Sandbox) =>
  poll(
    Effect.sync(() => sandbox.lines("code").length > 0),
    15_000
  ).pipe(Effect.map(() => sandbox.lines("code")[0]))

describe("what des writes", () => {
  test("is read to its last line, even if its reader begins late", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", `${noise}; touch ran`)
      sandbox.write("feed", feed)
      const late = "{ until test -e ran; do sleep 0.05; done; sleep 0.5; grep -c 'noise ' >count; }"
      const des = yield* piped(sandbox, ["-d", sandbox.dir, "--from", sandbox.path("feed")], late)
      yield* des.ended
      assert.deepStrictEqual(sandbox.lines("count"), [String(noisyLines)])
      assert.strictEqual(yield* codeOf(sandbox), "0")
    }))

  test("does not keep a signal from ending it if nobody reads", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", `${noise}; touch ran; exec sleep 1000`)
      sandbox.write("feed", feed)
      const args = ["-d", sandbox.dir, "--drain", "0s", "--grace", "0s", "--from", sandbox.path("feed")]
      const des = yield* piped(sandbox, args, nobody)
      yield* des.until("the script", () => sandbox.exists("ran") && sandbox.lines("pid").length > 0)
      process.kill(Number(sandbox.lines("pid")[0]), "SIGTERM")
      assert.strictEqual(yield* codeOf(sandbox), "143")
    }))

  test("is kept for a pager, until a signal ends that wait too", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", `${noise}; touch ran`)
      sandbox.write("feed", feed)
      const des = yield* piped(sandbox, ["-d", sandbox.dir, "--from", sandbox.path("feed")], nobody)
      yield* des.until("the script", () => sandbox.exists("ran") && sandbox.lines("pid").length > 0)
      process.kill(Number(sandbox.lines("pid")[0]), "SIGINT")
      assert.strictEqual(yield* codeOf(sandbox), "130")
    }))
})

describe("the output of des history", () => {
  const runs = 4000

  /** A journal that has many runs of one event, which nobody waited for. */
  const withRuns = (sandbox: Sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", "exit 0")
      yield* sandbox.feed([record()], ["--state", sandbox.path("state")])
      yield* Effect.flatMap(
        SqlClient.SqlClient,
        (sql) => sql`WITH RECURSIVE n (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM n WHERE n < ${runs})
          INSERT INTO run (event_id, script, attempt, began_at, ended_at, outcome, exit, output, last)
          SELECT event_id, script, n, began_at, ended_at, outcome, exit, output, last FROM run, n WHERE id = 1`
      ).pipe(
        Effect.provide(
          Layer.provide(StateDirectory.layerShared({ directory: sandbox.path("state") }), NodeFileSystem.layer)
        ),
        Effect.orDie
      )
    })

  for (const [how, args, lines] of [
    ["as a table", [], runs + 1],
    ["as JSON", ["--json"], runs]
  ] as const) {
    test(`is printed to its last line, even if its reader begins late: ${how}`, (sandbox) =>
      Effect.gen(function* () {
        yield* withRuns(sandbox)
        const reader = "{ until test -s pid; do sleep 0.05; done; sleep 0.5; wc -l >count; }"
        const des = yield* piped(sandbox, ["history", "--state", sandbox.path("state"), ...args], reader)
        yield* des.ended
        assert.strictEqual(Number(Fs.readFileSync(sandbox.path("count"), "utf8")), lines)
      }))

    test(`ends silently if its reader leaves: ${how}`, (sandbox) =>
      Effect.gen(function* () {
        yield* withRuns(sandbox)
        const des = yield* piped(
          sandbox,
          ["history", "--state", sandbox.path("state"), ...args],
          "{ head -n 1 >first; }"
        )
        const ended = yield* des.ended
        assert.strictEqual(ended.stderr, "")
        assert.strictEqual(yield* codeOf(sandbox), "0")
        assert.lengthOf(sandbox.lines("first"), 1)
      }))
  }
  test("that cannot be printed is an error that says why", (sandbox) =>
    Effect.gen(function* () {
      yield* withRuns(sandbox)
      const ended = yield* Program.run(
        ["sh", "-c", '"$@" >/dev/full', "sh", ...Program.des("history", "--state", sandbox.path("state"))],
        { cwd: sandbox.top }
      )
      assert.strictEqual(ended.code, 1, ended.stderr)
      assert.lengthOf(ended.lines, 1)
      assert.match(
        ended.stderr,
        / - ERROR - the history cannot be printed: no space is left on the disk \(ENOSPC\); nothing in the journal has changed$/m
      )
    }))
})
