// @ts-check
// Draws docs/benchmarks.svg from bench/results.json: `node bench/picture.mjs`.
import { readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

/**
 * @typedef {import("./report.mjs").Figure} Figure
 * @typedef {{ name: string, value: number }} Bar
 */

const file = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url))
const [width, height, bottom, top] = [520, 260, 200, 50]
const colours = ["#2f6f9f", "#9aa5ad", "#c8a24a", "#6b8e6b"]

const escape = (/** @type {string} */ text) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;")

const show = (/** @type {number} */ value) => (value >= 100 ? Math.round(value).toLocaleString("en") : value.toFixed(1))

/** One column for each bar of each figure. */
const panel = (/** @type {string} */ title, /** @type {{ name: string, bars: Bar[] }[]} */ groups) => {
  const most = Math.max(...groups.flatMap(({ bars }) => bars.map(({ value }) => value)), Number.MIN_VALUE)
  const room = (width - 40) / Math.max(1, groups.length)
  const columns = groups.flatMap(({ bars, name }, group) => {
    const step = (room - 20) / Math.max(1, bars.length)
    const left = 30 + group * room
    return [
      `<text x="${left + (room - 20) / 2}" y="${bottom + 32}" text-anchor="middle">${escape(name)}</text>`,
      ...bars.map((bar, at) => {
        const tall = (bar.value / most) * (bottom - top)
        const x = left + at * step
        return (
          `<rect x="${x.toFixed(1)}" y="${(bottom - tall).toFixed(1)}" width="${(step - 4).toFixed(1)}" height="${tall.toFixed(1)}" fill="${colours[at % colours.length]}"><title>${escape(bar.name)}: ${show(bar.value)}</title></rect>` +
          `<text x="${(x + step / 2 - 2).toFixed(1)}" y="${(bottom - tall - 5).toFixed(1)}" text-anchor="middle">${show(bar.value)}</text>` +
          `<text x="${(x + step / 2 - 2).toFixed(1)}" y="${bottom + 15}" text-anchor="middle" font-size="9">${escape(bar.name)}</text>`
        )
      })
    ]
  })
  return [`<text x="30" y="24" font-weight="bold" font-size="13">${escape(title)}</text>`, ...columns].join("\n")
}

/**
 * The picture of runs a second and of the latency, side by side. A figure that was not measured is left out.
 *
 * @param {{ machine: string, figures: ReadonlyArray<Figure> }} results
 */
export const draw = ({ figures, machine }) => {
  // Each group is of its own rounds: figures of different rounds met different loads.
  const groupsOf = (/** @type {Record<string, string>} */ names) =>
    Object.entries(names).flatMap(([name, wanted]) => {
      const found = figures.find((figure) => figure.name === wanted)
      if (found === undefined) return []
      const others = [found.against, found.limit].filter((side) => side !== undefined)
      const bars = [
        { name: "des", median: found.des.median },
        ...others.map(({ median, what }) => ({ name: what, median }))
      ]
      return [{ name, bars: bars.map((bar) => ({ name: bar.name, value: bar.median })) }]
    })
  const runs = groupsOf({
    "one at a time": "runs of a tiny program",
    "four at once": "runs of a tiny program, 4 jobs",
    "beside the original": "runs beside the original"
  })
  const latency = groupsOf({
    median: "record to running script, p50",
    "99th of 100": "record to running script, p99",
    "median, beside the original": "the same beside the original, p50"
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${2 * width} ${height}" font-family="sans-serif" font-size="10" role="img" aria-label="Runs a second and latency of des beside others">
<rect width="100%" height="100%" fill="white"/>
<g>
${panel("Runs a second of a tiny program (more is better)", runs)}
</g>
<g transform="translate(${width} 0)">
${panel("From a record to its running script, ms (less is better)", latency)}
</g>
<text x="30" y="${height - 10}" fill="#666">${escape(machine)}</text>
</svg>
`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(file("../docs/benchmarks.svg"), draw(JSON.parse(readFileSync(file("results.json"), "utf8"))))
}
