/** A burst that takes the scripts far longer than it took to come: it waits on the disk, and nothing of it is lost. */

import * as Fs from "node:fs"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as StateDirectory from "../../src/journal/sqlite/StateDirectory.ts"
import { makeEvent } from "../../src/testing.ts"
import { poll } from "../support/Poll.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"

const events = 50_000

const label = "x".repeat(200)

const record = (at: number) =>
  makeEvent({ id: `c${at}`, attributes: { name: `c${at}`, label }, timeNano: 1_795_453_740_000_000_000n + BigInt(at) })
    .record

const countOf = (sandbox: Sandbox, state: string) =>
  Effect.flatMap(
    SqlClient.SqlClient,
    (sql) => sql<{ n: number }>`SELECT count(*) AS n FROM event WHERE state = ${state}`
  ).pipe(
    Effect.map(([row]) => row?.n ?? 0),
    Effect.provide(
      Layer.provide(StateDirectory.layerShared({ directory: sandbox.path("state") }), NodeFileSystem.layer)
    ),
    Effect.orElseSucceed(() => 0)
  )

const residentMegabytes = (pid: number) =>
  Number(/^VmRSS:\s+(\d+)/m.exec(Fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024

for (const jobs of [1, 4]) {
  test(
    `${events} events, scripts of 20 ms, ${jobs} ${jobs === 1 ? "job" : "jobs"}`,
    (sandbox) =>
      Effect.gen(function* () {
        sandbox.script("container/start", 'sleep 0.02; echo "$ACTOR_ID" >>ran')
        const args = ["-d", sandbox.dir, "--from", "-", "--state", sandbox.path("state"), "--jobs", String(jobs)]
        const des = yield* sandbox.start(args, { stdin: "open", deadline: 110_000 })
        const accepted = (count: number) =>
          poll(
            Effect.zipWith(
              countOf(sandbox, "waiting"),
              countOf(sandbox, "done"),
              (waiting, done) => waiting + done >= count
            ),
            60_000
          )
        const send = (from: number, to: number) =>
          des.write(Array.from({ length: to - from }, (_, at) => `${record(from + at)}\n`).join(""))

        yield* send(0, events / 5)
        assert.isTrue(yield* accepted(events / 5))
        const before = residentMegabytes(des.pid)
        yield* send(events / 5, events)
        assert.isTrue(yield* accepted(events))
        const after = residentMegabytes(des.pid)
        // All is accepted while the scripts have hardly begun: the reader waits for none.
        assert.isBelow(sandbox.lines("ran").length, events / 10)
        assert.isBelow(after, before + 50)

        yield* des.until("some runs", () => sandbox.lines("ran").length > 100)
        yield* des.kill("SIGTERM")
        const stopped = yield* des.ended
        assert.strictEqual(stopped.code, 143, stopped.stderr.slice(-500))
        const ran = sandbox.lines("ran").length
        assert.strictEqual(yield* countOf(sandbox, "done"), ran)
        assert.strictEqual(yield* countOf(sandbox, "waiting"), events - ran)
        assert.include(
          stopped.stderr,
          `des stops; ${events - ran} accepted events did not run to the end; the next start runs them`
        )

        const again = yield* sandbox.start(args, { stdin: "open", deadline: 60_000 })
        yield* again.until("the next runs", () => sandbox.lines("ran").length >= ran + 100)
        yield* again.kill("SIGTERM")
        yield* again.ended
        const all = sandbox.lines("ran")
        const expected = Array.from({ length: all.length }, (_, at) => `c${at}`)
        // Of several jobs the ends may come in another order.
        assert.deepStrictEqual(jobs === 1 ? all : new Set(all), jobs === 1 ? expected : new Set(expected))
        assert.lengthOf(all, new Set(all).size)
      }),
    150_000
  )
}
