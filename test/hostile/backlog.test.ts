/** A container whose backlog is larger than what des keeps of it in memory. */

import * as Effect from "effect/Effect"
import { assert } from "vitest"
import { record } from "../support/Record.ts"
import { test } from "../support/Sandbox.ts"

const line = (text: string) => `${text}\n`

test(
  "the storm of one container delays no other, with several jobs, and its backlog stays on the disk",
  (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/health_status", "echo >>storm; until test -e go; do sleep 0.05; done")
      sandbox.script("container/start", "echo $ACTOR_ID >>ran")
      const label = "x".repeat(2_000_000)
      const args = ["-d", sandbox.dir, "--from", "-", "--state", sandbox.path("state"), "--jobs", "8"]
      const des = yield* sandbox.start(args, { stdin: "open", deadline: 60_000 })
      const storm = (number: number) =>
        record({ Action: "health_status: healthy", id: "storm", attributes: { label, number: String(number) } })
      for (let at = 0; at < 20; at++) yield* des.write(line(storm(at)))
      const others = Array.from({ length: 60 }, (_, at) => `other${at}`)
      yield* des.write(others.map((id) => line(record({ id }))).join(""))
      yield* des.until("the runs of the others", () => sandbox.lines("ran").length === others.length)
      assert.lengthOf(sandbox.lines("storm"), 1)
      sandbox.write("go", "")
      yield* des.until("the storm's end", () => sandbox.lines("storm").length === 20)
    }),
  90_000
)
