/** Text in columns, as wide as a terminal shows it. */

import stringWidth from "string-width"

const graphemes = new Intl.Segmenter()

/** How many columns a text takes. Some characters take two, and some none. */
export const widthOf = (text: string): number => stringWidth(text)

/** Cuts a text to a number of columns. The last one of a cut text is `…`. */
export const cut = (text: string, columns: number): string => {
  if (widthOf(text) <= columns) return text
  let kept = ""
  let used = 0
  for (const { segment } of graphemes.segment(text)) {
    used += widthOf(segment)
    if (used > columns - 1) break
    kept += segment
  }
  return columns <= 0 ? "" : `${kept}…`
}

/** Cuts a text to a number of columns, and fills it up with blanks. */
export const pad = (text: string, columns: number): string => {
  const shown = cut(text, columns)
  return shown + " ".repeat(Math.max(0, columns - widthOf(shown)))
}

/** What stands between two columns. */
const gap = "  "

/** The width of each column, so that nothing is cut. */
export const widths = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<number> => {
  const columns = Math.max(0, ...rows.map((cells) => cells.length))
  return Array.from({ length: columns }, (_, at) =>
    rows.reduce((most, cells) => Math.max(most, widthOf(cells[at] ?? "")), 0)
  )
}

/** Widths that are enough for both. */
export const atLeast = (some: ReadonlyArray<number>, others: ReadonlyArray<number>): ReadonlyArray<number> =>
  some.map((width, at) => Math.max(width, others[at] ?? 0))

/** The smallest width to which a column is narrowed. */
const narrowest = 8

/** Narrows columns so that a row is at most `total` wide: the widest one first. */
export const narrow = (columns: ReadonlyArray<number>, total: number): ReadonlyArray<number> => {
  const narrowed = [...columns]
  let excess = columns.reduce((sum, width) => sum + width, 0) + gap.length * (columns.length - 1) - total
  while (excess > 0) {
    const widest = narrowed.indexOf(Math.max(...narrowed))
    const width = narrowed[widest] ?? 0
    if (width <= narrowest) break
    narrowed[widest] = width - 1
    excess--
  }
  return narrowed
}

/** One row with columns of these widths. The last one is not filled up. */
export const row = (cells: ReadonlyArray<string>, columns: ReadonlyArray<number>): string =>
  cells
    .map((cell, at) => pad(cell, columns[at] ?? 0))
    .join(gap)
    .trimEnd()

/** Rows in columns, at most as wide as the terminal. The cells are already escaped. */
export const format = (rows: ReadonlyArray<ReadonlyArray<string>>, total: number): ReadonlyArray<string> => {
  const columns = narrow(widths(rows), total)
  return rows.map((cells) => row(cells, columns))
}
