import * as Fs from "node:fs"
import type { ServerOptions } from "node:https"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { Tls } from "../../src/endpoint/Endpoint.ts"
import * as Certificates from "../support/Certificates.ts"
import { isProgram } from "../support/Engines.ts"
import { follow } from "../support/Following.ts"
import { poll } from "../support/Poll.ts"
import * as StandInEngine from "../support/StandInEngine.ts"

/** What the kernel waits with on the connections that are open to a port: `02` is keepalive, and the hundredths of a second that are left. */
const timersTo = (port: number): ReadonlyArray<{ readonly kind: string; readonly left: number }> =>
  Fs.readFileSync("/proc/net/tcp", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , remote, state]) => state === "01" && Number.parseInt(remote?.split(":")[1] ?? "", 16) === port)
    .map((fields) => {
      const [kind = "", left = ""] = fields[5]?.split(":") ?? []
      return { kind, left: Number.parseInt(left, 16) }
    })

/** Every connection that des has to a stand-in while the feed is open; the stand-in is asked over others first, which must not stay. */
const feedTo = (options: { readonly server?: ServerOptions; readonly tls?: Tls }) =>
  Effect.gen(function* () {
    const engine = yield* StandInEngine.make({
      tcp: true,
      ...(options.server === undefined ? {} : { tls: options.server })
    })
    if (engine.endpoint._tag !== "Tcp") return yield* Effect.dieMessage("it listens on a port")
    const { until } = yield* follow({ ...engine.endpoint, ...(options.tls === undefined ? {} : { tls: options.tls }) })
    yield* until("INFO watching")
    const { port } = engine.endpoint
    yield* poll(
      Effect.sync(() => timersTo(port).length === 1),
      5000
    )
    return timersTo(port)
  })

const assertKeptAlive = (timers: ReturnType<typeof timersTo>) => {
  assert.deepStrictEqual(
    timers.map(({ kind }) => kind),
    ["02"]
  )
  for (const { left } of timers) assert.isTrue(left > 2000 && left <= 3000, `${left} hundredths of a second`)
}

describe("the connection of a feed", () => {
  it.scopedLive("is not shared, and the kernel checks its other end after 30 seconds", () =>
    Effect.map(feedTo({}), assertKeptAlive)
  )

  it.scopedLive.skipIf(!isProgram("openssl") && process.env["DES_REQUIRE_ENGINES"] !== "1")(
    "is kept alive with TLS, too (which needs openssl)",
    () =>
      Effect.gen(function* () {
        const folder = (yield* Certificates.authority).issue()
        const server = { cert: Fs.readFileSync(`${folder}/cert.pem`), key: Fs.readFileSync(`${folder}/key.pem`) }
        assertKeptAlive(yield* feedTo({ server, tls: { verify: true, ca: `${folder}/ca.pem` } }))
      })
  )
})
