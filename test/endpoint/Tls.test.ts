import * as Fs from "node:fs"
import type { ServerOptions } from "node:https"
import * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Endpoint from "../../src/endpoint/Endpoint.ts"
import * as Engine from "../../src/engine/Engine.ts"
import * as EngineHttp from "../../src/engine/EngineHttp.ts"
import * as Certificates from "../support/Certificates.ts"
import { isProgram } from "../support/Engines.ts"
import * as StandInEngine from "../support/StandInEngine.ts"

const files = (folder: string) => ({
  ca: `${folder}/ca.pem`,
  cert: `${folder}/cert.pem`,
  key: `${folder}/key.pem`
})

const server = (folder: string, more: ServerOptions = {}): ServerOptions => ({
  cert: Fs.readFileSync(`${folder}/cert.pem`),
  key: Fs.readFileSync(`${folder}/key.pem`),
  ca: Fs.readFileSync(`${folder}/ca.pem`),
  ...more
})

/** An engine that speaks TLS with this certificate, and its feed as a client with that one gets it. */
const feedOver = (tls: ServerOptions) =>
  Effect.map(
    StandInEngine.make({ tls, events: () => StandInEngine.feed([], "stay") }),
    (engine) =>
      (with_: Endpoint.Tls, host = "127.0.0.1"): Effect.Effect<unknown, Engine.EngineError> => {
        if (engine.endpoint._tag !== "Tcp") return Effect.dieMessage("it listens on a port")
        const endpoint: Endpoint.Endpoint = { ...engine.endpoint, host, tls: with_ }
        return Effect.flatMap(Engine.Engine, ({ feed }) => feed({})).pipe(
          Effect.provide(Layer.provide(Engine.layer({ endpoint }), EngineHttp.layer({ endpoint })))
        )
      }
  )

const failure = (feed: Effect.Effect<unknown, Engine.EngineError>) =>
  Effect.map(Effect.flip(feed), (error) => {
    assert.strictEqual(error.reason, "Unreachable")
    assert.match(error.message, /^no engine can be reached at tcp:\/\/[^ ]+: /)
    return error.message.replace(/^no engine can be reached at tcp:\/\/[^ ]+: /, "")
  })

describe.skipIf(!isProgram("openssl") && process.env["DES_REQUIRE_ENGINES"] !== "1")(
  "TLS (which needs openssl)",
  () => {
    it.scopedLive("reaches an engine with a certificate of its own authority, by name and by address", () =>
      Effect.gen(function* () {
        const own = yield* Certificates.authority
        const feed = yield* feedOver(server(own.issue(), { requestCert: true, rejectUnauthorized: true }))
        const tls = { verify: true, ...files(own.issue()) }
        yield* feed(tls)
        yield* feed(tls, "localhost")
      })
    )

    it.scopedLive("accepts any certificate without verification, and only a known one with it", () =>
      Effect.gen(function* () {
        const [own, other] = [yield* Certificates.authority, yield* Certificates.authority]
        const feed = yield* feedOver(server(own.issue({ names: "DNS:elsewhere" })))
        yield* feed({ verify: false })
        yield* feed({ verify: false, ...files(other.issue()) })
        assert.match(
          yield* failure(feed({ verify: true })),
          /an authority that this machine does not know; put the engine's ca\.pem/
        )
        const { ca } = files(other.issue())
        assert.match(yield* failure(feed({ verify: true, ca })), new RegExp(`an authority that is not in ${ca}`))
      })
    )

    it.scopedLive("reports an expired certificate in other words than a certificate for another host", () =>
      Effect.gen(function* () {
        const own = yield* Certificates.authority
        const { ca } = files(own.issue())
        const expired = yield* feedOver(server(own.issue({ days: -1 })))
        assert.match(yield* failure(expired({ verify: true, ca })), /^its certificate has expired; renew it/)
        const elsewhere = yield* feedOver(server(own.issue({ names: "DNS:engine.example.com" })))
        assert.match(
          yield* failure(elsewhere({ verify: true, ca })),
          /^its certificate is for other names \(.*127\.0\.0\.1.*\); name the engine as its certificate does/
        )
        assert.match(
          yield* failure(elsewhere({ verify: true, ca }, "localhost")),
          /for other names .*engine\.example\.com/
        )
      })
    )

    it.scopedLive("refuses a certificate with its host only as the common name, as the docker command does", () =>
      Effect.gen(function* () {
        const own = yield* Certificates.authority
        const { ca } = files(own.issue())
        const common = yield* feedOver(server(own.issue({ names: "", commonName: "localhost" })))
        assert.match(
          yield* failure(common({ verify: true, ca }, "localhost")),
          /^its certificate names the host only as a common name, .*; issue one with a subjectAltName$/
        )
        // Other names, of which none is a host's, do not bring the common name back.
        const address = yield* feedOver(server(own.issue({ names: "IP:127.0.0.2", commonName: "localhost" })))
        assert.match(yield* failure(address({ verify: true, ca }, "localhost")), /^its certificate is for other names/)
      })
    )

    it.scopedLive("verifies the endpoint's host, whatever Host header the configuration has", () =>
      Effect.gen(function* () {
        const own = yield* Certificates.authority
        const { ca } = files(own.issue())
        const engine = yield* StandInEngine.make({ tls: server(own.issue({ names: "DNS:evil.example" })) })
        if (engine.endpoint._tag !== "Tcp") return assert.fail("it listens on a port")
        const endpoint: Endpoint.Endpoint = { ...engine.endpoint, host: "localhost", tls: { verify: true, ca } }
        const asked = (headers: Readonly<Record<string, string>>) =>
          Effect.flatMap(Engine.Engine, ({ identify }) => identify).pipe(
            Effect.provide(Layer.provide(Engine.layer({ endpoint, headers }), EngineHttp.layer({ endpoint })))
          )
        assert.match(yield* failure(asked({ Host: "evil.example" })), /^its certificate is for other names/)
        // The same on the client alone, without the rule for headers.
        const headers = { Host: "evil.example" }
        const error = yield* HttpClient.get(`https://localhost:${endpoint.port}/_ping`, { headers }).pipe(
          Effect.flip,
          Effect.provide(EngineHttp.layer({ endpoint }))
        )
        assert.strictEqual(Object(error.cause).code, "ERR_TLS_CERT_ALTNAME_INVALID")
      })
    )

    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      it.scopedLive(`says over ${version} that the engine wants a certificate of the client`, () =>
        Effect.gen(function* () {
          const own = yield* Certificates.authority
          const feed = yield* feedOver(
            server(own.issue(), {
              requestCert: true,
              rejectUnauthorized: true,
              minVersion: version,
              maxVersion: version
            })
          )
          const { ca } = files(own.issue())
          assert.match(
            yield* failure(feed({ verify: true, ca })),
            /^it wants a client's certificate; put cert\.pem and key\.pem/
          )
        })
      )
    }

    it.scopedLive("names a file that is missing, or whose key does not fit", () =>
      Effect.gen(function* () {
        const own = yield* Certificates.authority
        const feed = yield* feedOver(server(own.issue()))
        const mine = files(own.issue())
        assert.match(
          yield* failure(feed({ verify: true, ...mine, ca: "/nonexistent/ca.pem" })),
          /^\/nonexistent\/ca\.pem cannot be read: there is no such file; TLS needs ca\.pem, cert\.pem and key\.pem/
        )
        const { key } = files(own.issue())
        assert.match(
          yield* failure(feed({ verify: true, ...mine, key })),
          new RegExp(`${mine.cert}, ${key} cannot be used for TLS: .*; they must be PEM`)
        )
        Fs.writeFileSync(mine.ca, "no PEM")
        yield* failure(feed({ verify: true, ...mine }))
      })
    )

    it.scopedLive("reads its files again for every connection, since they are renewed", () =>
      Effect.gen(function* () {
        const own = yield* Certificates.authority
        const engine = yield* StandInEngine.make({
          tls: server(own.issue()),
          events: () => StandInEngine.feed([], "stay")
        })
        if (engine.endpoint._tag !== "Tcp") return assert.fail("it listens on a port")
        const ca = `${own.issue()}/later.pem`
        const endpoint: Endpoint.Endpoint = { ...engine.endpoint, tls: { verify: true, ca } }
        yield* Effect.gen(function* () {
          const { feed } = yield* Engine.Engine
          yield* Effect.flip(feed({}))
          Fs.copyFileSync(ca.replace("later", "ca"), ca)
          yield* Effect.asVoid(feed({}))
        }).pipe(Effect.provide(Layer.provide(Engine.layer({ endpoint }), EngineHttp.layer({ endpoint }))))
      })
    )

    it.scopedLive("knows the authorities of the system if no CA is named", () =>
      Effect.gen(function* () {
        const own = yield* Certificates.authority
        const feed = yield* feedOver(server(own.issue()))
        const SSL_CERT_FILE = files(own.issue()).ca
        yield* Effect.withConfigProvider(
          feed({ verify: true }),
          ConfigProvider.fromMap(new Map(Object.entries({ SSL_CERT_FILE })))
        )
      })
    )

    it.scopedLive("is reported if only one side uses it", () =>
      Effect.gen(function* () {
        const own = yield* Certificates.authority
        const plain = yield* StandInEngine.make({ tcp: true, events: () => StandInEngine.feed([], "stay") })
        if (plain.endpoint._tag !== "Tcp") return assert.fail("it listens on a port")
        const endpoint: Endpoint.Endpoint = { ...plain.endpoint, tls: { verify: true, ...files(own.issue()) } }
        const error = yield* Effect.flip(
          Effect.flatMap(Engine.Engine, ({ feed }) => feed({})).pipe(
            Effect.provide(Layer.provide(Engine.layer({ endpoint }), EngineHttp.layer({ endpoint })))
          )
        )
        assert.match(error.message, /it speaks no TLS there/)
      })
    )
  }
)
