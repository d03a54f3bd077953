/**
 * Test helpers for programs that use des as a library: events without an engine, scripts without processes, and no
 * waiting.
 *
 * @since 1.0.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as DockerEvent from "./event/DockerEvent.ts"
import * as EventFeed from "./feed/EventFeed.ts"
import { ScriptDirectory } from "./scripts/ScriptDirectory.ts"
import * as ScriptOptions from "./scripts/ScriptOptions.ts"
import { Outcome, type ScriptRun, ScriptRunner } from "./scripts/ScriptRunner.ts"

/**
 * Builds an event as an engine with API 1.52 or later sends it. Without fields it is the start of the container
 * `c0ffee`, named `web`, from the image `nginx`, at a fixed time.
 *
 * @example
 * import * as Testing from "docker-event-scripts/testing"
 *
 * export const died = Testing.makeEvent({ action: "die", attributes: { name: "web", exitCode: "1" } })
 *
 * @since 1.0.0
 * @category constructors
 */
export const makeEvent = (
  fields: {
    readonly type?: string
    readonly action?: string
    readonly id?: string
    readonly attributes?: Readonly<Record<string, string>>
    readonly timeNano?: bigint
  } = {}
): DockerEvent.DockerEvent =>
  DockerEvent.make({
    type: fields.type ?? "container",
    action: fields.action ?? "start",
    id: fields.id ?? "c0ffee",
    attributes: fields.attributes ?? { image: "nginx", name: "web" },
    timeNano: fields.timeNano ?? 1_795_453_740_123_456_789n
  })

/**
 * A feed of these events or raw records, which then ends. A record that is not an event is reported and skipped, as
 * from an engine.
 *
 * @example
 * import * as Testing from "docker-event-scripts/testing"
 *
 * export const FeedLive = Testing.layerFeed([Testing.makeEvent(), Testing.makeEvent({ action: "die" }), "no event"])
 *
 * @since 1.0.0
 * @category layers
 */
export const layerFeed = (events: Iterable<DockerEvent.DockerEvent | string>): Layer.Layer<EventFeed.EventFeed> =>
  EventFeed.layerRecords({
    source: "the test's records",
    bytes: Stream.encodeText(
      Stream.map(Stream.fromIterable(events), (event) => `${typeof event === "string" ? event : event.record}\n`)
    )
  })

/**
 * Scripts without a disk: their paths by `TYPE/ACTION`.
 *
 * @example
 * import * as Testing from "docker-event-scripts/testing"
 *
 * export const ScriptsLive = Testing.layerScripts({ "container/die": ["/d/container/die/10-mail", "/d/all"] })
 *
 * @since 1.0.0
 * @category layers
 */
export const layerScripts = (scripts: Readonly<Record<string, ReadonlyArray<string>>>): Layer.Layer<ScriptDirectory> =>
  Layer.succeed(ScriptDirectory, {
    find: (type, verb) =>
      Effect.succeed((scripts[`${type}/${verb}`] ?? []).map((path) => ({ path, options: ScriptOptions.none })))
  })

/**
 * The runs that {@link layerRecorder} recorded.
 *
 * - `all`: returns them in the order in which they began.
 *
 * @example
 * import * as Testing from "docker-event-scripts/testing"
 * import * as Effect from "effect/Effect"
 *
 * export const scripts = Effect.gen(function* () {
 *   const recorded = yield* Testing.RecordedRuns
 *   const runs = yield* recorded.all
 *   return runs.map(({ script }) => script)
 * })
 *
 * @since 1.0.0
 * @category services
 */
export class RecordedRuns extends Context.Tag("des/testing/RecordedRuns")<
  RecordedRuns,
  { readonly all: Effect.Effect<ReadonlyArray<ScriptRun>> }
>() {}

/**
 * A runner that starts nothing. It records each run in {@link RecordedRuns} and returns what `outcome` returns
 * (default: a success).
 *
 * @example
 * import { ScriptRunner } from "docker-event-scripts"
 * import * as Testing from "docker-event-scripts/testing"
 *
 * export const RunnerLive = Testing.layerRecorder(({ script }) =>
 *   ScriptRunner.Outcome.Exited({ code: script.endsWith("/fails") ? 1 : 0, message: "" })
 * )
 *
 * @since 1.0.0
 * @category layers
 */
export const layerRecorder = (
  outcome: (run: ScriptRun) => Outcome = () => Outcome.Exited({ code: 0, message: "" })
): Layer.Layer<ScriptRunner | RecordedRuns> =>
  Layer.effectContext(
    Effect.map(Ref.make<ReadonlyArray<ScriptRun>>([]), (runs) =>
      Context.empty().pipe(
        Context.add(RecordedRuns, { all: Ref.get(runs) }),
        Context.add(ScriptRunner, {
          run: (run: ScriptRun) =>
            Effect.as(
              Ref.update(runs, (before) => [...before, run]),
              outcome(run)
            )
        })
      )
    )
  )
