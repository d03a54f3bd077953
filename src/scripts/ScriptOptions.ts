import * as DurationText from "../DurationText.ts"
import * as NearMiss from "../NearMiss.ts"
import * as Conditions from "./Condition.ts"
import * as Passwd from "./Passwd.ts"

/**
 * What an event must have so that a script runs.
 *
 * @since 1.0.0
 * @category models
 */
export type Condition = Conditions.Condition

/**
 * How long a run waits, in milliseconds: until no further event came for the time `quiet`, and until `latest` after the
 * first event at the latest.
 *
 * @since 1.0.0
 * @category models
 */
export interface Wait {
  readonly quiet: number
  readonly latest: number
}

/**
 * The options from the comment block at a script's head.
 *
 * - `timeout`: how long a run may take, in milliseconds (0 is no limit).
 * - `retries`: how often a failed run is retried.
 * - `cooldown`: the shortest time between two runs, in milliseconds.
 * - `wait`: a run begins only when no further event came for a while.
 * - `per`: whose cooldown and wait it is: each actor has its own (default), or all actors share that of the script.
 * - `user`: the name of the user that it runs as.
 * - `inspect`: it gets the inspect data of the event's container, in a second line on stdin.
 * - `stopOnFailure`: if this script fails in the end, the later scripts of its directory are not run for the event.
 * - `conditions`: all of them must hold.
 *
 * @since 1.0.0
 * @category models
 */
export interface ScriptOptions {
  readonly timeout?: number
  readonly retries?: number
  readonly cooldown?: number
  readonly wait?: Wait
  readonly per?: "actor" | "script"
  readonly user?: string
  readonly inspect?: boolean
  readonly stopOnFailure?: boolean
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

const yesOrNo = (name: string, option: "inspect" | "stopOnFailure", value: string): Parsed =>
  value === "yes" || value === "no"
    ? { [option]: value === "yes" }
    : `${name} takes yes or no, not ${JSON.stringify(value)}`

/** A wait without a latest time ends after so many times its length at the latest. docker-gen does the same. */
const latestFactor = 4

const waitOf = (value: string): Parsed => {
  const [quietText = "", latestText, ...more] = value.split("..")
  const quiet = DurationText.parse(quietText)
  const latest = latestText === undefined ? (quiet ?? 0) * latestFactor : DurationText.parse(latestText)
  if (quiet === undefined || quiet === 0 || latest === undefined || more.length > 0)
    return `wait takes a duration above 0 such as 2s, or two such as 2s..30s, not ${JSON.stringify(value)}`
  return latest < quiet
    ? `wait=${value} contradicts itself: the run would have to begin at the latest before it may begin; write the shorter time first`
    : { wait: { quiet, latest } }
}

const parsers: Readonly<Record<string, (value: string) => Parsed>> = {
  timeout: (value) => duration("timeout", value),
  cooldown: (value) => duration("cooldown", value),
  wait: waitOf,
  per: (value) =>
    value === "actor" || value === "script"
      ? { per: value }
      : `per takes actor or script, not ${JSON.stringify(value)}`,
  user: (value) =>
    Passwd.isName(value)
      ? { user: value }
      : `user takes the name of a user (letters, digits, _, - and ., the first a letter or _), not ${JSON.stringify(value)}`,
  inspect: (value) => yesOrNo("inspect", "inspect", value),
  "stop-on-failure": (value) => yesOrNo("stop-on-failure", "stopOnFailure", value),
  retries: (value) =>
    /^\d{1,4}$/.test(value) ? { retries: Number(value) } : `retries takes a number, not ${JSON.stringify(value)}`
}

const known = [...Object.keys(parsers), ...Conditions.names]

/** An option without its quotes, and the places of the commas that were not quoted. */
const unquote = (token: string) => {
  let text = ""
  let quoted = false
  const commas: Array<number> = []
  for (const character of token) {
    if (character === '"') quoted = !quoted
    else {
      if (character === "," && !quoted) commas.push(text.length)
      text += character
    }
  }
  return { text, commas }
}

const notAnOption = (text: string, name: string, operator: string): string => {
  const meant = NearMiss.find(name, known)
  return meant === undefined
    ? `${JSON.stringify(text)} is not an option; the options are ${known.map((option) => `${option}=`).join(", ")}`
    : `${JSON.stringify(text)} is not an option; did you mean ${meant}${Conditions.names.some((condition) => condition === meant) ? operator : "="}?`
}

const parseToken = (token: string): Parsed => {
  const { commas, text } = unquote(token)
  const [whole = "", given = "", operator = "="] = /^([^=]*?)(!?=)/s.exec(text) ?? []
  const name = Conditions.names.find((condition) => condition === given)
  const value = text.slice(whole.length)
  if (name !== undefined) {
    const places = commas.map((at) => at - whole.length)
    return Conditions.parse({ text: token, name, excludes: operator === "!=", value, commas: places })
  }
  const parser = Object.hasOwn(parsers, given) ? parsers[given] : undefined
  if (parser === undefined) return notAnOption(text, given, operator)
  if (operator === "=") return parser(value)
  return `${given} takes no !=; only conditions take it, such as image!=VALUE`
}

/** True if a line is a comment or blank. The comment block at a script's head ends at the first other line. */
const isComment = (line: string): boolean => /^\s*(?:#|$)/.test(line)

/** The text after `# des:` in a line; `undefined` if the line does not begin with it. */
const optionsIn = (line: string): string | undefined => /^\s*#\s*des:(.*)$/s.exec(line)?.[1]

/** Options that cannot stand together, and why. */
const contradiction = ({ cooldown = 0, per, stopOnFailure, wait }: Omit<ScriptOptions, "conditions">) => {
  const pacing = wait !== undefined ? "wait" : cooldown > 0 ? "cooldown" : undefined
  if (stopOnFailure === true && pacing !== undefined)
    return `stop-on-failure=yes and ${pacing} contradict each other: a run that comes later has not failed when the next script begins; remove one of them`
  if (per !== undefined && pacing === undefined)
    return `per=${per} says whose wait or cooldown it is, and there is none; add wait= or cooldown=, or remove it`
  return undefined
}

/**
 * Reads the options in a script's head: `# des: NAME=VALUE …` in any line of the first comment block. Double quotes
 * stand around what has blanks, and around a comma that is part of a value. An unknown or malformed option is a problem: a script that runs with other bounds than
 * its author asked for is worse than a script that does not run.
 *
 * @example
 * import { ScriptOptions } from "docker-event-scripts"
 *
 * // { conditions: [], timeout: 30000 }
 * export const options = ScriptOptions.parse("#!/bin/sh\n# des: timeout=30s\n")
 *
 * @since 1.0.0
 * @category constructors
 */
export const parse = (head: string, whole = true): ScriptOptions | Problem => {
  let options: Omit<ScriptOptions, "conditions"> = {}
  const conditions: Array<Condition> = []
  let lastLine = 1
  const result = (): ScriptOptions | Problem => {
    const message = contradiction(options)
    return message === undefined ? { ...options, conditions } : { line: lastLine, message }
  }
  for (const [index, line] of head.split("\n").entries()) {
    if (!isComment(line)) return result()
    const text = optionsIn(line)
    if (text === undefined) continue
    lastLine = index + 1
    if ((text.match(/"/g)?.length ?? 0) % 2 === 1)
      return { line: index + 1, message: "a closing double quote is missing" }
    for (const token of text.match(/(?:[^\s"]|"[^"]*")+/g) ?? []) {
      const parsed = parseToken(token)
      if (typeof parsed === "string") return { line: index + 1, message: parsed }
      if ("on" in parsed) conditions.push(parsed)
      else options = { ...options, ...parsed }
    }
  }
  return whole ? result() : { line: head.split("\n").length, message: "the comment block is too long to be read whole" }
}

/** A comment, in any language, that begins with `des` and an option. */
const meantForDes = /^\s*(?:#+|\/\/+|--+|;+|%+)\s*des\s*[:\s]\s*[a-z-]+!?=/i

/** The options in a script's head as their author wrote them, without the `# des:`. */
export const written = (head: string): string => {
  const lines = head.split("\n")
  const end = lines.findIndex((line) => !isComment(line))
  return lines
    .slice(0, end === -1 ? lines.length : end)
    .flatMap((line) => optionsIn(line)?.trim() ?? [])
    .join(" ")
}

/** The lines of a script that look like options but are not read as options. The message says how to fix each. */
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
 * Says which condition keeps a script with these options from running for an event: the first one that does not hold,
 * and what the event has instead. `undefined` if the script runs. The text can contain values of the event, so it must
 * be escaped before it is printed.
 *
 * @example
 * import { ScriptOptions } from "docker-event-scripts"
 * import * as Testing from "docker-event-scripts/testing"
 *
 * const options = ScriptOptions.parse("#!/bin/sh\n# des: name=db\n")
 *
 * export const why = "conditions" in options ? ScriptOptions.whyNot(options, Testing.makeEvent()) : options.message
 *
 * @since 1.0.0
 * @category combinators
 */
export const whyNot = (options: ScriptOptions, event: Conditions.Judged): string | undefined => {
  const failing = options.conditions.find((condition) => !Conditions.holds(condition, event))
  return failing === undefined ? undefined : Conditions.explain(failing, event)
}

/**
 * True if a script with these options runs for an event.
 *
 * @example
 * import { ScriptOptions } from "docker-event-scripts"
 * import * as Testing from "docker-event-scripts/testing"
 *
 * const options = ScriptOptions.parse("#!/bin/sh\n# des: name=web\n")
 *
 * export const runs = "conditions" in options && ScriptOptions.matches(options, Testing.makeEvent())
 *
 * @since 1.0.0
 * @category combinators
 */
export const matches = (options: ScriptOptions, event: Conditions.Judged): boolean =>
  options.conditions.every((condition) => Conditions.holds(condition, event))
