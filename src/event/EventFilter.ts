import * as NearMiss from "../NearMiss.ts"
import { type DockerEvent, verb } from "./DockerEvent.ts"

/** The filters of `docker events`. */
export const keys = [
  "config",
  "container",
  "daemon",
  "event",
  "image",
  "label",
  "network",
  "node",
  "plugin",
  "scope",
  "secret",
  "service",
  "type",
  "volume"
] as const

type Key = (typeof keys)[number]

/** One condition on an event, as `docker events --filter` takes it. */
export interface Filter {
  readonly key: Key
  readonly value: string
}

const isKey = (text: string): text is Key => keys.some((key) => key === text)

/** A comma separates two filters only if a filter follows it. So a label may have commas in its value. */
const separator = new RegExp(`,(?=(?:${keys.join("|")})=)`)

const parseOne = (text: string): Filter | string => {
  const at = text.indexOf("=")
  const key = at === -1 ? text : text.slice(0, at)
  if (isKey(key) && at !== -1 && at < text.length - 1) return { key, value: text.slice(at + 1) }
  const meant = isKey(key) ? undefined : NearMiss.find(key, keys)
  return isKey(key)
    ? `${key} needs a value: ${key}=VALUE`
    : `${JSON.stringify(key)} is no filter${meant === undefined ? `; the filters are ${keys.join(", ")}` : `; did you mean ${meant}?`}`
}

/** Reads filters, such as `type=container,event=die`. Returns a text that says what is wrong. */
export const parse = (text: string): ReadonlyArray<Filter> | string => {
  const filters: Array<Filter> = []
  for (const part of text.split(separator)) {
    const filter = parseOne(part)
    if (typeof filter === "string") return filter
    filters.push(filter)
  }
  return filters
}

/** An image without its tag. A port of a registry is no tag. */
const withoutTag = (image: string): string => image.replace(/(?<=.):[^:/]*$/, "")

/** True if an event meets one filter, as dockerd decides it (moby `daemon/events/filter.go`). */
const meets = ({ key, value }: Filter, event: DockerEvent): boolean => {
  const { Attributes, ID } = event.Actor
  const name = Attributes["name"] ?? ""
  switch (key) {
    case "type":
      return event.Type === value
    case "event":
      return event.Action === value || verb(event) === value
    case "scope":
      return (event.scope === "" ? "local" : event.scope) === value
    case "label": {
      const at = value.indexOf("=")
      const label = at === -1 ? value : value.slice(0, at)
      return Object.hasOwn(Attributes, label) && (at === -1 || Attributes[label] === value.slice(at + 1))
    }
    case "image": {
      const image = event.Type === "image" ? name : (Attributes["image"] ?? "")
      const names = event.Type === "image" ? [ID, image] : [image]
      return names.some((text) => text === value || withoutTag(text) === value)
    }
    default:
      return event.Type === key && (ID.startsWith(value) || name.startsWith(value))
  }
}

/**
 * True if an event meets at least one filter of each key, and all filters of `label`. The names and IDs of actors may
 * be shortened.
 */
export const matches = (filters: ReadonlyArray<Filter>, event: DockerEvent): boolean =>
  keys.every((key) => {
    const ofKey = filters.filter((filter) => filter.key === key)
    if (ofKey.length === 0) return true
    return key === "label"
      ? ofKey.every((filter) => meets(filter, event))
      : ofKey.some((filter) => meets(filter, event))
  })
