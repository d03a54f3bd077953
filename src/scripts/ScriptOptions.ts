import * as DurationText from "../DurationText.ts"
import type { DockerEvent } from "../event/DockerEvent.ts"
import * as NearMiss from "../NearMiss.ts"

/**
 * What an event must have so that a script runs: an attribute or label with this key, and a value that matches the
 * pattern, if there is one.
 *
 * @since 1.0.0
 * @category models
 */
export interface Condition {
  readonly key: string
  readonly pattern?: string
}

/**
 * The options from the comment block at a script's head.
 *
 * - `timeout`: how long a run may take, in milliseconds (0 is no limit).
 * - `retries`: how often a failed run is retried.
 * - `cooldown`: the shortest time between two runs for one actor, in milliseconds.
 * - `engine`: a pattern for the engine's name. The script runs only for events of such an engine.
 * - `conditions`: all of them must hold.
 *
 * @since 1.0.0
 * @category models
 */
export interface ScriptOptions {
  readonly timeout?: number
  readonly retries?: number
  readonly cooldown?: number
  readonly engine?: string
  readonly conditions: ReadonlyArray<Condition>
}

/**
 * A line of a script that des does not understand or does not read. `line` counts from 1, `message` says what is wrong.
 *
 * @since 1.0.0
 * @category models
 */
export interface Problem {
  readonly line: number
  readonly message: string
}

/**
 * The options of a script without an option line.
 *
 * @since 1.0.0
 * @category constructors
 */
export const none: ScriptOptions = { conditions: [] }

type Parsed = Omit<ScriptOptions, "conditions"> | Condition | string

const duration = (name: "timeout" | "cooldown", value: string): Parsed => {
  const parsed = DurationText.parse(value)
  return parsed === undefined
    ? `${name} takes ${DurationText.expected}, not ${JSON.stringify(value)}`
    : { [name]: parsed }
}

const keyed = (name: string, value: string): Parsed => {
  const at = value.indexOf("=")
  if (at === 0 || value === "") return `${name} takes KEY or KEY=VALUE, not ${JSON.stringify(value)}`
  return at === -1 ? { key: value } : { key: value.slice(0, at), pattern: value.slice(at + 1) }
}

const parsers: Readonly<Record<string, (value: string) => Parsed>> = {
  timeout: (value) => duration("timeout", value),
  cooldown: (value) => duration("cooldown", value),
  retries: (value) =>
    /^\d{1,4}$/.test(value) ? { retries: Number(value) } : `retries takes a number, not ${JSON.stringify(value)}`,
  label: (value) => keyed("label", value),
  attribute: (value) => keyed("attribute", value),
  image: (value) => ({ key: "image", pattern: value }),
  name: (value) => ({ key: "name", pattern: value }),
  engine: (value) => ({ engine: value })
}

const parseToken = (token: string): Parsed => {
  const at = token.indexOf("=")
  const name = at === -1 ? "" : token.slice(0, at)
  const parser = Object.hasOwn(parsers, name) ? parsers[name] : undefined
  if (parser !== undefined) return parser(token.slice(at + 1))
  const known = Object.keys(parsers)
  const meant = NearMiss.find(name, known)
  return meant === undefined
    ? `${JSON.stringify(token)} is not an option; the options are ${known.map((name) => `${name}=`).join(", ")}`
    : `${JSON.stringify(token)} is not an option; did you mean ${meant}=?`
}

/** True if a line is a comment or blank. The comment block at a script's head ends at the first other line. */
const isComment = (line: string): boolean => /^\s*(?:#|$)/.test(line)

/** The text after `# des:` in a line; `undefined` if the line does not begin with it. */
const optionsIn = (line: string): string | undefined => /^\s*#\s*des:(.*)$/s.exec(line)?.[1]

/**
 * Reads the options in a script's head: `# des: NAME=VALUE …` in any line of the first comment block. Values with
 * blanks stand in double quotes. An unknown or malformed option is a problem: a script that runs with other bounds than
 * its author asked for is worse than a script that does not run.
 *
 * @since 1.0.0
 * @category constructors
 */
export const parse = (head: string, whole = true): ScriptOptions | Problem => {
  let options: Omit<ScriptOptions, "conditions"> = {}
  const conditions: Array<Condition> = []
  for (const [index, line] of head.split("\n").entries()) {
    if (!isComment(line)) return { ...options, conditions }
    const text = optionsIn(line)
    if (text === undefined) continue
    if ((text.match(/"/g)?.length ?? 0) % 2 === 1)
      return { line: index + 1, message: "a closing double quote is missing" }
    for (const token of text.match(/(?:[^\s"]|"[^"]*")+/g) ?? []) {
      const parsed = parseToken(token.replaceAll('"', ""))
      if (typeof parsed === "string") return { line: index + 1, message: parsed }
      if ("key" in parsed) conditions.push(parsed)
      else options = { ...options, ...parsed }
    }
  }
  return whole
    ? { ...options, conditions }
    : { line: head.split("\n").length, message: "the comment block is too long to be read whole" }
}

/** A comment, in any language, that begins with `des` and an option. */
const meantForDes = /^\s*(?:#+|\/\/+|--+|;+|%+)\s*des\s*[:\s]\s*[a-z]+=/i

/** The lines of a script that look like options but are not read as options. The message says how to mend each. */
export const unread = (head: string): ReadonlyArray<Problem> => {
  const problems: Array<Problem> = []
  let isHead = true
  for (const [index, line] of head.split("\n").entries()) {
    isHead &&= isComment(line)
    if (!meantForDes.test(line)) continue
    const isRight = optionsIn(line) !== undefined
    if (isRight && isHead) continue
    const message = isRight
      ? "this option is not read, since it stands after the first command; move it to the comments at the beginning"
      : "this option is not read; write it as # des: NAME=VALUE, in a comment before the first command"
    problems.push({ line: index + 1, message })
  }
  return problems
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

/** The longest value of an event in an answer of {@link whyNot}, in characters. */
const shownValue = 80

const shown = (value: string): string => (value.length > shownValue ? `${value.slice(0, shownValue)}…` : value)

/** A condition as its script's author may write it. */
const formatCondition = ({ key, pattern }: Condition): string => {
  const isPlain = key === "image" || key === "name"
  return `${isPlain ? "" : "label="}${key}${pattern === undefined ? "" : `=${pattern}`}`
}

/** The part of an event that conditions are about. */
type Judged = Pick<DockerEvent, "engine"> & { readonly Actor: Pick<DockerEvent["Actor"], "Attributes"> }

/**
 * Says which condition keeps a script with these options from running for an event: the first one that does not hold,
 * and what the event has instead. `undefined` if the script runs. The text can contain values of the event, so it must
 * be escaped before it is printed.
 *
 * @since 1.0.0
 * @category combinators
 */
export const whyNot = (options: ScriptOptions, event: Judged): string | undefined => {
  if (options.engine !== undefined && !fits(event.engine, options.engine)) {
    return `it needs engine=${options.engine}, and the engine is ${JSON.stringify(shown(event.engine))}`
  }
  for (const condition of options.conditions) {
    const { key, pattern } = condition
    const { Attributes } = event.Actor
    const value = Object.hasOwn(Attributes, key) ? Attributes[key] : undefined
    if (value === undefined) return `it needs ${formatCondition(condition)}, and the event has no ${key}`
    if (pattern !== undefined && !fits(value, pattern)) {
      return `it needs ${formatCondition(condition)}, and ${key} is ${JSON.stringify(shown(value))}`
    }
  }
  return undefined
}

/**
 * True if a script with these options runs for an event with these attributes, from the engine with this name.
 *
 * @since 1.0.0
 * @category combinators
 */
export const matches = (
  options: ScriptOptions,
  attributes: Readonly<Record<string, string>>,
  engine: string
): boolean => whyNot(options, { engine, Actor: { Attributes: attributes } }) === undefined
