import type * as FileSystem from "@effect/platform/FileSystem"
import * as Chunk from "effect/Chunk"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Dispatch from "./dispatch/Dispatch.ts"
import * as Engine from "./engine/Engine.ts"
import * as EngineHttp from "./engine/EngineHttp.ts"
import { type DockerEvent, verb } from "./event/DockerEvent.ts"
import * as OwnEvent from "./event/OwnEvent.ts"
import * as EventFeed from "./feed/EventFeed.ts"
import * as Journal from "./journal/Journal.ts"
import * as ScriptDirectory from "./scripts/ScriptDirectory.ts"
import * as ScriptOptions from "./scripts/ScriptOptions.ts"
import type { ScriptRunner } from "./scripts/ScriptRunner.ts"
import * as Trust from "./scripts/Trust.ts"

/** The scripts of events, where each type and action is looked up once: they came in the same moment. */
const findScripts = Effect.fnUntraced(function* (events: Iterable<DockerEvent>) {
  const directory = yield* ScriptDirectory.ScriptDirectory
  const found = new Map<string, ReadonlyArray<ScriptDirectory.Script>>()
  const accepted: Array<Journal.Accepted> = []
  for (const event of events) {
    const action = verb(event)
    const key = `${event.Type}/${action}`
    const all = found.get(key) ?? (yield* directory.find(event.Type, action))
    found.set(key, all)
    const scripts = all.filter(({ options }) => ScriptOptions.matches(options, event.Actor.Attributes, event.engine))
    if (scripts.length > 0) accepted.push({ event, scripts })
  }
  return accepted
})

/** The journal has no room for what the feed brought. */
class QueueFull extends Data.TaggedError("QueueFull") {}

/** Hands events to the journal. */
const accept = Effect.fnUntraced(function* (events: ReadonlyArray<DockerEvent>) {
  const journal = yield* Journal.Journal
  if (!(yield* journal.accept({ events, accepted: yield* findScripts(events) }))) return yield* new QueueFull()
})

/** The feed is closed by now. */
const waitForRoom = Effect.gen(function* () {
  const journal = yield* Journal.Journal
  yield* Effect.logWarning(
    "The queue of accepted events is full: des reads no more events until scripts catch up. What the engine does not keep meanwhile is lost, and said as a gap. Make the scripts faster, narrow what they run for, or keep the queue on disk (--state)"
  )
  yield* journal.room
  yield* Effect.logWarning("The queue of accepted events has room again: des reads on")
})

/**
 * Hands to the journal what the feed brings. When the journal is full the feed is closed, as if the engine were away, and
 * goes on where the journal ends: what the engine still has is not lost.
 */
const read = Effect.gen(function* () {
  const feed = yield* EventFeed.EventFeed
  const { memory } = yield* Journal.Journal
  yield* Stream.runForEachChunk(feed.resume(memory), (chunk) => accept(Chunk.toReadonlyArray(chunk))).pipe(
    Effect.as(true),
    Effect.catchTag("QueueFull", () => Effect.as(waitForRoom, false)),
    Effect.repeat({ until: (ended) => ended })
  )
})

const stopReason = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit) ? "end" : Exit.isInterrupted(exit) ? "signal" : "error"

/**
 * Watches the feed and runs its scripts: the whole of des. It ends when the feed has ended and the last script with it,
 * which an engine's feed never does. Interrupting it closes the feed and ends the script that runs.
 *
 * A feed that fails is an error only after what was accepted before has run; a journal that fails is one at once. Where
 * engines are watched, `des/start` and `des/stop` are events too.
 *
 * @since 1.0.0
 * @category constructors
 */
export const run: Effect.Effect<
  void,
  EventFeed.EventFeedError | Journal.JournalError,
  EventFeed.EventFeed | ScriptDirectory.ScriptDirectory | Journal.Journal | Dispatch.Dispatch
> = Effect.gen(function* () {
  const feed = yield* EventFeed.EventFeed
  const journal = yield* Journal.Journal
  const dispatch = yield* Dispatch.Dispatch

  const reading = read.pipe(
    Effect.as(Effect.void),
    // What was accepted before has still to run; with a journal that fails nothing has.
    Effect.catchTag("EventFeedError", (error) => Effect.succeed(Effect.fail(error))),
    // One failure of the journal is one error, whoever met it first.
    Effect.catchTag("JournalError", (error) => Effect.zipRight(dispatch.fail(error), Effect.never)),
    Effect.ensuring(journal.close)
  )
  const work = Effect.gen(function* () {
    const [read] = yield* Effect.all([reading, dispatch.run], { concurrency: 2 })
    yield* read
  })
  if (feed.engines.length === 0) return yield* work

  const engines = feed.engines.join(" ")
  // Of one engine its scripts can ask, as those of every other event.
  const about = { id: "des", ...(feed.engines.length === 1 ? { engine: engines } : {}) }
  const start = yield* OwnEvent.make({ ...about, action: "start", attributes: { engines } })
  // The queue is empty yet.
  yield* Effect.catchTag(accept([start]), "QueueFull", () => Effect.void)
  yield* Effect.onExit(
    work,
    Effect.fnUntraced(function* (exit) {
      const stop = yield* OwnEvent.make({ ...about, action: "stop", attributes: { engines, reason: stopReason(exit) } })
      yield* Effect.forEach(yield* findScripts([stop]), dispatch.runLast, { discard: true })
    })
  )
}).pipe(Effect.scoped)

/**
 * What des is made of between the feed and the runner, around a journal. `directory` is the script directory; with
 * `insecureScripts` scripts run whoever can change them. The rest is how they are dispatched.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (
  options: Dispatch.DispatchOptions & {
    readonly directory: string
    readonly insecureScripts?: boolean
  }
): Layer.Layer<
  ScriptDirectory.ScriptDirectory | Dispatch.Dispatch,
  ScriptDirectory.ScriptDirectoryError,
  Journal.Journal | ScriptRunner | FileSystem.FileSystem
> =>
  Layer.merge(Dispatch.layer(options), ScriptDirectory.layer(options)).pipe(
    Layer.provide(options.insecureScripts === true ? Trust.layerInsecure : Trust.layer(options))
  )

/**
 * The feed of an engine, reached with Node's HTTP client.
 *
 * @since 1.0.0
 * @category layers
 */
export const layerFeed = (options: Engine.EngineOptions & EventFeed.Options): Layer.Layer<EventFeed.EventFeed> =>
  EventFeed.layer(options).pipe(Layer.provide(Engine.layer(options)), Layer.provide(EngineHttp.layer(options)))
