import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { EngineError } from "../engine/Engine.ts"

/**
 * Watches a feed that may be dead while its connection stands: half-open, or swallowed by a proxy. It never ends but by
 * failing, when the feed is dead (`Silent`) or the engine does not answer (`Unreachable`).
 *
 * Whenever nothing was heard for the interval while somebody waits, `missing` asks the engine over another connection for
 * the records that the feed did not bring. It gives those that it can read in the time that it is given, or says that there
 * was no answer. What the feed brings a little later was on its way. To ask may take as long as the interval, so a dead feed, or an engine that hangs, is noticed within two of them.
 *
 * @since 1.0.0
 * @category combinators
 */
export const guard = (feed: {
  readonly name: string
  readonly interval: Duration.Duration
  /** When the feed was heard last, in milliseconds. */
  readonly heardAt: () => number
  readonly isAwaited: () => boolean
  readonly missing: (within: Duration.Duration) => Effect.Effect<ReadonlyArray<string> | "no answer", EngineError>
  readonly isKnown: (fingerprint: string) => boolean
}): Effect.Effect<never, EngineError> => {
  const interval = Duration.toMillis(feed.interval)
  const aLittle = Math.min(1000, interval / 4)
  const silent = (left: number) =>
    new EngineError({
      reason: "Silent",
      endpoint: feed.name,
      detail: `it does not bring what the engine has, ${left} events by now`
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
      if (feed.isAwaited()) yield* prove
      checkedAt = yield* Clock.currentTimeMillis
    })

  let checkedAt = 0
  return Effect.forever(Effect.suspend(() => check(checkedAt)))
}
