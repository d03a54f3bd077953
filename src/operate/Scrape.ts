/**
 * The metrics of des as Prometheus reads them.
 *
 * @since 1.0.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import { Journal, type JournalStatus } from "../journal/Journal.ts"
import * as Metrics from "../Metrics.ts"
import * as MetricsText from "./MetricsText.ts"

/** For how long the journal is not asked again, as a multiple of the time that its answer took. So it costs 5 % of the time at most. */
const restFactor = 20

/** For how long the journal is not asked again at least, in milliseconds. */
const leastRest = 1000

/** For how long the journal is not tried again, in milliseconds: who asks often must not make it write often. */
const probeRest = 1000

/** Asks the journal for its status, at most so often that the answers cost little. Gives the last answer in between. */
const makeJournalStatus = Effect.map(Journal, (journal) => {
  let last: JournalStatus | undefined
  let next = 0
  return Effect.gen(function* () {
    if (last !== undefined && (yield* Clock.currentTimeMillis) < next) return last
    const began = performance.now()
    last = yield* Effect.orElseSucceed(journal.status, () => last)
    next = (yield* Clock.currentTimeMillis) + Math.max(leastRest, restFactor * (performance.now() - began))
    return last
  })
})

/** Says why the journal cannot be written. */
const makeProbe = Effect.map(Journal, (journal) => {
  let next = 0
  let error: string | undefined
  return Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    if (now < next) return error
    next = now + probeRest
    error = yield* Effect.match(journal.probe, { onFailure: ({ message }) => message, onSuccess: () => undefined })
    return error
  })
})

/** How long the event loop takes to come to what is queued now, in seconds. */
const loopLag = Effect.async<number>((resume) => {
  const began = performance.now()
  setImmediate(() => resume(Effect.succeed((performance.now() - began) / 1000)))
})

/** Reads the process, and sets its metrics. */
const makeProcess = () => {
  let cpu = 0
  let busy = 0
  return Effect.map(loopLag, (lag) => {
    const { system, user } = process.cpuUsage()
    const { active } = performance.eventLoopUtilization()
    const before = { cpu, busy }
    cpu = (system + user) / 1e6
    busy = active / 1000
    Metrics.processNow({
      memory: process.memoryUsage.rss(),
      cpu: cpu - before.cpu,
      started: performance.timeOrigin / 1000,
      loopBusy: busy - before.busy,
      loopLag: lag
    })
  })
}

/**
 * Reads the metrics.
 *
 * - `status`: what the journal says of itself; undefined if it never answered. The answer can be some seconds old.
 * - `journalError`: why the journal cannot be written; undefined if it can. The answer can be a second old.
 * - `text`: all metrics of des in Prometheus' text format.
 *
 * @since 1.0.0
 * @category models
 */
export interface Scrape {
  readonly status: Effect.Effect<JournalStatus | undefined>
  readonly journalError: Effect.Effect<string | undefined>
  readonly text: Effect.Effect<string>
}

/**
 * The content type of the text.
 *
 * @since 1.0.0
 * @category constructors
 */
export const contentType = MetricsText.contentType

/**
 * Makes what reads the metrics of des: those that des counts all the time, and those about the journal and the process, which are
 * read when they are asked for. A process makes one of it.
 *
 * @example
 * import { Journal, Scrape } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 *
 * export const page = Effect.flatMap(Scrape.make, ({ text }) => text).pipe(Effect.provide(Journal.layerMemory()))
 *
 * @since 1.0.0
 * @category constructors
 */
export const make: Effect.Effect<Scrape, never, Journal> = Effect.gen(function* () {
  const status = yield* makeJournalStatus
  const journalError = yield* makeProbe
  const readProcess = makeProcess()
  const text = Effect.gen(function* () {
    const found = yield* status
    if (found !== undefined) Metrics.journal(found)
    Metrics.journalWritable((yield* journalError) === undefined)
    yield* readProcess
    const snapshot = yield* Metric.snapshot
    return MetricsText.format(
      snapshot,
      Metrics.all.map(({ name }) => name)
    )
  })
  return { status, journalError, text }
})
