// @ts-check

/** @type {(values: ReadonlyArray<number>, share: number) => number} */
export const quantile = (values, share) => {
  const ascending = [...values].sort((a, b) => a - b)
  return ascending[Math.min(ascending.length - 1, Math.floor(share * ascending.length))] ?? Number.NaN
}

/**
 * A median, and the smallest and the largest of all rounds.
 *
 * @typedef {{ median: number, spread: [number, number], rounds: number }} Side
 */

/**
 * One line of the result. `against` is what des is compared with, which is named by `what`; a figure with a target of its
 * own has none. `limit` is what a C program reaches that does nothing else. `result` is what the target is about, of medians: des over the other one (`ratio`), des less the other one
 * (`difference`), or des alone (`value`).
 *
 * @typedef {object} Figure
 * @property {string} name
 * @property {string} unit
 * @property {Side} des
 * @property {(Side & { what: string }) | undefined} against
 * @property {(Side & { what: string }) | undefined} limit
 * @property {{ of: "ratio" | "difference" | "value", value: number }} result
 * @property {string} target
 * @property {boolean} met
 */

/** @type {(values: ReadonlyArray<number>) => Side} */
const summarise = (values) => ({
  median: quantile(values, 0.5),
  spread: [Math.min(...values), Math.max(...values)],
  rounds: values.length
})

/** @type {Record<Figure["result"]["of"], (des: number, other: number) => number>} */
const results = {
  ratio: (des, other) => des / other,
  difference: (des, other) => des - other,
  value: (des) => des
}

/**
 * Holds what was measured against its target.
 *
 * @param {{ name: string, unit: string, des: ReadonlyArray<number>, against?: { what: string, values: ReadonlyArray<number> },
 *   limit?: { what: string, values: ReadonlyArray<number> } | undefined, of: Figure["result"]["of"], atMost?: number, atLeast?: number }} measured
 * @returns {Figure}
 */
export const figure = ({ against, atLeast, atMost, des, limit, name, of, unit }) => {
  const side = summarise(des)
  const other = against && { what: against.what, ...summarise(against.values) }
  const value = results[of](side.median, other?.median ?? Number.NaN)
  const bound = atLeast === undefined ? `at most ${atMost}` : `at least ${atLeast}`
  return {
    name,
    unit,
    des: side,
    against: other,
    limit: limit && { what: limit.what, ...summarise(limit.values) },
    result: { of, value },
    target: of === "difference" ? `${bound} more` : bound,
    met: value <= (atMost ?? Number.POSITIVE_INFINITY) && value >= (atLeast ?? Number.NEGATIVE_INFINITY)
  }
}

const digits = (/** @type {number} */ value) =>
  value >= 1000 ? String(Math.round(value)) : value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)

const show = (/** @type {Side} */ { median, spread: [least, most] }) =>
  `${digits(median)} (${digits(least)}–${digits(most)})`

const showResult = (/** @type {Figure["result"]} */ { of, value }) =>
  of === "value" ? digits(value) : of === "difference" && value > 0 ? `+${value.toFixed(2)}` : value.toFixed(2)

/** @type {(figures: ReadonlyArray<Figure>) => string} */
export const table = (figures) => {
  const rows = [
    ["figure", "unit", "des", "against", "limit", "result", "target", ""],
    ...figures.map(({ against, des, limit, met, name, result, target, unit }) => [
      name,
      unit,
      show(des),
      against === undefined ? "" : `${against.what}: ${show(against)}`,
      limit === undefined ? "" : `${limit.what}: ${show(limit)}`,
      `${result.of} ${showResult(result)}`,
      target,
      met ? "met" : "missed"
    ])
  ]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const lines = rows.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`)
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`
  return [lines[0], rule, ...lines.slice(1)].join("\n")
}
