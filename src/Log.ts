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

// C0, DEL, C1, line and paragraph separators, and the marks that turn the direction of text or hide in it. Each is
// legal to escape like this inside a JSON string, which is why there is one escape for every format.
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/gu

const shortEscapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" }

const escapeUnit = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`

/**
 * Shows what could forge a line or drive a terminal as an escape: `\n`, `\u001b`, `\u202e`.
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

/** A stranger may make an action or a label long; a log line stays one that a person can read past. */
const longest = 16_384

const shorten = (text: string): string =>
  text.length <= longest ? text : `${text.slice(0, longest)}… (${text.length - longest} more characters)`

const text = (message: unknown): string =>
  (Array.isArray(message) ? message : [message]).map((part) => Inspectable.toStringUnknown(part, 0)).join(" ")

/** What is said, and why where a cause is given: one text, of bounded length, in every format. */
const messageOf = ({ cause, message }: Logger.Logger.Options<unknown>): string =>
  shorten(
    Cause.isEmpty(cause) ? text(message) : `${text(message)} ${Cause.pretty(cause, { renderErrorCause: true })}`.trim()
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

/**
 * Writes logs to stderr, one line each, escaped. `verbose` adds DEBUG lines; without it the level stays as it is.
 *
 * @since 1.0.0
 * @category layers
 */
export const layer = (options: { readonly format: LogFormat; readonly verbose: boolean }): Layer.Layer<never> => {
  const logger = Logger.replace(
    Logger.defaultLogger,
    Logger.withConsoleError(Logger.map(bounded(loggers[options.format]), escape))
  )
  // One in the other: merged layers are built, and undone, beside each other, and the logger would outlive its scope.
  return options.verbose ? Layer.provideMerge(logger, Logger.minimumLogLevel(LogLevel.Debug)) : logger
}
