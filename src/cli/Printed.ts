/** Edits what the command line library prints. */

import { stripVTControlCharacters } from "node:util"
import type * as Console from "effect/Console"

/**
 * A console that writes an error of the library as lines without an empty one between or behind them. Only these are
 * edited: the output of a command goes through as it is.
 */
export const console = (base: Console.Console): Console.Console => ({
  ...base,
  error: (text) => base.error(stripVTControlCharacters(String(text)).trimEnd().replaceAll("\n\n", "\n"))
})
