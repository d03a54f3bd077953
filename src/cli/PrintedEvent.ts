/** An event as one row for people. */

import { type DockerEvent, verb } from "../event/DockerEvent.ts"
import * as OwnKeys from "../event/OwnKeys.ts"
import * as Log from "../Log.ts"
import * as Results from "./Results.ts"
import type * as Table from "./Table.ts"

const colours = { none: "", dim: "2", red: "31", green: "32", yellow: "33" } as const

type Colour = keyof typeof colours

const paint = (text: string, colour: Colour): string =>
  colour === "none" ? text : `\u001b[${colours[colour]}m${text}\u001b[0m`

/** Keys that have their own column, or that nobody reads. */
const unshown = new Set(["name", "image", "podId", "execID", "containerExitCode"])

/** Shortens IDs as the docker command does. */
const short = (value: string): string => value.replace(/\b(?:sha256:)?([0-9a-f]{12})[0-9a-f]{52}\b/g, "$1")

/** The longest text of a cell, in characters: nobody reads more of it in a table. */
const longestCell = 512

/** Makes a stranger's text fit for a cell. It is cut first, because a label can have millions of characters. */
const cell = (text: string): string => Log.escape(text.length > longestCell ? `${text.slice(0, longestCell)}…` : text)

/** What an event has beside its name and image: what stands behind the verb, and the engine's own attributes. */
const details = (event: DockerEvent): string => {
  const behind = event.Action.slice(verb(event).length).replace(/^:\s*/, "")
  const { Attributes } = event.Actor
  const own = OwnKeys.attributes.flatMap((key) => {
    const value = Object.hasOwn(Attributes, key) ? (Attributes[key] ?? "") : ""
    return unshown.has(key) || value === "" ? [] : [`${key}=${short(value)}`]
  })
  return [behind, ...own].filter((part) => part !== "").join(" ")
}

/** Red for what went wrong, green for what came up, yellow for what des made. */
const colourOf = (event: DockerEvent): Colour => {
  const failed = (event.Actor.Attributes["exitCode"] ?? "0") !== "0"
  if (failed || /^(?:oom|gap|disconnected|failed|pull-error|health_status: unhealthy)/.test(event.Action)) return "red"
  if (event.synthetic) return "yellow"
  return /^(?:start|connected|health_status: healthy)/.test(event.Action) ? "green" : "none"
}

/** How rows are printed. `dated` rows have the day as well. An infinite `width` cuts nothing. */
export interface Style {
  readonly width: number
  readonly dated: boolean
  readonly coloured: boolean
  /** True if rows show the name of the engine. */
  readonly engines: boolean
  /** Measures and cuts text: see {@link Results.loadTable}. */
  readonly table: typeof Table
}

/** The widths of the columns: of the time, the engine, the event, the name and the image. The details have the rest. */
const columnsOf = ({ dated, engines, width }: Style): ReadonlyArray<number> => {
  const time = dated ? 19 : 8
  const wide = width >= 120
  return [time, ...(engines ? [wide ? 16 : 10] : []), wide ? 24 : 20, wide ? 24 : 16, wide ? 24 : 14]
}

const gap = "  "

/** A row of cells. The last one has what is left of the width. */
const row = (cells: ReadonlyArray<string>, style: Style, colour: Colour): string => {
  const columns = columnsOf(style)
  const used = columns.reduce((sum, width) => sum + width + gap.length, 0)
  const isNarrow = style.width !== Number.POSITIVE_INFINITY
  const painted = cells.map((text, at) => {
    const width = columns[at]
    const isLast = width === undefined
    // Where nothing is cut, a longer text moves the rest of its row.
    const fitted = isLast
      ? isNarrow
        ? style.table.cut(text, Math.max(0, style.width - used))
        : text
      : isNarrow
        ? style.table.pad(text, width)
        : text + " ".repeat(Math.max(0, width - style.table.widthOf(text)))
    const isEvent = at === (style.engines ? 2 : 1)
    return style.coloured ? paint(fitted, at === 0 ? "dim" : isEvent ? colour : "none") : fitted
  })
  return painted.join(gap).trimEnd()
}

/** The names of the columns. */
export const head = (style: Style): string =>
  row(
    ["TIME", ...(style.engines ? ["ENGINE"] : []), "EVENT", "NAME", "IMAGE", "DETAILS → SCRIPTS"],
    { ...style, coloured: false },
    "none"
  )

/** One event, with the scripts that would run for it. */
export const format = (event: DockerEvent, scripts: ReadonlyArray<string>, style: Style): string => {
  const { Attributes, ID } = event.Actor
  const milliseconds = event.timeNano === 0n ? event.time * 1000 : Number(event.timeNano / 1_000_000n)
  const run = scripts.length === 0 ? "" : `→ ${scripts.join(", ")}`
  const cells = [
    style.dated ? Results.formatTime(milliseconds) : Results.formatClock(milliseconds),
    ...(style.engines ? [event.engine] : []),
    `${event.Type}/${verb(event)}`,
    short(Attributes["name"] ?? ID),
    Attributes["image"] ?? "",
    [details(event), run].filter((part) => part !== "").join(" ")
  ]
  return row(cells.map(cell), style, colourOf(event))
}

/**
 * The raw record of an event, in one line that drives no terminal. A record is JSON, so a control character is white space
 * between values, or stands in a string, where its escape means the same.
 */
export const formatJson = ({ record }: DockerEvent): string => Log.escape(record.replace(/[\t\r\n]/g, " "))
