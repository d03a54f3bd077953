import type { DockerEvent } from "./DockerEvent.ts"

/**
 * Events that the feed brought and nobody had room for: how many, from when to when (nanoseconds since 1970, by their own
 * times), and the last one of each container that started or died.
 *
 * @since 1.0.0
 * @category models
 */
export interface Missed {
  readonly count: number
  readonly from: bigint
  readonly to: bigint
  readonly lives: ReadonlyMap<string, DockerEvent>
}

/**
 * Nothing was missed.
 *
 * @since 1.0.0
 * @category constructors
 */
export const nothing: Missed = { count: 0, from: 0n, to: 0n, lives: new Map() }

/**
 * What was missed, with some events more. One of des's own is no engine's loss.
 *
 * @since 1.0.0
 * @category combinators
 */
export const add = (missed: Missed, events: ReadonlyArray<DockerEvent>): Missed => {
  const lives = new Map(missed.lives)
  let { from, to } = missed
  for (const event of events) {
    if (event.Type === "container" && ["start", "die"].includes(event.Action)) lives.set(event.Actor.ID, event)
    if (from === 0n || event.timeNano < from) from = event.timeNano
    if (event.timeNano > to) to = event.timeNano
  }
  return { count: missed.count + events.length, from, to, lives }
}
