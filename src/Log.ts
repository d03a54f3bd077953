import * as Cause from "effect/Cause"
import * as HashMap from "effect/HashMap"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as LogFields from "./LogFields.ts"

/**
 * How log lines look: the original's `text`, or for machines `logfmt` and `json`.
 *
 * @since 1.0.0
 * @category models
 */
export type LogFormat = "text" | "logfmt" | "json"

/**
 * The formats by name.
 *
 * @since 1.0.0
 * @category constructors
 */
export const formats: ReadonlyArray<LogFormat> = ["text", "logfmt", "json"]

// C0, DEL, C1, line and paragraph separators, and marks that change the direction of text or are invisible. A JSON
// string allows such an escape for each of them, so all formats use the same escape.
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu

const shortEscapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }

const escapeUnit = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`

/**
 * Escapes characters that could forge a log line or control a terminal: `\n`, `\u001b`, `\u202e`.
 *
 * @example
 * import { Log } from "docker-event-scripts"
 *
 * // a\nb, on one line
 * export const shown = Log.escape("a\nb")
 *
 * @since 1.0.0
 * @category combinators
 */
export const escape = (text: string): string =>
  text.replace(
    unprintable,
    (found) =>
      shortEscapes[found] ?? Array.from({ length: found.length }, (_, at) => escapeUnit(found[at] ?? "")).join("")
  )

/** The longest log message, in characters. Strangers can make an action or a label very long. */
const longest = 16_384

/**
 * The text of a log message, within its bound.
 *
 * @internal
 */
export const textOf = (message: unknown): string =>
  LogFields.cut(
    (Array.isArray(message) ? message : [message]).map((part) => Inspectable.toStringUnknown(part, 0)).join(" "),
    longest
  )

const stackOf = (cause: Cause.Cause<unknown>): string =>
  LogFields.cut(Cause.pretty(cause, { renderErrorCause: true }), longest)

/** The value of a field. Returns undefined for what says nothing. */
const valueOf = (value: unknown): string | number | boolean | undefined => {
  if (typeof value === "boolean" || Number.isFinite(value)) return value as boolean | number
  if (value === undefined || value === null || value === "") return undefined
  return LogFields.cut(Inspectable.toStringUnknown(value, 0))
}

type Field = readonly [name: string, value: string | number | boolean]

/** What logfmt and json have in each line. */
const everywhere: ReadonlySet<string> = new Set(["timestamp", "level", "message"])

const order: ReadonlyArray<string> = Object.values(LogFields.names)

const rankOf = (name: string): number => (order.includes(name) ? order.indexOf(name) : order.length)

const exceptionFields = (cause: Cause.Cause<unknown>): ReadonlyArray<Field> => {
  if (Cause.isEmpty(cause)) return []
  const error = Cause.squash(cause)
  const { exceptionMessage, exceptionStack, exceptionType } = LogFields.names
  const fields: ReadonlyArray<readonly [string, string | undefined]> = [
    [exceptionType, error instanceof Error ? error.name : typeof error],
    [exceptionMessage, error instanceof Error ? error.message : Inspectable.toStringUnknown(error, 0)]
  ]
  return [
    ...fields.flatMap(([name, text = ""]): ReadonlyArray<Field> => (text === "" ? [] : [[name, LogFields.cut(text)]])),
    [exceptionStack, stackOf(cause)]
  ]
}

/** Everything that a line says, in order: time, level and message, des's own fields, and what else a program has annotated. */
const fieldsOf = ({ annotations, cause, date, logLevel, message }: Logger.Logger.Options<unknown>) => {
  const annotated = Array.from(annotations, ([name, value]) => [name, valueOf(value)] as const)
    .flatMap(
      ([name, value]): ReadonlyArray<Field> => (value === undefined || everywhere.has(name) ? [] : [[name, value]])
    )
    .sort(([a], [b]) => rankOf(a) - rankOf(b) || (a < b ? -1 : 1))
  const fields: ReadonlyArray<Field> = [
    ["timestamp", date.toISOString()],
    ["level", logLevel.label],
    ["message", textOf(message)],
    ...annotated,
    ...exceptionFields(cause)
  ]
  return fields
}

const levelNames: Readonly<Record<string, string>> = { WARN: "WARNING", FATAL: "CRITICAL" }

const pad = (value: number, digits = 2): string => String(value).padStart(digits, "0")

/** Python's asctime, in local time, which log scrapers of the original match. */
const asctime = (date: Date): string =>
  `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ` +
  `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())},${pad(date.getMilliseconds(), 3)}`

const textLogger = Logger.make<unknown, string>(({ annotations, cause, date, logLevel, message }) => {
  const text = Cause.isEmpty(cause)
    ? textOf(message)
    : LogFields.cut(`${textOf(message)} ${stackOf(cause)}`.trim(), longest)
  const shown = LogFields.inText(text, (name) =>
    Option.getOrUndefined(Option.map(HashMap.get(annotations, name), (value) => String(valueOf(value) ?? "")))
  )
  return `${asctime(date)} - docker-event-script - ${levelNames[logLevel.label] ?? logLevel.label} - ${shown}`
})

/** A value that logfmt has without quotes. All characters that are escaped stand in quotes, where they can be read back. */
const bare = /^[^\s"=\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]+$/u

const pair = ([name, value]: Field): string => {
  const text = String(value)
  return `${name.replaceAll(/[^\w.-]/g, "_")}=${bare.test(text) ? text : JSON.stringify(text)}`
}

const loggers: Readonly<Record<LogFormat, Logger.Logger<unknown, string>>> = {
  text: textLogger,
  logfmt: Logger.make((options) => fieldsOf(options).map(pair).join(" ")),
  json: Logger.make((options) => JSON.stringify(Object.fromEntries(fieldsOf(options))))
}

/** The priorities of syslog, as journald reads them from `<N>` at the beginning of a line. */
const priorities: Readonly<Record<string, number>> = { FATAL: 2, ERROR: 3, WARN: 4, INFO: 6 }

const debugPriority = 7

const withPriority = (logger: Logger.Logger<unknown, string>): Logger.Logger<unknown, string> =>
  Logger.make((options) => `<${priorities[options.logLevel.label] ?? debugPriority}>${logger.log(options)}`)

/**
 * Writes each log message to stderr, as one escaped line. `verbose` adds DEBUG lines; without it the level is not
 * changed. With `journald` each line begins with its priority as `<N>`, which journald removes and keeps as a field.
 *
 * @example
 * import { Log } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 *
 * export const main = Effect.logInfo("hello").pipe(Effect.provide(Log.layer({ format: "json", verbose: false })))
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: {
  readonly format: LogFormat
  readonly verbose: boolean
  readonly journald?: boolean
}): Layer.Layer<never> => {
  const line = Logger.map(loggers[options.format], escape)
  const logger = Logger.replace(
    Logger.defaultLogger,
    Logger.withConsoleError(options.journald === true ? withPriority(line) : line)
  )
  // One layer provides the other. Merged layers are released at the same time, and the logger would outlive its scope.
  return options.verbose ? Layer.provideMerge(logger, Logger.minimumLogLevel(LogLevel.Debug)) : logger
}
