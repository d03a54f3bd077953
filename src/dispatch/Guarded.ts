import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { DockerEvent } from "../event/DockerEvent.ts"
import { actorOf, type JournalError } from "../journal/Journal.ts"
import * as Metrics from "../Metrics.ts"
import type * as Attempts from "./Attempts.ts"
import * as LoopGuard from "./LoopGuard.ts"
import type { Stop } from "./Stop.ts"

/** When the engine saw the event, in milliseconds since 1970. */
const timeOf = (event: DockerEvent): number => Number(event.timeNano / 1_000_000n)

const reason = `skipped: this script triggers the event it runs for (a loop). Use another event, or set a cooldown. It is skipped for this actor for ${LoopGuard.refusedFor / 60_000} minutes`

/** Runs a script unless it is self-triggering: see {@link LoopGuard}. */
export const make = (attempts: Attempts.Attempts, stop: Stop) => {
  const guard = LoopGuard.make()
  return Effect.fnUntraced(function* (due: Attempts.KeptDue): Effect.fn.Return<Attempts.End, JournalError> {
    const { event } = due.entry
    const key = `${due.script.path} ${actorOf(event)}`
    const pause = guard.judge(key, timeOf(event), yield* Clock.currentTimeMillis)
    if (pause === "loop") {
      return yield* Effect.zipRight(Metrics.refused(due.script.path, "loop"), attempts.refuse(due, reason))
    }
    if (pause > 0 && !(yield* stop.sleep(pause))) return "left"
    const from = yield* Clock.currentTimeMillis
    const end = yield* attempts.run(due, stop)
    guard.ran(key, { pause, from, to: yield* Clock.currentTimeMillis })
    return end
  })
}
