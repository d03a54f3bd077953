/** The network of these tests does what it is told. */

import * as Net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { poll } from "../support/Poll.ts"
import { type Cut, proxy } from "../support/Proxy.ts"

/** A server that answers each text with the same, and what a client and it have got so far. */
const echo = Effect.gen(function* () {
  const got = { server: "", client: "" }
  const listener = Net.createServer((socket) => {
    socket.on("data", (text: Buffer) => {
      got.server += text
      socket.write(text)
    })
    socket.on("error", () => undefined)
  })
  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => void listener.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () => Effect.async<void>((resume) => void listener.close(() => resume(Effect.void)))
  )
  const between = yield* proxy((listener.address() as Net.AddressInfo).port)
  const client = Net.connect(between.port, "127.0.0.1")
  yield* Effect.addFinalizer(() => Effect.sync(() => client.destroy()))
  let closed = false
  client.on("data", (text: Buffer) => {
    got.client += text
  })
  client.on("error", () => undefined)
  client.on("close", () => {
    closed = true
  })
  const arrives = (server: string, answer: string) =>
    poll(
      Effect.sync(() => got.server === server && got.client === answer),
      5000
    )
  return { arrives, between, client, closed: () => closed, got }
})

describe("the proxy", () => {
  for (const [which, seenMeanwhile] of [
    ["both", "one"],
    ["toServer", "one"],
    ["toClient", "onetwo"]
  ] as ReadonlyArray<readonly [Cut, string]>) {
    it.scopedLive(`withholds what is sent when it is cut (${which}), and delivers it when it is healed`, () =>
      Effect.gen(function* () {
        const { arrives, between, client, got } = yield* echo
        client.write("one")
        assert.isTrue(yield* arrives("one", "one"), JSON.stringify(got))
        yield* between.cut(which)
        client.write("two")
        assert.strictEqual(
          yield* poll(
            Effect.sync(() => got.client !== "one" || got.server.length > seenMeanwhile.length),
            200
          ),
          false
        )
        assert.isTrue(yield* arrives(seenMeanwhile, "one"), JSON.stringify(got))
        yield* between.heal
        assert.isTrue(yield* arrives("onetwo", "onetwo"), JSON.stringify(got))
      })
    )
  }

  it.scopedLive("lets no new connection get an answer while it is cut, and resets all connections on demand", () =>
    Effect.gen(function* () {
      const { arrives, between, client, closed, got } = yield* echo
      yield* between.cut("both")
      client.write("one")
      assert.isFalse(
        yield* arrives("one", "one").pipe(
          Effect.timeoutTo({ duration: "200 millis", onSuccess: (is) => is, onTimeout: () => false })
        )
      )
      assert.deepStrictEqual(got, { server: "", client: "" })
      yield* between.reset
      assert.isTrue(yield* poll(Effect.sync(closed), 5000))
      assert.isTrue(
        yield* poll(
          Effect.sync(() => between.connections() === 0),
          5000
        )
      )
    })
  )
})
