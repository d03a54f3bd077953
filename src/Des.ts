import type * as FileSystem from "@effect/platform/FileSystem"
import * as Arr from "effect/Array"
import * as Chunk from "effect/Chunk"
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Record from "effect/Record"
import * as Stream from "effect/Stream"
import * as Dispatch from "./dispatch/Dispatch.ts"
import * as Endpoint from "./endpoint/Endpoint.ts"
import * as Engine from "./engine/Engine.ts"
import * as EngineHttp from "./engine/EngineHttp.ts"
import { type DockerEvent, verb } from "./event/DockerEvent.ts"
import * as OwnEvent from "./event/OwnEvent.ts"
import * as EventFeed from "./feed/EventFeed.ts"
import * as Gap from "./feed/Gap.ts"
import * as Inspection from "./feed/Inspection.ts"
import * as Journal from "./journal/Journal.ts"
import * as Metrics from "./Metrics.ts"
import type { Environment } from "./scripts/Environment.ts"
import * as ScriptDirectory from "./scripts/ScriptDirectory.ts"
import * as ScriptOptions from "./scripts/ScriptOptions.ts"
import type { ScriptRunner } from "./scripts/ScriptRunner.ts"
import * as Trust from "./scripts/Trust.ts"

// The marks `#__PURE__` let a bundler drop `run`, and with it scripts, dispatch and journal, from a program that reads only the feed.

const wantsInspect = ({ scripts }: Journal.Accepted): boolean => scripts.some(({ options }) => options.inspect === true)

/**
 * Adds inspect data to the events that have a script with `inspect=yes`. No engine is asked about others. All engines are asked at the
 * same time, each about a container once.
 */
const inspectAll = /*#__PURE__*/ Effect.fnUntraced(function* (accepted: ReadonlyArray<Journal.Accepted>) {
  const wanted = accepted.filter(wantsInspect)
  if (wanted.length === 0) return accepted
  const { inspect = () => Effect.succeed(new Map<string, string>()) } = yield* EventFeed.EventFeed
  const asked = Arr.groupBy(
    wanted.filter(({ event }) => event.Type === "container"),
    ({ event }) => event.engine
  )
  const answers = yield* Effect.all(
    Record.map(asked, (events, engine) =>
      inspect(
        engine,
        events.map(({ event }) => event.Actor.ID)
      )
    ),
    { concurrency: "unbounded" }
  )
  const lineOf = ({ engine, Type, Actor }: DockerEvent): string =>
    Type === "container"
      ? (answers[engine]?.get(Actor.ID) ?? Inspection.absent("des does not watch the engine of this event"))
      : Inspection.absent("the event is not about a container")
  return accepted.map((one) => (wantsInspect(one) ? { ...one, inspected: lineOf(one.event) } : one))
})

/** Finds the scripts of events that came together. Each type and action is looked up once. */
const findScripts = /*#__PURE__*/ Effect.fnUntraced(function* (events: Iterable<DockerEvent>) {
  const directory = yield* ScriptDirectory.ScriptDirectory
  const found = new Map<string, ReadonlyArray<ScriptDirectory.Script>>()
  const accepted: Array<Journal.Accepted> = []
  for (const event of events) {
    const action = verb(event)
    const key = `${event.Type}/${action}`
    const all = found.get(key) ?? (yield* directory.find(event.Type, action))
    found.set(key, all)
    const scripts = all.filter(({ options }) => ScriptOptions.matches(options, event))
    if (scripts.length > 0) accepted.push({ event, scripts })
  }
  return yield* inspectAll(accepted)
})

/** The journal has no room for more events. */
class QueueFull extends Data.TaggedError("QueueFull") {}

/** Passes events to the journal. The feed and the reports of losses take turns: a journal accepts one batch after the other. */
const makeAccept = /*#__PURE__*/ Effect.map(/*#__PURE__*/ Effect.makeSemaphore(1), (turn) => {
  const accept = Effect.fnUntraced(function* (events: ReadonlyArray<DockerEvent>) {
    const journal = yield* Journal.Journal
    const accepted = yield* findScripts(events)
    const stored = yield* journal.accept({ events, accepted })
    yield* Metrics.accepted(stored.events, stored.accepted.length)
    if (!stored.isAll) return yield* new QueueFull()
  })
  return (events: ReadonlyArray<DockerEvent>) => turn.withPermits(1)(accept(events))
})

type Accept = Effect.Effect.Success<typeof makeAccept>

/** Passes an event about a failed run to the journal, if it has scripts. */
const makeReportFailure: Effect.Effect<
  (event: DockerEvent) => Effect.Effect<void, Journal.JournalError>,
  never,
  ScriptDirectory.ScriptDirectory | Journal.Journal | EventFeed.EventFeed
> = /*#__PURE__*/ Effect.gen(function* () {
  const journal = yield* Journal.Journal
  const context = yield* Effect.context<ScriptDirectory.ScriptDirectory | EventFeed.EventFeed>()
  return Effect.fnUntraced(function* (event) {
    const accepted = yield* Effect.provide(findScripts([event]), context)
    for (const own of accepted) {
      if (yield* journal.acceptOwn(own)) continue
      yield* Effect.logWarning(
        `${event.Type}/${event.Action} is lost, since the queue is full: its scripts do not hear that ${event.Actor.ID} failed. Make scripts faster, or keep the queue on disk (--state)`
      )
    }
  })
})

/** Waits until the journal has room again. The feed must be closed. */
const waitForRoom = /*#__PURE__*/ Effect.gen(function* () {
  const journal = yield* Journal.Journal
  yield* Effect.logWarning(
    "The queue of accepted events is full: des reads no more events until scripts catch up. Events that the engine forgets meanwhile are lost, and des reports a gap. Make the scripts faster, narrow what they run for, or keep the queue on disk (--state)"
  )
  yield* journal.room
  yield* Effect.logWarning("The queue of accepted events has room again: des reads on")
})

/**
 * Passes the events of the feed to the journal. If the journal is full, des closes the feed, as if the engine were away. When there is
 * room again, the feed continues after the last accepted event, so events that the engine still has are not lost.
 */
const read = /*#__PURE__*/ Effect.fnUntraced(function* (accept: Accept) {
  const feed = yield* EventFeed.EventFeed
  const { memory } = yield* Journal.Journal
  yield* Stream.runForEachChunk(feed.resume(memory), (chunk) => accept(Chunk.toReadonlyArray(chunk))).pipe(
    Effect.as(true),
    Effect.catchTag("QueueFull", () => Effect.as(waitForRoom, false)),
    Effect.repeat({ until: (ended) => ended })
  )
})

/** Makes a `des/gap` of the events of an actor that the journal lost. */
const reportLosses = /*#__PURE__*/ Effect.fnUntraced(function* (accept: Accept) {
  const journal = yield* Journal.Journal
  const report = (
    event: DockerEvent
  ): Effect.Effect<
    void,
    Journal.JournalError,
    Journal.Journal | ScriptDirectory.ScriptDirectory | EventFeed.EventFeed
  > => Effect.catchTag(accept([event]), "QueueFull", () => Effect.zipRight(journal.room, report(event)))
  return yield* Effect.forever(Effect.flatMap(Effect.flatMap(journal.lost, Gap.ofBacklog), report))
})

const stopReason = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit) ? "end" : Exit.isInterrupted(exit) ? "signal" : "error"

/**
 * Watches the feed and runs the scripts of its events: the whole of des. It ends when the feed and the last script have ended. The feed of
 * an engine never ends. An interruption closes the feed and stops the running scripts.
 *
 * If the feed fails, the accepted events run before the error. If the journal fails, the error comes at once. If des watches engines,
 * `des/start` and `des/stop` are events, too.
 *
 * @example
 * import { Des, Endpoint, Handlers, Journal } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * export const main = Des.run.pipe(
 *   Effect.provide(Handlers.layer({ "container/die": (event) => Effect.log(event.Actor.ID) })),
 *   Effect.provide(Layer.merge(Des.layerFeed({ endpoint: Endpoint.defaultEndpoint }), Journal.layerMemory()))
 * )
 *
 * @since 1.0.0
 * @category constructors
 */
export const run: Effect.Effect<
  void,
  EventFeed.EventFeedError | Journal.JournalError,
  EventFeed.EventFeed | ScriptDirectory.ScriptDirectory | Journal.Journal | Dispatch.Dispatch
> = /*#__PURE__*/ Effect.gen(function* () {
  const feed = yield* EventFeed.EventFeed
  const journal = yield* Journal.Journal
  const dispatch = yield* Dispatch.Dispatch
  const reportFailure = yield* makeReportFailure

  const accept = yield* makeAccept
  const reading = Effect.raceFirst(read(accept), reportLosses(accept)).pipe(
    Effect.as(Effect.void),
    // If the feed fails, accepted events still run. If the journal fails, nothing runs any more.
    Effect.catchTag("EventFeedError", (error) => Effect.succeed(Effect.fail(error))),
    // A failure of the journal is one error, also if reading and dispatching both meet it.
    Effect.catchTag("JournalError", (error) => Effect.zipRight(dispatch.fail(error), Effect.never)),
    Effect.ensuring(journal.close)
  )
  const work = Effect.gen(function* () {
    const [outcome] = yield* Effect.all([reading, dispatch.run(reportFailure)], { concurrency: 2 })
    yield* outcome
  })
  if (feed.engines.length === 0) return yield* work

  const engines = feed.engines.join(" ")
  // With a single engine, scripts of des/start and des/stop can ask that engine, as other scripts can.
  const about = { id: "des", ...(feed.engines.length === 1 ? { engine: engines } : {}) }
  const start = yield* OwnEvent.make({ ...about, action: "start", attributes: { engines } })
  // The queue is still empty, so it cannot be full.
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
 * The parts of des between the feed and the runner. They need a journal. `directory` is the script directory. With `insecureScripts`,
 * scripts run also if other users can change them. The other options are those of the dispatcher.
 *
 * @example
 * import { Des, Journal, ScriptRunner } from "docker-event-scripts"
 * import * as Layer from "effect/Layer"
 *
 * export const ScriptsLive = Des.layer({
 *   directory: "/etc/docker/events.d",
 *   base: { PATH: "/usr/bin:/bin" },
 *   jobs: 4,
 *   timeout: "1 minute"
 * }).pipe(Layer.provide(ScriptRunner.layer), Layer.provideMerge(Journal.layerMemory()))
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
 * {@link layer} with options that come from the configuration of the program, for example from environment variables. An option without
 * variables is `Config.succeed(value)`.
 *
 * @example
 * import { Des } from "docker-event-scripts"
 * import * as Config from "effect/Config"
 *
 * export const DesLive = Des.layerConfig({
 *   directory: Config.string("SCRIPT_DIR").pipe(Config.withDefault("/etc/docker/events.d")),
 *   base: { PATH: Config.string("PATH") },
 *   jobs: Config.integer("JOBS").pipe(Config.withDefault(1))
 * })
 *
 * @since 1.0.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Parameters<typeof layer>[0]>
): Layer.Layer<
  ScriptDirectory.ScriptDirectory | Dispatch.Dispatch,
  ScriptDirectory.ScriptDirectoryError | ConfigError,
  Journal.Journal | ScriptRunner | FileSystem.FileSystem
> => Layer.unwrapEffect(Effect.map(Config.unwrap(options), layer))

/** An engine, and how its feed is read. */
type Watched = Engine.EngineOptions & EventFeed.Options

/**
 * The feeds of several engines as one. No engine waits for another one.
 *
 * @example
 * import { Des } from "docker-event-scripts"
 *
 * export const FeedsLive = Des.layerFeeds([
 *   { name: "docker", endpoint: { _tag: "Unix", path: "/var/run/docker.sock" } },
 *   { name: "podman", endpoint: { _tag: "Unix", path: "/run/podman/podman.sock" } }
 * ])
 *
 * @since 1.0.0
 * @category layers
 */
export const layerFeeds = (engines: ReadonlyArray<Watched>): Layer.Layer<EventFeed.EventFeed> =>
  EventFeed.layerMerged(engines.map(layerFeed))

/**
 * By the name of each engine, the variables by which a script reaches the engine of its event: `DES_ENGINE`, `DES_ENDPOINT`, and those of
 * the docker command (`DOCKER_HOST`, for example). They are for the option `engines` of {@link layer}. Without them the docker command in a
 * script reaches the default engine. For ssh, scripts also get the agent of `own` (default: the environment of this process).
 *
 * @example
 * import { Des, Endpoint } from "docker-event-scripts"
 * import * as Layer from "effect/Layer"
 *
 * const engines = [
 *   { name: "docker", endpoint: Endpoint.defaultEndpoint },
 *   { name: "podman", endpoint: { _tag: "Unix", path: "/run/podman/podman.sock" } }
 * ] as const
 *
 * export const DesLive = Layer.merge(
 *   Des.layer({ directory: "/etc/docker/events.d", base: {}, engines: Des.engineVariables(engines) }),
 *   Des.layerFeeds(engines)
 * )
 *
 * @since 1.0.0
 * @category constructors
 */
export const engineVariables = (
  engines: ReadonlyArray<Pick<Engine.EngineOptions, "endpoint" | "name">>,
  own: Readonly<Record<string, string | undefined>> = process.env
): Readonly<Record<string, Environment>> =>
  Object.fromEntries(
    engines.map(({ endpoint, name = Endpoint.format(endpoint) }) => {
      const agent = endpoint._tag === "Ssh" ? own["SSH_AUTH_SOCK"] : undefined
      const variables = {
        ...Endpoint.dockerVariables(endpoint),
        ...(agent === undefined ? {} : { SSH_AUTH_SOCK: agent }),
        DES_ENGINE: name,
        DES_ENDPOINT: Endpoint.format(endpoint)
      }
      return [name, variables]
    })
  )

/**
 * The feed of an engine, reached with Node's HTTP client.
 *
 * @example
 * import { Des, Endpoint, EventFeed } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 * import * as Stream from "effect/Stream"
 *
 * export const printed = Effect.flatMap(EventFeed.EventFeed, ({ events }) =>
 *   Stream.runForEach(events, (event) => Effect.log(`${event.Type}/${event.Action}`))
 * ).pipe(Effect.provide(Des.layerFeed({ endpoint: Endpoint.defaultEndpoint })))
 *
 * @since 1.0.0
 * @category layers
 */
export const layerFeed = (options: Engine.EngineOptions & EventFeed.Options): Layer.Layer<EventFeed.EventFeed> =>
  EventFeed.layer(options).pipe(Layer.provide(Engine.layer(options)), Layer.provide(EngineHttp.layer(options)))
