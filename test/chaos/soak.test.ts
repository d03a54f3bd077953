/** A million events, with a journal on disk: memory, open files and the journal stay as large as they were. */

import * as Fs from "node:fs"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as SqlClient from "@effect/sql/SqlClient"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as StateDirectory from "../../src/journal/sqlite/StateDirectory.ts"
import { poll } from "../support/Poll.ts"
import { test } from "../support/Sandbox.ts"
import * as StandInEngine from "../support/StandInEngine.ts"

const events = 1_000_000

/** How many are sent before the last one's script must have run: the engine's socket holds no more than a few of these. */
const batch = 10_000

/** One in so many has a script. */
const scripted = 800

const began = 1_795_453_740_000_000_000n

const actions = ["create", "attach", "start", "exec_start: sh", "exec_die", "top", "die", "destroy"]

const record = (at: number) => {
  const action = (at + 1) % scripted === 0 ? "oom" : actions[at % actions.length]
  const id = Math.floor(at / actions.length)
    .toString(16)
    .padStart(12, "0")
  const attributes = `"image":"alpine","name":"c${at}"`
  const time = `"time":1795453740,"timeNano":${began + BigInt(at)}`
  return `{"Type":"container","Action":"${action}","Actor":{"ID":"${id}","Attributes":{${attributes}}},"scope":"local",${time}}`
}

const megabytes = (pid: number) =>
  Number(/^VmRSS:\s+(\d+)/m.exec(Fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024

/** How many events the journal has. */
const kept = (directory: string) =>
  Effect.flatMap(SqlClient.SqlClient, (sql) => sql<{ n: number }>`SELECT count(*) AS n FROM event`).pipe(
    Effect.map(([row]) => row?.n ?? 0),
    Effect.provide(Layer.provide(StateDirectory.layerShared({ directory }), NodeFileSystem.layer)),
    Effect.orDie
  )

test(
  `${events} events`,
  (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/oom", 'echo "$ACTOR_ATTRIBUTES_NAME" >>ran')
      const engine = yield* StandInEngine.make({})
      assert.strictEqual(engine.endpoint._tag, "Unix")
      const socket = engine.endpoint._tag === "Unix" ? engine.endpoint.path : ""
      const state = sandbox.path("state")
      const args = ["-d", sandbox.dir, "-e", `unix://${socket}`, "--state", state, "--keep", "1h,1000"]
      const des = yield* sandbox.start([...args, "--jobs", "2"], { deadline: 60_000 })
      yield* poll(
        Effect.map(engine.feeds, (feeds) => feeds === 1),
        20_000
      )
      const send = (from: number, to: number) =>
        Effect.gen(function* () {
          for (let at = from; at < to; at += batch) {
            yield* engine.send(Array.from({ length: batch }, (_, number) => record(at + number)).join("\n"))
            const runs = Math.floor((at + batch) / scripted)
            yield* des.until(`${runs} runs`, () => sandbox.lines("ran").length >= runs)
          }
        })
      const measure = () => ({
        memory: megabytes(des.pid),
        descriptors: Fs.readdirSync(`/proc/${des.pid}/fd`).length,
        disk: Fs.readdirSync(state).reduce((sum, name) => sum + Fs.statSync(`${state}/${name}`).size, 0)
      })
      yield* send(0, 300_000)
      const before = measure()
      yield* send(300_000, events)
      const after = measure()
      // The heap's own breath is some 30 MB; what kept 100 bytes of each event would be 70.
      assert.isBelow(after.memory, before.memory + 60)
      // A run that has just ended may have its pipes open yet.
      assert.isBelow(after.descriptors, before.descriptors + 10)
      assert.isBelow(after.disk, 10_000_000)
      assert.lengthOf(sandbox.lines("ran"), events / scripted)
      assert.isAtMost(yield* kept(state), 1100)

      yield* des.kill("SIGTERM")
      const ended = yield* des.ended
      assert.strictEqual(ended.code, 143, ended.stderr.slice(-500))
      assert.notMatch(ended.stderr, / - (ERROR|CRITICAL) - /)
    }),
  300_000
)
