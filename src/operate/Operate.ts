import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { Journal, Unfinished } from "../journal/Journal.ts"
import * as Metrics from "../Metrics.ts"
import type { Address } from "./Address.ts"
import * as Health from "./Health.ts"
import type { Recorder } from "./Recorder.ts"
import * as Scrape from "./Scrape.ts"
import type { Status } from "./Status.ts"

/** What is asked. */
export interface Asked {
  readonly version: string
  readonly engines: ReadonlyArray<string>
  /** After how long a silence a feed is checked, in milliseconds; infinite if never. */
  readonly liveness: number
  readonly recorder: Recorder
}

/** Answers: the status, and the metrics as text. */
export interface Answers {
  readonly status: Effect.Effect<Status>
  readonly metrics: Effect.Effect<string>
}

const countOf = (found: Unfinished = { events: 0, bytes: 0, oldest: undefined }) => ({
  events: found.events,
  bytes: found.bytes,
  ...(found.oldest === undefined ? {} : { oldestAt: found.oldest })
})

/** Makes what answers how des is. */
export const make = ({ engines, liveness, recorder, version }: Asked): Effect.Effect<Answers, never, Journal> =>
  Effect.gen(function* () {
    const scrape = yield* Scrape.make
    const startedAt = yield* Clock.currentTimeMillis

    const status = Effect.gen(function* () {
      const journal = yield* scrape.status
      const journalError = yield* scrape.journalError
      const now = yield* Clock.currentTimeMillis
      const feeds = engines.map((engine) => {
        const feed = Metrics.feedOf(engine)
        const why = feed.open ? undefined : recorder.closedBecause(engine)
        const watchedBy = feed.open ? undefined : journal?.watchedElsewhere?.[engine]
        return {
          engine,
          ...feed,
          ...(why === undefined ? {} : { why }),
          ...(watchedBy === undefined ? {} : { watchedBy })
        }
      })
      const reasons = Health.reasons({ now, liveness, feeds, journalError })
      return {
        version,
        pid: process.pid,
        now,
        startedAt,
        ready: reasons.length === 0,
        reasons,
        feeds,
        backlog: {
          ...countOf(journal?.accepted),
          waiting: countOf(journal?.waiting),
          running: countOf(journal?.running),
          journalBytes: journal?.size ?? 0
        },
        running: recorder.running(),
        runs: recorder.runs(),
        failures: recorder.failures(),
        gaps: recorder.gaps(),
        eventsPerMinute: recorder.eventsPerMinute(now)
      }
    })
    return { status, metrics: scrape.text }
  })

/** What a listener needs to answer requests. */
export interface Served {
  readonly address: Address
  readonly answers: Answers
}
