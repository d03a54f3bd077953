import { type PlatformError, SystemError } from "@effect/platform/Error"
import { assert, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Stream from "effect/Stream"
import * as Supervisor from "effect/Supervisor"
import * as TestClock from "effect/TestClock"
import { describe } from "vitest"
import * as Endpoint from "../../src/endpoint/Endpoint.ts"
import * as Engine from "../../src/engine/Engine.ts"
import * as EngineHttp from "../../src/engine/EngineHttp.ts"
import * as DockerEvent from "../../src/event/DockerEvent.ts"
import * as EventFeed from "../../src/feed/EventFeed.ts"
import * as FeedMemory from "../../src/feed/FeedMemory.ts"
import * as Testing from "../../src/testing.ts"
import * as HastyClock from "../support/HastyClock.ts"
import { heapInUse } from "../support/Heap.ts"
import { collectLogs } from "../support/Logs.ts"
import { poll } from "../support/Poll.ts"
import * as StandInEngine from "../support/StandInEngine.ts"

const decode = (record: string) => Either.getOrThrow(DockerEvent.decode(record))

/** Counts the bytes that the feed has read, so that a stand-in can send the next ones only then. */
const makeReadings = () => {
  let read = 0
  let wanted = 0
  let reached = () => {}
  return {
    add: (bytes: Uint8Array) =>
      Effect.sync(() => {
        read += bytes.length
        if (read >= wanted) reached()
      }),
    /** Waits until so many bytes in all have been read. */
    reach: (total: number): Effect.Effect<void> =>
      Effect.async((resume) => {
        wanted = total
        reached = () => resume(Effect.void)
        if (read >= wanted) reached()
      })
  }
}

type Readings = ReturnType<typeof makeReadings>

const feedOf = (endpoint: Endpoint.Endpoint, readings: Readings = makeReadings()) => {
  const counting = Layer.effect(
    Engine.Engine,
    Effect.map(Engine.Engine, (engine) => ({
      ...engine,
      feed: (range: { readonly since?: bigint; readonly until?: bigint }) =>
        Effect.map(engine.feed(range), Stream.tap(readings.add))
    }))
  )
  return Stream.unwrap(Effect.map(EventFeed.EventFeed, ({ events }) => events)).pipe(
    Stream.provideLayer(
      EventFeed.layer().pipe(
        Layer.provide(counting),
        Layer.provide(Engine.layer({ endpoint })),
        Layer.provide(EngineHttp.layer({ endpoint }))
      )
    )
  )
}

/**
 * The events of a stand-in that gives these answers, one a connection. It ends when the feed has come back after the last of them: by then all
 * that was sent has been read.
 */
const eventsOf = (
  answers: (readings: Readings) => ReadonlyArray<StandInEngine.Answer>,
  options: { readonly ping?: StandInEngine.Answer; readonly tcp?: boolean } = {}
) =>
  Effect.gen(function* () {
    const readings = makeReadings()
    const given = answers(readings)
    const back = yield* Deferred.make<void>()
    const last = StandInEngine.feed([Deferred.succeed(back, undefined)], "stay")
    const engine = yield* StandInEngine.make({ ...options, events: (number) => given[number] ?? last })
    const events: Array<DockerEvent.DockerEvent> = []
    const logs = collectLogs(LogLevel.Info)
    const name = Endpoint.format(engine.endpoint)
    const settled = Effect.map(engine.connections, (open) => open === 1)
    yield* feedOf(engine.endpoint, readings).pipe(
      Stream.runForEach((event) => Effect.sync(() => events.push(event))),
      Effect.raceFirst(Effect.zipRight(Deferred.await(back), poll(settled, 5_000))),
      Effect.tap((settled) => assert.isTrue(settled, "the feed is open again, on one connection")),
      Effect.provide(logs.layer)
    )
    for (const event of events) assert.strictEqual(event.engine, name)
    return {
      events: events.filter(({ Type }) => Type !== "des").map((event) => ({ ...event, engine: "" })),
      own: events.filter(({ Type }) => Type === "des").map(({ Action }) => Action),
      logs: logs.lines.map((line) => line.replaceAll(name, "ENDPOINT")),
      requests: yield* engine.requests
    }
  }).pipe(Effect.scoped)

// With and without the old fields, as dockerd and podman write them, with characters of two to four bytes.
const records = [
  '{"status":"start","id":"4a5b","from":"alpine","Type":"container","Action":"start","Actor":{"ID":"4a5b","Attributes":{"image":"alpine","é":"🐳 — ß","name":"web"}},"scope":"local","time":1795453740,"timeNano":1795453740123456789}',
  '{"Type":"container","Action":"exec_create: sh -c \\"echo 日本\\\\n\\u0000\\"","Actor":{"ID":"4a5b","Attributes":{"execID":"77","name":"web"}},"scope":"local","time":1795453741,"timeNano":1795453741000000001}',
  '{"status":"health_status","id":"9c","from":"ü","Type":"container","Action":"health_status","Actor":{"ID":"9c","Attributes":{}},"scope":"local","time":1795453742,"timeNano":1795453742123456701,"HealthStatus":"starting"}',
  '{"Type":"volume","Action":"prune","Actor":{"ID":"","Attributes":{"reclaimed":"0"}},"scope":"local","time":1795453743,"timeNano":1795453743016879091}'
] as const

const expected = records.map(decode)

/** The same record at another time, as long as before. */
const nth = (record: string, number: number): string =>
  record.replace(/"timeNano":\d{7}/, `"timeNano":${1_000_000 + number}`)

const framings: Readonly<Record<string, (record: string) => string>> = {
  "a line feed after each": (record) => `${record}\n`,
  "json-seq, a record separator before each": (record) => `\u001e${record}\n`,
  "a carriage return and a line feed after each": (record) => `${record}\r\n`
}

describe("a feed on a real socket", () => {
  for (const [framing, frame] of Object.entries(framings)) {
    it.scopedLive(`gives the same events wherever it is split, with ${framing}`, () =>
      Effect.gen(function* () {
        const sessionOf = (number: number) =>
          new TextEncoder().encode(records.map((record) => frame(nth(record, number))).join(""))
        const { length } = sessionOf(0)
        const offsets = Array.from({ length: length - 1 }, (_, at) => at + 1)
        const { events } = yield* eventsOf((readings) => [
          StandInEngine.feed(
            offsets.flatMap((offset, before) => [
              sessionOf(before).subarray(0, offset),
              readings.reach(before * length + offset),
              sessionOf(before).subarray(offset),
              readings.reach((before + 1) * length)
            ]),
            "end"
          )
        ])
        for (const [before, offset] of offsets.entries()) {
          const from = before * expected.length
          const session = records.map((record) => decode(nth(record, before)))
          assert.deepStrictEqual(events.slice(from, from + expected.length), session, `split at ${offset}`)
        }
        assert.lengthOf(events, offsets.length * expected.length)
      })
    )

    it.scopedLive(`gives the same events byte by byte and all in one chunk, with ${framing}`, () =>
      Effect.gen(function* () {
        const session = new TextEncoder().encode(records.map(frame).join(""))
        const again = records.map((record) => nth(record, 1))
        const { events } = yield* eventsOf((readings) => [
          StandInEngine.feed(
            [
              ...Array.from(session, (_, at) => [session.subarray(at, at + 1), readings.reach(at + 1)]).flat(),
              again.map(frame).join("")
            ],
            "end"
          )
        ])
        assert.deepStrictEqual(events, [...expected, ...again.map(decode)])
      })
    )
  }

  it.scopedLive("gives a record of 5 MB whole", () =>
    Effect.gen(function* () {
      const label = "🐳é".repeat(Math.ceil(5_000_000 / 6))
      const record = `{"Type":"container","Action":"create","Actor":{"ID":"4a5b","Attributes":{"big":"${label}"}},"scope":"local","time":1,"timeNano":1795453740123456789}`
      const bytes = new TextEncoder().encode(`${records[0]}\n${record}\n${records[1]}\n`)
      // No multiple of the label's six bytes: its characters are split too.
      const size = 65_521
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
        bytes.subarray(at * size, (at + 1) * size)
      )
      const { events } = yield* eventsOf(() => [StandInEngine.feed(pieces, "end")])
      assert.deepStrictEqual(
        events.map(({ Action }) => Action),
        ["start", "create", expected[1]?.Action]
      )
      // Not strictEqual, which would print both.
      assert.isTrue(events[1]?.record === record)
      assert.isTrue(events[1]?.Actor.Attributes["big"] === label)
      assert.strictEqual(events[1]?.timeNano, 1795453740123456789n)
    })
  )

  const actor = '"Actor":{"ID":"4a5b","Attributes":{"image":"alpine","name":"web"}}'
  const shapes: ReadonlyArray<readonly [what: string, version: string, record: string, timeNano: bigint]> = [
    [
      "engine 20.10",
      "1.41",
      `{"status":"start","id":"4a5b","from":"alpine","Type":"container","Action":"start",${actor},"scope":"local","time":1795453740,"timeNano":1795453740123456789}`,
      1795453740123456789n
    ],
    [
      "engine 29, asked for an older API: in the order of the alphabet, with a rounded time",
      "1.51",
      '{"Action":"start","Actor":{"Attributes":{"image":"alpine","name":"web"},"ID":"4a5b"},"Type":"container","from":"alpine","id":"4a5b","scope":"local","status":"start","time":1795453740,"timeNano":1795453740123456800}',
      1795453740123456800n
    ],
    [
      "engine 29, without status, id and from",
      "1.53",
      `{"Type":"container","Action":"start",${actor},"scope":"local","time":1795453740,"timeNano":1795453740123456789}`,
      1795453740123456789n
    ]
  ]

  for (const [what, version, record, timeNano] of shapes) {
    it.scopedLive(`of API ${version} gives the same event (${what})`, () =>
      Effect.gen(function* () {
        const { events, requests } = yield* eventsOf(() => [StandInEngine.feed([`${record}\n`], "end")], {
          ping: StandInEngine.pong({ "Api-Version": version })
        })
        assert.deepStrictEqual(
          requests.slice(0, 5).map(({ path }) => path.replace(/until=.*|filters=.*/, "")),
          [
            "/_ping",
            `/v${version}/info`,
            `/v${version}/events?since=0&`,
            `/v${version}/events?since=0`,
            `/v${version}/containers/json?`
          ]
        )
        assert.deepStrictEqual(events, [
          {
            Type: "container",
            Action: "start",
            Actor: { ID: "4a5b", Attributes: { image: "alpine", name: "web" } },
            scope: "local",
            time: 1795453740,
            timeNano,
            record,
            fingerprint: decode(shapes[0]?.[2] ?? "").fingerprint,
            engine: "",
            synthetic: false
          }
        ])
      })
    )
  }

  it.scopedLive("skips lines that are not events and logs where and why", () =>
    Effect.gen(function* () {
      const lines = [records[0], "not json", "", " ", '{"Type":"container","Action":7}', records[1], "[]", records[3]]
      const { events, logs } = yield* eventsOf(() => [StandInEngine.feed([`${lines.join("\n")}\n`], "end")])
      assert.deepStrictEqual(events, [expected[0], expected[1], expected[3]])
      const reports = logs.filter((line) => line.includes("Skipped"))
      assert.lengthOf(reports, 3)
      assert.match(reports[0] ?? "", /^WARN Skipped line 2 of ENDPOINT, which is not an event: .*JSON/)
      assert.match(
        reports[1] ?? "",
        /^WARN Skipped line 5 of ENDPOINT, which is not an event: Action: Expected .*, actual 7/
      )
      assert.match(reports[2] ?? "", /^WARN Skipped line 7 of ENDPOINT, which is not an event: .*actual \[\]/)
    })
  )
})

describe("a feed that stops", () => {
  const watching = "INFO watching ENDPOINT for events (dockerd)"

  it.scopedLive("with a clean end is opened again, and its last record counts also without a line end", () =>
    Effect.gen(function* () {
      const { events, logs, own } = yield* eventsOf(() => [
        StandInEngine.feed([`${records[0]}\n${records[1]}`], "end"),
        StandInEngine.feed([`${records[2]}\n`], "end")
      ])
      assert.deepStrictEqual(events, expected.slice(0, 3))
      // What was fixed at once, and lost nothing, is no news.
      assert.deepStrictEqual(logs, [watching])
      assert.deepStrictEqual(own, ["connected"])
    })
  )

  for (const [ending, tcp] of [
    ["break", false],
    ["break", true],
    ["reset", true]
  ] as const) {
    it.scopedLive(`with a ${ending} ${tcp ? "over TCP" : "on a socket"} inside a record is opened again`, () =>
      Effect.gen(function* () {
        const cut = new TextEncoder().encode(`${records[0]}\n${records[1]}`.slice(0, -10))
        const { events, logs } = yield* eventsOf(
          (readings) => [
            // A reset throws away what has not been read.
            StandInEngine.feed([cut, readings.reach(cut.length)], ending),
            StandInEngine.feed([`${records[1]}\n`], "end")
          ],
          { tcp }
        )
        assert.deepStrictEqual(events, expected.slice(0, 2))
        assert.deepStrictEqual(logs, [watching])
      })
    )
  }

  it.scopedLive("with a 500 before its first record is opened again, and the engine's reason is logged", () =>
    Effect.gen(function* () {
      const { events, logs } = yield* eventsOf(() => [
        StandInEngine.refuse(500, "the store is closed"),
        StandInEngine.feed([`${records[0]}\n`], "end")
      ])
      assert.deepStrictEqual(events, [expected[0]])
      assert.deepStrictEqual(logs, [
        "WARN the engine at ENDPOINT refused: 500 the store is closed; des retries",
        watching.replace("INFO", "WARN")
      ])
    })
  )
})

describe("an interrupted feed", () => {
  /** Interrupts the feed as soon as it has an event or `begun` says so. */
  const assertCloses = (answer: StandInEngine.Answer, begun: Deferred.Deferred<void>) =>
    Effect.gen(function* () {
      const engine = yield* StandInEngine.make({ events: () => answer })
      const reading = yield* feedOf(engine.endpoint).pipe(
        Stream.runForEach(() => Deferred.succeed(begun, undefined)),
        Effect.provide(collectLogs(LogLevel.Info).layer),
        Effect.fork
      )
      yield* Deferred.await(begun)
      assert.isAbove(yield* engine.connections, 0)
      yield* Fiber.interrupt(reading)
      const none = Effect.map(engine.connections, (open) => open === 0)
      assert.isTrue(yield* poll(none, 5_000), "the engine sees that its connection is closed")
    })

  it.scopedLive("closes its connection to the engine", () =>
    Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      yield* assertCloses(StandInEngine.feed([`${records[0]}\n`], "stay"), begun)
    })
  )

  it.scopedLive("closes its connection to an engine that has not answered yet", () =>
    Effect.gen(function* () {
      const begun = yield* Deferred.make<void>()
      const silence: StandInEngine.Answer = (response) =>
        Effect.zipRight(Deferred.succeed(begun, undefined), StandInEngine.silence(response))
      yield* assertCloses(silence, begun)
    })
  )
})

const endpoint: Endpoint.Endpoint = { _tag: "Unix", path: "/run/docker.sock" }

const engineError = (reason: Engine.EngineError["reason"], detail = "") =>
  new Engine.EngineError({ reason, endpoint: Endpoint.format(endpoint), detail })

const absent = engineError("Unreachable", "the socket does not exist")

type Feed = Effect.Effect<Stream.Stream<Uint8Array, Engine.EngineError>, Engine.EngineError>

const identity: Engine.EngineIdentity = { id: "ENGINE:A", kind: "docker", version: "20.10.24", api: "1.41", time: 1n }

/** The events of an engine whose feeds, by their number, are these. It replays what it has sent. */
const feedsOf = (feed: (number: number) => Feed) => {
  const sent = new Map<string, Uint8Array>()
  const keep = (bytes: Uint8Array) => Effect.sync(() => sent.set(new TextDecoder().decode(bytes), bytes))
  let feeds = 0
  const engine = Layer.succeed(Engine.Engine, {
    name: Endpoint.format(endpoint),
    endpoint,
    identify: Effect.succeed(identity),
    running: Effect.succeed([]),
    inspect: () => Effect.succeedNone,
    inspectText: () => Effect.succeedNone,
    feed: ({ until }) =>
      until === undefined
        ? Effect.map(
            Effect.suspend(() => feed(feeds++)),
            (bytes) => Stream.concat(Stream.fromIterable([...sent.values()]), Stream.tap(bytes, keep))
          )
        : Effect.sync(() => Stream.concat(Stream.fromIterable([...sent.values()]), Stream.fail(engineError("Ended"))))
  })
  return Stream.unwrap(Effect.map(EventFeed.EventFeed, ({ events }) => events)).pipe(
    Stream.provideLayer(EventFeed.layer().pipe(Layer.provide(engine))),
    Stream.filter(({ Type }) => Type !== "des"),
    Stream.map((event) => ({ ...event, engine: "" }))
  )
}

const ending = (text: string, reason: "Broken" | "Ended") =>
  Effect.succeed(Stream.concat(Stream.make(new TextEncoder().encode(text)), Stream.fail(engineError(reason))))

describe("an engine that is away", () => {
  const assertSpread = (delay: number | undefined, middle: number) => {
    assert.isAtLeast(delay ?? Number.NaN, 0.75 * middle)
    assert.isAtMost(delay ?? Number.NaN, 1.25 * middle)
  }

  /** The milliseconds between the tries of a feed in so much time. */
  const delaysOf = (feed: (number: number) => Feed, within: Duration.DurationInput) =>
    Effect.gen(function* () {
      const tries: Array<number> = []
      const events = feedsOf((number) =>
        Effect.zipRight(
          Effect.map(Clock.currentTimeMillis, (now) => tries.push(now)),
          feed(number)
        )
      )
      const reading = yield* Effect.fork(Effect.provide(Stream.runDrain(events), collectLogs(LogLevel.Info).layer))
      yield* TestClock.adjust(within)
      assert.isNull(reading.unsafePoll(), "it goes on")
      return tries.slice(1).map((now, at) => now - (tries[at] ?? Number.NaN))
    })

  it.effect("is retried after half a second, then after twice as long each time, up to 30 s", () =>
    Effect.gen(function* () {
      const delays = yield* delaysOf(() => absent, "20 minutes")
      for (const [at, middle] of [500, 1_000, 2_000, 4_000, 8_000, 16_000].entries()) assertSpread(delays[at], middle)
      const longest = delays.slice(6)
      for (const delay of longest) assertSpread(delay, 30_000)
      assert.isAtLeast(longest.length, 30)
      assert.isAbove(Math.max(...longest) - Math.min(...longest), 6_000, "watchers do not come back in step")
    })
  )

  /** A feed that is open for so long before it ends. */
  const lasting = (time: Duration.DurationInput) =>
    Effect.succeed(
      Stream.concat(Stream.execute(Effect.sleep(time)), Stream.fail(engineError("Ended"))) as Stream.Stream<
        Uint8Array,
        Engine.EngineError
      >
    )

  it.effect("is retried after half a second again once its feed was open for a while", () =>
    Effect.gen(function* () {
      const there = 6
      const delays = yield* delaysOf((number) => (number === there ? lasting("5 seconds") : absent), "5 minutes")
      assertSpread(delays[there - 1], 16_000)
      assert.strictEqual(delays[there], 5_000, "at once after a feed that lasted")
      assertSpread(delays[there + 1], 500)
      assertSpread(delays[there + 2], 1_000)
    })
  )

  it.effect("still counts as away when it opens a feed and ends it at once, as a broken proxy does", () =>
    Effect.gen(function* () {
      const delays = yield* delaysOf(() => lasting("0.9 seconds"), "5 minutes")
      for (const [at, middle] of [500, 1_000, 2_000, 4_000, 8_000].entries()) {
        assertSpread((delays[at] ?? 0) - 900, middle)
      }
    })
  )

  it.effect("is retried after no more time than its feed lasted, as behind a proxy that cuts idle feeds", () =>
    Effect.gen(function* () {
      const delays = yield* delaysOf(() => lasting("2 seconds"), "5 minutes")
      for (const [at, middle] of [500, 1_000, 2_000, 2_000, 2_000, 2_000].entries()) {
        assertSpread((delays[at] ?? 0) - 2_000, middle)
      }
    })
  )

  it.effect("gives its events when it is back", () =>
    Effect.gen(function* () {
      const reading = yield* feedsOf((number) =>
        number < 20 ? absent : ending(`${nth(records[0], number)}\n`, "Broken")
      ).pipe(Stream.take(3), Stream.runCollect, Effect.provide(collectLogs(LogLevel.Info).layer), Effect.fork)
      yield* TestClock.adjust("20 minutes")
      assert.deepStrictEqual(
        [...(yield* Fiber.join(reading))],
        [20, 21, 22].map((number) => decode(nth(records[0], number)))
      )
    })
  )

  it.effect("is logged with one line for each change, not for each attempt", () =>
    Effect.gen(function* () {
      const logs = collectLogs(LogLevel.Info)
      const tries: Array<number> = []
      const refused = engineError("Refused", "500 not yet")
      const feed = (number: number) => {
        tries.push(number)
        if (number < 10) return absent
        if (number < 20) return refused
        if (number < 25) return absent
        if (number === 25) return ending(`${records[0]}\n`, "Ended")
        if (number < 35) return absent
        return Effect.succeed(Stream.never)
      }
      yield* Effect.fork(Effect.provide(Stream.runDrain(feedsOf(feed)), logs.layer))
      yield* TestClock.adjust("1 hour")
      assert.lengthOf(tries, 36)
      assert.deepStrictEqual(logs.lines, [
        `WARN ${absent.message}; des retries`,
        `WARN ${refused.message}; des retries`,
        `WARN ${absent.message}; des retries`,
        "WARN watching unix:///run/docker.sock for events (dockerd 20.10.24)",
        "WARN the engine at unix:///run/docker.sock ended the feed; des retries",
        `WARN ${absent.message}; des retries`,
        "WARN the feed of unix:///run/docker.sock is open again"
      ])
    })
  )
})

describe("failures in a row", () => {
  // Each failure costs some milliseconds, so there are no more of them than it takes to see what is kept.
  for (const [what, failures, fail] of [
    ["1,000 of an engine that is away", 1_000, (error: Engine.EngineError): Feed => error],
    [
      "400 of an engine that breaks its feeds off",
      400,
      (error: Engine.EngineError): Feed =>
        Effect.succeed(Stream.concat(Stream.make(new TextEncoder().encode(`${records[0]}\n`)), Stream.fail(error)))
    ]
  ] as const) {
    it.live(
      `take no memory: ${what}`,
      () =>
        Effect.gen(function* () {
          const heaps: Array<number> = []
          const errors: Array<WeakRef<Engine.EngineError>> = []
          const done = yield* Deferred.make<void>()
          const events = feedsOf((number) => {
            // By the first half all that is kept once is there.
            if (number === failures / 2 || number === failures) heaps.push(heapInUse())
            if (number === failures) return Effect.zipRight(Deferred.succeed(done, undefined), Effect.never)
            const error = engineError("Broken")
            errors.push(new WeakRef(error))
            return fail(error)
          })
          yield* Stream.runDrain(events).pipe(
            Effect.raceFirst(Deferred.await(done)),
            Effect.withClock(HastyClock.make()),
            Effect.provide(Logger.remove(Logger.defaultLogger))
          )
          // What keeps a little of each failure keeps its error, the rest shows in the heap, which breathes by a few 100 kB.
          const kept = errors.filter((error) => error.deref() !== undefined)
          assert.isBelow(kept.length, 20, "errors that are still held")
          const [before = Number.NaN, after = Number.NaN] = heaps
          assert.isBelow(after - before, 1_000_000)
        }),
      120_000
    )
  }
})

describe("a recorded feed", () => {
  const of = (bytes: Stream.Stream<Uint8Array, PlatformError>) =>
    Stream.unwrap(Effect.map(EventFeed.EventFeed, ({ events }) => events)).pipe(
      Stream.provideLayer(EventFeed.layerRecords({ source: "feed.jsonl", bytes }))
    )
  const bytes = (text: string) => Stream.make(new TextEncoder().encode(text))

  it.effect("ends with its records", () =>
    Effect.gen(function* () {
      const events = yield* Stream.runCollect(of(bytes(records.join("\n"))))
      assert.deepStrictEqual([...events], expected)
      assert.lengthOf(yield* Stream.runCollect(of(bytes(""))), 0)
    })
  )

  it.effect("logs lines that are not events with the name of its source", () =>
    Effect.gen(function* () {
      const logs = collectLogs(LogLevel.Info)
      const events = yield* of(bytes(`\n{}\n${records[0]}`)).pipe(Stream.runCollect, Effect.provide(logs.layer))
      assert.deepStrictEqual([...events], [expected[0]])
      assert.deepStrictEqual(logs.lines, ["WARN Skipped line 2 of feed.jsonl, which is not an event: Type: is missing"])
    })
  )

  it.effect("gives the events that it could read, then fails with the reason", () =>
    Effect.gen(function* () {
      const cause = new SystemError({
        reason: "BadResource",
        module: "FileSystem",
        method: "read",
        description: "EISDIR"
      })
      const results = yield* of(Stream.concat(bytes(`${records[0]}\n`), Stream.fail(cause))).pipe(
        Stream.either,
        Stream.runCollect
      )
      const [event, failure, ...more] = results
      assert.deepStrictEqual(event, Either.right(decode(records[0])))
      assert.lengthOf(more, 0)
      assert.isTrue(failure !== undefined && Either.isLeft(failure))
      if (failure === undefined || Either.isRight(failure)) return
      assert.instanceOf(failure.left, EventFeed.EventFeedError)
      assert.match(failure.left.message, /^the records of feed\.jsonl cannot be read: .*EISDIR/)
    })
  )
})

describe("many feeds as one", () => {
  const many = 64

  /** Counts the fibers that begin. */
  class Counter extends Supervisor.AbstractSupervisor<number> {
    started = 0
    override readonly value = Effect.sync(() => this.started)
    override onStart() {
      this.started++
    }
  }

  it.effect("cost an event little more than one feed", () =>
    Effect.gen(function* () {
      const feeds = Array.from({ length: many }, (_, at) =>
        Layer.succeed(EventFeed.EventFeed, {
          engines: [`e${at}`],
          events: Stream.never,
          resume: () =>
            at === 0 ? Stream.repeatEffect(Effect.delay(Effect.succeed(Testing.makeEvent()), "1 second")) : Stream.never
        })
      )
      const feed = yield* Effect.provide(EventFeed.EventFeed, EventFeed.layerMerged(feeds))
      const counter = new Counter()
      const read = feed.resume(FeedMemory.none).pipe(Stream.runDrain, Effect.supervised(counter))
      yield* Effect.fork(read)
      yield* TestClock.adjust("1 second")
      const before = counter.started
      yield* TestClock.adjust("10 seconds")
      const ofOneEvent = (counter.started - before) / 10
      assert.isAbove(ofOneEvent, 0)
      assert.isAtMost(ofOneEvent, 4 * Math.log2(many))
    })
  )
})
