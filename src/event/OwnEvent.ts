import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as DockerEvent from "./DockerEvent.ts"

/**
 * The type of des's own events. It is reserved: a record of an engine or a file that claims it is no event.
 *
 * @since 1.0.0
 * @category models
 */
export const type = "des"

/**
 * An event of des's own, at this moment of des's clock. `id` is what it is about: for most of them an engine's name, which
 * `engine` is too where it is given.
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = (fields: {
  readonly action: string
  readonly id: string
  readonly attributes: Readonly<Record<string, string>>
  readonly engine?: string
}): Effect.Effect<DockerEvent.DockerEvent> =>
  Effect.map(Clock.currentTimeMillis, (now) =>
    DockerEvent.make({ ...fields, type, timeNano: BigInt(Math.trunc(now)) * 1_000_000n })
  )
