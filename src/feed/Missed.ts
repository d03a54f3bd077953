import type { DockerEvent } from "../event/DockerEvent.ts"
import { turn } from "./Belief.ts"

/**
 * Events of one engine that the feed brought and nobody had room for: how many, from when to when (nanoseconds since 1970, by their own
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
 * What was missed, with one event more.
 *
 * @since 1.0.0
 * @category combinators
 */
export const add = (missed: Missed, event: DockerEvent): Missed =>
  concat(missed, {
    count: 1,
    from: event.timeNano,
    to: event.timeNano,
    lives: new Map(turn(event) === undefined ? [] : [[event.Actor.ID, event]])
  })

/**
 * What was missed then and later.
 *
 * @since 1.0.0
 * @category combinators
 */
export const concat = (earlier: Missed, later: Missed): Missed =>
  earlier.count === 0
    ? later
    : {
        count: earlier.count + later.count,
        from: earlier.from,
        to: later.to,
        lives: new Map([...earlier.lives, ...later.lives])
      }
