/** The runs of the journal as rows of a table. */

import * as DockerEvent from "../event/DockerEvent.ts"
import * as Log from "../Log.ts"
import type { History } from "../state.ts"
import * as Results from "./Results.ts"
import type * as Table from "./Table.ts"

/** How a run has ended: its exit code, or its outcome if it has none. */
export const exitOf = ({ exit, outcome }: History.Run): string => (exit === null ? (outcome ?? "-") : String(exit))

/** How long a run took, in seconds. */
export const durationOf = ({ duration }: History.Run): string =>
  duration === null ? "-" : `${(duration / 1000).toFixed(2)}s`

/** The longest name in the table, in characters. */
const longestName = 80

const actorOf = ({ actor }: History.Run): string => actor.slice(0, 12)

/**
 * A column of the table. It is `least` columns of the terminal wide or wider. A column that is `cut` loses text to be no
 * wider than the terminal allows; the others never do. If the row is still too wide, columns are left out, the one with
 * the smallest `leftOut` first.
 */
interface Column {
  readonly head: string
  readonly least: number
  readonly cut?: "start" | "end"
  readonly leftOut?: number
  readonly of: (run: History.Run) => string
}

const columns: ReadonlyArray<Column> = [
  { head: "RUN", least: 5, of: ({ id }) => String(id) },
  { head: "BEGAN", least: 19, of: ({ began }) => Results.formatTime(began) },
  {
    head: "EVENT",
    least: 15,
    cut: "end",
    leftOut: 3,
    of: ({ action, type }) => `${type}/${DockerEvent.verb({ Action: action })}`
  },
  { head: "ACTOR", least: 12, cut: "end", leftOut: 1, of: actorOf },
  // If the column ACTOR is left out, NAME shows the ID of an actor without a name.
  { head: "NAME", least: 8, cut: "end", of: ({ name }) => (name ?? "").slice(0, longestName) || "-" },
  // Its end says more than its beginning.
  { head: "SCRIPT", least: 16, cut: "start", of: ({ script }) => script },
  { head: "ATTEMPT", least: 7, leftOut: 2, of: ({ attempt }) => String(attempt) },
  { head: "EXIT", least: 4, of: exitOf },
  { head: "DURATION", least: 8, leftOut: 4, of: durationOf }
]

/** The column of a journal that several des share. */
const nodeColumn: Column = { head: "NODE", least: 6, leftOut: 5, of: ({ node }) => node ?? "-" }

/** The columns that a terminal of this width shows. */
const shownAt = (all: ReadonlyArray<Column>, width: number, rowWidth: typeof Table.rowWidth): ReadonlyArray<Column> => {
  let shown = all
  const order = all.filter(({ leftOut }) => leftOut !== undefined)
  for (const column of order.toSorted((one, other) => (one.leftOut ?? 0) - (other.leftOut ?? 0))) {
    if (rowWidth(shown.map(({ least }) => least)) <= width) break
    shown = shown.filter((other) => other !== column)
  }
  return shown
}

/**
 * Makes what formats runs page by page. A later page can make columns wider, and never narrower; a terminal shows the
 * same columns on every page. `hasNodes`: several des have made the runs.
 */
export const make = (
  table: typeof Table,
  width: number,
  hasNodes: boolean
): { readonly head: () => string; readonly rows: (runs: ReadonlyArray<History.Run>) => ReadonlyArray<string> } => {
  const shown = shownAt(hasNodes ? [...columns, nodeColumn] : columns, width, table.rowWidth)
  const hasActor = shown.some(({ head }) => head === "ACTOR")
  const cutsStart = shown.map(({ cut }) => cut === "start")
  let widths = shown.map(({ head, least }) => Math.max(head.length, least))
  const rowsOf = (cells: ReadonlyArray<ReadonlyArray<string>>) => {
    const leastWidths = shown.map(({ cut, least }, at) => (cut === undefined ? (widths[at] ?? 0) : least))
    const narrowed = table.narrow(widths, width, leastWidths)
    return cells.map((row) => table.row(row, narrowed, cutsStart))
  }
  const cellsOf = (run: History.Run) =>
    shown.map(({ head, of }) => Log.escape(head === "NAME" && !hasActor && run.name === null ? actorOf(run) : of(run)))
  return {
    head: () => rowsOf([shown.map(({ head }) => head)]).join(),
    rows: (runs) => {
      const cells = runs.map(cellsOf)
      widths = [...table.atLeast(widths, table.widths(cells))]
      return rowsOf(cells)
    }
  }
}
