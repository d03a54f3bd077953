import * as MutableQueue from "effect/MutableQueue"
import * as Line from "./Line.ts"

/**
 * The bytes that accepted events take, in all and of each actor.
 *
 * - `isFull`: true if there is no room for so many more. One event that is larger than all of it fits when it is alone.
 * - `share`: what one actor may take: a quarter. So the storms of three leave room for the others.
 * - `isOverShare`: true if so many more are too many for an actor.
 */
export const makeWeights = (capacity: number) => {
  const actors = new Map<string, number>()
  const share = capacity / 4
  let all = 0

  const add = (actor: string, bytes: number) => {
    all += bytes
    const ofActor = (actors.get(actor) ?? 0) + bytes
    if (ofActor === 0) actors.delete(actor)
    else actors.set(actor, ofActor)
  }

  return {
    add,
    share,
    isFull: (bytes: number) => all > 0 && all + bytes > capacity,
    isOverShare: (actor: string, bytes: number) => actors.has(actor) && (actors.get(actor) ?? 0) + bytes > share,
    isHalfFree: () => all <= capacity / 2
  }
}

/**
 * The values that wait, in lanes: those of one lane come one after the other, the lanes take turns.
 *
 * - `add`: a value waits. Its lane is looked up with the next `next`.
 * - `next`: the first value of the lane whose turn it is, which is out from then on; nothing where no lane has its turn.
 * - `out` and `back`: a value of this lane is out again, or no longer.
 * - `isEmpty`: true if no value waits.
 */
export const makeLanes = <A>() => {
  const arrived = MutableQueue.unbounded<A>()
  const lanes = new Map<string, MutableQueue.MutableQueue<A>>()
  const line = Line.make()

  const sort = (laneOf: (value: A) => string) => {
    for (let value = MutableQueue.poll(arrived, undefined); value !== undefined; ) {
      const name = laneOf(value)
      const lane = lanes.get(name) ?? MutableQueue.unbounded<A>()
      lanes.set(name, lane)
      MutableQueue.offer(lane, value)
      line.arrive(name)
      value = MutableQueue.poll(arrived, undefined)
    }
  }

  const next = (laneOf: (value: A) => string) => {
    sort(laneOf)
    const lane = line.next()
    const waiting = lane === undefined ? undefined : lanes.get(lane)
    if (lane === undefined || waiting === undefined) return undefined
    const value = MutableQueue.poll(waiting, undefined)
    if (MutableQueue.isEmpty(waiting)) lanes.delete(lane)
    line.out(lane)
    return value === undefined ? undefined : { value, lane }
  }

  return {
    add: (value: A) => void MutableQueue.offer(arrived, value),
    next,
    out: line.out,
    back: (lane: string) => line.back(lane, lanes.has(lane)),
    isEmpty: () => MutableQueue.isEmpty(arrived) && lanes.size === 0
  }
}
