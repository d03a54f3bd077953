import * as Cause from "effect/Cause"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"

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

const shorten = (text: string): string =>
  text.length <= longest ? text : `${text.slice(0, longest)}… (${text.length - longest} more characters)`

const textOf = (message: unknown): string =>
  (Array.isArray(message) ? message : [message]).map((part) => Inspectable.toStringUnknown(part, 0)).join(" ")

/** The message and its cause, if there is one, as one text of bounded length. All formats use it. */
const messageOf = ({ cause, message }: Logger.Logger.Options<unknown>): string =>
  shorten(
    Cause.isEmpty(cause)
      ? textOf(message)
      : `${textOf(message)} ${Cause.pretty(cause, { renderErrorCause: true })}`.trim()
  )

const levelNames: Readonly<Record<string, string>> = { WARN: "WARNING", FATAL: "CRITICAL" }

const pad = (value: number, digits = 2): string => String(value).padStart(digits, "0")

/** Python's asctime, in local time, which log scrapers of the original match. */
const asctime = (date: Date): string =>
  `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ` +
  `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())},${pad(date.getMilliseconds(), 3)}`

const textLogger = Logger.make<unknown, string>(
  ({ date, logLevel, message }) =>
    `${asctime(date)} - docker-event-script - ${levelNames[logLevel.label] ?? logLevel.label} - ${message}`
)

const loggers: Readonly<Record<LogFormat, Logger.Logger<unknown, string>>> = {
  text: textLogger,
  logfmt: Logger.logfmtLogger,
  json: Logger.jsonLogger
}

const bounded = Logger.mapInputOptions((options: Logger.Logger.Options<unknown>) => ({
  ...options,
  message: messageOf(options),
  cause: Cause.empty
}))

/** The priorities of syslog, as journald reads them from `<N>` at the beginning of a line. */
const priorities: Readonly<Record<string, number>> = { FATAL: 2, ERROR: 3, WARN: 4, INFO: 6 }

const debugPriority = 7

const withPriority = (logger: Logger.Logger<unknown, string>): Logger.Logger<unknown, string> =>
  Logger.make((options) => `<${priorities[options.logLevel.label] ?? debugPriority}>${logger.log(options)}`)

/**
 * Writes each log message to stderr, as one escaped line. `verbose` adds DEBUG lines; without it the level is not
 * changed. With `journald` each line begins with its priority as `<N>`, which journald removes and keeps as a field.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: {
  readonly format: LogFormat
  readonly verbose: boolean
  readonly journald?: boolean
}): Layer.Layer<never> => {
  const line = Logger.map(bounded(loggers[options.format]), escape)
  const logger = Logger.replace(
    Logger.defaultLogger,
    Logger.withConsoleError(options.journald === true ? withPriority(line) : line)
  )
  // One layer provides the other. Merged layers are released at the same time, and the logger would outlive its scope.
  return options.verbose ? Layer.provideMerge(logger, Logger.minimumLogLevel(LogLevel.Debug)) : logger
}
