/** A layer graph shares what is built from one layer value: what des builds for itself must not be among it. */

import * as Http from "node:http"
import * as Command from "@effect/platform/Command"
import * as CommandExecutor from "@effect/platform/CommandExecutor"
import * as FileSystem from "@effect/platform/FileSystem"
import * as HttpClient from "@effect/platform/HttpClient"
import * as NodeCommandExecutor from "@effect/platform-node/NodeCommandExecutor"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Des from "../../src/Des.ts"
import * as Engine from "../../src/engine/Engine.ts"
import * as EngineHttp from "../../src/engine/EngineHttp.ts"
import { EventFeed } from "../../src/feed/EventFeed.ts"
import { collectLogs } from "../support/Logs.ts"
import * as StandInEngine from "../support/StandInEngine.ts"

/** A server of the user's, such as one for webhooks, and what it was asked. */
const webhook = Effect.gen(function* () {
  const asked: Array<string> = []
  const server = yield* Effect.acquireRelease(
    Effect.async<Http.Server>((resume) => {
      const server = Http.createServer((request, response) => {
        asked.push(request.url ?? "")
        response.end("the user's own")
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return { asked, url: `http://127.0.0.1:${port}/webhook` }
})

describe("a user's HTTP client", () => {
  for (const [order, merge] of [
    [
      "after the feed",
      (feed: Layer.Layer<EventFeed>) => Layer.mergeAll(feed, NodeHttpClient.layer, NodeHttpClient.layerWithoutAgent)
    ],
    [
      "before the feed",
      (feed: Layer.Layer<EventFeed>) => Layer.mergeAll(NodeHttpClient.layer, NodeHttpClient.layerWithoutAgent, feed)
    ]
  ] as const) {
    it.scopedLive(`reaches its own server and not the engine, in a graph ${order}`, () =>
      Effect.gen(function* () {
        const engine = yield* StandInEngine.make({})
        const own = yield* webhook
        const feed = Des.layerFeed({ endpoint: engine.endpoint })
        yield* Effect.gen(function* () {
          const client = yield* HttpClient.HttpClient
          const { events } = yield* EventFeed
          // des/connected: the feed is open.
          yield* Stream.runHead(events)
          assert.strictEqual(yield* Effect.flatMap(client.get(own.url), ({ text }) => text), "the user's own")
        }).pipe(
          Effect.provide(Layer.provide(merge(feed), NodeHttpClient.agentLayer)),
          Effect.provide(collectLogs().layer)
        )
        assert.deepStrictEqual(own.asked, ["/webhook"])
        const paths = (yield* engine.requests).map(({ path }) => path)
        assert.include(paths, "/_ping")
        assert.notInclude(paths, "/webhook")
      })
    )
  }

  it.scopedLive("is not shared between two engines of one graph", () =>
    Effect.gen(function* () {
      const [one, other] = [yield* StandInEngine.make({}), yield* StandInEngine.make({})]
      one.state.id = "ONE"
      other.state.id = "OTHER"
      const identityOf = ({ endpoint }: StandInEngine.StandInEngine) =>
        Layer.effectDiscard(
          Effect.flatMap(Engine.Engine, ({ identify }) =>
            Effect.map(identify, ({ id }) => {
              found.push(id)
            })
          )
        ).pipe(Layer.provide(Engine.layer({ endpoint })), Layer.provide(EngineHttp.layer({ endpoint })))
      const found: Array<string> = []
      yield* Layer.build(Layer.mergeAll(identityOf(one), identityOf(other)))
      assert.deepStrictEqual(found.sort(), ["ONE", "OTHER"])
    })
  )
})

describe("a user's file system and command executor", () => {
  /** A file system that has nothing, and tells so by its own error. */
  const nothing = FileSystem.layerNoop({})

  for (const order of ["before", "after"] as const) {
    it.scopedLive(`are not shared with the feed, in a graph ${order} it`, () =>
      Effect.gen(function* () {
        const engine = yield* StandInEngine.make({ tcp: true })
        const http = EngineHttp.layer({ endpoint: engine.endpoint })
        const executor = Layer.provideMerge(NodeCommandExecutor.layer, nothing)
        const own = order === "before" ? Layer.mergeAll(executor, http) : Layer.mergeAll(http, executor)
        yield* Effect.gen(function* () {
          const fileSystem = yield* FileSystem.FileSystem
          assert.isFalse(yield* fileSystem.exists("/"))
          // The executor looks for the working directory in the file system that it was built with.
          const run = Command.exitCode(Command.workingDirectory(Command.make("true"), "/"))
          assert.isTrue(
            yield* Effect.isFailure(
              Effect.provideService(run, CommandExecutor.CommandExecutor, yield* CommandExecutor.CommandExecutor)
            )
          )
        }).pipe(Effect.provide(own))
        yield* Effect.gen(function* () {
          const real = yield* FileSystem.FileSystem
          assert.isTrue(yield* real.exists("/"))
        }).pipe(Effect.provide(NodeFileSystem.layer))
      })
    )
  }
})
