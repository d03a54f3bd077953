/**
 * What des counts and measures, as metrics of Effect. They are in Effect's global registry, so that every exporter of metrics finds them
 * there. This is the only place with names and help texts.
 *
 * @since 1.0.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricKey from "effect/MetricKey"
import * as MetricLabel from "effect/MetricLabel"
import * as MetricState from "effect/MetricState"
import { type DockerEvent, verb } from "./event/DockerEvent.ts"
import * as EventCatalogue from "./event/EventCatalogue.ts"

/**
 * A metric: its name as Prometheus has it, its kind, the names of its labels, and what it says.
 *
 * @since 1.0.0
 * @category models
 */
export interface Definition {
  readonly name: string
  readonly kind: "counter" | "gauge" | "histogram"
  readonly labels: ReadonlyArray<string>
  readonly help: string
}

/** A metric with its labels, which takes numbers. */
type Numeric = Pick<Metric.Metric<unknown, number, unknown>, "unsafeModify" | "unsafeUpdate" | "unsafeValue">

interface Defined extends Definition {
  /** The metric with these label values, always the same one for the same values. Who asks for it bounds them. */
  readonly of: (...values: ReadonlyArray<string>) => Numeric
}

const none: ReadonlyArray<MetricLabel.MetricLabel> = []

/** Makes a metric for each set of labels. With one metric for all of them, Effect would look for the labels at each update. */
const define = (
  make: (tags: ReadonlyArray<MetricLabel.MetricLabel>) => Numeric,
  kind: Definition["kind"],
  ...[name, help, labels]: readonly [name: string, help: string, labels: ReadonlyArray<string>]
): Defined => {
  const known = new Map<string, Numeric>()
  const of: Defined["of"] = (...values) => {
    const key = values.join("\n")
    const before = known.get(key)
    if (before !== undefined) return before
    const made = make(labels.map((label, at) => MetricLabel.make(label, values[at] ?? "")))
    known.set(key, made)
    return made
  }
  return { name, kind, labels, help, of }
}

const counter = (name: string, help: string, ...labels: ReadonlyArray<string>): Defined => {
  const key = MetricKey.counter(name, { description: help, incremental: true })
  return define((tags) => Metric.fromMetricKey(MetricKey.taggedWithLabels(key, tags)), "counter", name, help, labels)
}

const gauge = (name: string, help: string, ...labels: ReadonlyArray<string>): Defined => {
  const key = MetricKey.gauge(name, { description: help })
  return define((tags) => Metric.fromMetricKey(MetricKey.taggedWithLabels(key, tags)), "gauge", name, help, labels)
}

const histogram = (
  name: string,
  bounds: ReadonlyArray<number>,
  help: string,
  ...labels: ReadonlyArray<string>
): Defined => {
  const key = MetricKey.histogram(name, MetricBoundaries.fromIterable(bounds), help)
  return define((tags) => Metric.fromMetricKey(MetricKey.taggedWithLabels(key, tags)), "histogram", name, help, labels)
}

const metrics = {
  events: counter("des_events_total", "Events that des has read, each once.", "engine", "type", "action"),
  eventDelay: histogram(
    "des_event_delay_seconds",
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600],
    "Time from the engine's clock to the acceptance by des, of events that an engine sent.",
    "engine"
  ),
  accepted: counter("des_accepted_events_total", "Events that have a script and were passed to the journal."),
  lost: counter("des_lost_events_total", "Events that were lost because too much of their actor waited.", "engine"),
  synthetic: counter("des_synthetic_events_total", "Events that des made for changes that it missed.", "engine"),
  gaps: counter("des_gaps_total", "Gaps: events were lost, or may have been lost.", "engine", "reason"),

  feedUp: gauge("des_feed_up", "1 if the feed of the engine is open, otherwise 0.", "engine"),
  feedOpens: counter(
    "des_feed_opens_total",
    "How often the feed was opened. All but the first are reconnects.",
    "engine"
  ),
  feedOpened: gauge("des_feed_opened_timestamp_seconds", "When the feed was last opened.", "engine"),
  feedAlive: gauge(
    "des_feed_alive_timestamp_seconds",
    "When the feed last brought something, or the engine last confirmed that nothing is missing.",
    "engine"
  ),
  lastEvent: gauge("des_last_event_timestamp_seconds", "When des last accepted an event.", "engine"),

  runs: counter("des_runs_total", "Runs of scripts that have ended, or were refused.", "script", "outcome"),
  runDuration: histogram(
    "des_run_duration_seconds",
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600],
    "How long runs of scripts took.",
    "script"
  ),
  running: gauge("des_running_scripts", "Scripts that run now."),
  retries: counter("des_retries_total", "Retries of failed runs.", "script"),
  coalesced: counter(
    "des_coalesced_events_total",
    "Events that a cooldown or a wait joined to the run of a newer event.",
    "script"
  ),
  spawns: counter("des_spawns_total", "Processes that were started for scripts.", "executor"),

  backlogEvents: gauge("des_backlog_events", "Accepted events that wait or run."),
  backlogBytes: gauge("des_backlog_bytes", "Bytes of the accepted events that wait or run."),
  backlogOldest: gauge(
    "des_backlog_oldest_timestamp_seconds",
    "When the oldest event that waits or runs was accepted. 0 if there is none."
  ),
  waitingEvents: gauge("des_waiting_events", "Accepted events that wait for a free job, a cooldown or a wait."),
  waitingBytes: gauge("des_waiting_bytes", "Bytes of the accepted events that wait."),
  waitingOldest: gauge(
    "des_waiting_oldest_timestamp_seconds",
    "When the oldest event that waits was accepted. 0 if none waits."
  ),
  runningEvents: gauge("des_running_events", "Accepted events whose scripts run now, or wait for a retry."),
  runningBytes: gauge("des_running_bytes", "Bytes of the accepted events whose scripts run now."),
  runningOldest: gauge(
    "des_running_oldest_timestamp_seconds",
    "When the event that runs for the longest time began to run. 0 if none runs."
  ),
  journalSize: gauge("des_journal_size_bytes", "Size of the journal on the disk. 0 if it is in memory."),
  journalWritable: gauge(
    "des_journal_writable",
    "1 if the journal could be written when the metrics were read, otherwise 0."
  ),
  journalFree: gauge("des_journal_disk_free_bytes", "Free space on the disk of the journal (--state)."),
  journalWrite: histogram(
    "des_journal_write_seconds",
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
    "How long it took to write accepted events to the disk."
  ),
  journalDeleted: counter(
    "des_journal_deleted_events_total",
    "Old events that were deleted from the journal (--keep)."
  ),

  memory: gauge("process_resident_memory_bytes", "Resident memory of des."),
  cpu: counter("process_cpu_seconds_total", "CPU time of des, without that of scripts."),
  started: gauge("process_start_time_seconds", "When des was started."),
  loopBusy: counter("nodejs_eventloop_busy_seconds_total", "Time in which the event loop was busy."),
  loopLag: gauge("nodejs_eventloop_lag_seconds", "How late the event loop was when the metrics were read.")
}

/**
 * Every metric of des.
 *
 * @since 1.0.0
 * @category constructors
 */
export const all: ReadonlyArray<Definition> = Object.values(metrics)

const add = (defined: Defined, amount: number, ...values: ReadonlyArray<string>): void =>
  defined.of(...values).unsafeUpdate(amount, none)

/** How many pairs of a type and an action have their own label values although no engine is known to send them. */
const mostUnknown = 100

/** How many scripts have their own label value. */
const mostScripts = 200

/** What stands for label values beyond a bound. */
const other = "other"

/** What an engine can call a type or an action: only such a word becomes a label value. */
const word = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/

/** Remembers the first values, up to a bound. Returns true for a value that it remembers. */
const makeFirst = (most: number) => {
  const first = new Set<string>()
  return (value: string): boolean => {
    if (!first.has(value) && first.size < most) first.add(value)
    return first.has(value)
  }
}

const catalogued = new Set(EventCatalogue.entries.map(({ action, type }) => `${type}/${action}`))
const types = new Set<string>(EventCatalogue.entries.map(({ type }) => type))
for (const action of EventCatalogue.ownActions) catalogued.add(`${EventCatalogue.ownType}/${action}`)
types.add(EventCatalogue.ownType)

const isFirstUnknown = makeFirst(mostUnknown)

/** The counter of an event's type and action. Strangers can write any, so that what is not catalogued is bounded. */
const makeCounterOf = (engine: string) => {
  const known = new Map<string, Map<string, Numeric>>()

  /** Only what has label values of its own is remembered. */
  const find = (type: string, action: string): Numeric => {
    const isOwn =
      catalogued.has(`${type}/${action}`) ||
      (word.test(type) && word.test(action) && isFirstUnknown(`${type}/${action}`))
    if (!isOwn) return metrics.events.of(engine, types.has(type) ? type : other, other)
    const found = metrics.events.of(engine, type, action)
    const ofType = known.get(type) ?? new Map<string, Numeric>()
    known.set(type, ofType.set(action, found))
    return found
  }

  return (event: DockerEvent): Numeric => {
    const action = verb(event)
    return known.get(event.Type)?.get(action) ?? find(event.Type, action)
  }
}

/** The metrics of an engine's events. They are kept, since they are needed for each event. */
const makeOfEngine = (engine: string) => ({
  engine,
  counterOf: makeCounterOf(engine),
  delay: metrics.eventDelay.of(engine),
  last: metrics.lastEvent.of(engine)
})

const engines = new Map<string, ReturnType<typeof makeOfEngine>>()

const ofEngine = (engine: string) => {
  const found = engines.get(engine) ?? makeOfEngine(engine)
  engines.set(engine, found)
  return found
}

const isFirstScript = makeFirst(mostScripts)

const scriptLabel = (script: string): string => (isFirstScript(script) ? script : other)

/**
 * Counts events that were accepted, and measures how late they came. `count` is how many of them have scripts.
 *
 * @internal
 */
export const accepted = (events: ReadonlyArray<DockerEvent>, count: number): Effect.Effect<void> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    let of = ofEngine("")
    for (const event of events) {
      const { engine, Type: type } = event
      if (of.engine !== engine) of = ofEngine(engine)
      of.counterOf(event).unsafeUpdate(1, none)
      if (type === EventCatalogue.ownType) {
        if (event.Action === "gap") add(metrics.gaps, 1, engine, event.Actor.Attributes["reason"] ?? "")
      } else if (event.synthetic) add(metrics.synthetic, 1, engine)
      else if (engine !== "" && event.timeNano > 0n) {
        of.delay.unsafeUpdate(Math.max(0, now - Number(event.timeNano) / 1e6) / 1000, none)
        of.last.unsafeUpdate(now / 1000, none)
      }
    }
    if (count > 0) add(metrics.accepted, count)
  })

/**
 * Counts an event that was lost.
 *
 * @internal
 */
export const lost = (engine: string): void => add(metrics.lost, 1, engine)

/**
 * Notes that the feed of an engine was opened now.
 *
 * @internal
 */
export const feedOpened = (engine: string): Effect.Effect<void> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    add(metrics.feedUp, 1, engine)
    add(metrics.feedOpens, 1, engine)
    add(metrics.feedOpened, now / 1000, engine)
    add(metrics.feedAlive, now / 1000, engine)
  })

/**
 * Notes that the feed of an engine is not open.
 *
 * @internal
 */
export const feedClosed = (engine: string): Effect.Effect<void> => Effect.sync(() => add(metrics.feedUp, 0, engine))

/**
 * Notes that the feed of an engine was alive at `now`, in milliseconds.
 *
 * @internal
 */
export const feedAlive = (engine: string, now: number): void => add(metrics.feedAlive, now / 1000, engine)

/** The value of a counter or a gauge. */
const valueOf = (defined: Defined, ...values: ReadonlyArray<string>): number => {
  const state = defined.of(...values).unsafeValue(none)
  if (MetricState.isCounterState(state) || MetricState.isGaugeState(state)) {
    return Number("count" in state ? state.count : state.value)
  }
  return 0
}

/**
 * What the metrics say about the feed of an engine. Times are in milliseconds; what has not happened has none.
 *
 * @internal
 */
export const feedOf = (engine: string) => {
  const timeOf = (defined: Defined) => Math.round(valueOf(defined, engine) * 1000)
  const openedAt = timeOf(metrics.feedOpened)
  const aliveAt = timeOf(metrics.feedAlive)
  const lastEventAt = timeOf(metrics.lastEvent)
  return {
    open: valueOf(metrics.feedUp, engine) === 1,
    opens: valueOf(metrics.feedOpens, engine),
    ...(openedAt === 0 ? {} : { openedAt }),
    ...(aliveAt === 0 ? {} : { aliveAt }),
    ...(lastEventAt === 0 ? {} : { lastEventAt })
  }
}

/**
 * How a run ended, as the label `outcome` has it. `not_trusted`, `loop` and `skipped` are runs that des refused.
 *
 * @since 1.0.0
 * @category models
 */
export type RunOutcome =
  | "succeeded"
  | "failed"
  | "killed"
  | "timed_out"
  | "not_started"
  | "interrupted"
  | "not_trusted"
  | "loop"
  | "skipped"

/**
 * Counts a run that des refused.
 *
 * @internal
 */
export const refused = (script: string, outcome: RunOutcome): Effect.Effect<void> =>
  Effect.sync(() => add(metrics.runs, 1, scriptLabel(script), outcome))

/**
 * Counts and measures a run. `outcomeOf` says how it ended.
 *
 * @internal
 */
export const ran =
  <A>(script: string, outcomeOf: (result: A) => RunOutcome) =>
  <R>(run: Effect.Effect<A, never, R>): Effect.Effect<A, never, R> =>
    Effect.flatMap(Clock.currentTimeMillis, (began) => {
      metrics.running.of().unsafeModify(1, none)
      return Effect.onExit(run, (exit) =>
        Effect.map(Clock.currentTimeMillis, (ended) => {
          const label = scriptLabel(script)
          metrics.running.of().unsafeModify(-1, none)
          add(metrics.runs, 1, label, Exit.isSuccess(exit) ? outcomeOf(exit.value) : "interrupted")
          add(metrics.runDuration, Math.max(0, ended - began) / 1000, label)
        })
      )
    })

/**
 * Counts a retry.
 *
 * @internal
 */
export const retried = (script: string): Effect.Effect<void> =>
  Effect.sync(() => add(metrics.retries, 1, scriptLabel(script)))

/**
 * Counts events that were joined to the run of a newer one.
 *
 * @internal
 */
export const coalesced = (script: string, count: number): Effect.Effect<void> =>
  count === 0 ? Effect.void : Effect.sync(() => add(metrics.coalesced, count, scriptLabel(script)))

/**
 * Counts a process that was started.
 *
 * @internal
 */
export const spawned = (executor: string): void => add(metrics.spawns, 1, executor)

/**
 * Measures a write of accepted events to the disk.
 *
 * @internal
 */
export const journalWrite = <A, E, R>(write: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const began = performance.now()
    return Effect.tap(write, () => add(metrics.journalWrite, (performance.now() - began) / 1000))
  })

/**
 * Counts old events that were deleted from the journal.
 *
 * @internal
 */
export const journalDeleted = (count: number): void => add(metrics.journalDeleted, count)

/**
 * Sets whether the journal can be written.
 *
 * @internal
 */
export const journalWritable = (isWritable: boolean): void => add(metrics.journalWritable, isWritable ? 1 : 0)

/**
 * Sets how many bytes are free on the disk of the journal.
 *
 * @internal
 */
export const journalFree = (bytes: number): void => add(metrics.journalFree, bytes)

/** Events of the journal: how many, their bytes, and the time of the oldest in milliseconds. */
interface Counted {
  readonly events: number
  readonly bytes: number
  readonly oldest: number | undefined
}

/**
 * Sets what the journal says of itself.
 *
 * @internal
 */
export const journal = (status: {
  readonly accepted: Counted
  readonly waiting: Counted
  readonly running: Counted
  readonly size: number
}): void => {
  const { accepted: backlog, running, waiting } = status
  add(metrics.backlogEvents, backlog.events)
  add(metrics.backlogBytes, backlog.bytes)
  add(metrics.backlogOldest, (backlog.oldest ?? 0) / 1000)
  add(metrics.waitingEvents, waiting.events)
  add(metrics.waitingBytes, waiting.bytes)
  add(metrics.waitingOldest, (waiting.oldest ?? 0) / 1000)
  add(metrics.runningEvents, running.events)
  add(metrics.runningBytes, running.bytes)
  add(metrics.runningOldest, (running.oldest ?? 0) / 1000)
  add(metrics.journalSize, status.size)
}

/**
 * Sets what the process says of itself. `cpu` and `loopBusy` are what came since the last time. All times are in seconds.
 *
 * @internal
 */
export const processNow = (status: {
  readonly memory: number
  readonly cpu: number
  readonly started: number
  readonly loopBusy: number
  readonly loopLag: number
}): void => {
  add(metrics.memory, status.memory)
  add(metrics.cpu, status.cpu)
  add(metrics.started, status.started)
  add(metrics.loopBusy, status.loopBusy)
  add(metrics.loopLag, status.loopLag)
}
