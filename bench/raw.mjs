// @ts-check
// What des is measured against: the same work in Node alone, as one would write it who needs nothing else.
//   node raw.mjs feed SOCKET DIR   reads the feed, parses each record, and runs DIR/ACTION for the action `mark`
//   node raw.mjs runs DIR          runs DIR/ACTION as often as its parent says, so many at once, then DIR/mark
import { spawn } from "node:child_process"
import { get } from "node:http"
import { now } from "./clock.mjs"
import { record } from "./records.mjs"

/** @typedef {{ action: string, count: number, jobs: number }} Asked */

const [mode, first = "", second = ""] = process.argv.slice(2)

const tell = (/** @type {import("./processes.mjs").Report} */ report) => process.send?.(report)

/** @type {(script: string, record: string) => Promise<void>} */
const run = (script, line) =>
  new Promise((resolve, reject) => {
    const child = spawn(script)
    // A script may end without reading its stdin.
    child.stdin.on("error", () => {})
    child.stdin.end(`${line}\n`)
    child.stdout.resume()
    child.stderr.resume()
    child.on("error", reject)
    child.on("close", () => resolve())
  })

const feed = (/** @type {string} */ socketPath, /** @type {string} */ directory) => {
  get({ socketPath, path: "/v1.41/events" }, (response) => {
    response.setEncoding("utf8")
    let rest = ""
    response.on("data", (/** @type {string} */ text) => {
      const lines = (rest + text).split("\n")
      rest = lines.pop() ?? ""
      for (const line of lines) {
        const event = JSON.parse(line)
        if (event.Action === "mark") run(`${directory}/${event.Action}`, line)
      }
    })
  })
}

const runs = async (/** @type {string} */ directory, /** @type {Asked} */ { action, count, jobs }) => {
  const start = now()
  let next = 0
  const work = async () => {
    while (next < count) await run(`${directory}/${action}`, record(action, next++))
  }
  await Promise.all(Array.from({ length: jobs }, work))
  await run(`${directory}/mark`, record("mark", count))
  tell({ kind: "sent", times: [start] })
}

process.on("disconnect", () => process.exit())
if (mode === "feed") feed(first, second)
else {
  process.on("message", (/** @type {Asked} */ asked) => runs(first, asked))
  tell({ kind: "listening" })
}
