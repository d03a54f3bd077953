import { assert, describe, it } from "@effect/vitest"
import { EngineError } from "../../src/engine/Engine.ts"
import * as Outage from "../../src/feed/Outage.ts"

const error = (reason: EngineError["reason"]) => new EngineError({ reason, endpoint: "e", detail: "why" })

type Step =
  | { readonly at: number; readonly opened: true }
  | { readonly at: number; readonly lost: EngineError["reason"] }

/** What is said and told over these steps, in seconds: `W`, `I` or `D` for the level, and a `!` where an event is told. */
const play = (...steps: ReadonlyArray<Step>) => {
  let outage = Outage.begin
  return steps.map((step) => {
    if ("opened" in step) {
      const change = Outage.opened(outage, "e", "what", step.at * 1000)
      outage = change.outage
      return `${change.line.level[0]} ${change.line.message}${change.isNewlyConnected ? " !" : ""}`
    }
    const change = Outage.lost(outage, error(step.lost), step.at * 1000, 1)
    outage = change.outage
    const said = change.line === undefined ? "-" : `${change.line.level[0]} ${change.line.message}`
    return `${said}${change.isNewlyDisconnected ? " !" : ""} ${change.delay}`
  })
}

const opened = (at: number): Step => ({ at, opened: true })
const lost = (at: number, reason: EngineError["reason"]): Step => ({ at, lost: reason })

describe("an outage", () => {
  const cases: ReadonlyArray<readonly [what: string, steps: ReadonlyArray<Step>, said: ReadonlyArray<string>]> = [
    ["that did not happen gives one line", [opened(0)], ["I watching e for events (what) !"]],
    [
      "at the start is warned of once, and its end is a warning, too",
      [lost(0, "Unreachable"), lost(1, "Unreachable"), opened(2)],
      ["W no engine can be reached at e: why; des retries 500", "- 1000", "W watching e for events (what) !"]
    ],
    [
      "that ends at once is logged at debug level only",
      [opened(0), lost(60, "Ended"), opened(60), lost(62, "Broken"), opened(62.5)],
      [
        "I watching e for events (what) !",
        "D the engine at e ended the feed; des opens it again 0",
        "D the feed of e is open again",
        "D the feed of e broke off: why; des opens it again 500",
        "D the feed of e is open again"
      ]
    ],
    [
      "of a dead feed is a warning, and its end is one, too",
      [opened(0), lost(60, "Silent"), opened(60), lost(120, "Ended"), opened(120)],
      [
        "I watching e for events (what) !",
        "W the feed of e has stalled: why; des opens it again 0",
        "W the feed of e is open again",
        "D the engine at e ended the feed; des opens it again 0",
        "D the feed of e is open again"
      ]
    ],
    [
      "of an engine that hangs is told at once",
      [opened(0), lost(60, "Unreachable"), lost(70, "Unreachable"), opened(71)],
      [
        "I watching e for events (what) !",
        "W no engine can be reached at e: why; des retries ! 0",
        "- 500",
        "W the feed of e is open again !"
      ]
    ],
    [
      "of an engine that is away is told when opening it again has failed",
      [opened(0), lost(60, "Ended"), lost(60, "Unreachable"), lost(61, "Refused"), opened(62)],
      [
        "I watching e for events (what) !",
        "D the engine at e ended the feed; des opens it again 0",
        "W no engine can be reached at e: why; des retries ! 500",
        "W the engine at e refused: why; des retries 1000",
        "W the feed of e is open again !"
      ]
    ],
    [
      "of a feed that is cut again and again is told when the waits are long",
      [0, 1, 2, 3, 4, 5].flatMap((at) => [opened(60 * at), lost(60 * at + 0.5, "Broken")]),
      [
        "I watching e for events (what) !",
        "D the feed of e broke off: why; des opens it again 500",
        "D the feed of e is open again",
        "D the feed of e broke off: why; des opens it again 1000",
        "D the feed of e is open again",
        "D the feed of e broke off: why; des opens it again 2000",
        "D the feed of e is open again",
        "D the feed of e broke off: why; des opens it again 4000",
        "D the feed of e is open again",
        "W the feed of e broke off: why; des retries ! 8000",
        "W the feed of e is open again !",
        "W the feed of e broke off: why; des retries ! 16000"
      ]
    ]
  ]
  for (const [what, steps, said] of cases) {
    it(what, () => assert.deepStrictEqual(play(...steps), said))
  }

  it("never delays the next attempt by more than half a minute, or by more than the feed lasted", () => {
    let outage = Outage.begin
    for (let failures = 0; failures < 2000; failures++) {
      const change = Outage.lost(outage, error("Unreachable"), 0, 1)
      outage = change.outage
      assert.strictEqual(change.delay, Math.min(500 * 2 ** Math.min(failures, 16), 30_000))
    }
    const open = Outage.opened(outage, "e", "what", 0).outage
    assert.strictEqual(Outage.lost(open, error("Ended"), 2000, 1.25).delay, 2500)
  })
})
