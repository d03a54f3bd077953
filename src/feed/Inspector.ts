import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { Engine } from "../engine/Engine.ts"
import * as Inspection from "./Inspection.ts"

/** How long the answers about all containers of one batch of events may take. Meanwhile no feed gets on. */
const patience = Duration.seconds(1)

/** An engine that does not answer one question for this long is slow. A shorter question had only the rest of its batch's time. */
const slow = Duration.millis(500)

/** After an engine was slow, it is not asked for this long. So it can hold up the feeds for a small part of the time only. */
const pause = Duration.seconds(30)

/** How many containers are asked about at once. */
const concurrency = 8

/** The largest inspect data of a container, in bytes: as long as a record that is not large. */
const largestInspect = 65_536

/** Gets the lines for scripts with `inspect=yes`, by the ids of containers. It never fails. */
export type Inspect = (ids: Iterable<string>) => Effect.Effect<ReadonlyMap<string, string>>

const late = "the engine did not answer in time"

const crowded = "too many containers had events at once, and des had no time to ask about all of them"

/**
 * Asks an engine about containers, within bounds of time and bytes. What it answered last about a container stands in
 * when it does not answer, or the container is gone.
 */
export const make = (engine: Pick<Engine["Type"], "inspectText" | "name">): Inspect => {
  const memory = Inspection.makeMemory()
  let pausedUntil = 0

  const ask = (id: string) =>
    engine.inspectText(id, largestInspect).pipe(
      Effect.map(Option.match({ onNone: () => Either.left("the container is gone"), onSome: Inspection.onOneLine })),
      Effect.catchAll(({ message }) => Effect.succeed(Either.left(message)))
    )

  const noteLate = Effect.fnUntraced(function* (id: string) {
    const now = yield* Clock.currentTimeMillis
    if (now < pausedUntil) return
    pausedUntil = now + Duration.toMillis(pause)
    yield* Effect.logWarning(
      `${engine.name} did not describe container ${id.slice(0, 12)} in time: scripts with inspect=yes get what des saw last, and des asks again in ${Duration.format(pause)}`
    )
  })

  const askUntil = Effect.fnUntraced(function* (id: string, deadline: number) {
    const now = yield* Clock.currentTimeMillis
    if (now < pausedUntil) return Either.left(`${late}; des asks again in up to ${Duration.format(pause)}`)
    if (now >= deadline) return Either.left(crowded)
    const answer = yield* Effect.timeoutOption(ask(id), deadline - now)
    if (Option.isSome(answer)) return answer.value
    if (deadline - now < Duration.toMillis(slow)) return Either.left(crowded)
    yield* noteLate(id)
    return Either.left(late)
  })

  const lineOf = Effect.fnUntraced(function* (id: string, deadline: number) {
    const at = yield* Clock.currentTimeMillis
    const answer = Either.map(yield* askUntil(id, deadline), (text) => ({ text, at }))
    if (Either.isRight(answer)) memory.put(id, answer.right)
    return Inspection.lineOf(answer, memory.get(id))
  })

  return Effect.fnUntraced(function* (ids: Iterable<string>) {
    const deadline = (yield* Clock.currentTimeMillis) + Duration.toMillis(patience)
    const lines = yield* Effect.forEach(
      new Set(ids),
      (id) => Effect.map(lineOf(id, deadline), (line) => [id, line] as const),
      {
        concurrency
      }
    )
    return new Map(lines)
  })
}
