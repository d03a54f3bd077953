import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Sieve from "../../src/engine/Sieve.ts"
import * as DockerEvent from "../../src/event/DockerEvent.ts"
import * as Fingerprint from "../../src/event/Fingerprint.ts"
import * as Lines from "../../src/event/Lines.ts"
import { decodeRecords } from "../../src/event/Records.ts"
import type { SkippedLine } from "../../src/event/SkippedLines.ts"
import * as SkippedLines from "../../src/event/SkippedLines.ts"
import { collectLogs } from "../support/Logs.ts"
import { record } from "../support/Record.ts"

const encode = (text: string) => new TextEncoder().encode(text)

/** The names of the events in these pieces, and what was skipped. */
const decodeAll = (pieces: Iterable<Uint8Array>) => {
  const skipped: Array<SkippedLine> = []
  return Stream.fromIterable(pieces).pipe(
    // Each piece is a chunk of its own, as a socket gives them.
    Stream.rechunk(1),
    decodeRecords({ source: "FEED", report: (line) => Effect.sync(() => void skipped.push(line)) }),
    Stream.runCollect,
    Effect.map((events) => ({ ids: Chunk.toReadonlyArray(events).map(({ Actor }) => Actor.ID), skipped }))
  )
}

function* inPieces(text: string, size: number): Generator<Uint8Array> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

describe("a large record that is not wanted", () => {
  const label = "x".repeat(300_000)

  it.effect("is not decoded and is counted; other records of its actor and large ones of others are decoded", () =>
    Effect.gen(function* () {
      const lost: Array<string> = []
      const feed = [
        record({ id: "storm" }),
        record({ id: "storm", Action: "exec_die", attributes: { label } }),
        record({ id: "other", attributes: { label } }),
        // Its action alone is longer than what is looked at first.
        record({ id: "storm", Action: `exec_create: ${"y".repeat(150_000)}`, attributes: { label } }),
        record({ id: "storm" })
      ]
      const sieve = Sieve.make(({ Actor }) => Actor.ID === "storm")
      const pieces = Array.from(inPieces(`${feed.join("\n")}\n`, 65_536), (bytes) => {
        const passed = sieve(bytes)
        assert.instanceOf(passed, Uint8Array)
        return passed
      })
      assert.isBelow(Buffer.concat(pieces).length, 1_000_000)
      const events = yield* Stream.fromIterable(pieces).pipe(
        Stream.rechunk(1),
        decodeRecords({
          source: "FEED",
          engine: "e",
          lose: ({ Action, Actor, engine }) =>
            Effect.sync(() => void lost.push(`${Action.slice(0, 11)} ${Actor.ID} ${engine}`))
        }),
        Stream.runCollect
      )
      assert.deepStrictEqual(
        Chunk.toReadonlyArray(events).map(({ Actor }) => Actor.ID),
        ["storm", "other", "storm"]
      )
      assert.deepStrictEqual(lost, ["exec_die storm e", "exec_create storm e"])
    })
  )
})

describe("a record that is too long", () => {
  const long = record({ id: "long", attributes: { label: "x".repeat(Lines.longestRecord) } })

  for (const [what, size] of [
    ["in pieces as sockets give them", 65_536],
    ["in one piece", Number.POSITIVE_INFINITY]
  ] as const) {
    it.effect(`is skipped alone and reported with its size, ${what}`, () =>
      Effect.gen(function* () {
        const feed = `${record({ id: "before" })}\n${long}\n${record({ id: "after" })}\n`
        const { ids, skipped } = yield* decodeAll(
          size === Number.POSITIVE_INFINITY ? [encode(feed)] : inPieces(feed, size)
        )
        assert.deepStrictEqual(ids, ["before", "after"])
        assert.deepStrictEqual(
          skipped.map(({ fingerprint, message }) => ({ fingerprint, message })),
          [
            {
              fingerprint: Fingerprint.ofLine(long),
              message: `Skipped line 2 of FEED: it is ${long.length} bytes long, and des reads records of up to 67108864 bytes; its scripts do not run`
            }
          ]
        )
      })
    )
  }

  it.effect("is skipped, and a record that is just short enough is not", () =>
    Effect.gen(function* () {
      const room = Lines.longestRecord - record({ id: "most", attributes: { label: "" } }).length
      const most = record({ id: "most", attributes: { label: "x".repeat(room) } })
      assert.lengthOf(most, Lines.longestRecord)
      assert.deepStrictEqual((yield* decodeAll(inPieces(`${most}\n`, 65_536))).ids, ["most"])
    })
  )
})

describe("a record that is nested deeply or has too many values", () => {
  const nested = (levels: number, open = "[", close = "]") => open.repeat(levels) + close.repeat(levels)
  const eventWith = (field: string) => `{"Type":"container","Action":"start",${field}}`

  for (const levels of [3_000, 1_000_000]) {
    for (const [where, line, why] of [
      ["as a whole", nested(levels), /actual \[\[…\]\]$/],
      ["in objects as a whole", nested(levels, '{"a":', "}").replace(":}", ":1}"), /Type: is missing$/],
      ["in its type", `{"Type":${nested(levels)},"Action":"start"}`, /Type: Expected a string, actual \[\[…\]\]$/],
      [
        "in its attributes",
        eventWith(`"Actor":{"Attributes":{"a":${nested(levels)}}}`),
        /Actor\.Attributes: Expected .*, actual \{"a":\[…\]\}$/
      ]
    ] as const) {
      it.effect(`is skipped, with ${levels} levels ${where}`, () =>
        Effect.gen(function* () {
          const { ids, skipped } = yield* decodeAll([encode(`${line}\n${record({ id: "after" })}\n`)])
          assert.deepStrictEqual(ids, ["after"])
          assert.lengthOf(skipped, 1)
          assert.match(skipped[0]?.message ?? "", levels > 10_000 ? /nested deeper than 10000 levels$/ : why)
        })
      )
    }
  }

  it.effect("is an event with 3,000 levels in an unknown field, and is skipped with 1,000,000", () =>
    Effect.gen(function* () {
      const few = yield* decodeAll([encode(`${eventWith(`"z":${nested(3_000)}`)}\n`)])
      assert.lengthOf(few.ids, 1)
      const many = yield* decodeAll([encode(`${eventWith(`"z":${nested(1_000_000)}`)}\n`)])
      assert.lengthOf(many.ids, 0)
      assert.match(
        many.skipped[0]?.message ?? "",
        /^Skipped line 1 of FEED, which is not an event: it is nested deeper/
      )
    })
  )

  const labels = (count: number) => Array.from({ length: count }, (_, at) => `"l${at}":"v${at}"`)
  const withAttributes = (attributes: ReadonlyArray<string>) =>
    `{"Type":"container","Action":"start","Actor":{"ID":"many","Attributes":{${attributes.join(",")}}},"timeNano":1795453740123456789}`

  it("is read in part if it has a million labels, and none of them hides what the engine sent", () => {
    const many = labels(1_000_000)
    const event = Either.getOrThrow(DockerEvent.decode(withAttributes([...many, '"name":"web"', '"image":"nginx"'])))
    assert.deepInclude(event.Actor.Attributes, { name: "web", image: "nginx", l0: "v0" })
    assert.isBelow(Object.keys(event.Actor.Attributes).length, 5_000)
    assert.strictEqual(event.timeNano, 1_795_453_740_123_456_789n)
    // In whatever order the labels come.
    const other = DockerEvent.decode(withAttributes(['"image":"nginx"', ...many.toReversed(), '"name":"web"']))
    assert.strictEqual(Either.getOrThrow(other).fingerprint, event.fingerprint)
    const another = DockerEvent.decode(withAttributes([...many, '"name":"db"', '"image":"nginx"']))
    assert.notStrictEqual(Either.getOrThrow(another).fingerprint, event.fingerprint)
  })

  it("is read in part if it has an array of three million values", () => {
    const event = Either.getOrThrow(
      DockerEvent.decode(eventWith(`"Actor":{"ID":"a"},"z":[${"1,".repeat(3_000_000)}1]`))
    )
    assert.strictEqual(event.Actor.ID, "a")
  })

  // A stranger cannot write these with a label, but a broken engine can.
  const tooManyToRead = `"z":[${"1,".repeat(260_000)}1]`
  for (const [what, line] of [
    ["an escape in a key", `{"Type":"container","Action":"start","Actor":{"Attributes":{"\\x":"v"}},${tooManyToRead}}`],
    ["an escape in a value", `{"Type":"container","Action":"start","Actor":{"ID":"\\u12"},${tooManyToRead}}`]
  ] as const) {
    it.effect(`is skipped if it is read in part and is not JSON because of ${what}`, () =>
      Effect.gen(function* () {
        const { ids, skipped } = yield* decodeAll([encode(`${line}\n${record({ id: "after" })}\n`)])
        assert.deepStrictEqual(ids, ["after"])
        assert.match(skipped[0]?.message ?? "", /^Skipped line 1 of FEED, which is not an event: it is not JSON$/)
      })
    )
  }

  it("is not an event if it is read in part and has no Action", () => {
    const record = `{"Type":"container","z":[${"1,".repeat(3_000_000)}1]}`
    assert.isTrue(Either.isLeft(DockerEvent.decode(record)))
  })
})

describe("the log of skipped lines", () => {
  it.scoped("shows the first ten of a minute, and one line for the others", () =>
    Effect.gen(function* () {
      const logs = collectLogs()
      yield* Effect.gen(function* () {
        const log = yield* SkippedLines.makeLog("FEED")
        const flood = Effect.forEach(Array.from({ length: 1000 }), (_, at) => log({ message: `line ${at}` }), {
          discard: true
        })
        yield* flood
        assert.lengthOf(logs.lines, 10)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(
          logs.lines.at(-1),
          "WARN Skipped 990 more lines of FEED, which are not events; at most 10 a minute are shown"
        )
        yield* TestClock.adjust("10 minutes")
        assert.lengthOf(logs.lines, 11)
        yield* log({ message: "later" })
        assert.strictEqual(logs.lines.at(-1), "WARN later")
        yield* flood
      }).pipe(Effect.scoped, Effect.provide(logs.layer))
      assert.strictEqual(
        logs.lines.at(-1),
        "WARN Skipped 991 more lines of FEED, which are not events; at most 10 a minute are shown"
      )
    })
  )

  it.effect("makes a message only for a line that it shows", () =>
    Effect.gen(function* () {
      const logs = collectLogs()
      let read = 0
      const line = {
        get message() {
          read++
          return "x"
        }
      }
      yield* Effect.flatMap(SkippedLines.makeLog("FEED"), (log) =>
        Effect.forEach(Array.from({ length: 100 }), () => log(line), { discard: true })
      ).pipe(Effect.scoped, Effect.provide(logs.layer))
      assert.strictEqual(read, SkippedLines.loggedPerInterval)
    })
  )
})

describe("a flood of records that are not events", () => {
  it.live("lets other work run in between", () =>
    Effect.gen(function* () {
      const flood = encode("{}\n".repeat(20_000))
      let turns = 0
      const counting = setInterval(() => turns++, 1)
      // It never waits for anything, as a socket that is always full.
      yield* Stream.repeatValue(flood).pipe(
        Stream.take(60),
        decodeRecords({ source: "FEED" }),
        Stream.runDrain,
        Effect.provide(collectLogs().layer)
      )
      clearInterval(counting)
      assert.isAbove(turns, 10)
    })
  )
})
