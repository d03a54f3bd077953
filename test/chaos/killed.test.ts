/** des is killed, again and again, with a journal on disk: nothing is lost, and nothing runs twice at once. */

import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as StateDirectory from "../../src/journal/sqlite/StateDirectory.ts"
import { makeEvent } from "../../src/testing.ts"
import { poll } from "../support/Poll.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"

/**
 * Says when it begins and when it ends; a second run of the same event finds the folder of the first. Some take longer than
 * des needs to start again, so that they are found alive.
 */
const body = `
mkdir "busy/$ACTOR_ID" 2>/dev/null || echo "$ACTOR_ID" >>overlaps
echo "$ACTOR_ID $DES_ATTEMPT" >>begun
case $ACTOR_ID in *13) sleep 1 ;; *) sleep 0.02 ;; esac
echo "$ACTOR_ID" >>ended
rmdir "busy/$ACTOR_ID"`

const journalOf = (sandbox: Sandbox) =>
  Layer.provide(StateDirectory.layerShared({ directory: sandbox.path("state") }), NodeFileSystem.layer)

/** How often each event that is marked done was begun until now. */
const done = (sandbox: Sandbox) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const rows = yield* sql<{ actor: string; runs: number }>`SELECT actor,
      (SELECT count(*) FROM run WHERE run.event_id = event.id) AS runs FROM event WHERE state = 'done'`
    return new Map(rows.map(({ actor, runs }) => [actor, runs]))
  }).pipe(
    Effect.provide(journalOf(sandbox)),
    Effect.orElseSucceed(() => new Map<string, number>())
  )

const attemptsOf = (sandbox: Sandbox) => {
  const attempts = new Map<string, Array<number>>()
  for (const line of sandbox.lines("begun")) {
    const [actor = "", attempt] = line.split(" ")
    attempts.set(actor, [...(attempts.get(actor) ?? []), Number(attempt)])
  }
  return attempts
}

const killedAtRandom = (events: number, jobs: number) =>
  test(
    `${events} events, ${jobs} ${jobs === 1 ? "job" : "jobs"}`,
    (sandbox) =>
      Effect.gen(function* () {
        sandbox.write("busy/.keep", "")
        sandbox.script("container/start", body)
        const ids = Array.from({ length: events }, (_, at) => `c${at}`)
        const records = ids.map((id, at) => makeEvent({ id, timeNano: 1_795_453_740_000_000_000n + BigInt(at) }).record)
        sandbox.write("feed.jsonl", `${records.join("\n")}\n`)
        const args = ["-d", sandbox.dir, "--from", sandbox.path("feed.jsonl"), "--state", sandbox.path("state")]
        let kills = 0
        let marked = new Map<string, number>()
        // Where the machine is slow each life is short of work, where it is fast there are fewer: all of them end.
        for (let step = 7; sandbox.lines("ended").length < events * 0.9; step = (step * 31) % (events / 10 + 1)) {
          const before = sandbox.lines("begun").length
          const des = yield* sandbox.start([...args, "--jobs", String(jobs)])
          const more = () => sandbox.lines("begun").length >= Math.min(before + step, events)
          yield* des.until("some more runs", more)
          // Half of the time one of the long runs is killed, as long as there are any to come.
          const isLong = () => {
            const ended = new Set(sandbox.lines("ended"))
            const begun = sandbox.lines("begun").map((line) => line.split(" ")[0] ?? "")
            return begun.length > events * 0.85 || begun.some((actor) => actor.endsWith("13") && !ended.has(actor))
          }
          if (kills % 2 === 0) yield* des.until("a long run", isLong)
          yield* des.kill("SIGKILL")
          yield* des.ended
          kills++
          const now = yield* done(sandbox)
          for (const [actor, runs] of marked) assert.strictEqual(now.get(actor), runs, `${actor} ran again`)
          marked = now
        }
        assert.isAtLeast(kills, 5)
        const last = yield* sandbox.des([...args, "--jobs", String(jobs)], { deadline: 120_000 })
        assert.strictEqual(last.code, 0, last.stderr.slice(-2000))
        // What outlived a des that was killed may be at its last line.
        yield* poll(
          Effect.sync(() => sandbox.lines("ended").length >= sandbox.lines("begun").length),
          10_000
        )

        assert.deepStrictEqual(new Set(sandbox.lines("ended")), new Set(ids))
        assert.deepStrictEqual(sandbox.exists("overlaps") ? sandbox.lines("overlaps") : [], [])
        for (const [actor, attempts] of attemptsOf(sandbox)) {
          assert.isTrue(
            attempts.every((attempt, at) => attempt > (attempts[at - 1] ?? 0)),
            `${actor}: ${attempts}`
          )
        }
        const finished = yield* done(sandbox)
        assert.strictEqual(finished.size, events)
        for (const [actor, runs] of marked) assert.strictEqual(finished.get(actor), runs, `${actor} ran again`)
      }),
    240_000
  )

killedAtRandom(2000, 4)

test("a run that waits for further events stands for all of them, also for those from before des was killed", (sandbox) =>
  Effect.gen(function* () {
    sandbox.script("container/start", '# des: wait=10s..1h per=script\necho "$ACTOR_ID $DES_COALESCED" >>ran')
    const feed = (events: number) =>
      Array.from({ length: events }, (_, at) => makeEvent({ id: `c${at + 1}`, timeNano: BigInt(at + 1) }).record)
    const args = (events: number) => {
      sandbox.write("feed.jsonl", `${feed(events).join("\n")}\n`)
      return ["-d", sandbox.dir, "--from", sandbox.path("feed.jsonl"), "--state", sandbox.path("state"), "--jobs", "2"]
    }
    for (const events of [3, 5]) {
      const des = yield* sandbox.start(args(events))
      assert.isTrue(
        yield* poll(
          Effect.map(done(sandbox), ({ size }) => size === events - 1),
          8000
        )
      )
      yield* des.kill("SIGKILL")
      yield* des.ended
    }
    assert.isFalse(sandbox.exists("ran"))
    const last = yield* sandbox.des(args(6), { deadline: 60_000 })
    assert.strictEqual(last.code, 0, last.stderr.slice(-2000))
    assert.deepStrictEqual(sandbox.lines("ran"), ["c6 5"])
  }))
