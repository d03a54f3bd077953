import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as TestClock from "effect/TestClock"
import * as Collector from "../../src/operate/Collector.ts"

const url = "http://user:secret@127.0.0.1:4318/v1/logs?key=secret"

/** A client of a stand-in collector that answers with `status`, or never. */
const standIn = () => {
  const state = { status: undefined as number | undefined, open: 0, mostOpen: 0, requests: 0, bytes: 1, dropped: 0 }
  const client = HttpClient.make((request) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        state.requests++
        state.open++
        state.mostOpen = Math.max(state.mostOpen, state.open)
      }),
      () =>
        Effect.suspend(() =>
          state.status === undefined
            ? Effect.never
            : Effect.succeed(HttpClientResponse.fromWeb(request, new Response("{}", { status: state.status })))
        ),
      () => Effect.sync(() => state.open--)
    )
  )
  return { client, state }
}

/** Uses a bounded client, and returns the warnings. */
const warnings = <E>(
  use: (send: Effect.Effect<unknown, unknown>, state: ReturnType<typeof standIn>["state"]) => Effect.Effect<void, E>
) => {
  const said: Array<string> = []
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => said.push(`${logLevel.label} ${message}`))
  const { client, state } = standIn()
  const dropped = () => state.dropped
  return Collector.bounded({ what: "logs", url, timeout: 10_000, dropped })(client).pipe(
    Effect.flatMap((bounded) => {
      const sent = Effect.suspend(() => {
        const request = HttpClientRequest.post(url)
        const body = HttpBody.uint8Array(new Uint8Array(state.bytes))
        return bounded.execute(HttpClientRequest.setBody(request, body))
      })
      return use(sent, state)
    }),
    Effect.as(said),
    Effect.provide(Logger.replace(Logger.defaultLogger, logger))
  )
}

const failing = (why: string) =>
  `WARN the collector at http://127.0.0.1:4318/v1/logs does not take logs: ${why}; des drops them until it does`

describe("a collector", () => {
  it.effect("that never answers has few requests open, each for the timeout, and few batches that wait", () =>
    Effect.gen(function* () {
      const said = yield* warnings((send, state) =>
        Effect.gen(function* () {
          const fibers = yield* Effect.all(Array.from({ length: 136 }, () => Effect.fork(send)))
          yield* TestClock.adjust("9 seconds")
          assert.strictEqual(state.open, 4)
          const ended = (yield* Effect.all(fibers.map(Fiber.poll))).filter(({ _tag }) => _tag === "Some")
          assert.lengthOf(ended, 8)
          yield* TestClock.adjust("1 second")
          const exits = yield* Effect.all(fibers.map(Fiber.await))
          assert.isTrue(exits.every(Exit.isFailure))
          assert.deepInclude(state, { open: 0, mostOpen: 4, requests: 4 })
          const late = yield* Effect.fork(send)
          yield* TestClock.adjust("10 seconds")
          assert.isTrue(Exit.isFailure(yield* Fiber.await(late)))
        })
      )
      assert.deepStrictEqual(said, [failing("128 batches wait for it, with 128 bytes")])
    })
  )

  it.effect("gets no further batch while 16 MiB wait for it", () =>
    Effect.gen(function* () {
      const said = yield* warnings((send, state) =>
        Effect.gen(function* () {
          state.bytes = 4_194_304
          for (let at = 0; at < 4; at++) yield* Effect.fork(send)
          yield* TestClock.adjust("1 second")
          assert.isTrue(Exit.isFailure(yield* Effect.exit(send)))
          assert.strictEqual(state.open, 4)
        })
      )
      assert.deepStrictEqual(said, [failing("4 batches wait for it, with 16777216 bytes")])
    })
  )

  it.effect("does not get what has no room in one request, which is warned of once until a request has room", () =>
    Effect.gen(function* () {
      const said = yield* warnings((send, state) =>
        Effect.gen(function* () {
          state.status = 200
          for (const dropped of [7, 9, 0, 5]) {
            state.dropped = dropped
            yield* send
          }
        })
      )
      assert.deepStrictEqual(
        said,
        [7, 5].map(
          (count) =>
            `WARN ${count} of the logs for the collector at http://127.0.0.1:4318/v1/logs are dropped, since one request has no room for them`
        )
      )
    })
  )

  it.effect("that fails is warned of once, without secrets, and once more when it is well again", () =>
    Effect.gen(function* () {
      const said = yield* warnings((send, state) =>
        Effect.gen(function* () {
          const exit = (after: string) =>
            Effect.gen(function* () {
              const fiber = yield* Effect.fork(send)
              yield* TestClock.adjust(after as "1 second")
              return yield* Fiber.await(fiber)
            })
          assert.isTrue(Exit.isFailure(yield* exit("10 seconds")))
          state.status = 400
          assert.isTrue(Exit.isFailure(yield* exit("0 seconds")))
          state.status = 200
          assert.isTrue(Exit.isSuccess(yield* exit("0 seconds")))
          assert.isTrue(Exit.isSuccess(yield* exit("0 seconds")))
        })
      )
      assert.deepStrictEqual(said, [
        failing("it does not answer within 10s"),
        "WARN the collector at http://127.0.0.1:4318/v1/logs takes logs again"
      ])
    })
  )

  it.effect("that fails for a moment is asked again, and not warned of", () =>
    Effect.gen(function* () {
      const said = yield* warnings((send, state) =>
        Effect.gen(function* () {
          state.status = 503
          const fiber = yield* Effect.fork(send)
          yield* TestClock.adjust("1500 millis")
          state.status = 200
          yield* TestClock.adjust("1 second")
          yield* Fiber.join(fiber)
          assert.strictEqual(state.requests, 3)
        })
      )
      assert.deepStrictEqual(said, [])
    })
  )
})
