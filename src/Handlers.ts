import * as FileSystem from "@effect/platform/FileSystem"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Dispatch from "./dispatch/Dispatch.ts"
import type { DockerEvent } from "./event/DockerEvent.ts"
import type { EventKey } from "./event/EventCatalogue.ts"
import type { Journal } from "./journal/Journal.ts"
import * as Findings from "./scripts/Findings.ts"
import { ScriptDirectory } from "./scripts/ScriptDirectory.ts"
import * as ScriptOptions from "./scripts/ScriptOptions.ts"
import { Outcome, ScriptRunner } from "./scripts/ScriptRunner.ts"
import * as Trust from "./scripts/Trust.ts"

/**
 * A function that handles events. It succeeds with anything. If it fails or dies, the run has failed, and `retries` applies.
 *
 * @since 1.0.0
 * @category models
 */
export type Handler<R = never> = (event: DockerEvent) => Effect.Effect<unknown, unknown, R>

/**
 * A handler with options of its own, which override those of {@link layer}, as the options in a script's head do.
 *
 * - `handle`: handles one event.
 * - `timeout`: how long it may take. Then it is interrupted, and the run has failed.
 * - `retries`: how often a failed run is retried.
 * - `cooldown`: the shortest time between two runs for one actor. Events that come in this time become one run, of the newest event.
 *
 * @since 1.0.0
 * @category models
 */
export interface Configured<R = never> {
  readonly handle: Handler<R>
  readonly timeout?: Duration.DurationInput
  readonly retries?: number
  readonly cooldown?: Duration.DurationInput
}

/** A handler of any requirements, bare or with options. */
// biome-ignore lint/suspicious/noExplicitAny: the requirements are inferred from each handler.
type Any = Handler<any> | Configured<any>

/**
 * Handlers by the events that they are for: `TYPE/ACTION`, `TYPE/all`, or `all`. If several match an event, they run in this order, one
 * after the other.
 *
 * @since 1.0.0
 * @category models
 */
export type Handlers = { readonly [Key in EventKey]?: Any } & { readonly [key: string]: Any }

/**
 * The services that some handlers need.
 *
 * @since 1.0.0
 * @category models
 */
export type Requirements<H> = {
  readonly [Key in keyof H]: H[Key] extends Handler<infer R> | Configured<infer R> ? R : never
}[keyof H]

/** The message of what a handler failed with. */
const reasonOf = (cause: Cause.Cause<unknown>): string => Cause.pretty(cause).split("\n", 1)[0] ?? ""

const configured = <R>(handler: Handler<R> | Configured<R>): Configured<R> =>
  typeof handler === "function" ? { handle: handler } : handler

const optionsOf = ({ cooldown, retries, timeout }: Omit<Configured, "handle">): ScriptOptions.ScriptOptions => ({
  ...ScriptOptions.none,
  ...(timeout === undefined ? {} : { timeout: bounded(Duration.toMillis(timeout)) }),
  ...(retries === undefined ? {} : { retries }),
  ...(cooldown === undefined ? {} : { cooldown: Duration.toMillis(cooldown) })
})

/** In the options of a script no bound is 0. */
const bounded = (timeout: number): number => (Number.isFinite(timeout) ? timeout : 0)

/** What a script directory with these keys as paths would be warned of: misspelt names, for example. */
const findingsOf = (keys: Iterable<string>) => {
  const file = (name: string): Findings.ListedFile => ({
    kind: "file",
    name,
    isExecutable: true,
    head: "",
    hasInterpreter: true
  })
  return Array.from(keys).flatMap((key) => {
    const [type = "", ...action] = key.split("/")
    const entry: Findings.ListedFile =
      action.length === 0 ? file(type) : { kind: "directory", name: type, entries: [file(action.join("/"))] }
    return Findings.look("handlers", [entry])
  })
}

/**
 * Functions in place of scripts. The journal, the order of events, retries, timeouts, cooldowns and gaps are the same as for scripts. No
 * file is read, so there is no trust to check. The options are those of the dispatcher; `base`, `engines` and `grace` concern scripts only.
 *
 * A key that no engine sends is logged once as a warning, with the name that was probably meant. A handler that fails is logged with its
 * cause. With a journal on disk a handler runs at least once for each event. If des crashes twice while the same event is handled, that
 * event is set aside (see docs/delivery.md).
 *
 * @example
 * import { Des, Endpoint, Handlers, Journal } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 *
 * const HandlersLive = Handlers.layer({
 *   "container/die": (event) => Effect.log(`${event.Actor.Attributes["name"]} died`),
 *   "volume/all": { handle: (event) => Effect.log(`${event.Action} ${event.Actor.ID}`), retries: 3 }
 * })
 *
 * export const main = Des.run.pipe(
 *   Effect.provide(HandlersLive),
 *   Effect.provide(Layer.merge(Des.layerFeed({ endpoint: Endpoint.defaultEndpoint }), Journal.layerMemory()))
 * )
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = <const H extends Handlers>(
  handlers: H,
  options: Omit<Dispatch.DispatchOptions, "base" | "engines" | "grace"> = {}
): Layer.Layer<ScriptDirectory | Dispatch.Dispatch, never, Journal | Requirements<H>> => {
  const byKey = new Map(Object.entries<Handler<Requirements<H>> | Configured<Requirements<H>>>(handlers))

  const directory = Layer.effect(
    ScriptDirectory,
    Effect.gen(function* () {
      for (const { message } of findingsOf(byKey.keys())) yield* Effect.logWarning(message)
      const scripts = new Map(
        Array.from(byKey, ([key, handler]) => [key, { path: key, options: optionsOf(configured(handler)) }])
      )
      return {
        find: (type: string, verb: string) =>
          Effect.succeed([`${type}/${verb}`, `${type}/all`, "all"].flatMap((key) => scripts.get(key) ?? []))
      }
    })
  )

  const runner = Layer.effect(
    ScriptRunner,
    Effect.map(Effect.context<Requirements<H>>(), (context) => ({
      run: ({ bounds, event, script }) => {
        const handler = byKey.get(script)
        // The journal can have events from an earlier version of the program.
        if (handler === undefined) {
          return Effect.succeed(Outcome.NotStarted({ message: `this program has no handler ${script} any more` }))
        }
        const { timeout } = bounds
        return Effect.suspend(() => configured(handler).handle(event)).pipe(
          Effect.provide(context),
          Effect.timeoutTo({
            duration: timeout,
            onSuccess: () => Outcome.Exited({ code: 0, message: "" }),
            onTimeout: () => Outcome.TimedOut({ after: Duration.decode(timeout), message: "" })
          }),
          Effect.catchAllCause((cause) => Effect.succeed(Outcome.Failed({ message: reasonOf(cause), cause })))
        )
      }
    }))
  )

  return Dispatch.layer({ ...options, base: {} }).pipe(
    Layer.provide([runner, Trust.layerInsecure, FileSystem.layerNoop({})]),
    Layer.merge(directory)
  )
}
