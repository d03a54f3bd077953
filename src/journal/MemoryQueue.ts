import * as MutableQueue from "effect/MutableQueue"
import * as Line from "./Line.ts"
import * as Shares from "./Shares.ts"

/**
 * Counts the bytes of accepted events, in total and for each actor.
 *
 * - `add`: adds bytes for an actor. A negative number removes them.
 * - `all`: returns the bytes of all actors.
 * - `shares`: what each actor takes. One actor may take a quarter, so three storms leave room for other actors.
 * - `isFull`: returns true if there is no room for so many more bytes. An event that is larger than the capacity fits
 *   if it is alone.
 * - `isHalfFree`: returns true if at most half of the capacity is taken.
 */
export const makeWeights = (capacity: number) => {
  const shares = Shares.make(capacity / 4)
  let all = 0

  const add = (actor: string, bytes: number) => {
    all += bytes
    shares.add(actor, bytes)
  }

  return {
    add,
    all: () => all,
    shares,
    isFull: (bytes: number) => all > 0 && all + bytes > capacity,
    isHalfFree: () => all <= capacity / 2
  }
}

/**
 * A queue with lanes. The values of one lane come one after the other; the lanes take turns.
 *
 * - `add`: adds a value. The next call of `next` finds its lane.
 * - `next`: removes and returns the first value of the lane whose turn it is. That lane is out from then on. Returns
 *   nothing if no lane has a turn.
 * - `out`: notes that a value of this lane is out again.
 * - `back`: notes that a value of this lane is no longer out.
 * - `isEmpty`: returns true if no value waits.
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
