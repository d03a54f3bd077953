import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Dispatch from "./Dispatch.ts"
import { type DockerEvent, verb } from "./docker/DockerEvent.ts"
import type { Endpoint } from "./docker/Endpoint.ts"
import * as Engine from "./docker/Engine.ts"
import * as EngineHttp from "./docker/EngineHttp.ts"
import * as EventFeed from "./docker/EventFeed.ts"
import * as FeedMemory from "./docker/FeedMemory.ts"
import * as Journal from "./Journal.ts"
import * as ScriptDirectory from "./scripts/ScriptDirectory.ts"
import * as ScriptOptions from "./scripts/ScriptOptions.ts"
import type { ScriptRunner } from "./scripts/ScriptRunner.ts"
import * as Trust from "./scripts/Trust.ts"

/** Looks each type and action of a chunk up once: its events came in the same moment. */
const accept = Effect.fnUntraced(function* (events: Chunk.Chunk<DockerEvent>) {
  const directory = yield* ScriptDirectory.ScriptDirectory
  const journal = yield* Journal.Journal
  const found = new Map<string, ReadonlyArray<ScriptDirectory.Script>>()
  const accepted: Array<Journal.Accepted> = []
  for (const event of events) {
    const action = verb(event)
    const key = `${event.Type}/${action}`
    const all = found.get(key) ?? (yield* directory.find(event.Type, action))
    found.set(key, all)
    const scripts = all.filter(({ options }) => ScriptOptions.matches(options, event.Actor.Attributes))
    if (scripts.length > 0) accepted.push({ event, scripts })
  }
  if (accepted.length > 0) yield* journal.accept(accepted)
})

/**
 * Watches the feed and runs its scripts: the whole of des. It ends when the feed has ended and the last script with it,
 * which an engine's feed never does. Interrupting it closes the feed and ends the script that runs.
 *
 * A feed that fails is an error only after what was accepted before has run.
 *
 * @since 1.0.0
 * @category constructors
 */
export const run: Effect.Effect<
  void,
  EventFeed.EventFeedError,
  EventFeed.EventFeed | ScriptDirectory.ScriptDirectory | Journal.Journal | Dispatch.Dispatch
> = Effect.gen(function* () {
  const feed = yield* EventFeed.EventFeed
  const journal = yield* Journal.Journal
  const dispatch = yield* Dispatch.Dispatch
  const reading = Stream.runForEachChunk(feed.events, accept).pipe(Effect.exit, Effect.ensuring(journal.close))
  const [read] = yield* Effect.all([reading, dispatch.run], { concurrency: 2 })
  yield* read
})

/**
 * What des is made of between the feed and the runner. `directory` is the script directory, `whenFull` the journal's; with
 * `insecureScripts` scripts run whoever can change them. The rest is how they are dispatched.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (
  options: Dispatch.DispatchOptions & {
    readonly directory: string
    readonly whenFull?: "drop" | "wait"
    readonly insecureScripts?: boolean
  }
): Layer.Layer<
  ScriptDirectory.ScriptDirectory | Journal.Journal | Dispatch.Dispatch,
  ScriptDirectory.ScriptDirectoryError,
  ScriptRunner | FileSystem.FileSystem
> =>
  Layer.merge(Dispatch.layer(options), ScriptDirectory.layer(options)).pipe(
    Layer.provideMerge(Journal.layerMemory(options.whenFull === undefined ? {} : { whenFull: options.whenFull })),
    Layer.provide(options.insecureScripts === true ? Trust.layerInsecure : Trust.layer(options))
  )

/**
 * The feed of the engine at an endpoint, reached with Node's HTTP client. `memory` is what it remembers from an earlier
 * start of des (default: nothing).
 *
 * @since 1.0.0
 * @category layers
 */
export const layerFeed = <E = never, R = never>(
  options: EventFeed.Options & {
    readonly endpoint: Endpoint
    readonly memory?: Layer.Layer<FeedMemory.FeedMemory, E, R>
  }
): Layer.Layer<EventFeed.EventFeed, E, R> =>
  EventFeed.layer(options).pipe(
    Layer.provide(Engine.layer(options)),
    Layer.provide(EngineHttp.layer(options)),
    Layer.provide(options.memory ?? FeedMemory.layerNone)
  )
