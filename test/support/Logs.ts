import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"

/** Keeps what is logged, from a level on, as `LEVEL message`, instead of printing it. `fields` has the annotations of each line. */
export const collectLogs = (
  level: LogLevel.LogLevel = LogLevel.Debug
): {
  readonly lines: Array<string>
  readonly fields: Array<Readonly<Record<string, unknown>>>
  readonly layer: Layer.Layer<never>
} => {
  const lines: Array<string> = []
  const fields: Array<Readonly<Record<string, unknown>>> = []
  const logger = Logger.make(({ annotations, logLevel, message }) => {
    fields.push(Object.fromEntries(annotations))
    lines.push(`${logLevel.label} ${Array.isArray(message) ? message.join(" ") : String(message)}`)
  })
  return {
    lines,
    fields,
    layer: Layer.merge(Logger.replace(Logger.defaultLogger, logger), Logger.minimumLogLevel(level))
  }
}
