/** The Markdown of README.md and docs/, as far as these pages use it, as roff. */

import * as Roff from "./Roff.ts"

/** The part of a page below one title, without the title. */
export const sectionOf = (page: string, title: string): string => {
  const [, , rest] = new RegExp(`(^|\n)## ${title}\n([\\s\\S]*?)(?=\n## |$(?![\\s\\S]))`).exec(page) ?? []
  if (rest === undefined) throw new Error(`no section ${JSON.stringify(title)}`)
  return rest.trim()
}

/** The text of one paragraph, cell or entry. Links lose their address, since it is a path in the repository. */
export const inline = (text: string): string =>
  text
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .split(/(`[^`]*`|\*\*[^*]*\*\*)/)
    .map((part) =>
      part.startsWith("`")
        ? Roff.bold(part.slice(1, -1))
        : part.startsWith("**")
          ? Roff.bold(part.slice(2, -2).replaceAll("`", ""))
          : Roff.escape(part)
    )
    .join("")
    .replaceAll(/^([.'])/gm, "\\&$1")

const cellsOf = (row: string): ReadonlyArray<string> =>
  row
    .replace(/^\| ?/, "")
    .replace(/ ?\|$/, "")
    .split(" | ")
    .map((cell) => cell.trim())

const capitalized = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`

/** The first cell of a row is the term. The heads of further columns stand before their cells. */
const table = (rows: ReadonlyArray<string>): ReadonlyArray<string> => {
  const [heads = [], , ...bodies] = rows.map(cellsOf)
  return bodies.map(([term = "", ...cells]) =>
    Roff.definition(
      inline(term),
      cells.flatMap((cell, at) =>
        cell === "" ? [] : [at === 0 ? inline(cell) : `${inline(capitalized(heads[at + 1] ?? ""))}: ${inline(cell)}`]
      )
    )
  )
}

const blockOf = (lines: ReadonlyArray<string>): ReadonlyArray<string> => {
  const [first = ""] = lines
  if (first.startsWith("|")) return table(lines)
  if (first.startsWith("### ")) return [Roff.subsection(first.slice(4))]
  if (first.startsWith("    ")) return [Roff.code(lines.map((line) => line.slice(4)))]
  if (first.startsWith("- ")) {
    const entries = lines.join("\n").split(/\n(?=- )/)
    return entries.map((entry) => Roff.bullet(inline(entry.replace(/^- /, "").replaceAll(/\n */g, " "))))
  }
  return [Roff.paragraph(inline(lines.join(" ")))]
}

/** True if a line goes on with the block of the line before. */
const continues = (line: string, block: ReadonlyArray<string>): boolean => {
  const [first = ""] = block
  if (first.startsWith("    ")) return line.startsWith("    ") || line === ""
  return line !== "" && first !== ""
}

/** Turns Markdown into the lines of a manual page. */
export const toRoff = (markdown: string): ReadonlyArray<string> => {
  const blocks: Array<Array<string>> = []
  for (const line of markdown.split("\n")) {
    const last = blocks.at(-1)
    if (last !== undefined && continues(line, last)) last.push(line)
    else blocks.push(line === "" ? [] : [line])
  }
  return blocks.flatMap((block) => {
    while (block.at(-1) === "") block.pop()
    return block.length === 0 ? [] : blockOf(block)
  })
}
