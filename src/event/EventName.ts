import { type DockerEvent, verb } from "./DockerEvent.ts"

/** The longest name in a log line, in characters. A stranger can choose the name. Container names are shorter, and full IDs have 64. */
const longestName = 80

/** Shortens an ID as the docker command does. A name stays as it is. */
const shortId = (id: string): string =>
  /^(sha256:)?[0-9a-f]{64}$/.test(id) ? id.replace("sha256:", "").slice(0, 12) : id

/**
 * An event as log lines show it: `container/die web`. An actor without a name is shown with its short ID.
 *
 * @internal
 */
export const eventName = (event: Pick<DockerEvent, "Type" | "Action" | "Actor">): string => {
  const name = event.Actor.Attributes["name"] ?? shortId(event.Actor.ID)
  const shown = name.length > longestName ? `${name.slice(0, longestName)}…` : name
  return `${event.Type}/${verb(event)} ${shown}`.trimEnd()
}
