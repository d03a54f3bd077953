import type { DockerEvent } from "../event/DockerEvent.ts"

/**
 * A container that is believed to run: its id, what its `start` event said of it, and when it was started, in nanoseconds
 * of the engine's clock.
 *
 * @since 1.0.0
 * @category models
 */
export interface Running {
  readonly id: string
  readonly attributes: Readonly<Record<string, string>>
  readonly startedAt: bigint
}

/**
 * The containers that are believed to run, by id.
 *
 * @since 1.0.0
 * @category models
 */
export type Belief = Map<string, Running>

/**
 * What can happen to a container's life.
 *
 * @since 1.0.0
 * @category models
 */
export type Change = "started" | "died" | "removed"

/**
 * A change in a container's life, and when: what a decision needs of an event that may be large.
 *
 * @since 1.0.0
 * @category models
 */
export interface Turn {
  readonly fingerprint: string
  readonly id: string
  readonly change: Change
  readonly at: bigint
}

/**
 * The change that an event tells of, if any.
 *
 * @since 1.0.0
 * @category combinators
 */
export const turnOf = (event: DockerEvent): Turn | undefined => {
  const change = turn(event)
  if (change === undefined) return undefined
  return { fingerprint: event.fingerprint, id: event.Actor.ID, change, at: event.timeNano }
}

/**
 * What an event says of its container's life: dockerd says `die` and `destroy`, podman `died` in its own words and `remove`.
 *
 * @since 1.0.0
 * @category combinators
 */
export const turn = (event: Pick<DockerEvent, "Type" | "Action">): Change | undefined => {
  if (event.Type !== "container") return undefined
  switch (event.Action) {
    case "start":
      return "started"
    case "die":
    case "died":
      return "died"
    case "destroy":
    case "remove":
      return "removed"
    default:
      return undefined
  }
}

/**
 * Whether an event says anything of what is believed: a container's life, or its name.
 *
 * @since 1.0.0
 * @category combinators
 */
export const tells = (event: DockerEvent): boolean =>
  turn(event) !== undefined || (event.Type === "container" && event.Action === "rename")

/**
 * Whether an event of podman says that its machine was restarted: what ran does not run any more, and left no word (podman
 * `libpod/runtime.go`, refresh).
 *
 * @since 1.0.0
 * @category combinators
 */
export const endsAll = (event: DockerEvent): boolean => event.Type === "system" && event.Action === "refresh"

/**
 * Changes a belief to what an event says.
 *
 * @since 1.0.0
 * @category combinators
 */
export const follow = (belief: Belief, event: DockerEvent): void => {
  const id = event.Actor.ID
  const change = turn(event)
  if (change === "started") belief.set(id, { id, attributes: event.Actor.Attributes, startedAt: event.timeNano })
  else if (change !== undefined) belief.delete(id)
  else if (event.Type === "container" && event.Action === "rename") {
    const before = belief.get(id)
    const name = event.Actor.Attributes["name"]
    if (before !== undefined && name !== undefined) {
      belief.set(id, { ...before, attributes: { ...before.attributes, name } })
    }
  }
}
