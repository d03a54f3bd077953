import { type DockerEvent, verb } from "./DockerEvent.ts"

/** Characters of a name in a log line: a stranger chooses it. Container names are shorter, full IDs have 64. */
const longestName = 80

/** An ID as the docker command shortens it; a name is not shortened so. */
const shortId = (id: string): string =>
  /^(sha256:)?[0-9a-f]{64}$/.test(id) ? id.replace("sha256:", "").slice(0, 12) : id

/**
 * An event as a log line names it: `container/die web`, by the name of its actor, or else by its short ID.
 *
 * @internal
 */
export const eventName = (event: Pick<DockerEvent, "Type" | "Action" | "Actor">): string => {
  const name = event.Actor.Attributes["name"] ?? shortId(event.Actor.ID)
  const shown = name.length > longestName ? `${name.slice(0, longestName)}…` : name
  return `${event.Type}/${verb(event)} ${shown}`.trimEnd()
}
