/**
 * Hostile engines beside an honest one, with des in a small heap: whatever a stranger does, the honest engine's events run in
 * time, des stays alive and small, and it stops when it is told to.
 */

import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Effect from "effect/Effect"
import { describe } from "vitest"
import * as Beside from "../support/Beside.ts"
import * as Program from "../support/Program.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"

const stranger = Path.join(import.meta.dirname, "..", "support", "stranger.mjs")

/** Starts an engine of this conduct for the scope, and gives its endpoint. */
const engine = (sandbox: Sandbox, name: string, conduct: string) =>
  Effect.gen(function* () {
    const socket = sandbox.path(`${name}.sock`)
    const program = yield* Program.start([process.execPath, stranger, socket, conduct], { deadline: 60_000 })
    yield* program.until("the engine listens", () => Fs.existsSync(socket))
    return `unix://${socket}`
  })

const conducts = [
  "a label of 70 MB",
  "a million labels",
  "an array of 30 million numbers",
  "arrays in arrays",
  "130 starts with 12 MB",
  "a container with 2 MB that never rests",
  "no records, only braces",
  "a ping without end",
  "information without end",
  "a list without end",
  "a refusal without end"
]

describe("beside a hostile engine", () => {
  for (const conduct of conducts) {
    test(
      `events of a well-behaved engine run in time: ${conduct}`,
      (sandbox) =>
        Effect.gen(function* () {
          sandbox.script(
            "container/start",
            `[ -z "$ACTOR_ATTRIBUTES_SENT" ] || ${Beside.note("$ACTOR_ATTRIBUTES_SENT")}`
          )
          const hostile = yield* engine(sandbox, "hostile", conduct)
          const honest = yield* engine(sandbox, "honest", "honest")
          const des = yield* Beside.start(sandbox, "-e", `hostile=${hostile}`, "-e", `honest=${honest}`)
          yield* Beside.judge(sandbox, des)
        }),
      120_000
    )
  }
})
