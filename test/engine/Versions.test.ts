import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Engine from "../../src/engine/Engine.ts"
import * as EngineHttp from "../../src/engine/EngineHttp.ts"
import * as FeedRecords from "../../src/event/Records.ts"
import * as Engine29 from "../support/Engine29.ts"
import * as StandInEngine from "../support/StandInEngine.ts"

/** The first event of an engine of this release, the content type that it chose, and what it was asked. */
const first = (release: Engine29.Release, options: { readonly apiVersion?: string; readonly accept?: string } = {}) =>
  Effect.gen(function* () {
    const types: Array<string> = []
    const engine = yield* StandInEngine.make(Engine29.answers(release, (type) => types.push(type)))
    const { endpoint } = engine
    const { accept, apiVersion } = options
    const client = EngineHttp.layer({ endpoint })
    const asking =
      accept === undefined
        ? client
        : Layer.provide(
            Layer.effect(
              HttpClient.HttpClient,
              Effect.map(HttpClient.HttpClient, HttpClient.mapRequest(HttpClientRequest.setHeader("accept", accept)))
            ),
            client
          )
    const event = yield* Effect.flatMap(Engine.Engine, ({ feed }) => feed({})).pipe(
      Effect.flatMap((feed) => Stream.runHead(FeedRecords.decodeRecords({ source: "test" })(feed))),
      Effect.flatten,
      Effect.provide(
        Layer.provide(Engine.layer({ endpoint, ...(apiVersion === undefined ? {} : { apiVersion }) }), asking)
      )
    )
    return { event, types, paths: (yield* engine.requests).map(({ path }) => path) }
  })

describe("an engine", () => {
  for (const [name, release] of Object.entries(Engine29.releases)) {
    it.scopedLive(`${name} is asked with its own API version, and for lines`, () =>
      Effect.gen(function* () {
        const { event, paths, types } = yield* first(release)
        assert.deepStrictEqual(paths, ["/_ping", `/v${release.newest}/events`])
        assert.deepStrictEqual(types, [name === "29.0" ? "application/x-ndjson" : "application/jsonl"])
        assert.deepInclude(event, { Type: "container", Action: "start" })
        assert.strictEqual(event.Actor.ID, "c1")
        assert.include(event.record, '"timeNano":1795453740123456789}')
      })
    )

    it.scopedLive(`${name} is understood with an old pinned API, without a ping`, () =>
      Effect.gen(function* () {
        const { event, paths } = yield* first(release, { apiVersion: "1.44" })
        assert.deepStrictEqual(paths, ["/v1.44/events"])
        assert.include(event.record, '"timeNano":1795453740123456800}')
      })
    )

    for (const accept of ["application/json-seq", "application/x-ndjson", "*/*", "text/html"]) {
      it.scopedLive(`${name} is understood whatever it answers to Accept: ${accept}`, () =>
        Effect.gen(function* () {
          const { event, types } = yield* first(release, { accept })
          if (accept === "application/json-seq") assert.deepStrictEqual(types, [accept])
          assert.strictEqual(event.Actor.Attributes["name"], "x")
        })
      )
    }

    it.scopedLive(`${name} that does not know the pinned API is reported with both versions`, () =>
      Effect.gen(function* () {
        const older = yield* Effect.flip(first(release, { apiVersion: "1.39" }))
        assert.match(
          String(older),
          new RegExp(
            `it knows API ${release.oldest} and newer, and was asked for 1\\.39, since DOCKER_API_VERSION says so`
          )
        )
        const newer = yield* Effect.flip(first(release, { apiVersion: "1.99" }))
        assert.match(String(newer), new RegExp(`it knows API ${release.newest} and older, and was asked for 1\\.99`))
      })
    )
  }

  it.scopedLive("that no longer knows the API of des needs a newer des", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(first({ newest: "1.70", oldest: "1.60", types: [], wildcards: false }))
      assert.match(
        String(error),
        /it knows API 1\.60 and newer, and was asked for 1\.55, the newest that des knows; a newer des/
      )
    })
  )
})
