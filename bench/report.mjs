// @ts-check

/** @type {(values: ReadonlyArray<number>, share: number) => number} */
export const quantile = (values, share) => {
  const ascending = [...values].sort((a, b) => a - b)
  return ascending[Math.min(ascending.length - 1, Math.floor(share * ascending.length))] ?? Number.NaN
}

/**
 * One line of the result. `ratio` is des over raw Node (growth: after over before), of medians; `spread` is the smallest
 * and the largest of all rounds.
 *
 * @typedef {object} Figure
 * @property {string} name
 * @property {string} unit
 * @property {{ median: number, spread: [number, number], rounds: number }} raw
 * @property {{ median: number, spread: [number, number], rounds: number }} des
 * @property {number} ratio
 * @property {string} target
 * @property {boolean} met
 */

/** @type {(values: ReadonlyArray<number>) => Figure["raw"]} */
const summarise = (values) => ({
  median: quantile(values, 0.5),
  spread: [Math.min(...values), Math.max(...values)],
  rounds: values.length
})

/**
 * @param {{ name: string, unit: string, raw: ReadonlyArray<number>, des: ReadonlyArray<number>, atMost?: number, atLeast?: number }} measured
 * @returns {Figure}
 */
export const figure = ({ atLeast, atMost, des, name, raw, unit }) => {
  const sides = { raw: summarise(raw), des: summarise(des) }
  const ratio = sides.des.median / sides.raw.median
  return {
    name,
    unit,
    ...sides,
    ratio,
    target: atLeast === undefined ? `at most ${atMost}` : `at least ${atLeast}`,
    met: ratio <= (atMost ?? Number.POSITIVE_INFINITY) && ratio >= (atLeast ?? 0)
  }
}

const digits = (/** @type {number} */ value) =>
  value >= 1000 ? String(Math.round(value)) : value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)

const show = (/** @type {Figure["raw"]} */ { median, spread: [least, most] }) =>
  `${digits(median)} (${digits(least)}-${digits(most)})`

/** @type {(figures: ReadonlyArray<Figure>) => string} */
export const table = (figures) => {
  const rows = [
    ["figure", "unit", "raw Node", "des", "ratio", "target", ""],
    ...figures.map(({ des, met, name, ratio, raw, target, unit }) => [
      name,
      unit,
      show(raw),
      show(des),
      ratio.toFixed(2),
      target,
      met ? "met" : "missed"
    ])
  ]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const lines = rows.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`)
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`
  return [lines[0], rule, ...lines.slice(1)].join("\n")
}
