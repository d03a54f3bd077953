/** Text of manual pages in roff, with the macros of man(7). */

/** Escapes a text, so that it has no meaning to roff. Dashes become the ones of a keyboard, which can be copied. */
export const escape = (text: string): string =>
  text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll(/[^\n\x20-\x7e]/gu, (character) => {
      const code = character.codePointAt(0) ?? 0
      return `\\[u${code.toString(16).toUpperCase().padStart(4, "0")}]`
    })
    .replaceAll(/^([.'])/gm, "\\&$1")

/** A text in bold: what is typed as it stands. */
export const bold = (text: string): string => `\\fB${escape(text)}\\fR`

/** The argument of a macro. */
const quoted = (text: string): string => `"${text.replaceAll('"', "\\(dq")}"`

/** The title line of a page. It has no date: the same source always gives the same page. */
export const title = (name: string, section: number, source: string, manual: string): string =>
  `.TH ${quoted(escape(name.toUpperCase()))} ${section} "" ${quoted(escape(source))} ${quoted(escape(manual))}\n.nh\n.ad l`

export const section = (name: string): string => `.SH ${quoted(escape(name.toUpperCase()))}`

export const subsection = (name: string): string => `.SS ${quoted(escape(name))}`

/** A paragraph of text that is already escaped. */
export const paragraph = (escaped: string): string => `.PP\n${escaped}`

/** A term and what it means. Both are already escaped. */
export const definition = (term: string, meaning: ReadonlyArray<string>): string =>
  `.TP\n${term}\n${meaning.join("\n.br\n")}`

/** An entry of a list. It is already escaped. */
export const bullet = (escaped: string): string => `.IP \\(bu 2\n${escaped}`

/** Lines that stay as they are. */
export const code = (lines: ReadonlyArray<string>): string =>
  [".PP", ".RS 4", ".nf", ...lines.map((line) => escape(line) || "\\&"), ".fi", ".RE"].join("\n")
