import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Container, Engine, EngineError } from "../engine/Engine.ts"
import * as DockerEvent from "../event/DockerEvent.ts"
import { type Belief, changeOf, type LifeChange, type LifeEvent, type Running } from "./Belief.ts"

/**
 * A change in a container's life that des got no event for. `restartedAt` is the time of the next start, if des knows it.
 */
export type MissedChange =
  | { readonly _tag: "Died"; readonly container: Running; readonly restartedAt: bigint | undefined }
  | { readonly _tag: "Started"; readonly container: Running }

/**
 * Two start times of one container that are closer than this are the same start, in nanoseconds. The event comes a few milliseconds
 * after the time that the engine notes. Two real starts lie further apart.
 */
const sameLife = 50_000_000n

const isLater = (start: bigint, believed: bigint): boolean => start > believed + sameLife

/**
 * Compares the containers that des believes to be running with those that run, and gives the changes that des missed.
 *
 * `pending` are the changes whose events come next, in their order. For a container with a pending change, only changes before the
 * first pending one are missed. Deaths come before starts: a container leaves before its replacement of the same name comes.
 */
export const compare = (input: {
  readonly believed: ReadonlyMap<string, Running>
  readonly pending: Iterable<LifeEvent>
  readonly running: ReadonlyMap<string, Running>
}): ReadonlyArray<MissedChange> => {
  const first = new Map<string, LifeEvent>()
  for (const pending of input.pending) if (!first.has(pending.id)) first.set(pending.id, pending)
  const died: Array<MissedChange> = []
  const started: Array<MissedChange> = []
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
 * The last synthetic event of a container: its start at `startedAt`, or its death (undefined). The engine may still send the real
 * event.
 */
export interface Synthetic {
  readonly startedAt: bigint | undefined
}

/** The synthetic events whose real ones may still come, by the id of the container. */
export type ExpectedDuplicates = Map<string, Synthetic>

/**
 * How much later than the noted start its event may come, in nanoseconds: the engine writes the start to its disk first. An event
 * that comes even later reports another start.
 */
const latestStart = 5_000_000_000n

/** `isDuplicate`: a synthetic event already reported this. `isSettled`: no more duplicates of the synthetic event can come. */
interface Judgement {
  readonly isDuplicate: boolean
  readonly isSettled: boolean
}

/** Decides if a change that an engine reports is the real event of a synthetic one, or is older than that one. */
const judge = ({ startedAt }: Synthetic, change: LifeChange, at: bigint): Judgement => {
  const isEarlier = startedAt !== undefined && at < startedAt
  if (change === "removed") return { isDuplicate: false, isSettled: !isEarlier }
  if (isEarlier || (startedAt === undefined && change === "died")) return { isDuplicate: true, isSettled: false }
  const isStart = startedAt !== undefined && change === "started" && at <= startedAt + latestStart
  return { isDuplicate: isStart, isSettled: true }
}

/**
 * Says if an event is a duplicate of a synthetic one, and removes from `expected` the synthetic event that it settles. An event that
 * is older than the synthetic one is a duplicate, too.
 */
export const settle = (expected: ExpectedDuplicates, event: DockerEvent.DockerEvent): "duplicate" | "new" => {
  if (expected.size === 0) return "new"
  const change = changeOf(event)
  const synthetic = change === undefined ? undefined : expected.get(event.Actor.ID)
  if (change === undefined || synthetic === undefined) return "new"
  const { isDuplicate, isSettled } = judge(synthetic, change, event.timeNano)
  if (isSettled) expected.delete(event.Actor.ID)
  return isDuplicate ? "duplicate" : "new"
}

/** True if a question has no answer: the engine refused it, or the answer is too large. des goes on without it. */
const isUnanswered = ({ reason }: EngineError): boolean => reason === "Refused" || reason === "TooLarge"

/** How many containers are inspected at the same time. */
const concurrency = 8

/**
 * Asks the engine for the running containers and their start times. Returns none if the engine refuses the list. A
 * container that cannot be inspected counts as running since an unknown time (0).
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
        Effect.logWarning(`${error.message}; without the list of containers des cannot know what happened to them`),
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

/** podman puts the exit code 0 on a start, too. It is not the exit code of the death. */
const withoutExitCode = ({ attributes }: Running): Readonly<Record<string, string>> => {
  const { containerExitCode: _, ...rest } = attributes
  return rest
}

/**
 * Makes a synthetic death for each container that des believes to be running on the engine `name`: its host was restarted. `at` is the
 * time of the deaths, in nanoseconds since 1970.
 */
export const endAll = (believed: Belief, name: string, at: bigint): ReadonlyArray<DockerEvent.DockerEvent> =>
  Array.from(believed.values(), (container) => make(name, "die", container.id, withoutExitCode(container), at))

/**
 * Makes the events that the engine would have sent for missed changes. They have the times that the engine noted. If it noted none, they
 * have the time `now` of its clock. A death has its exit code if the engine still has it.
 */
export const synthesise = (
  engine: Engine["Type"],
  missed: ReadonlyArray<MissedChange>,
  options: { readonly name: string; readonly now: bigint }
): Effect.Effect<ReadonlyArray<DockerEvent.DockerEvent>, EngineError> => {
  const eventOf = (change: MissedChange) => {
    const { attributes, id, startedAt } = change.container
    if (change._tag === "Started") {
      return Effect.succeed(make(options.name, "start", id, attributes, startedAt === 0n ? options.now : startedAt))
    }
    return Effect.map(inspect(engine, id), (found) => {
      const container = found === "refused" ? undefined : found
      const finishedAt = container?.finishedAt
      const time =
        finishedAt !== undefined && finishedAt >= startedAt ? finishedAt : (change.restartedAt ?? options.now)
      // The engine forgets the exit code when the container starts again.
      const exitCode =
        container === undefined || container.running || change.restartedAt !== undefined
          ? {}
          : { exitCode: String(container.exitCode) }
      const known = container?.attributes ?? withoutExitCode(change.container)
      return make(options.name, "die", id, { ...known, ...exitCode }, time)
    })
  }
  const inOrder = (events: ReadonlyArray<DockerEvent.DockerEvent>, action: string) =>
    events
      .filter(({ Action }) => Action === action)
      .sort((one, other) => (one.timeNano < other.timeNano ? -1 : one.timeNano > other.timeNano ? 1 : 0))
  return Effect.map(Effect.forEach(missed, eventOf, { concurrency }), (events) => [
    ...inOrder(events, "die"),
    ...inOrder(events, "start")
  ])
}
