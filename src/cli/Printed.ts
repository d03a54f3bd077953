/** What the library of the command line prints, made fit for its reader. */

import { stripVTControlCharacters } from "node:util"
import type * as Console from "effect/Console"

/** The library's help, without what it says of every option (that it is text, and may be missing), and without the whole usage of each subcommand. */
export const help = (text: string): string =>
  text
    .replace(/^ {2}(A true or false value|A user-defined piece of text|One of the following: .*)\.?\n\n/gm, "")
    .replace(/^ {2}This setting is optional\.( Defaults to: .*)?(\n|$)/gm, (_, fallback?: string) =>
      fallback === undefined ? "" : ` ${fallback}\n`
    )
    .replace(/^( {2}- \w+) .* {2}/gm, "$1: ")
    .replace(/\n+(?= {2}\S)/g, "\n")
    .replace(/\n{3,}/g, "\n\n")

/** The library's completions, without the options that it adds to those of des. For bash it joins the words of a choice with commas, which bash takes for one word. */
export const completions = (script: string): string =>
  script
    .replace(/^.*(Generate a completion|Sets the minimum log|Show the help|Start wizard|Show the version).*\n/gm, "")
    .replaceAll(" --completions --log-level --help --wizard --version", "")
    .replace(/(?<=compgen -W ")[\w,]+(?=")/g, (words) => words.replaceAll(",", " "))

/** A console that writes colours to a terminal only, and no empty lines at the end or between two errors. */
export const console = (base: Console.Console, edit: (text: string) => string = (text) => text): Console.Console => {
  const plain = (text: unknown, stream: NodeJS.WriteStream) =>
    (stream.isTTY && !process.env["NO_COLOR"] ? String(text) : stripVTControlCharacters(String(text))).trimEnd()
  return {
    ...base,
    log: (text) => base.log(edit(plain(text, process.stdout))),
    error: (text) => base.error(plain(text, process.stderr).replaceAll("\n\n", "\n"))
  }
}
