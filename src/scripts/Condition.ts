import type { DockerEvent } from "../event/DockerEvent.ts"

/** Whole numbers from the first to the last, both included. */
type Range = readonly [first: number, last: number]

/**
 * What an event must have so that a script runs, as one option in the script's head says it.
 *
 * - `text`: the option as it is written, such as `image!=postgres:*`.
 * - `excludes`: true for an option with `!=`. The script runs if what the option describes does not hold.
 * - `on`: what the condition looks at: the name of the engine, the exit code, or an attribute or label with this `key`.
 * - `patterns`: one of them must fit. Without patterns the attribute must only exist.
 * - `codes`: the exit code must be in one of these ranges.
 *
 * @since 1.0.0
 * @category models
 */
export type Condition = { readonly text: string; readonly excludes: boolean } & (
  | { readonly on: "attribute"; readonly key: string; readonly patterns?: ReadonlyArray<string> }
  | { readonly on: "engine"; readonly patterns: ReadonlyArray<string> }
  | { readonly on: "exit code"; readonly codes: ReadonlyArray<Range> }
)

/** The names of the options that are conditions. */
export const names = ["label", "attribute", "image", "name", "engine", "exitcode"] as const

/** An option as it is written: `text` with its quotes, `value` without them. */
export interface Written {
  readonly text: string
  readonly name: (typeof names)[number]
  readonly excludes: boolean
  readonly value: string
  /** Where in `value` a comma stands that is not quoted. Only such a comma separates values. */
  readonly commas: ReadonlyArray<number>
}

/** The values of a list that begins at `from`; `undefined` if one of several is empty. */
const listFrom = ({ commas, value }: Written, from: number): ReadonlyArray<string> | undefined => {
  const ends = [...commas.filter((at) => at >= from), value.length]
  const values = ends.map((end, index) => value.slice(index === 0 ? from : (ends[index - 1] ?? 0) + 1, end))
  return values.length > 1 && values.includes("") ? undefined : values
}

const missingValue = (name: string): string =>
  `a value of ${name} is missing beside a comma; write the list without blanks, and a comma that is part of a value in double quotes`

const onAttribute = (written: Written, key: string, from: number): Condition | string => {
  const { excludes, name, text } = written
  const patterns = listFrom(written, from)
  return patterns === undefined ? missingValue(name) : { text, excludes, on: "attribute", key, patterns }
}

const keyed = (written: Written): Condition | string => {
  const { commas, excludes, name, text, value } = written
  const at = value.indexOf("=")
  if (at === 0 || value === "") return `${name} takes KEY or KEY=VALUE, not ${JSON.stringify(value)}`
  const key = at === -1 ? value : value.slice(0, at)
  if (commas.some((comma) => comma < key.length)) {
    return `${name} takes one KEY, not ${JSON.stringify(key)}; put a key that has a comma in double quotes`
  }
  return at === -1 ? { text, excludes, on: "attribute", key } : onAttribute(written, key, at + 1)
}

const largestCode = 255

const rangeOf = (text: string): Range | undefined => {
  const [, first, last = first] = /^(\d{1,3})(?:\.\.(\d{1,3}))?$/.exec(text) ?? []
  const range = [Number(first), Number(last)] as const
  return range[0] <= range[1] && range[1] <= largestCode ? range : undefined
}

const exitCodes = (written: Written): Condition | string => {
  const { excludes, text, value } = written
  if (excludes) return "exitcode takes no !=; write the codes that count, such as exitcode=1..255"
  const codes = (listFrom(written, 0) ?? [""]).map(rangeOf)
  return codes.every((range) => range !== undefined)
    ? { text, excludes, on: "exit code", codes }
    : `exitcode takes codes from 0 to ${largestCode}, such as 1..${largestCode} or 1,137, not ${JSON.stringify(value)}`
}

const ofEngine = (written: Written): Condition | string => {
  const { excludes, name, text } = written
  const patterns = listFrom(written, 0)
  return patterns === undefined ? missingValue(name) : { text, excludes, on: "engine", patterns }
}

/** Reads a condition. Returns a text that says what is wrong if the option is malformed. */
export const parse = (written: Written): Condition | string => {
  switch (written.name) {
    case "label":
    case "attribute":
      return keyed(written)
    case "image":
    case "name":
      return onAttribute(written, written.name, 0)
    case "engine":
      return ofEngine(written)
    case "exitcode":
      return exitCodes(written)
  }
}

/**
 * True if a text matches a pattern in which `*` stands for anything. It uses no regular expression, because strangers
 * write the text and can make it long enough to be slow.
 */
const fits = (text: string, pattern: string): boolean => {
  const [first = "", ...rest] = pattern.split("*")
  const last = rest.pop()
  if (last === undefined) return text === first
  if (!text.startsWith(first)) return false
  let at = first.length
  for (const part of rest) {
    const found = text.indexOf(part, at)
    if (found === -1) return false
    at = found + part.length
  }
  return text.length - last.length >= at && text.endsWith(last)
}

/** The part of an event that conditions are about. */
export type Judged = Pick<DockerEvent, "engine"> & { readonly Actor: Pick<DockerEvent["Actor"], "Attributes"> }

/** What a condition looks at: its name for messages, and its value, if the event has one. */
const subjectOf = (condition: Condition, { Actor, engine }: Judged) => {
  if (condition.on === "engine") return { name: "the engine", value: engine }
  const key = condition.on === "attribute" ? condition.key : "exitCode"
  return { name: key, value: Object.hasOwn(Actor.Attributes, key) ? Actor.Attributes[key] : undefined }
}

const isDescribed = (condition: Condition, value: string): boolean => {
  if (condition.on !== "exit code") return condition.patterns?.some((pattern) => fits(value, pattern)) ?? true
  // A label can replace the engine's value, so it may be any text.
  if (!/^\d{1,3}$/.test(value)) return false
  return condition.codes.some(([first, last]) => first <= Number(value) && Number(value) <= last)
}

/** True if a script with this condition may run for an event. */
export const holds = (condition: Condition, event: Judged): boolean => {
  const { value } = subjectOf(condition, event)
  return (value !== undefined && isDescribed(condition, value)) !== condition.excludes
}

/** The longest value of an event in a message, in characters. */
const shownValue = 80

const shown = (value: string): string => (value.length > shownValue ? `${value.slice(0, shownValue)}…` : value)

/** Says what a condition that does not hold needs, and what the event has instead. */
export const explain = (condition: Condition, event: Judged): string => {
  const { name, value } = subjectOf(condition, event)
  const has = value === undefined ? `the event has no ${name}` : `${name} is ${JSON.stringify(shown(value))}`
  return `it needs ${condition.text}, and ${has}`
}

/** The attribute or label that a condition looks at; `undefined` if it looks at the engine. */
export const keyOf = (condition: Condition): string | undefined =>
  condition.on === "engine" ? undefined : condition.on === "attribute" ? condition.key : "exitCode"

const allCodes = Array.from({ length: largestCode + 1 }, (_, code) => String(code))

/** A text that no pattern names. */
const anyValue = "\0"

/** The only values with which a condition can hold; `undefined` if there are too many. */
const valuesOf = (condition: Condition): ReadonlyArray<string> | undefined => {
  if (condition.excludes) return undefined
  if (condition.on === "exit code") return allCodes
  if (condition.patterns === undefined) return [anyValue]
  return condition.patterns.some((pattern) => pattern.includes("*")) ? undefined : condition.patterns
}

/** Says which of these conditions no event meets together; `undefined` if an event can meet all of them. */
export const contradiction = (conditions: ReadonlyArray<Condition>): string | undefined => {
  for (const condition of conditions) {
    const values = valuesOf(condition)
    const key = keyOf(condition)
    const isAny = values?.[0] === anyValue
    // Whatever value it is: only a condition that excludes every value contradicts that there is one.
    const others = conditions.filter((other) => keyOf(other) === key && (!isAny || other.excludes))
    const isPossible = values?.some((value) => {
      const event = { engine: value, Actor: { Attributes: key === undefined ? {} : { [key]: value } } }
      return others.every((other) => holds(other, event))
    })
    if (isPossible === false) {
      const texts = new Set([condition, ...others].map(({ text }) => text))
      return `no event meets both ${[...texts].join(" and ")}`
    }
  }
  return undefined
}
