/** Prints results: many lines, to a reader that may be slow or leave. */

import type { PlatformError } from "@effect/platform/Error"
import * as Terminal from "@effect/platform/Terminal"
import * as Effect from "effect/Effect"
import * as SystemReason from "../SystemReason.ts"
import { CommandError } from "./CommandError.ts"

/** Prints lines, and waits until the reader has taken them: what is printed can be larger than memory. */
export const print = (lines: ReadonlyArray<string>): Effect.Effect<void, PlatformError, Terminal.Terminal> =>
  lines.length === 0
    ? Effect.void
    : Effect.flatMap(Terminal.Terminal, ({ display }) => display(lines.map((line) => `${line}\n`).join("")))

/** Ends silently if the reader has left (`des history | head`). `what` names the results in the error, before `more`. */
export const untilUnread =
  (what: string, more = "") =>
  (error: PlatformError): Effect.Effect<void, CommandError> =>
    SystemReason.codeOf(error.cause) === "EPIPE"
      ? Effect.void
      : new CommandError({ message: `${what} cannot be printed: ${SystemReason.describePlatform(error)}${more}` })

/** The width of the terminal to which results go; infinite where they go elsewhere. */
export const terminalWidth = (): number =>
  process.stdout.isTTY && process.stdout.columns > 0 ? process.stdout.columns : Number.POSITIVE_INFINITY

/** Loads the module that measures text. The data for it takes 11 MB of memory, which a des that watches does not need. */
export const loadTable = Effect.promise(() => import("./Table.ts"))

/** True if results may have colours: a terminal reads them, and nobody said that it cannot show colours. */
export const hasColours = (): boolean =>
  process.stdout.isTTY === true && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb"

const two = (number: number): string => String(number).padStart(2, "0")

/** The time of day in local time. */
export const formatClock = (milliseconds: number): string => {
  const date = new Date(milliseconds)
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`
}

/** The day and the time in local time, as the log has them. */
export const formatTime = (milliseconds: number): string => {
  const date = new Date(milliseconds)
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${formatClock(milliseconds)}`
}
