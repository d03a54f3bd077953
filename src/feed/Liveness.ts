import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { EngineError } from "../engine/Engine.ts"
import * as Metrics from "../Metrics.ts"

/**
 * Checks that a feed is alive. A feed can be dead while its connection looks open: the other end is gone, or a proxy drops the bytes. The
 * effect never succeeds. It fails with `Silent` if the feed is dead, and with `Unreachable` if the engine does not answer.
 *
 * If the feed was silent for one interval while somebody waits for an event, des asks the engine over another connection for its latest
 * records. If the feed still lacks some of them a moment later, it is dead. The question may take one interval. So des notices a dead
 * feed, or an engine that hangs, within two intervals.
 */
export const guard = (feed: {
  /** The name of the engine. */
  readonly name: string
  /** How long the feed may be silent before des asks the engine. */
  readonly interval: Duration.Duration
  /** The time when the feed last brought something, in milliseconds. */
  readonly heardAt: () => number
  /** True while somebody waits for an event. */
  readonly isAwaited: () => boolean
  /** Gives the fingerprints that the feed did not bring, as many as it can read in the given time. */
  readonly missing: (within: Duration.Duration) => Effect.Effect<ReadonlyArray<string> | "no answer", EngineError>
  /** True if the feed has brought a record with this fingerprint. */
  readonly isKnown: (fingerprint: string) => boolean
}): Effect.Effect<never, EngineError> => {
  const interval = Duration.toMillis(feed.interval)
  const aLittle = Math.min(1000, interval / 4)
  const silent = (left: number) =>
    new EngineError({
      reason: "Silent",
      endpoint: feed.name,
      detail: `it did not bring ${left} events that the engine has`
    })
  const away = () =>
    new EngineError({
      reason: "Unreachable",
      endpoint: feed.name,
      detail: `its feed brings nothing, and it does not answer in ${Duration.format(feed.interval)}`
    })

  const prove = Effect.gen(function* () {
    const missing = yield* feed.missing(Duration.times(feed.interval, 0.5))
    if (missing === "no answer") return yield* away()
    if (missing.length === 0) return
    yield* Effect.sleep(aLittle)
    const left = missing.filter((fingerprint) => !feed.isKnown(fingerprint)).length
    if (left > 0) return yield* silent(left)
  }).pipe(Effect.timeoutFail({ duration: feed.interval, onTimeout: away }))

  const check = (since: number): Effect.Effect<void, EngineError> =>
    Effect.gen(function* () {
      const now = yield* Clock.currentTimeMillis
      const left = Math.max(since, feed.heardAt()) + interval - now
      if (left > 0) return yield* Effect.sleep(left)
      const isAwaited = feed.isAwaited()
      if (isAwaited) yield* prove
      checkedAt = yield* Clock.currentTimeMillis
      if (isAwaited) Metrics.feedAlive(feed.name, checkedAt)
    })

  let checkedAt = 0
  return Effect.forever(Effect.suspend(() => check(checkedAt)))
}
