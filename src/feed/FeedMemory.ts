import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/**
 * A container that is believed to run: its id, what its `start` event said of it, and when it was started, in nanoseconds
 * of the engine's clock.
 *
 * @since 1.0.0
 * @category models
 */
export interface Running {
  readonly id: string
  readonly attributes: Readonly<Record<string, string>>
  readonly startedAt: bigint
}

/**
 * What is known of an engine from earlier: which one it was (nothing where it was never met), the fingerprints of its last
 * records, oldest first, the time of the last one in nanoseconds (0: none), and the containers that are believed to run.
 *
 * @since 1.0.0
 * @category models
 */
export interface Recollection {
  readonly identity: string | undefined
  readonly fingerprints: ReadonlyArray<string>
  readonly last: bigint
  readonly running: ReadonlyArray<Running>
}

/**
 * How many records are remembered: four times what an engine of today replays (moby `daemon/events/events.go`, 256).
 *
 * @since 1.0.0
 * @category models
 */
export const remembered = 1024

/**
 * What the feed remembers beyond des's own life. `recall` gives it, once, when the feed begins. `meet` replaces all of it,
 * when an engine was met for the first time or compared after a gap: the records that are known by then include those
 * that came before des and never run, and `last` is the time of the meeting where no record came yet. It is called after
 * what the gap brought was taken. What follows is remembered with each event as it is accepted; des's own events and
 * synthetic ones are no records of an engine.
 *
 * @since 1.0.0
 * @category services
 */
export class FeedMemory extends Context.Tag("des/FeedMemory")<
  FeedMemory,
  {
    readonly recall: (engine: string) => Effect.Effect<Recollection>
    readonly meet: (engine: string, met: Recollection & { readonly identity: string }) => Effect.Effect<void>
  }
>() {}

/**
 * What is known of an engine that was never met.
 *
 * @since 1.0.0
 * @category constructors
 */
export const nothing: Recollection = { identity: undefined, fingerprints: [], last: 0n, running: [] }

/**
 * Remembers nothing: every start of des is its first.
 *
 * @since 1.0.0
 * @category layers
 */
export const layerNone: Layer.Layer<FeedMemory> = Layer.succeed(FeedMemory, {
  recall: () => Effect.succeed(nothing),
  meet: () => Effect.void
})
