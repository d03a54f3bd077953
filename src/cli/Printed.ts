/** Edits what the command line library prints. */

import { stripVTControlCharacters } from "node:util"
import type * as Console from "effect/Console"

/** Shortens the library's help: removes that an option is text and optional, and the whole usage of each subcommand. */
export const help = (text: string): string =>
  text
    .replace(/^ {2}(A true or false value|A user-defined piece of text|One of the following: .*)\.?\n\n/gm, "")
    .replace(/^ {2}This setting is optional\.( Defaults to: .*)?(\n|$)/gm, (_, fallback?: string) =>
      fallback === undefined ? "" : ` ${fallback}\n`
    )
    .replace(/^( {2}- \w+) .* {2}/gm, "$1: ")
    .replace(/\n+(?= {2}\S)/g, "\n")
    .replace(/\n{3,}/g, "\n\n")

/**
 * Edits the library's completions: removes options that des does not have. For bash it also splits the words of a
 * choice, because the library joins them with commas and bash would take them for one word.
 */
export const completions = (script: string): string =>
  script
    .replace(/^.*(Generate a completion|Sets the minimum log|Show the help|Start wizard|Show the version).*\n/gm, "")
    .replaceAll(" --completions --log-level --help --wizard --version", "")
    .replace(/(?<=compgen -W ")[\w,]+(?=")/g, (words) => words.replaceAll(",", " "))

/** A console that writes colours only to a terminal, and no empty line at the end or between two errors. */
export const console = (base: Console.Console, edit: (text: string) => string = (text) => text): Console.Console => {
  const plain = (text: unknown, stream: NodeJS.WriteStream) =>
    (stream.isTTY && !process.env["NO_COLOR"] ? String(text) : stripVTControlCharacters(String(text))).trimEnd()
  return {
    ...base,
    log: (text) => base.log(edit(plain(text, process.stdout))),
    error: (text) => base.error(plain(text, process.stderr).replaceAll("\n\n", "\n"))
  }
}
