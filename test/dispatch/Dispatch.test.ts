import * as ChildProcess from "node:child_process"
import { once } from "node:events"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import * as Dispatch from "../../src/dispatch/Dispatch.ts"
import type { DockerEvent } from "../../src/event/DockerEvent.ts"
import * as Journal from "../../src/journal/Journal.ts"
import * as JournalInMemory from "../../src/journal/JournalInMemory.ts"
import * as Keep from "../../src/journal/Keep.ts"
import * as JournalSql from "../../src/journal/sqlite/JournalSql.ts"
import * as StateDirectory from "../../src/journal/sqlite/StateDirectory.ts"
import type { Outlived } from "../../src/scripts/Outlived.ts"
import * as ProcessGroup from "../../src/scripts/ProcessGroup.ts"
import type { Script } from "../../src/scripts/ScriptDirectory.ts"
import * as ScriptOptions from "../../src/scripts/ScriptOptions.ts"
import { Outcome, type ScriptRun, ScriptRunner } from "../../src/scripts/ScriptRunner.ts"
import * as Trust from "../../src/scripts/Trust.ts"
import * as Testing from "../../src/testing.ts"
import { collectLogs } from "../support/Logs.ts"
import { samples } from "../support/Samples.ts"
import * as TempFolder from "../support/TempFolder.ts"

/** A run that the mocked runner saw, with its times in seconds. */
interface Seen {
  readonly script: string
  readonly actor: string
  /** What the event says of itself: its number in the test. */
  readonly event: string
  readonly attempt: string | undefined
  readonly coalesced: string | undefined
  readonly timeout: Duration.DurationInput
  readonly from: number
  /** Nothing while it runs, and where it was interrupted. */
  readonly to: number | undefined
}

interface Behaviour {
  readonly takes?: Duration.DurationInput
  readonly fails?: boolean | Outcome
  /** What happens as well while it runs. */
  readonly does?: Effect.Effect<void>
}

interface Situation extends Partial<Dispatch.DispatchOptions> {
  /** What a script does, by the run; it succeeds at once unless told otherwise. */
  readonly scripts?: (run: ScriptRun, number: number) => Behaviour
  readonly trust?: Layer.Layer<Trust.Trust>
  /** The journal is on disk in this directory, and not in memory. */
  readonly state?: string | undefined
  /** The run of the first event that outlived the des before, with the journal in memory. */
  readonly outlived?: Outlived
}

const succeeded = Outcome.Exited({ code: 0, message: "" })
const failed = Outcome.Exited({ code: 1, message: "no" })

const seconds = Effect.map(Clock.currentTimeMillis, (now) => now / 1000)

/** A journal that also keeps what became of its runs. */
const keepingIn =
  (kept: Array<Outcome>, skipped: Array<string>) =>
  <R>(context: Context.Context<R | Journal.Journal>) =>
    Context.add(context, Journal.Journal, {
      ...Context.get(context, Journal.Journal),
      begin: () =>
        Effect.succeed({
          ...Journal.unkept,
          ended: (outcome) => Effect.sync(() => void kept.push(outcome)),
          skipped: (reason) => Effect.sync(() => void skipped.push(reason))
        })
    })

/** A journal whose first event has a run that outlived the des before. */
const remembering =
  (outlived: Outlived | undefined) =>
  <R>(context: Context.Context<R | Journal.Journal>) => {
    if (outlived === undefined) return context
    const journal = Context.get(context, Journal.Journal)
    const withEarlier = (entry: Journal.Entry): Journal.Entry =>
      entry.id > 1
        ? entry
        : {
            ...entry,
            earlier: Object.fromEntries(
              entry.scripts.map(({ path }) => [path, { attempts: 1, settled: undefined, outlived: [outlived] }])
            )
          }
    return Context.add(context, Journal.Journal, {
      ...journal,
      take: (order) => Effect.map(journal.take(order), Option.map(withEarlier)),
      reload: (id) => Effect.map(journal.reload(id), withEarlier)
    })
  }

const journalOnDisk = (directory: string) =>
  JournalSql.layer({
    file: StateDirectory.journalFile(directory),
    keep: Keep.defaults,
    maxAge: Number.POSITIVE_INFINITY,
    durably: StateDirectory.durably
  }).pipe(Layer.provide(StateDirectory.layer({ directory })), Layer.provide(NodeFileSystem.layer), Layer.orDie)

/** A dispatch that runs, with a journal to accept into and a runner that only keeps the time. */
const begin = ({ outlived, scripts = () => ({}), state, trust = Trust.layerInsecure, ...options }: Situation = {}) =>
  Effect.gen(function* () {
    const logs = collectLogs()
    const runs: Array<Seen> = []
    const kept: Array<Outcome> = []
    const skipped: Array<string> = []
    const reported: Array<DockerEvent> = []
    // At the end of a test nobody moves the clock, which a drain would wait for.
    const over = yield* Deferred.make<void>()
    yield* Effect.addFinalizer(() => Deferred.succeed(over, undefined))
    const runner = Layer.succeed(ScriptRunner, {
      run: (run: ScriptRun) =>
        Effect.gen(function* () {
          const at = runs.length
          const seen: Seen = {
            script: run.script,
            actor: run.event.Actor.ID,
            event: run.event.Actor.Attributes["number"] ?? "",
            attempt: run.environment["DES_ATTEMPT"],
            coalesced: run.environment["DES_COALESCED"],
            timeout: run.bounds.timeout,
            from: yield* seconds,
            to: undefined
          }
          runs.push(seen)
          const { does = Effect.void, fails = false, takes = 0 } = scripts(run, at)
          yield* does
          if (takes !== 0) yield* Effect.sleep(takes)
          runs[at] = { ...seen, to: yield* seconds }
          if (typeof fails !== "boolean") return fails
          return fails ? failed : succeeded
        })
    })
    const context = yield* Layer.build(
      Dispatch.layer({ base: { PATH: "/bin" }, hurry: Deferred.await(over), ...options }).pipe(
        Layer.provideMerge(
          state === undefined
            ? Layer.map(Layer.map(JournalInMemory.layer(), keepingIn(kept, skipped)), remembering(outlived))
            : journalOnDisk(state)
        ),
        Layer.provide([runner, trust, NodeFileSystem.layer])
      )
    )
    const journal = yield* Effect.provide(Journal.Journal, context)
    const { run } = yield* Effect.provide(Dispatch.Dispatch, context)
    let accepted = 0
    /** Accepts an event that is sent now, of a container by its ID, of `TYPE ID`, or of `ACTION TYPE ID`. */
    const accept = (actor: string, ...scripts: ReadonlyArray<string | Script>) =>
      Effect.gen(function* () {
        const number = String(++accepted)
        const [id = "", type = "container", action = "start"] = actor.split(" ").reverse()
        const event = Testing.makeEvent({
          type,
          action,
          id,
          attributes: { number },
          timeNano: BigInt(yield* Clock.currentTimeMillis) * 1_000_000n
        })
        const paths = scripts.map((script) =>
          typeof script === "string" ? { path: script, options: ScriptOptions.none } : script
        )
        yield* journal.accept({ events: [event], accepted: [{ event, scripts: paths }] })
      }).pipe(Effect.orDie)
    const fiber = yield* Effect.fork(
      Effect.provide(Effect.orDie(run((event) => Effect.sync(() => void reported.push(event)))), logs.layer)
    )
    return {
      accept,
      close: journal.close,
      runs,
      /** What became of each run, as the journal was told. */
      kept,
      /** The events about runs that failed in the end. */
      reported,
      /** Why runs were skipped, as the journal was told. */
      skipped,
      logs,
      fiber,
      /** Waits until everything waits for time. */
      settle: TestClock.adjust(0),
      ended: Fiber.join(fiber),
      /** Tells the dispatch to stop, and gives the fiber that waits for it. */
      stop: Effect.fork(Fiber.interrupt(fiber)),
      said: (level: string) => logs.lines.filter((line) => line.startsWith(`${level} `))
    }
  })

const withOptions = (path: string, head: string): Script => {
  const options = ScriptOptions.parse(`#!/bin/sh\n# des: ${head}\n`)
  if (!("conditions" in options)) throw new Error(options.message)
  return { path, options }
}

const eventsOf = (runs: ReadonlyArray<Seen>, actor?: string) =>
  runs.filter((run) => actor === undefined || run.actor === actor).map(({ event }) => event)

/** The runs as `event from-to`. */
const times = (runs: ReadonlyArray<Seen>) => runs.map(({ event, from, to }) => `${event} ${from}-${to ?? ""}`)

const assertEndsAfter = (fiber: Fiber.RuntimeFiber<unknown>, wait: number) =>
  Effect.gen(function* () {
    if (wait > 0) {
      yield* TestClock.adjust(Duration.millis(wait * 1000 - 1))
      assert.isNull(fiber.unsafePoll(), "it ended too early")
      yield* TestClock.adjust("1 millis")
    } else {
      yield* TestClock.adjust(0)
    }
    assert.isNotNull(fiber.unsafePoll(), "it did not end in time")
  })

describe("jobs", () => {
  it.scoped("with one job all events run in order, one at a time", () =>
    Effect.gen(function* () {
      const { accept, close, ended, runs } = yield* begin({ scripts: () => ({ takes: "1 second" }) })
      for (const actor of ["a", "b", "a", "c"]) yield* accept(actor, "/s")
      yield* close
      yield* TestClock.adjust("4 seconds")
      yield* ended
      assert.deepStrictEqual(times(runs), ["1 0-1", "2 1-2", "3 2-3", "4 3-4"])
    })
  )

  it.scoped("with two jobs actors run at the same time and take turns, and the events of one actor run in order", () =>
    Effect.gen(function* () {
      const { accept, close, ended, runs } = yield* begin({
        jobs: 2,
        scripts: ({ event }) => ({ takes: event.Actor.ID === "slow" ? "10 seconds" : "1 second" })
      })
      for (const actor of ["slow", "slow", "quick", "quick", "other"]) yield* accept(actor, "/s")
      yield* close
      yield* TestClock.adjust("20 seconds")
      yield* ended
      assert.deepStrictEqual(times(runs), ["1 0-10", "3 0-1", "5 1-2", "4 2-3", "2 10-20"])
    })
  )

  it.scoped("with two jobs an actor is a type and an ID, not an ID alone", () =>
    Effect.gen(function* () {
      const { accept, close, ended, runs } = yield* begin({ jobs: 2, scripts: () => ({ takes: "1 second" }) })
      for (const actor of ["volume x", "network x", "volume x"]) yield* accept(actor, "/s")
      yield* close
      yield* TestClock.adjust("2 seconds")
      yield* ended
      assert.deepStrictEqual(times(runs), ["1 0-1", "2 0-1", "3 1-2"])
    })
  )
})

describe("log lines", () => {
  /** Every field that a line about the event of container `a` has. */
  const ofEvent = {
    "des.event.type": "container",
    "des.event.action": "start",
    "des.actor.id": "a",
    "container.id": "a"
  }
  const ofRun = (attempt: number) => ({ ...ofEvent, "des.script": "/s", "des.attempt": attempt })

  it.scoped("about an event have its fields, those of a run also the run's, and the last ones how it ended", () =>
    Effect.gen(function* () {
      const { accept, close, ended, logs } = yield* begin({
        retries: 1,
        scripts: (run) => ({ takes: "2 seconds", fails: run.environment["DES_ATTEMPT"] === "1" })
      })
      yield* accept("a", "/s")
      yield* close
      yield* TestClock.adjust("1 hour")
      yield* ended
      const said = logs.lines.map((line) => line.replace(/\[object Object\]|[{].*|in \d\.\d s/, "…"))
      assert.deepStrictEqual(
        said.map((line, at) => [line, logs.fields[at]]),
        [
          ["DEBUG Detected actionable event container/start: …", ofEvent],
          ["DEBUG Script ENV: …", ofRun(1)],
          ["INFO Running script /s", ofRun(1)],
          [
            'WARN Script /s Failed! Exit=1 Message="no"',
            { ...ofRun(1), "process.exit.code": 1, "des.duration_ms": 2000, "error.type": "failed" }
          ],
          ["INFO Script /s is retried …, attempt 2 of 2", { ...ofEvent, "des.script": "/s" }],
          ["DEBUG Script ENV: …", ofRun(2)],
          ["INFO Running script /s", ofRun(2)],
          ["DEBUG Script /s succeeded in 2000 ms", { ...ofRun(2), "process.exit.code": 0, "des.duration_ms": 2000 }],
          ["DEBUG Finished handling container/start", ofEvent]
        ]
      )
    })
  )

  const failures: Readonly<Record<string, Outcome>> = {
    failed: Outcome.Exited({ code: 3, message: "" }),
    killed: Outcome.Killed({ signal: "SIGKILL", message: "" }),
    timed_out: Outcome.TimedOut({ after: Duration.seconds(1), message: "" }),
    not_started: Outcome.NotStarted({ message: "" })
  }
  for (const [kind, fails] of Object.entries(failures)) {
    it.scoped(`about a failure have its kind: ${kind}`, () =>
      Effect.gen(function* () {
        const { accept, close, ended, logs } = yield* begin({ scripts: () => ({ fails }) })
        yield* accept("a", "/s")
        yield* close
        yield* ended
        const line = logs.lines.findIndex((text) => text.startsWith("ERROR Script /s Failed!"))
        assert.strictEqual(logs.fields[line]?.["error.type"], kind)
      })
    )
  }
})

describe("retries", () => {
  const failingTwice = ({ environment }: ScriptRun): Behaviour => ({ fails: Number(environment["DES_ATTEMPT"]) <= 2 })

  it.scoped("a failed run is retried until it succeeds, and each run gets its number", () =>
    Effect.gen(function* () {
      const { accept, close, ended, logs, runs, said } = yield* begin({ retries: 5, scripts: failingTwice })
      yield* accept("a", "/s")
      yield* close
      yield* TestClock.adjust("1 hour")
      yield* ended
      assert.deepStrictEqual(
        runs.map(({ attempt }) => attempt),
        ["1", "2", "3"]
      )
      // Only the last attempt is a failure in the end.
      assert.deepStrictEqual(said("ERROR"), [])
      assert.lengthOf(said("WARN"), 2)
      const announced = logs.lines.filter((line) => line.includes("is retried"))
      assert.match(announced[0] ?? "", /^INFO Script \/s is retried in \d\.\d s, attempt 2 of 6$/)
      assert.match(announced[1] ?? "", /^INFO Script \/s is retried in \d\.\d s, attempt 3 of 6$/)
      assert.strictEqual(announced.length, 2)
    })
  )

  it.scoped("a run is given up after its retries, and the next events run", () =>
    Effect.gen(function* () {
      const { accept, close, ended, runs, said } = yield* begin({ retries: 2, scripts: () => ({ fails: true }) })
      yield* accept("a", "/s")
      yield* accept("a", "/s")
      yield* close
      yield* TestClock.adjust("1 hour")
      yield* ended
      assert.deepStrictEqual(
        runs.map(({ attempt, event }) => `${event} ${attempt}`),
        ["1 1", "1 2", "1 3", "2 1", "2 2", "2 3"]
      )
      assert.lengthOf(said("WARN"), 4)
      assert.lengthOf(said("ERROR"), 2)
    })
  )

  it.scoped("a run that times out or cannot be started is a failed run too", () =>
    Effect.gen(function* () {
      const outcomes = [
        Outcome.TimedOut({ after: Duration.seconds(1), message: "" }),
        Outcome.NotStarted({ message: "" }),
        Outcome.Killed({ signal: "SIGKILL", message: "" })
      ]
      const { accept, close, ended, runs } = yield* begin({
        retries: 5,
        scripts: (_, at) => ({ fails: outcomes[at] ?? false })
      })
      yield* accept("a", "/s")
      yield* close
      yield* TestClock.adjust("1 hour")
      yield* ended
      assert.deepStrictEqual(
        runs.map(({ attempt }) => attempt),
        ["1", "2", "3", "4"]
      )
    })
  )

  /** The pauses between 15 attempts, in seconds. */
  const pauses = (seed: string) =>
    Effect.gen(function* () {
      const { accept, close, ended, runs } = yield* begin({ retries: 14, scripts: () => ({ fails: true }) })
      yield* accept("a", "/s")
      yield* close
      yield* TestClock.adjust("1 day")
      yield* ended
      return runs.slice(1).map(({ from }, at) => from - (runs[at]?.to ?? 0))
    }).pipe(Effect.scoped, Effect.withRandom(Random.make(seed)))

  it.effect("the delays double from one second to five minutes, each randomly up to half shorter or longer", () =>
    Effect.gen(function* () {
      for (const seed of ["one", "two", "three"]) {
        for (const [at, pause] of (yield* pauses(seed)).entries()) {
          const mean = Math.min(2 ** at, 300)
          assert.isAtLeast(pause, mean * 0.5 - 0.001, `${at}`)
          assert.isAtMost(pause, mean * 1.5 + 0.001, `${at}`)
        }
      }
      assert.notDeepEqual(yield* pauses("one"), yield* pauses("two"))
    })
  )

  for (const jobs of [1, 2]) {
    it.scoped(
      `the actor's later events wait for them, ${jobs === 1 ? "and so do all others" : "no others do"} (${jobs} jobs)`,
      () =>
        Effect.gen(function* () {
          const { accept, close, ended, runs } = yield* begin({
            jobs,
            retries: 5,
            scripts: ({ environment, event }) =>
              event.Actor.Attributes["number"] === "1" ? failingTwice({ environment } as ScriptRun) : {}
          })
          yield* accept("a", "/s")
          yield* accept("a", "/s")
          yield* accept("b", "/s")
          yield* close
          yield* TestClock.adjust("1 hour")
          yield* ended
          assert.deepStrictEqual(eventsOf(runs, "a"), ["1", "1", "1", "2"])
          assert.deepStrictEqual(eventsOf(runs), jobs === 1 ? ["1", "1", "1", "2", "3"] : ["1", "3", "1", "1", "2"])
        })
    )
  }

  it.scoped("if one of several scripts fails, only that one is retried, and the others run after it", () =>
    Effect.gen(function* () {
      const { accept, close, ended, runs } = yield* begin({
        retries: 1,
        scripts: ({ script }) => ({ fails: script === "/2" })
      })
      yield* accept("a", "/1", "/2", "/3")
      yield* close
      yield* TestClock.adjust("1 hour")
      yield* ended
      assert.deepStrictEqual(
        runs.map(({ attempt, script }) => `${script} ${attempt}`),
        ["/1 1", "/2 1", "/2 2", "/3 1"]
      )
    })
  )

  it.scoped("trust is checked before each attempt", () =>
    Effect.gen(function* () {
      let looks = 0
      const trust = Layer.succeed(Trust.Trust, {
        check: (path) =>
          Effect.suspend(() =>
            ++looks === 2
              ? new Trust.UntrustedError({ reason: "Owner", path, detail: "belongs to user 7", fix: "chown" })
              : Effect.void
          )
      })
      const { accept, close, ended, runs, said } = yield* begin({ retries: 5, scripts: failingTwice, trust })
      yield* accept("a", "/s")
      yield* close
      yield* TestClock.adjust("1 hour")
      yield* ended
      assert.deepStrictEqual(
        runs.map(({ attempt }) => attempt),
        ["1", "3"]
      )
      assert.include(said("WARN")[1], "/s belongs to user 7")
    })
  )
})

describe("the options in a script's head override the defaults", () => {
  it.scoped("timeout, and 0 means none", () =>
    Effect.gen(function* () {
      const { accept, close, ended, runs } = yield* begin({ timeout: "5 minutes" })
      yield* accept("a", "/s", withOptions("/own", "timeout=30s"), withOptions("/none", "timeout=0"))
      yield* close
      yield* TestClock.adjust(0)
      yield* ended
      assert.deepStrictEqual(
        runs.map(({ script, timeout }) => `${script} ${Duration.toSeconds(timeout)}`),
        ["/s 300", "/own 30", "/none Infinity"]
      )
    })
  )

  it.scoped("retries", () =>
    Effect.gen(function* () {
      const { accept, close, ended, runs } = yield* begin({ retries: 1, scripts: () => ({ fails: true }) })
      yield* accept("a", "/s", withOptions("/more", "retries=2"), withOptions("/none", "retries=0"))
      yield* close
      yield* TestClock.adjust("1 hour")
      yield* ended
      assert.deepStrictEqual(
        runs.map(({ script }) => script),
        ["/s", "/s", "/more", "/more", "/more", "/none"]
      )
    })
  )

  it.scoped("cooldown", () =>
    Effect.gen(function* () {
      const { accept, close, ended, runs } = yield* begin({ cooldown: "10 seconds" })
      const scripts = ["/s", withOptions("/longer", "cooldown=1m"), withOptions("/none", "cooldown=0")]
      yield* accept("a", ...scripts)
      yield* accept("a", ...scripts)
      yield* close
      yield* TestClock.adjust("1 hour")
      yield* ended
      assert.deepStrictEqual(
        runs.map(({ event, from, script }) => `${event} ${script} ${from}`),
        ["1 /s 0", "1 /longer 0", "1 /none 0", "2 /none 0", "2 /s 10", "2 /longer 60"]
      )
    })
  )
})

describe("a cooldown", () => {
  it.scoped("runs the first event at once, and later the newest one, with the number of events that it replaces", () =>
    Effect.gen(function* () {
      const { accept, runs } = yield* begin({ cooldown: "10 seconds" })
      for (let at = 0; at < 5; at++) {
        yield* accept("a", "/newest")
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(eventsOf(runs), ["1"])
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(
        runs.map(({ coalesced, event, from }) => `${event} at ${from}: ${coalesced}`),
        ["1 at 0: undefined", "5 at 10: 3"]
      )
      assert.deepStrictEqual(yield* samples("coalesced"), ['des_coalesced_events_total{script="/newest"} 3'])
      // That run began a cooldown of its own.
      yield* accept("a", "/newest")
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(runs.length, 2)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(
        runs.map(({ coalesced, event, from }) => `${event} at ${from}: ${coalesced}`).at(-1),
        "6 at 20: undefined"
      )
      yield* TestClock.adjust("10 seconds")
      yield* accept("a", "/s")
      yield* TestClock.adjust(0)
      assert.strictEqual(runs.at(-1)?.from, 30)
    })
  )

  it.scoped("is for one script and one actor: other actors and other scripts run at once", () =>
    Effect.gen(function* () {
      const { accept, runs } = yield* begin()
      const cooled = withOptions("/cooled", "cooldown=10s")
      yield* accept("a", cooled, "/other")
      yield* accept("a", cooled, "/other")
      yield* accept("b", cooled, "/other")
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual(
        runs.map(({ event, script }) => `${event} ${script}`),
        ["1 /cooled", "1 /other", "2 /other", "3 /cooled", "3 /other"]
      )
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(eventsOf(runs).at(-1), "2")
    })
  )

  it.scoped("begins with a run, and the postponed event waits for the actor's other runs", () =>
    Effect.gen(function* () {
      const { accept, runs } = yield* begin({
        jobs: 4,
        scripts: ({ script }) => ({ takes: script === "/slow" ? "30 seconds" : "4 seconds" })
      })
      const cooled = withOptions("/cooled", "cooldown=10s")
      yield* accept("a", cooled)
      yield* accept("a", cooled)
      yield* TestClock.adjust("5 seconds")
      yield* accept("a", "/slow")
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(times(runs), ["1 0-4", "3 5-35", "2 35-39"])
    })
  )

  it.scoped("never runs an older event after a newer one", () =>
    Effect.gen(function* () {
      const { accept, runs } = yield* begin({
        jobs: 2,
        scripts: ({ script }) => ({ takes: script === "/slow" ? "20 seconds" : 0 })
      })
      const cooled = withOptions("/cooled", "cooldown=10s")
      yield* accept("a", cooled)
      yield* TestClock.adjust("1 second")
      yield* accept("a", cooled)
      yield* TestClock.adjust("1 second")
      // The cooldown ends while these run, when the next event waits for a job already.
      yield* accept("b", "/slow")
      yield* accept("c", "/slow")
      yield* accept("a", cooled)
      yield* TestClock.adjust("1 hour")
      const ran = runs.filter(({ script }) => script === "/cooled")
      assert.deepStrictEqual(
        ran.map(({ coalesced, event, from }) => `${event} at ${from}: ${coalesced}`),
        ["1 at 0: undefined", "5 at 22: 1"]
      )
    })
  )

  it.scoped("counts every event exactly once, in any order of events", () =>
    Effect.gen(function* () {
      const random = Random.make("cooldown")
      const { accept, close, ended, runs } = yield* begin({
        jobs: 2,
        scripts: ({ script }) => ({ takes: script === "/slow" ? "7 seconds" : "1 second" })
      })
      const cooled = withOptions("/cooled", "cooldown=5s")
      let events = 0
      for (let at = 0; at < 200; at++) {
        const slow = yield* random.nextBoolean
        yield* accept("a", slow ? "/slow" : cooled)
        if (!slow) events++
        yield* TestClock.adjust(Duration.millis(yield* random.nextIntBetween(0, 6000)))
      }
      yield* close
      yield* TestClock.adjust("1 hour")
      yield* ended
      const ran = runs.filter(({ script }) => script === "/cooled")
      const numbers = ran.map(({ event }) => Number(event))
      assert.deepStrictEqual(
        numbers,
        numbers.toSorted((a, b) => a - b)
      )
      assert.strictEqual(
        ran.reduce((sum, { coalesced }) => sum + 1 + Number(coalesced ?? 0), 0),
        events
      )
      for (const [at, { from }] of ran.entries()) assert.isAtLeast(from - (ran[at - 1]?.from ?? -5), 5)
    })
  )

  it.scoped("is waited for at the end of a feed", () =>
    Effect.gen(function* () {
      const { accept, close, fiber, runs } = yield* begin({ cooldown: "10 seconds" })
      yield* accept("a", "/s")
      yield* accept("a", "/s")
      yield* close
      yield* assertEndsAfter(fiber, 10)
      assert.deepStrictEqual(eventsOf(runs), ["1", "2"])
    })
  )
})

/** The runs as `event at TIME: COALESCED`. */
const shown = (runs: ReadonlyArray<Seen>) =>
  runs.map(({ coalesced = "0", event, from }) => `${event} at ${from}: ${coalesced}`)

for (const [where, stateOf] of [
  ["in memory", Effect.succeed(undefined)],
  ["on disk", TempFolder.make("wait")]
] as const) {
  describe(`a wait, with the journal ${where}`, () => {
    const waiting = withOptions("/s", "wait=2s..5s")

    it.scoped("runs the newest event when no further event came, with the number of events that it replaces", () =>
      Effect.gen(function* () {
        const { accept, runs } = yield* begin({ state: yield* stateOf })
        for (let at = 0; at < 3; at++) {
          yield* accept("a", waiting)
          yield* TestClock.adjust("1 second")
        }
        yield* TestClock.adjust("999 millis")
        assert.deepStrictEqual(runs, [])
        yield* TestClock.adjust("1 millis")
        yield* TestClock.adjust("10 seconds")
        yield* accept("a", waiting)
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(shown(runs), ["3 at 4: 2", "4 at 16: 0"])
      })
    )

    it.scoped("runs at the latest time if events never cease", () =>
      Effect.gen(function* () {
        const { accept, runs } = yield* begin({ state: yield* stateOf })
        for (let at = 0; at < 12; at++) {
          yield* accept("a", waiting)
          yield* TestClock.adjust("1 second")
        }
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(shown(runs), ["5 at 5: 4", "10 at 10: 4", "12 at 13: 1"])
      })
    )

    it.scoped("is that of one actor, or with per=script one for all actors, whose runs never overlap", () =>
      Effect.gen(function* () {
        const { accept, runs } = yield* begin({
          state: yield* stateOf,
          jobs: 4,
          scripts: ({ script }) => ({ takes: script === "/once" ? "10 seconds" : 0 })
        })
        const once = withOptions("/once", "wait=2s..5s per=script")
        const scripts = [waiting, once, "/each"]
        yield* accept("a", ...scripts)
        yield* accept("b", ...scripts)
        yield* accept("a", ...scripts)
        yield* TestClock.adjust("3 seconds")
        yield* accept("c", ...scripts)
        yield* TestClock.adjust("1 minute")
        const of = (path: string) => runs.filter(({ script }) => script === path)
        assert.deepStrictEqual(eventsOf(of("/each")), ["1", "2", "3", "4"])
        assert.deepStrictEqual(shown(of("/s")).toSorted(), ["2 at 2: 0", "3 at 2: 1", "4 at 5: 0"])
        assert.deepStrictEqual(shown(of("/once")), ["3 at 2: 2", "4 at 12: 0"])
      })
    )

    it.scoped("of a script with a cooldown ends no sooner than the cooldown, one for all actors with per=script", () =>
      Effect.gen(function* () {
        const { accept, runs } = yield* begin({ state: yield* stateOf, jobs: 2 })
        const both = withOptions("/both", "wait=2s cooldown=10s")
        const shared = withOptions("/shared", "cooldown=10s per=script")
        yield* accept("a", both, shared)
        yield* TestClock.adjust("3 seconds")
        yield* accept("a", both, shared)
        yield* accept("b", both, shared)
        yield* TestClock.adjust("1 minute")
        const of = (path: string) => runs.filter(({ script }) => script === path)
        assert.deepStrictEqual(shown(of("/both")), ["1 at 2: 0", "3 at 5: 0", "2 at 12: 0"])
        assert.deepStrictEqual(shown(of("/shared")), ["1 at 0: 0", "3 at 10: 1"])
      })
    )

    it.scoped("counts every event exactly once, in any order of events", () =>
      Effect.gen(function* () {
        const random = Random.make("wait")
        const { accept, close, ended, runs } = yield* begin({
          state: yield* stateOf,
          jobs: 3,
          scripts: () => ({ takes: "3 seconds" })
        })
        const once = withOptions("/once", "wait=2s..5s per=script")
        for (let at = 0; at < 60; at++) {
          yield* accept(at % 3 === 0 ? "a" : "b", waiting, once)
          yield* TestClock.adjust(Duration.millis(yield* random.nextIntBetween(0, 3000)))
        }
        yield* close
        yield* TestClock.adjust("1 hour")
        yield* ended
        for (const path of ["/s", "/once"]) {
          const ran = runs.filter(({ script }) => script === path)
          assert.strictEqual(
            ran.reduce((sum, { coalesced }) => sum + 1 + Number(coalesced ?? 0), 0),
            60
          )
        }
        const shared = runs.filter(({ script }) => script === "/once")
        for (const [at, { from }] of shared.entries()) assert.isAtLeast(from, shared[at - 1]?.to ?? 0)
      })
    )
  })
}

it.scoped(
  "an event that waits when des ends runs after the restart, and counts the events that it replaced before",
  () =>
    Effect.gen(function* () {
      const state = yield* TempFolder.make("wait")
      const waiting = withOptions("/s", "wait=2s..5s per=script")
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { accept, runs } = yield* begin({ state })
          for (const actor of ["a", "b", "c"]) yield* accept(actor, waiting)
          yield* TestClock.adjust("1 second")
          assert.deepStrictEqual(runs, [])
        })
      )
      const { accept, runs } = yield* begin({ state })
      yield* TestClock.adjust("1 second")
      yield* accept("d", waiting)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(shown(runs), ["1 at 4: 3"])
    })
)

for (const jobs of [1, 2]) {
  it.scoped(`a script that waits does not run beside a run that outlived des, with jobs=${jobs}`, () =>
    Effect.gen(function* () {
      const variable = "DES_RUN=0123456789abcdef-1"
      const child = ChildProcess.spawn("sleep", ["60"], { detached: true, stdio: "ignore", env: { DES_RUN: variable } })
      yield* Effect.addFinalizer(() => Effect.sync(() => child.kill("SIGKILL")))
      const process = ProcessGroup.identify(child.pid ?? 0)
      const { accept, runs } = yield* begin({ jobs, outlived: { variable, process, began: 0 } })
      const waiting = withOptions("/s", "wait=2s per=script")
      yield* accept("a", waiting)
      yield* accept("b", waiting)
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(runs, [])
      const ended = once(child, "exit")
      child.kill("SIGKILL")
      yield* Effect.promise(() => ended)
      yield* TestClock.adjust("3 seconds")
      // With two jobs the newer event is the first that waits.
      assert.deepStrictEqual(
        runs.map(({ coalesced, event }) => [event, coalesced]),
        [["2", "1"]]
      )
    })
  )
}

describe("a self-triggering script", () => {
  it.scoped("is stopped with an error that names it and the reason", () =>
    Effect.gen(function* () {
      const feedback = yield* Deferred.make<Effect.Effect<void>>()
      const { accept, kept, runs, said } = yield* begin({
        scripts: ({ event, script }) => ({
          takes: "1 second",
          does:
            event.Actor.ID === "loop" && script !== "/d/other" ? Effect.flatten(Deferred.await(feedback)) : Effect.void
        })
      })
      yield* Deferred.succeed(feedback, Effect.delay(accept("loop", "/d/container/start"), "500 millis"))
      yield* accept("loop", "/d/container/start")
      yield* TestClock.adjust("10 minutes")
      assert.isAtMost(runs.length, 100)
      const errors = said("ERROR")
      assert.strictEqual(errors.length, 1)
      for (const text of ["/d/container/start", "container/start", "loop"]) assert.include(errors[0], text)
      const last = kept.at(-1)
      assert.strictEqual(last?._tag, "NotStarted")
      assert.include(last?.message, "this script triggers the event it runs for (a loop)")
      assert.include(yield* samples("loop"), 'des_runs_total{script="/d/container/start",outcome="loop"} 1')
      // Its fault is no reason to leave what comes later.
      yield* accept("loop", "/d/other")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(runs.at(-1)?.script, "/d/other")
    })
  )

  it.scoped("goes on if each run makes a new actor, since no single actor shows the pattern", () =>
    Effect.gen(function* () {
      const feedback = yield* Deferred.make<(number: number) => Effect.Effect<void>>()
      const { accept, runs, said } = yield* begin({
        scripts: (_, number) => ({
          takes: "1 second",
          does: Effect.flatMap(Deferred.await(feedback), (feed) => feed(number))
        })
      })
      yield* Deferred.succeed(feedback, (number) => Effect.delay(accept(`container ${number}`, "/s"), "500 millis"))
      yield* accept("container first", "/s")
      yield* TestClock.adjust("10 minutes")
      assert.isAbove(runs.length, 300)
      assert.deepStrictEqual(said("ERROR"), [])
    })
  )

  it.scoped(
    "is refused for its own actor for five minutes, while the events of strangers between its runs all run",
    () =>
      Effect.gen(function* () {
        const feedback = yield* Deferred.make<Effect.Effect<void>>()
        const { accept, runs, said } = yield* begin({
          scripts: ({ event }) => ({
            takes: "1 second",
            does: event.Actor.ID === "loop" ? Effect.flatten(Deferred.await(feedback)) : Effect.void
          })
        })
        // A container that dies whenever it sees what the script does, and takes three others with it.
        const die = Effect.forEach(["loop", "one", "two", "three"], (id) => accept(id, "/d/container/die"), {
          discard: true
        })
        yield* Deferred.succeed(feedback, Effect.delay(die, "500 millis"))
        yield* accept("loop", "/d/container/die")
        yield* TestClock.adjust("20 minutes")
        const refused = said("ERROR")
        assert.deepStrictEqual(refused, [
          "ERROR container/start loop: /d/container/die is skipped: this script triggers the event it runs for (a loop). Use another event, or set a cooldown. It is skipped for this actor for 5 minutes"
        ])
        const loops = eventsOf(runs, "loop").length
        for (const id of ["one", "two", "three"]) assert.strictEqual(eventsOf(runs, id).length, loops, id)
        yield* accept("loop", "/d/container/die")
        yield* TestClock.adjust("1 second")
        assert.strictEqual(eventsOf(runs, "loop").length, loops + 1)
      })
  )

  it.scoped("is not the same as a script that is retried while others send such events", () =>
    Effect.gen(function* () {
      const { accept, said } = yield* begin({ retries: 6, scripts: () => ({ fails: true }) })
      // An engine restarts a container that dies at once every minute; the retries of a run take about as long.
      for (let at = 0; at < 60; at++) {
        yield* accept("crashing", "/d/container/die")
        yield* TestClock.adjust("1 minute")
      }
      assert.deepStrictEqual(
        said("ERROR").filter((line) => !line.includes("Failed!")),
        []
      )
    }).pipe(Effect.withRandom(Random.make("retries")))
  )

  it.scoped("runs with a cooldown, as the error advises", () =>
    Effect.gen(function* () {
      const feedback = yield* Deferred.make<Effect.Effect<void>>()
      const { accept, runs, said } = yield* begin({
        scripts: () => ({ takes: "1 second", does: Effect.flatten(Deferred.await(feedback)) })
      })
      const cooled = withOptions("/d/container/start", "cooldown=1m")
      yield* Deferred.succeed(feedback, Effect.delay(accept("loop", cooled), "500 millis"))
      yield* accept("loop", cooled)
      yield* TestClock.adjust("100 minutes")
      assert.deepStrictEqual(said("ERROR"), [])
      assert.strictEqual(runs.length, 101)
    })
  )
})

describe("stopping", () => {
  const leftOver = (logs: ReadonlyArray<string>) => logs.filter((line) => line.includes("des stops"))
  const say = (count: number) => [
    `WARN des stops; ${count} accepted ${count === 1 ? "event" : "events"} did not run to the end`
  ]

  it.scoped("ends at once if nothing runs, and logs nothing", () =>
    Effect.gen(function* () {
      const { accept, logs, settle, stop } = yield* begin()
      yield* accept("a", "/s")
      yield* settle
      yield* assertEndsAfter(yield* stop, 0)
      assert.deepStrictEqual(leftOver(logs.lines), [])
    })
  )

  it.scoped("ends at once while a retry waits, and does not retry", () =>
    Effect.gen(function* () {
      const { accept, logs, runs, settle, stop } = yield* begin({ retries: 9, scripts: () => ({ fails: true }) })
      yield* accept("a", "/1", "/2")
      yield* settle
      yield* assertEndsAfter(yield* stop, 0)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(runs.length, 1)
      assert.deepStrictEqual(leftOver(logs.lines), say(1))
    })
  )

  it.scoped("counts an event whose last script waits for a retry", () =>
    Effect.gen(function* () {
      const { accept, logs, settle, stop } = yield* begin({ retries: 9, scripts: () => ({ fails: true }) })
      yield* accept("a", "/s")
      yield* settle
      yield* assertEndsAfter(yield* stop, 0)
      assert.deepStrictEqual(leftOver(logs.lines), say(1))
    })
  )

  it.scoped("does not log a retry that will not happen", () =>
    Effect.gen(function* () {
      const { accept, logs, settle, stop } = yield* begin({
        retries: 9,
        scripts: () => ({ takes: "5 seconds", fails: true })
      })
      yield* accept("a", "/s")
      yield* settle
      yield* assertEndsAfter(yield* stop, 5)
      assert.deepStrictEqual(
        logs.lines.filter((line) => line.includes("is retried")),
        []
      )
    })
  )

  it.scoped("ends at once while an event waits for a cooldown, does not run it, and counts it", () =>
    Effect.gen(function* () {
      const { accept, logs, runs, settle, stop } = yield* begin({ cooldown: "10 seconds" })
      yield* accept("a", "/s")
      yield* accept("a", "/s")
      yield* settle
      yield* assertEndsAfter(yield* stop, 0)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(eventsOf(runs), ["1"])
      assert.deepStrictEqual(leftOver(logs.lines), say(1))
    })
  )

  it.scoped("begins no script while another one ends, even if its cooldown is over", () =>
    Effect.gen(function* () {
      const { accept, logs, runs, settle, stop } = yield* begin({
        jobs: 2,
        scripts: ({ script }) => ({ takes: script === "/slow" ? "20 seconds" : 0 })
      })
      const cooled = withOptions("/cooled", "cooldown=10s")
      yield* accept("a", cooled)
      yield* accept("a", cooled)
      yield* accept("b", "/slow", "/next")
      yield* accept("b", "/s")
      yield* settle
      yield* assertEndsAfter(yield* stop, 20)
      assert.deepStrictEqual(
        runs.map(({ script }) => script),
        ["/cooled", "/slow"]
      )
      assert.deepStrictEqual(leftOver(logs.lines), say(3))
    })
  )

  it.scoped("begins no script that waited for its turn after its cooldown", () =>
    Effect.gen(function* () {
      const { accept, logs, runs, settle, stop } = yield* begin({
        scripts: ({ script }) => ({ takes: script === "/slow" ? "20 seconds" : 0 })
      })
      const cooled = withOptions("/cooled", "cooldown=10s")
      yield* accept("a", cooled)
      yield* accept("a", cooled)
      yield* accept("a", "/slow")
      yield* settle
      yield* TestClock.adjust("15 seconds")
      yield* assertEndsAfter(yield* stop, 5)
      assert.deepStrictEqual(
        runs.map(({ script }) => script),
        ["/cooled", "/slow"]
      )
      assert.deepStrictEqual(leftOver(logs.lines), say(1))
    })
  )

  for (const jobs of [1, 2]) {
    it.scoped(
      `counts the events that the end of the drain time cut off, and those that waited behind them (${jobs} jobs)`,
      () =>
        Effect.gen(function* () {
          const { accept, logs, settle, stop } = yield* begin({ jobs, scripts: () => ({ takes: "1 hour" }) })
          for (const actor of ["a", "a", "b", "a", "c", "b"]) yield* accept(actor, "/s")
          yield* settle
          yield* assertEndsAfter(yield* stop, 30)
          assert.deepStrictEqual(leftOver(logs.lines), say(6))
        })
    )
  }

  it.scoped("a drain time of 0 waits for nothing", () =>
    Effect.gen(function* () {
      const { accept, logs, runs, settle, stop } = yield* begin({ drain: 0, scripts: () => ({ takes: "1 hour" }) })
      yield* accept("a", "/s")
      yield* settle
      yield* assertEndsAfter(yield* stop, 0)
      assert.isUndefined(runs[0]?.to)
      assert.deepStrictEqual(leftOver(logs.lines), say(1))
    })
  )

  it.scoped("ends at once while des waits at the end of a feed for a cooldown", () =>
    Effect.gen(function* () {
      const { accept, close, runs, settle, stop } = yield* begin({ cooldown: "1 hour" })
      yield* accept("a", "/s")
      yield* accept("a", "/s")
      yield* close
      yield* settle
      yield* assertEndsAfter(yield* stop, 0)
      assert.deepStrictEqual(eventsOf(runs), ["1"])
    })
  )
})

describe("the variables of a run", () => {
  it.effect("are those of its event's engine only", () =>
    Effect.gen(function* () {
      const of = (engine: string) => ({ ...Testing.makeEvent({ id: engine }), engine })
      const events = ["one", "two", "three"].map(of)
      const script = { path: "/s", options: ScriptOptions.none }
      yield* Effect.gen(function* () {
        const journal = yield* Journal.Journal
        yield* journal.accept({ events, accepted: events.map((event) => ({ event, scripts: [script] })) })
        yield* journal.close
        yield* Effect.flatMap(Dispatch.Dispatch, ({ run }) => run(() => Effect.void))
        const runs = yield* Effect.flatMap(Testing.RecordedRuns, ({ all }) => all)
        assert.deepStrictEqual(
          runs.map(({ environment }) => [environment["PATH"], environment["DOCKER_HOST"], environment["DES_ENGINE"]]),
          [
            ["/bin", "unix:///1", "one"],
            ["/bin", "unix:///2", "two"],
            ["/bin", undefined, undefined]
          ]
        )
      }).pipe(
        Effect.provide(
          Dispatch.layer({
            base: { PATH: "/bin" },
            engines: {
              one: { DOCKER_HOST: "unix:///1", DES_ENGINE: "one" },
              two: { DOCKER_HOST: "unix:///2", DES_ENGINE: "two" }
            }
          }).pipe(
            Layer.provideMerge(JournalInMemory.layer()),
            Layer.provideMerge(Testing.layerRecorder()),
            Layer.provide([Trust.layerInsecure, NodeFileSystem.layer])
          )
        )
      )
    })
  )
})

describe("a failure in the end", () => {
  const notStarted = Outcome.NotStarted({ message: "no interpreter" })

  it.scoped("is reported once, after the last retry, as an event about the script", () =>
    Effect.gen(function* () {
      const { accept, close, ended, reported } = yield* begin({
        retries: 2,
        scripts: ({ script }) => ({ fails: script === "/fails" })
      })
      yield* accept("a", "/fails", "/succeeds")
      yield* close
      yield* TestClock.adjust("1 hour")
      yield* ended
      assert.deepStrictEqual(
        reported.map(({ Action, Actor, Type }) => ({ Action, Actor, Type })),
        [
          {
            Type: "des",
            Action: "failed",
            Actor: {
              ID: "/fails",
              Attributes: {
                script: "/fails",
                event: "container/start",
                actor: "a",
                attempts: "3",
                exit: "1",
                output: ""
              }
            }
          }
        ]
      )
    })
  )

  it.scoped("is not reported if a retry succeeds", () =>
    Effect.gen(function* () {
      const { accept, close, ended, reported } = yield* begin({
        retries: 1,
        scripts: ({ environment }) => ({ fails: environment["DES_ATTEMPT"] === "1" })
      })
      yield* accept("a", "/s")
      yield* close
      yield* TestClock.adjust("1 hour")
      yield* ended
      assert.deepStrictEqual(reported, [])
    })
  )

  it.scoped("of a script that could not be started is reported with the reason as its output", () =>
    Effect.gen(function* () {
      const { accept, close, ended, reported } = yield* begin({ scripts: () => ({ fails: notStarted }) })
      yield* accept("a", "/s")
      yield* close
      yield* ended
      assert.include(reported[0]?.Actor.Attributes, { exit: "127", output: "no interpreter" })
    })
  )

  it.scoped("of a script for des/failed is not reported, so that no alert triggers itself", () =>
    Effect.gen(function* () {
      const { accept, close, ended, reported, runs } = yield* begin({ scripts: () => ({ fails: true }) })
      yield* accept("des /s", "/alert")
      yield* close
      yield* ended
      assert.strictEqual(runs.length, 1)
      assert.deepStrictEqual(
        reported.map(({ Actor }) => Actor.ID),
        ["/alert"]
      )
      const failure = yield* begin({ scripts: () => ({ fails: true }) })
      yield* failure.accept("failed des /s", "/alert")
      yield* failure.close
      yield* failure.ended
      assert.strictEqual(failure.runs.length, 1)
      assert.deepStrictEqual(failure.reported, [])
    })
  )

  for (const [alert, options, expected] of [
    ["/alert", {}, ["1 0-0", "4 60-60"]],
    ["/alert", { cooldown: "10 seconds" }, ["1 0-0", "4 60-60"]],
    ["/alert", { cooldown: "2 minutes" }, ["1 0-0", "4 120-120"]],
    [withOptions("/alert", "cooldown=10s"), {}, ["1 0-0", "4 10-10"]],
    [withOptions("/alert", "cooldown=0"), {}, ["1 0-0", "2 0-0", "4 0-0"]]
  ] as const) {
    const given = typeof alert === "string" ? "" : " and a cooldown in its head"
    it.scoped(
      `of one script runs an alert ${expected.length} times within minutes, the newest one${given}: ${JSON.stringify(options)}`,
      () =>
        Effect.gen(function* () {
          const { accept, close, ended, runs } = yield* begin(options)
          yield* accept("failed des /s", alert)
          yield* accept("failed des /s", alert)
          yield* accept("failed des /other", alert)
          yield* accept("failed des /s", alert)
          yield* close
          yield* TestClock.adjust("1 hour")
          yield* ended
          const ofScript = runs.filter(({ actor }) => actor === "/s")
          assert.deepStrictEqual(times(ofScript), [...expected])
          assert.strictEqual(ofScript.at(-1)?.coalesced, expected.length === 2 ? "1" : undefined)
          assert.deepStrictEqual(times(runs.filter(({ actor }) => actor === "/other")), ["3 0-0"])
        })
    )
  }
})

describe("stop-on-failure=yes", () => {
  const first = withOptions("/d/start/10-a", "stop-on-failure=yes retries=1")
  const scripts = [first, "/d/start/20-b", "/d/start/30-c", "/d/all/10-a"] as const
  const failing = (path: string, until = Number.POSITIVE_INFINITY) => ({
    scripts: ({ environment, script }: ScriptRun): Behaviour => ({
      fails: script === path && Number(environment["DES_ATTEMPT"]) <= until
    })
  })

  it.scoped("keeps the rest of the directory from running after the script has failed in the end", () =>
    Effect.gen(function* () {
      const { accept, close, ended, reported, runs, said, skipped } = yield* begin(failing("/d/start/10-a"))
      yield* accept("a", ...scripts)
      yield* accept("b", "/d/start/20-b")
      yield* close
      yield* TestClock.adjust("1 hour")
      yield* ended
      assert.deepStrictEqual(
        runs.map(({ actor, script }) => `${actor} ${script}`),
        ["a /d/start/10-a", "a /d/start/10-a", "a /d/all/10-a", "b /d/start/20-b"]
      )
      const saying = (path: string) =>
        `container/start a: ${path} is not run, since /d/start/10-a has failed and has stop-on-failure=yes`
      assert.deepStrictEqual(skipped, ["/d/start/20-b", "/d/start/30-c"].map(saying))
      assert.deepStrictEqual(
        said("WARN").filter((line) => !line.includes("Failed!")),
        ["/d/start/20-b", "/d/start/30-c"].map((path) => `WARN ${saying(path)}`)
      )
      assert.deepStrictEqual(
        reported.map(({ Actor }) => Actor.ID),
        ["/d/start/10-a"]
      )
    })
  )

  for (const [what, options, more] of [
    ["if a retry succeeds", failing("/d/start/10-a", 1), first],
    ["if another script of the directory fails", failing("/d/start/20-b"), first],
    ["without the option", failing("/d/start/10-a"), "/d/start/10-a"]
  ] as const) {
    it.scoped(`lets the rest run ${what}`, () =>
      Effect.gen(function* () {
        const { accept, close, ended, runs, skipped } = yield* begin(options)
        yield* accept("a", more, "/d/start/20-b", "/d/start/30-c")
        yield* close
        yield* TestClock.adjust("1 hour")
        yield* ended
        assert.deepStrictEqual(
          [...new Set(runs.map(({ script }) => script))],
          ["/d/start/10-a", "/d/start/20-b", "/d/start/30-c"]
        )
        assert.deepStrictEqual(skipped, [])
      })
    )
  }
})
