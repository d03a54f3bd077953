import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as DockerEvent from "./DockerEvent.ts"

/** The type of des's own events. It is reserved: des skips a record of an engine or a file that has this type. */
export const type = "des"

/**
 * Makes an event of des's own with the current time of des's clock. `id` is the subject of the event, most often the name of an engine.
 * `engine` is that name, if the event is about an engine.
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
