import * as LogFields from "../LogFields.ts"
import { type DockerEvent, verb } from "./DockerEvent.ts"

/**
 * An event as log lines show it: `container/die web`. An actor without a name is shown with its short ID.
 *
 * @internal
 */
export const eventName = (event: Pick<DockerEvent, "Type" | "Action" | "Actor">): string =>
  `${event.Type}/${verb(event)} ${LogFields.shownActor(event.Actor.Attributes["name"] ?? event.Actor.ID)}`.trimEnd()

/**
 * The fields of log lines about an event.
 *
 * @internal
 */
export const eventFields = (event: Pick<DockerEvent, "Type" | "Action" | "Actor" | "engine">) => {
  const actorId = event.Actor.ID
  const actorName = event.Actor.Attributes["name"]
  const container = event.Type === "container" ? { containerId: actorId, containerName: actorName } : {}
  return LogFields.make({
    type: event.Type,
    action: verb(event),
    actorId,
    actorName,
    ...container,
    engine: event.engine
  })
}
