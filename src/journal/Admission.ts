import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { DockerEvent } from "../event/DockerEvent.ts"
import type { Accepted } from "./Journal.ts"

/**
 * About how many bytes of memory an accepted event takes: its record as UTF-16, the decoded record, objects, and inspect data.
 */
export const weigh = (accepted: {
  readonly event: Pick<DockerEvent, "record">
  readonly inspected?: string | null
}): number => 1024 + 4 * accepted.event.record.length + 2 * (accepted.inspected?.length ?? 0)

/**
 * How many characters make a record large. To read it, to write it to the disk and to start a script with it takes so
 * much time that a storm of such records would delay the events of others.
 */
export const largeFrom = 65_536

/** True if an event of an engine has a large record. An event of a file is never large, since a file can wait. */
export const isLarge = ({ engine, record }: Pick<DockerEvent, "engine" | "record">): boolean =>
  engine !== "" && record.length > largeFrom

/**
 * Separates the events that happened more than `maxAge` milliseconds ago, and logs that they are skipped. An event
 * without a time is never too old.
 */
export const splitByAge = (accepted: ReadonlyArray<Accepted>, maxAge: number) =>
  Effect.gen(function* () {
    if (maxAge === Number.POSITIVE_INFINITY) return { fresh: accepted, tooOld: [] }
    const oldest = BigInt(Math.floor((yield* Clock.currentTimeMillis) - maxAge)) * 1_000_000n
    const [tooOld, fresh] = Arr.partition(accepted, ({ event }) => event.timeNano >= oldest || event.timeNano === 0n)
    if (tooOld.length > 0) yield* sayTooOld(tooOld.length, maxAge)
    return { fresh, tooOld }
  })

/** Logs how many events are skipped because they are too old. */
export const sayTooOld = (count: number, maxAge: number): Effect.Effect<void> =>
  Effect.logWarning(
    `${count} ${count === 1 ? "event is" : "events are"} skipped: older than --max-age (${Duration.format(maxAge)})`
  )
