import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Des from "../src/Des.ts"
import * as Dispatch from "../src/dispatch/Dispatch.ts"
import * as EventCatalogue from "../src/event/EventCatalogue.ts"
import { EventFeed } from "../src/feed/EventFeed.ts"
import * as Journal from "../src/journal/Journal.ts"
import * as JournalInMemory from "../src/journal/JournalInMemory.ts"
import * as Metrics from "../src/Metrics.ts"
import * as Scrape from "../src/operate/Scrape.ts"
import { ScriptDirectory } from "../src/scripts/ScriptDirectory.ts"
import * as ScriptOptions from "../src/scripts/ScriptOptions.ts"
import { Outcome, type ScriptRun, ScriptRunner } from "../src/scripts/ScriptRunner.ts"
import * as Trust from "../src/scripts/Trust.ts"
import { makeEvent } from "../src/testing.ts"
import { poll } from "./support/Poll.ts"
import { samples } from "./support/Samples.ts"
import * as StandInEngine from "./support/StandInEngine.ts"

type Event = ReturnType<typeof makeEvent>

const feedOf = (events: ReadonlyArray<Event>) => {
  const all = Stream.fromIterable(events)
  return Layer.succeed(EventFeed, { engines: [], events: all, resume: () => all })
}

/** Runs des over these events, which all have the script of their own action. */
const runOver = (
  events: ReadonlyArray<Event>,
  options: Partial<Dispatch.DispatchOptions> & {
    readonly run?: (run: ScriptRun) => Effect.Effect<Outcome>
    readonly head?: Partial<ScriptOptions.ScriptOptions>
    readonly trust?: Layer.Layer<Trust.Trust>
  } = {}
) => {
  const { head, run = () => Effect.succeed(Outcome.Exited({ code: 0, message: "" })), trust, ...others } = options
  const scripts = Layer.succeed(ScriptDirectory, {
    find: (type, verb) =>
      Effect.succeed(
        (type === "container" && EventCatalogue.entries.some(({ action }) => action === verb) ? ["a", "b"] : []).map(
          (name) => ({ path: `/d/${type}/${verb}/${name}`, options: { ...ScriptOptions.none, ...head } })
        )
      )
  })
  const runner = Layer.succeed(ScriptRunner, { run })
  return Des.run.pipe(
    Effect.provide(Layer.mergeAll(feedOf(events), scripts, Dispatch.layer({ base: {}, ...others }))),
    Effect.provide(JournalInMemory.layer()),
    Effect.provide([runner, trust ?? Trust.layerInsecure, NodeFileSystem.layer])
  )
}

describe("the metrics", () => {
  it.effect("count events by engine, type and action, and measure their delay by the engine's clock", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 hour")
      const event = { ...makeEvent({ timeNano: 3_599_800_000_000n }), engine: "one" }
      const exec = {
        ...makeEvent({ action: "exec_create: sh -c secret", timeNano: 3_600_000_000_000n }),
        engine: "one"
      }
      yield* runOver([event, event, exec, { ...event, synthetic: true }])
      const found = yield* samples('engine="one"')
      assert.include(found, 'des_events_total{engine="one",type="container",action="start"} 3')
      assert.include(found, 'des_events_total{engine="one",type="container",action="exec_create"} 1')
      assert.include(found, 'des_synthetic_events_total{engine="one"} 1')
      assert.include(found, 'des_event_delay_seconds_bucket{engine="one",le="0.1"} 1')
      assert.include(found, 'des_event_delay_seconds_bucket{engine="one",le="0.25"} 3')
      assert.include(found, 'des_event_delay_seconds_count{engine="one"} 3')
      assert.include(found, 'des_last_event_timestamp_seconds{engine="one"} 3600')
      assert.notInclude(found.join("\n"), "secret")
    })
  )

  it.effect("have a bounded number of labels, whatever types and actions an engine sends", () =>
    Effect.gen(function* () {
      const strange = Array.from({ length: 500 }, (_, at) => ({ ...makeEvent({ action: `act${at}` }), engine: "two" }))
      const hostile = ['x"} 1\nforged', "../../etc", " ", "", "é", "a".repeat(65)].flatMap((name) => [
        { ...makeEvent({ action: name }), engine: "two" },
        { ...makeEvent({ type: name }), engine: "two" }
      ])
      yield* runOver([...strange, ...hostile, { ...makeEvent({ action: "top" }), engine: "two" }])
      const found = (yield* samples('engine="two"')).filter((line) => line.startsWith("des_events_total"))
      assert.isAtMost(found.length, 104)
      assert.include(found, 'des_events_total{engine="two",type="container",action="act0"} 1')
      assert.include(found, 'des_events_total{engine="two",type="container",action="other"} 406')
      assert.include(found, 'des_events_total{engine="two",type="other",action="other"} 6')
      assert.include(found, 'des_events_total{engine="two",type="container",action="top"} 1', "known ones always")
    })
  )
})

describe("the metrics of runs", () => {
  const outcomes: Readonly<Record<string, Outcome>> = {
    destroy: Outcome.Exited({ code: 0, message: "" }),
    die: Outcome.Exited({ code: 3, message: "" }),
    oom: Outcome.Killed({ signal: "SIGKILL", message: "" }),
    pause: Outcome.TimedOut({ after: Duration.seconds(1), message: "" }),
    unpause: Outcome.NotStarted({ message: "" })
  }

  it.effect("count each run by its script and how it ended, and measure it", () =>
    Effect.gen(function* () {
      const run = ({ event }: ScriptRun) =>
        Effect.succeed(outcomes[event.Action] ?? Outcome.NotStarted({ message: "" }))
      yield* runOver(
        Object.keys(outcomes).map((action) => makeEvent({ action })),
        { run }
      )
      const found = yield* samples('/a",outcome=')
      for (const [action, outcome] of [
        ["destroy", "succeeded"],
        ["die", "failed"],
        ["oom", "killed"],
        ["pause", "timed_out"],
        ["unpause", "not_started"]
      ]) {
        assert.include(found, `des_runs_total{script="/d/container/${action}/a",outcome="${outcome}"} 1`)
      }
      assert.include(
        yield* samples("des_run_duration_seconds_count"),
        'des_run_duration_seconds_count{script="/d/container/pause/a"} 1'
      )
      assert.include(yield* samples("des_running_scripts"), "des_running_scripts 0")
    })
  )

  it.effect("count what des refused: not trusted, and skipped after a failure", () =>
    Effect.gen(function* () {
      const refuse = (path: string) =>
        path.endsWith("/a")
          ? new Trust.UntrustedError({ reason: "Owner", path, detail: "belongs to user 7", fix: "chown root" })
          : Effect.void
      const trust = Layer.succeed(Trust.Trust, { check: refuse })
      yield* runOver([makeEvent({ action: "kill" })], { trust, head: { stopOnFailure: true } })
      const found = yield* samples("/d/container/kill")
      assert.include(found, 'des_runs_total{script="/d/container/kill/a",outcome="not_trusted"} 1')
      assert.include(found, 'des_runs_total{script="/d/container/kill/b",outcome="skipped"} 1')
    })
  )

  it.effect("count retries, and the scripts that run now", () =>
    Effect.gen(function* () {
      const running: Array<string> = []
      const run = () =>
        Effect.gen(function* () {
          running.push(...(yield* samples("des_running_scripts")))
          yield* Effect.sleep("2 seconds")
          return Outcome.Exited({ code: 1, message: "" })
        })
      const fiber = yield* Effect.fork(runOver([makeEvent({ action: "restart" })], { run, retries: 1 }))
      // Before the first run files are read, for which the clock does not wait.
      yield* Effect.repeat(Effect.zipRight(TestClock.adjust("1 second"), Fiber.poll(fiber)), { until: Option.isSome })
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(new Set(running), new Set(["des_running_scripts 1"]))
      const found = yield* samples("/d/container/restart/a")
      assert.include(found, 'des_retries_total{script="/d/container/restart/a"} 1')
      assert.include(found, 'des_runs_total{script="/d/container/restart/a",outcome="failed"} 2')
      // The wait before a retry is random, so the clock has fractions of a millisecond, and the sum is rounded.
      const sum = found.find((line) => line.startsWith("des_run_duration_seconds_sum{"))
      assert.closeTo(Number(sum?.split(" ").at(-1)), 4, 1e-9)
    })
  )
})

describe("the metrics of a feed", () => {
  it.scopedLive("say whether it is open, since when, and how often it was opened", () =>
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({
        events: (number) => StandInEngine.feed([], number === 0 ? "end" : "stay")
      })
      const fiber = yield* Effect.fork(
        Effect.provide(
          Effect.flatMap(EventFeed, ({ events }) => Stream.runDrain(events)),
          Des.layerFeed({ endpoint: engine.endpoint, name: "three" })
        )
      )
      const has = (sample: string) => Effect.map(samples('engine="three"'), (found) => found.includes(sample))
      assert.isTrue(yield* poll(has('des_feed_opens_total{engine="three"} 2'), 10_000))
      assert.isTrue(yield* has('des_feed_up{engine="three"} 1'))
      const [opened = "", alive = ""] = yield* samples('timestamp_seconds{engine="three"}')
      assert.match(opened, /^des_feed_opened_timestamp_seconds.* 1\d{9}/)
      assert.match(alive, /^des_feed_alive_timestamp_seconds.* 1\d{9}/)
      yield* Fiber.interrupt(fiber)
      assert.isTrue(yield* has('des_feed_up{engine="three"} 0'))
    })
  )

  it.scopedLive("say that a silent feed is alive when the engine confirms that nothing is missing", () =>
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({ events: () => StandInEngine.feed([], "stay") })
      yield* Effect.forkScoped(
        Effect.provide(
          Effect.flatMap(EventFeed, ({ events }) => Stream.runDrain(events)),
          Des.layerFeed({ endpoint: engine.endpoint, name: "four", liveness: "100 millis" })
        )
      )
      const isProven = Effect.sync(() => {
        const { aliveAt = 0, openedAt = 0 } = Metrics.feedOf("four")
        return openedAt > 0 && aliveAt > openedAt + 50
      })
      assert.isTrue(yield* poll(isProven, 10_000))
    })
  )
})

describe("the metrics of the journal and the process", () => {
  it.effect("are read when they are asked for", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("10 seconds")
      const journal = yield* Journal.Journal
      const { text } = yield* Scrape.make
      const events = [makeEvent({ id: "1" }), makeEvent({ id: "2" })]
      const script = { path: "/s", options: ScriptOptions.none }
      yield* journal.accept({ events, accepted: events.map((event) => ({ event, scripts: [script] })) })
      const lines = (yield* text).split("\n")
      assert.include(lines, "des_backlog_events 2")
      assert.include(lines, "des_backlog_oldest_timestamp_seconds 10")
      assert.include(lines, "des_journal_size_bytes 0")
      for (const name of ["des_backlog_bytes", "process_resident_memory_bytes", "process_cpu_seconds_total"]) {
        const [, value] = lines.map((line) => line.split(" ")).find(([sample]) => sample === name) ?? []
        assert.isAbove(Number(value), 0, name)
      }
      const taken = Option.getOrThrow(yield* journal.take("fair"))
      yield* TestClock.adjust("1 minute")
      yield* journal.begin(taken, script, 1)
      const during = (yield* text).split("\n")
      for (const sample of ["waiting_events 1", "waiting_oldest_timestamp_seconds 10", "running_events 1"]) {
        assert.include(during, `des_${sample}`)
      }
      assert.include(during, "des_running_oldest_timestamp_seconds 70")
      yield* journal.finish(taken.id, "succeeded")
      assert.include(yield* text, "des_backlog_events 2\n", "the journal is not asked again at once")
      yield* TestClock.adjust("1 minute")
      assert.include(yield* text, "des_backlog_events 1\n")
      assert.include(yield* text, "des_running_events 0\n")
      assert.include(yield* text, "des_running_oldest_timestamp_seconds 0\n")
    }).pipe(Effect.provide(JournalInMemory.layer()))
  )
})

// The last one, since it leaves no room for the scripts of others.
describe("the metrics of scripts", () => {
  it.effect("have a bounded number of scripts", () =>
    Effect.gen(function* () {
      for (let at = 0; at < 300; at++) yield* Metrics.retried(`/many/${at}`)
      const found = yield* samples("des_retries_total")
      assert.isAtMost(found.length, 201)
      assert.isTrue(found.some((line) => line.startsWith('des_retries_total{script="other"} ')))
    })
  )
})

describe("docs/operating.md", () => {
  it("has the metrics of the code, with their kinds, labels and help texts", () => {
    const page = readFileSync(join(import.meta.dirname, "..", "docs", "operating.md"), "utf8")
    const rows = page.split("\n").filter((line) => /^\| `\w+` \| (counter|gauge|histogram) /.test(line))
    assert.deepStrictEqual(
      rows,
      Metrics.all.map(
        ({ help, kind, labels, name }) =>
          `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${help} |`
      )
    )
  })

  it("names each outcome of a run", () => {
    const page = readFileSync(join(import.meta.dirname, "..", "docs", "operating.md"), "utf8")
    const outcomes: Record<Metrics.RunOutcome, true> = {
      succeeded: true,
      failed: true,
      killed: true,
      timed_out: true,
      not_started: true,
      interrupted: true,
      not_trusted: true,
      loop: true,
      skipped: true
    }
    for (const outcome of Object.keys(outcomes)) assert.include(page, `\`${outcome}\``)
  })
})
