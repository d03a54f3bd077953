/** One engine that floods des with what is not an event, and an honest one beside it. */

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Des from "../../src/Des.ts"
import * as EventFeed from "../../src/feed/EventFeed.ts"
import { collectLogs } from "../support/Logs.ts"
import { poll } from "../support/Poll.ts"
import { record } from "../support/Record.ts"
import * as StandInEngine from "../support/StandInEngine.ts"

/** How much a flood sends in how many pieces, with 50 ms between them: 1.3 MB a second. */
const piece = 65_536
const pieces = 80

const events = 40

/** Text of one piece, of which each part is told from the others by its number. */
const pieceOf = (part: (number: number) => string): string => {
  let text = ""
  for (let number = 0; text.length < piece; number++) text += part(number)
  return text
}

const floods: Readonly<Record<string, string>> = {
  "records without line ends": pieceOf(() => "{}"),
  "lines that are not JSON": pieceOf((number) => `${number}x\n`),
  "records that are not events": pieceOf((number) => `{"Type":${number}}\n`)
}

/** Sends a piece again and again, as fast as it is read. */
const flood = (text: string) =>
  StandInEngine.feed(
    Array.from({ length: pieces * 2 }, (_, at) => (at % 2 === 0 ? text : Effect.sleep("50 millis"))),
    "stay"
  )

describe("a flood of one engine", () => {
  for (const [what, text] of Object.entries(floods)) {
    it.scopedLive(`of ${what} delays no event of another engine, and does not fill the log`, () =>
      Effect.gen(function* () {
        const hostile = yield* StandInEngine.make({ events: () => flood(text) })
        const honest = yield* StandInEngine.make({})
        const delays: Array<number> = []
        const sentAt = new Map<string, number>()
        const logs = collectLogs()
        const feedOf = ({ endpoint }: StandInEngine.StandInEngine) => Des.layerFeed({ endpoint })
        const feeds = EventFeed.layerMerged([feedOf(hostile), feedOf(honest)])
        yield* Stream.unwrap(Effect.map(EventFeed.EventFeed, ({ events }) => events)).pipe(
          Stream.runForEach(({ Actor }) =>
            Effect.sync(() => {
              const sent = sentAt.get(Actor.ID)
              if (sent !== undefined) delays.push(performance.now() - sent)
            })
          ),
          Effect.provide(feeds),
          Effect.provide(logs.layer),
          Effect.forkScoped
        )
        yield* poll(
          Effect.map(honest.feeds, (open) => open === 1),
          10_000
        )
        for (let count = 0; count < events; count++) {
          const id = `event ${count}`
          sentAt.set(id, performance.now())
          yield* Effect.zipRight(honest.emit(record({ id })), Effect.sleep("100 millis"))
        }
        assert.isTrue(
          yield* poll(
            Effect.sync(() => delays.length === events),
            5_000
          ),
          `${delays.length} of ${events} events came`
        )
        assert.isBelow(Math.max(...delays), 5_000, "milliseconds, as docs/limits.md promises")
        assert.isBelow(logs.lines.join("\n").length, 20_000)
        const skipped = logs.lines.filter((line) => line.includes("Skipped line"))
        assert.isTrue(skipped.length > 0 && skipped.length <= 10, `${skipped.length} lines are logged`)
      })
    )
  }
})
