import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Container, Engine, EngineError } from "../engine/Engine.ts"
import * as DockerEvent from "../event/DockerEvent.ts"
import { type Belief, type Running, type Turn, turn } from "./Belief.ts"

/**
 * What happened to a container and was not heard of.
 *
 * @since 1.0.0
 * @category models
 */
export type Missed =
  | { readonly _tag: "Died"; readonly container: Running; readonly restartedAt: bigint | undefined }
  | { readonly _tag: "Started"; readonly container: Running }

/**
 * Between the start that an engine notes and its event lie a few milliseconds, the event being later; between two starts
 * of one container lies more than this.
 */
const sameLife = 50_000_000n

const isLater = (start: bigint, believed: bigint): boolean => start > believed + sameLife

/**
 * Compares what is believed to run with what does. `pending` are changes whose events are known to come next, in their order: for
 * a container that they tell of, only what was missed before the first of them counts. Deaths come before starts: a
 * container that was replaced by one of the same name leaves before the other comes.
 *
 * @since 1.0.0
 * @category combinators
 */
export const compare = (input: {
  readonly believed: ReadonlyMap<string, Running>
  readonly pending: Iterable<Turn>
  readonly running: ReadonlyMap<string, Running>
}): ReadonlyArray<Missed> => {
  const first = new Map<string, Turn>()
  for (const turn of input.pending) if (!first.has(turn.id)) first.set(turn.id, turn)
  const died: Array<Missed> = []
  const started: Array<Missed> = []
  for (const container of input.believed.values()) {
    const now = input.running.get(container.id)
    const isSame = now !== undefined && !isLater(now.startedAt, container.startedAt)
    const next = first.get(container.id)
    const change = next?.change
    if (isSame || change === "died") continue
    const restartedAt = next === undefined ? now?.startedAt : change === "started" ? next.at : undefined
    if (restartedAt !== undefined && !isLater(restartedAt, container.startedAt)) continue
    died.push({ _tag: "Died", container, restartedAt })
    if (next === undefined && now !== undefined) started.push({ _tag: "Started", container: now })
  }
  for (const container of input.running.values()) {
    if (!input.believed.has(container.id) && !first.has(container.id)) started.push({ _tag: "Started", container })
  }
  return [...died, ...started]
}

/**
 * What was made up for a container last: its start at that time, or its death. An engine may still send the same.
 *
 * @since 1.0.0
 * @category models
 */
export type Twins = Map<string, { readonly startedAt: bigint | undefined }>

/** An engine writes down what it started before it tells of it, on whatever disk it has. A later start is of another life. */
const mostDelayed = 5_000_000_000n

/**
 * Whether an event tells what a synthetic one has told already, or of a life of the container before that. It changes
 * `twins` to what is still to be expected.
 *
 * @since 1.0.0
 * @category combinators
 */
export const isTwin = (twins: Twins, event: DockerEvent.DockerEvent): boolean => {
  if (twins.size === 0) return false
  const change = turn(event)
  const told = change === undefined ? undefined : twins.get(event.Actor.ID)
  if (told === undefined) return false
  const isEarlier = told.startedAt !== undefined && event.timeNano < told.startedAt
  if (change === "removed") {
    if (!isEarlier) twins.delete(event.Actor.ID)
    return false
  }
  if (isEarlier) return true
  if (told.startedAt === undefined && change === "died") return true
  twins.delete(event.Actor.ID)
  return told.startedAt !== undefined && change === "started" && event.timeNano <= told.startedAt + mostDelayed
}

/** A question that was refused, or whose answer is too large, stays open; everything else goes on without it. */
const isUnanswered = ({ reason }: EngineError): boolean => reason === "Refused" || reason === "TooLarge"

/** Inspecting is asked for that many containers at once. */
const concurrency = 8

/**
 * The containers that run, with the time of their start, as far as the engine lets des ask: where it refuses the list there
 * is none. What cannot be inspected counts as running since unknown times.
 *
 * @since 1.0.0
 * @category combinators
 */
export const survey = (engine: Engine["Type"]): Effect.Effect<Option.Option<Belief>, EngineError> =>
  Effect.gen(function* () {
    const listed = yield* engine.running
    const running: Belief = new Map()
    yield* Effect.forEach(
      listed,
      ({ attributes, id }) =>
        Effect.map(inspect(engine, id), (inspected) => {
          if (inspected === "refused") running.set(id, { id, attributes, startedAt: 0n })
          else if (inspected?.running === true) {
            running.set(id, { id, attributes: inspected.attributes, startedAt: inspected.startedAt ?? 0n })
          }
        }),
      { concurrency, discard: true }
    )
    return Option.some(running)
  }).pipe(
    Effect.catchIf(isUnanswered, (error) =>
      Effect.as(
        Effect.logWarning(`${error.message}; without the list of containers, what was missed of them is not known`),
        Option.none()
      )
    )
  )

const inspect = (engine: Engine["Type"], id: string): Effect.Effect<Container | "refused" | undefined, EngineError> =>
  Effect.map(engine.inspect(id), Option.getOrUndefined).pipe(
    Effect.catchIf(isUnanswered, () => Effect.succeed("refused" as const))
  )

const make = (
  engine: string,
  action: "die" | "start",
  id: string,
  attributes: Readonly<Record<string, string>>,
  timeNano: bigint
): DockerEvent.DockerEvent =>
  DockerEvent.make({ type: "container", action, id, attributes, timeNano, engine, synthetic: true })

/** podman says 0 on every event; what was believed knows no exit code. */
const withoutExitCode = ({ attributes }: Running): Readonly<Record<string, string>> => {
  const { containerExitCode: _, ...rest } = attributes
  return rest
}

/**
 * The deaths of all that was believed to run on the engine of this name, `at` nanoseconds since 1970: its machine was
 * restarted, and nobody was there to say it.
 *
 * @since 1.0.0
 * @category combinators
 */
export const endAll = (believed: Belief, name: string, at: bigint): ReadonlyArray<DockerEvent.DockerEvent> =>
  Array.from(believed.values(), (container) => make(name, "die", container.id, withoutExitCode(container), at))

/**
 * The events that an engine would have sent for what was missed, with the times that it noted, or `now` of its clock where
 * it noted none. A death has its exit code where the engine still has it.
 *
 * @since 1.0.0
 * @category combinators
 */
export const synthesise = (
  engine: Engine["Type"],
  missed: ReadonlyArray<Missed>,
  options: { readonly name: string; readonly now: bigint }
): Effect.Effect<ReadonlyArray<DockerEvent.DockerEvent>, EngineError> => {
  const tell = (missed: Missed) => {
    const { attributes, id, startedAt } = missed.container
    if (missed._tag === "Started") {
      return Effect.succeed(make(options.name, "start", id, attributes, startedAt === 0n ? options.now : startedAt))
    }
    return Effect.map(inspect(engine, id), (found) => {
      const container = found === "refused" ? undefined : found
      const finishedAt = container?.finishedAt
      const time =
        finishedAt !== undefined && finishedAt >= startedAt ? finishedAt : (missed.restartedAt ?? options.now)
      // A container that runs again has no exit code any more.
      const exitCode =
        container === undefined || container.running || missed.restartedAt !== undefined
          ? {}
          : { exitCode: String(container.exitCode) }
      const known = container?.attributes ?? withoutExitCode(missed.container)
      return make(options.name, "die", id, { ...known, ...exitCode }, time)
    })
  }
  const inOrder = (events: ReadonlyArray<DockerEvent.DockerEvent>, action: string) =>
    events
      .filter(({ Action }) => Action === action)
      .sort((one, other) => (one.timeNano < other.timeNano ? -1 : one.timeNano > other.timeNano ? 1 : 0))
  return Effect.map(Effect.forEach(missed, tell, { concurrency }), (events) => [
    ...inOrder(events, "die"),
    ...inOrder(events, "start")
  ])
}
