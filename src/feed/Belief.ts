import type { DockerEvent } from "../event/DockerEvent.ts"

/** A container that des believes to be running. */
export interface Running {
  /** The id of the container. */
  readonly id: string
  /** The attributes of its `start` event. */
  readonly attributes: Readonly<Record<string, string>>
  /** The time of its start by the engine's clock, in nanoseconds since 1970. */
  readonly startedAt: bigint
}

/** The containers that des believes to be running, by id. */
export type Belief = Map<string, Running>

/** A change in a container's life. */
export type LifeChange = "started" | "died" | "removed"

/**
 * The part of a container event that des needs to compare containers. The event itself may be large and is not kept.
 */
export interface LifeEvent {
  /** The fingerprint of the event. */
  readonly fingerprint: string
  /** The id of the container. */
  readonly id: string
  /** What happened to the container. */
  readonly change: LifeChange
  /** The time of the event, in nanoseconds since 1970. */
  readonly at: bigint
}

/** The change in a container's life that an event reports, as a {@link LifeEvent}; undefined if it reports none. */
export const lifeEventOf = (event: DockerEvent): LifeEvent | undefined => {
  const change = changeOf(event)
  if (change === undefined) return undefined
  return { fingerprint: event.fingerprint, id: event.Actor.ID, change, at: event.timeNano }
}

/**
 * The change in a container's life that an event reports; undefined if it reports none. dockerd calls the end of a container
 * `die` and `destroy`. podman also calls it `died` and `remove`.
 */
export const changeOf = (event: Pick<DockerEvent, "Type" | "Action">): LifeChange | undefined => {
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

/** True if an event can change a belief: it reports a change in a container's life, or a new name. */
export const concerns = (event: DockerEvent): boolean =>
  changeOf(event) !== undefined || (event.Type === "container" && event.Action === "rename")

/**
 * True if an event of podman reports that the host was restarted. No container runs any more then, and podman sends no event
 * for their ends (podman `libpod/runtime.go`, refresh).
 */
export const endsAll = (event: DockerEvent): boolean => event.Type === "system" && event.Action === "refresh"

/** Applies an event to a belief. */
export const follow = (belief: Belief, event: DockerEvent): void => {
  const id = event.Actor.ID
  const change = changeOf(event)
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
