import * as DurationText from "../DurationText.ts"
import * as NearMiss from "../NearMiss.ts"

/**
 * What an event must have for a script to run: an attribute or label by its key, and a pattern for its value where one is
 * given.
 *
 * @since 1.0.0
 * @category models
 */
export interface Condition {
  readonly key: string
  readonly pattern?: string
}

/**
 * What the comment block at a script's head says. `timeout` (0 is no limit) and `cooldown`, the shortest time between two
 * runs for one actor, are in milliseconds. `retries` is how often a failed run is repeated. `engine` is a pattern for the name
 * of the engine whose events it runs for. All `conditions` must hold.
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
 * A line of a script that is not understood or not read: its number, counted from 1, and what is wrong with it.
 *
 * @since 1.0.0
 * @category models
 */
export interface Problem {
  readonly line: number
  readonly message: string
}

/**
 * The options of a script that says nothing.
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
    ? `${JSON.stringify(token)} is no option; known are ${known.map((name) => `${name}=`).join(", ")}`
    : `${JSON.stringify(token)} is no option; did you mean ${meant}=?`
}

/** Whether a line is a comment or blank, as all lines of the comment block at a script's head. */
const isComment = (line: string): boolean => /^\s*(?:#|$)/.test(line)

/** What follows `# des:` in a line; nothing where the line does not begin with it. */
const optionsIn = (line: string): string | undefined => /^\s*#\s*des:(.*)$/s.exec(line)?.[1]

/**
 * Reads the options in a script's head: `# des: NAME=VALUE …` in any line of the comment block that it begins with, values
 * with blanks in double quotes. What is unknown or malformed is a problem, since a script that runs with other bounds than
 * it asks for is worse than one that does not run.
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
    if ((text.match(/"/g)?.length ?? 0) % 2 === 1) return { line: index + 1, message: "a double quote has no end" }
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

/** A comment, of any language, that begins with des's name and an option. */
const meantForDes = /^\s*(?:#+|\/\/+|--+|;+|%+)\s*des\s*[:\s]\s*[a-z]+=/i

/** The lines of a script that look like options and are not read as such, with what mends each. */
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

/** Whether a text fits a pattern in which `*` stands for anything. No expression: a stranger writes the text, however long. */
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

/**
 * Whether a script with these options runs for an event with these attributes, of the engine of this name.
 *
 * @since 1.0.0
 * @category combinators
 */
export const matches = (
  options: ScriptOptions,
  attributes: Readonly<Record<string, string>>,
  engine: string
): boolean =>
  (options.engine === undefined || fits(engine, options.engine)) &&
  options.conditions.every(({ key, pattern }) => {
    const value = Object.hasOwn(attributes, key) ? attributes[key] : undefined
    return value !== undefined && (pattern === undefined || fits(value, pattern))
  })
