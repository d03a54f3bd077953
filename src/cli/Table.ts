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

/** Cuts the beginning of a text, so that the rest takes a number of columns. The first one of a cut text is `…`. */
export const cutStart = (text: string, columns: number): string => {
  if (widthOf(text) <= columns) return text
  let kept = ""
  let used = 0
  for (const { segment } of [...graphemes.segment(text)].reverse()) {
    used += widthOf(segment)
    if (used > columns - 1) break
    kept = segment + kept
  }
  return columns <= 0 ? "" : `…${kept}`
}

/** Cuts a text to a number of columns, and fills it up with blanks. */
export const pad = (text: string, columns: number, cutTo = cut): string => {
  const shown = cutTo(text, columns)
  return shown + " ".repeat(Math.max(0, columns - widthOf(shown)))
}

/** What stands between two columns. */
const gap = "  "

/** How wide a row with columns of these widths is. */
export const rowWidth = (columns: ReadonlyArray<number>): number =>
  columns.reduce((sum, width) => sum + width, 0) + gap.length * (columns.length - 1)

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

/**
 * Narrows columns so that a row is at most `total` wide: the widest one first, and none below its least width. By
 * default this is 8 for each.
 */
export const narrow = (
  columns: ReadonlyArray<number>,
  total: number,
  least: ReadonlyArray<number> = columns.map(() => narrowest)
): ReadonlyArray<number> => {
  const narrowed = [...columns]
  const spare = (at: number) => (narrowed[at] ?? 0) > (least[at] ?? 0)
  for (let excess = rowWidth(columns) - total; excess > 0; excess--) {
    const widest = narrowed.reduce(
      (most, width, at) => (spare(at) && width > (narrowed[most] ?? 0) ? at : most),
      narrowed.length
    )
    if (widest === narrowed.length) break
    narrowed[widest] = (narrowed[widest] ?? 0) - 1
  }
  return narrowed
}

/**
 * One row with columns of these widths. The last one is not filled up. `cutsStart` says in which columns a text loses
 * its beginning instead of its end.
 */
export const row = (
  cells: ReadonlyArray<string>,
  columns: ReadonlyArray<number>,
  cutsStart: ReadonlyArray<boolean> = []
): string =>
  cells
    .map((cell, at) => pad(cell, columns[at] ?? 0, cutsStart[at] === true ? cutStart : cut))
    .join(gap)
    .trimEnd()

/** Rows in columns, at most as wide as the terminal. The cells are already escaped. */
export const format = (rows: ReadonlyArray<ReadonlyArray<string>>, total: number): ReadonlyArray<string> => {
  const columns = narrow(widths(rows), total)
  return rows.map((cells) => row(cells, columns))
}
