import * as MutableQueue from "effect/MutableQueue"
import * as Line from "./Line.ts"

/**
 * The bytes that accepted events take, in all and of each actor.
 *
 * `isFull` says that there is no room in all. `isOverShare` says that a heavy actor has taken its share: it may take as much as
 * is still free. So one actor gets half of the queue, two get a third each, and the others always have room. An actor with
 * less than an eighth of the queue is not heavy.
 */
export const makeWeights = (capacity: number) => {
  const actors = new Map<string, number>()
  let all = 0

  const add = (actor: string, bytes: number) => {
    all += bytes
    const ofActor = (actors.get(actor) ?? 0) + bytes
    if (ofActor === 0) actors.delete(actor)
    else actors.set(actor, ofActor)
  }

  return {
    add,
    isFull: (bytes: number) => all > 0 && all + bytes > capacity,
    isOverShare: (actor: string, bytes: number) => {
      const ofActor = actors.get(actor) ?? 0
      return ofActor > capacity / 8 && ofActor + bytes > capacity - all
    },
    // Far below the half that one actor can fill: else the queue would be full and not full by turns.
    isLight: () => all <= capacity / 4
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
