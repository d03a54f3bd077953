/** The feed at work on an engine that a test controls, and what it gave and said. */

import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LogLevel from "effect/LogLevel"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { assert } from "vitest"
import type * as Endpoint from "../../src/endpoint/Endpoint.ts"
import * as Engine from "../../src/engine/Engine.ts"
import * as EngineHttp from "../../src/engine/EngineHttp.ts"
import type { DockerEvent } from "../../src/event/DockerEvent.ts"
import * as EventFeed from "../../src/feed/EventFeed.ts"
import * as FeedMemory from "../../src/feed/FeedMemory.ts"
import { collectLogs } from "./Logs.ts"
import { poll } from "./Poll.ts"
import * as StandInEngine from "./StandInEngine.ts"

/** A memory that outlives the feed, as a journal's does: it remembers each event as it is taken. */
export interface Memory {
  readonly memory: FeedMemory.FeedMemory
  readonly accept: (event: DockerEvent) => void
  readonly recollection: () => FeedMemory.Recollection
}

/** A memory of one engine that begins with what is given. */
export const makeMemory = (recalled?: FeedMemory.MetEngine): Memory => {
  const { accept, ...memory } = FeedMemory.make()
  let name = ""
  return {
    memory: {
      ...memory,
      recall: (engine) =>
        Effect.suspend(() => {
          const isFirst = name === ""
          name = engine
          const begin = isFirst && recalled !== undefined ? memory.meet(engine, recalled) : Effect.void
          return Effect.zipRight(begin, memory.recall(engine))
        })
    },
    accept: (event) => accept([event]),
    recollection: () => Effect.runSync(memory.recall(name))
  }
}

export interface Following {
  readonly events: ReadonlyArray<DockerEvent>
  readonly logs: ReadonlyArray<string>
  /** Each event as `TYPE/ACTION NAME`, with a `*` after what des made up for an engine. */
  readonly told: () => ReadonlyArray<string>
  /** Waits until an event or a line like this is there. */
  readonly until: (what: string) => Effect.Effect<void>
  readonly stop: Effect.Effect<void>
}

const describe = ({ Action, Actor, Type, synthetic }: DockerEvent): string =>
  `${Type}/${Action} ${Type === "des" ? (Actor.Attributes["reason"] ?? "") : (Actor.Attributes["name"] ?? "")}${synthetic ? "*" : ""}`.trim()

/** Follows the feed of an engine for the scope. */
export const followEngine = (
  engine: Layer.Layer<Engine.Engine>,
  options: EventFeed.Options & { readonly memory?: Memory } = {}
): Effect.Effect<Following, never, Scope.Scope> =>
  Effect.gen(function* () {
    const events: Array<DockerEvent> = []
    const { layer: collecting, lines: logs } = collectLogs(LogLevel.Info)
    const feed = EventFeed.layer(options).pipe(Layer.provide(engine))
    const given = ({ events, resume }: EventFeed.EventFeed["Type"]) =>
      options.memory === undefined ? events : resume(options.memory.memory)
    const following = yield* Stream.unwrap(Effect.map(EventFeed.EventFeed, given)).pipe(
      Stream.runForEach((event) =>
        Effect.sync(() => {
          events.push(event)
          options.memory?.accept(event)
        })
      ),
      Effect.provide(feed),
      Effect.provide(collecting),
      Effect.forkScoped
    )
    const told = () => events.map(describe)
    const until = (what: string) =>
      Effect.map(
        poll(
          Effect.sync(() => told().includes(what) || logs.some((line) => line.includes(what))),
          60_000
        ),
        (came) => assert.isTrue(came, `${what} did not come:\n${[...told(), ...logs].join("\n")}`)
      )
    return { events, logs, told, until, stop: Effect.asVoid(following.interruptAsFork(following.id())) }
  })

/** Follows the feed of what answers at an endpoint. */
export const follow = (
  endpoint: Endpoint.Endpoint,
  options: EventFeed.Options & { readonly memory?: Memory } = {}
): Effect.Effect<Following, never, Scope.Scope> =>
  followEngine(Layer.provide(Engine.layer({ endpoint }), EngineHttp.layer({ endpoint })), options)

/** Makes a stand-in engine, follows its feed, and waits for the first connection. */
export const connect = (
  engineOptions: Parameters<typeof StandInEngine.make>[0] = {},
  options: Parameters<typeof follow>[1] = {}
) =>
  Effect.gen(function* () {
    const engine = yield* StandInEngine.make(engineOptions)
    const des = yield* follow(engine.endpoint, options)
    yield* des.until("des/connected")
    return { des, engine }
  })
