/**
 * des beside strangers, in a small heap: what it owes to everybody else, whatever a stranger does. Scripts note in the file `ran` how late
 * each of the other events ran.
 */

import * as Fs from "node:fs"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { assert } from "vitest"
import type * as Program from "./Program.ts"
import type { Sandbox } from "./Sandbox.ts"

/** How many events of others are waited for. */
export const events = 100

/** How late 99 of 100 may be, in milliseconds. */
const inTime = 5_000

/** Resident memory that des may have at most, in megabytes. */
const mostMemory = 300

/** How long des may take to end, in milliseconds: the drain, the grace, and as long again for a machine that is busy. */
const drain = 2_000
const grace = 1_000
const mostToEnd = drain + grace + 2_000

/** The most characters that are logged. */
const longestLog = 1_000_000

/** Starts des with its state in the sandbox, and these arguments more. */
export const start = (
  sandbox: Sandbox,
  ...args: ReadonlyArray<string>
): Effect.Effect<Program.Program, never, Scope.Scope> =>
  sandbox.start(
    [
      ...["-d", sandbox.dir, "--state", sandbox.path("state"), "--jobs", "8"],
      ...["--drain", `${drain}ms`, "--grace", `${grace}ms`, ...args]
    ],
    { env: { NODE_OPTIONS: "--max-old-space-size=512" }, deadline: 60_000, ownSession: true }
  )

/** A line of shell that notes an event, given the milliseconds since 1970 when it happened. */
export const note = (happened: string): string => `echo "${happened} $(date +%s%3N)" >>ran`

/** How late each of the events ran, in milliseconds. */
const delays = (sandbox: Sandbox): ReadonlyArray<number> =>
  sandbox.lines("ran").map((line) => {
    const [happened = 0, ran = 0] = line.split(" ").map(Number)
    return ran - happened
  })

const peakMemory = (pid: number): number => {
  const text = Fs.existsSync(`/proc/${pid}/status`) ? Fs.readFileSync(`/proc/${pid}/status`, "utf8") : ""
  return Number(/^VmHWM:\s+(\d+)/m.exec(text)?.[1] ?? 0) / 1024
}

/**
 * Waits for the events of others and ends des: they ran in time, it is small, and it ends when it is told to. `engineLate` is how late
 * the engine itself sent them, in milliseconds.
 */
export const judge = (sandbox: Sandbox, des: Program.Program, engineLate = 0): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* des.until(`${events} events of others`, () => delays(sandbox).length >= events)
    const all = delays(sandbox).slice(0, events)
    const late = all.filter((delay) => delay > inTime + engineLate)
    yield* end(des, `the latest of ${events} ran after ${Math.max(...all)} ms`)
    assert.isAtMost(late.length, events / 100, `late by ${late.join(", ")} ms`)
  })

/** Ends des: it is alive and small until then, and ends when it is told to. */
export const end = (des: Program.Program, also: string): Effect.Effect<void> =>
  Effect.gen(function* () {
    const memory = peakMemory(des.pid)
    const told = Date.now()
    yield* des.kill("SIGTERM")
    const { code, stderr } = yield* des.ended
    const ending = Date.now() - told
    const found = `${also}, peak memory ${Math.round(memory)} MB, ended in ${ending} ms`
    console.info(found)
    assert.isBelow(memory, mostMemory, found)
    assert.strictEqual(code, 143, stderr.slice(-2000))
    assert.isBelow(ending, mostToEnd, found)
    assert.isBelow(stderr.length, longestLog, "the log has a bound")
  })
