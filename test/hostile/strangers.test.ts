/**
 * Hostile engines beside an honest one, with des in a small heap: whatever a stranger does, the honest engine's events run in
 * time, des stays alive and small, and it stops when it is told to.
 */

import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describe } from "vitest"
import * as Program from "../support/Program.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"

const stranger = Path.join(import.meta.dirname, "..", "support", "stranger.mjs")

/** Starts an engine of this conduct for the scope, and gives its endpoint. */
const engine = (sandbox: Sandbox, name: string, conduct: string) =>
  Effect.gen(function* () {
    const socket = sandbox.path(`${name}.sock`)
    const program = yield* Program.start([process.execPath, stranger, socket, conduct], { deadline: 60_000 })
    yield* program.until("the engine listens", () => Fs.existsSync(socket))
    return `unix://${socket}`
  })

const megabytes = (pid: number): number => {
  const text = Fs.existsSync(`/proc/${pid}/status`) ? Fs.readFileSync(`/proc/${pid}/status`, "utf8") : ""
  return Number(/^VmHWM:\s+(\d+)/m.exec(text)?.[1] ?? 0) / 1024
}

/** How late each of the honest engine's events ran, in milliseconds. */
const delays = (sandbox: Sandbox): ReadonlyArray<number> =>
  sandbox.lines("ran").map((line) => {
    const [sent = 0, ran = 0] = line.split(" ").map(Number)
    return ran - sent
  })

/** How many of the honest engine's events are waited for. */
const events = 100

/** How late 99 of 100 may be, in milliseconds. */
const inTime = 5_000

/** Resident memory that des may have at most, in megabytes. */
const mostMemory = 300

const conducts = [
  "a label of 70 MB",
  "a million labels",
  "an array of 30 million numbers",
  "arrays in arrays",
  "130 starts with 12 MB",
  "a container with 2 MB that never rests",
  "no records, only braces",
  "a ping without end",
  "information without end",
  "a list without end",
  "a refusal without end"
]

describe("beside a hostile engine", () => {
  for (const conduct of conducts) {
    test(
      `events of an honest engine run in time: ${conduct}`,
      (sandbox) =>
        Effect.gen(function* () {
          sandbox.script(
            "container/start",
            '[ -z "$ACTOR_ATTRIBUTES_SENT" ] || echo "$ACTOR_ATTRIBUTES_SENT $(date +%s%3N)" >>ran'
          )
          const hostile = yield* engine(sandbox, "hostile", conduct)
          const honest = yield* engine(sandbox, "honest", "honest")
          const des = yield* sandbox.start(
            [
              ...["-d", sandbox.dir, "--state", sandbox.path("state"), "--jobs", "8", "--drain", "2s", "--grace", "1s"],
              ...["-e", `hostile=${hostile}`, "-e", `honest=${honest}`]
            ],
            { env: { NODE_OPTIONS: "--max-old-space-size=512" }, deadline: 60_000 }
          )
          yield* des.until(`${events} honest events`, () => delays(sandbox).length >= events)
          const late = delays(sandbox)
            .slice(0, events)
            .filter((delay) => delay > inTime)
          assert.isAtMost(late.length, events / 100, `late by ${late.join(", ")} ms`)
          assert.isBelow(megabytes(des.pid), mostMemory)
          const told = Date.now()
          yield* des.kill("SIGTERM")
          const { code, stderr } = yield* des.ended
          assert.strictEqual(code, 143, stderr.slice(-2000))
          assert.isBelow(Date.now() - told, 5_000)
          assert.isBelow(stderr.length, 1_000_000, "the log has a bound")
        }),
      120_000
    )
  }
})
