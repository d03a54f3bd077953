// @ts-check
// A stand-in for an engine that keeps no records and has no containers: `node engine.mjs SOCKET`. Its parent says by IPC
// what it is to send on the feed.
import { createServer } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { now } from "./clock.mjs"
import { batch, renew } from "./records.mjs"

/**
 * `burst`: `count` records as fast as the reader takes them, then one of the action `last`.
 * `paced`: `count` records, one every `interval` milliseconds.
 *
 * @typedef {{ kind: "burst", actions: string[], count: number, last: string }} Burst
 * @typedef {{ kind: "paced", actions: string[], count: number, interval: number }} Paced
 */

const [socketPath = ""] = process.argv.slice(2)
const batchSize = 500

/** @type {import("node:net").Socket | undefined} */
let feed
let sent = 0

const tell = (/** @type {import("./processes.mjs").Report} */ report) => process.send?.(report)

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? "", "http://docker")
  const path = pathname.replace(/^\/v1\.\d+/, "")
  const answer = (/** @type {number} */ status, /** @type {unknown} */ body) =>
    response.writeHead(status, { "Api-Version": "1.41", "Content-Type": "application/json" }).end(JSON.stringify(body))
  if (path === "/_ping") answer(200, "OK")
  else if (path === "/info")
    answer(200, { ID: "bench", ServerVersion: "20.10.24", SystemTime: new Date().toISOString() })
  else if (path === "/containers/json") answer(200, [])
  else if (path === "/events" && searchParams.has("until")) response.end()
  else if (path === "/events") {
    response.writeHead(200, { "Content-Type": "application/json" }).flushHeaders()
    feed = request.socket
    // A reader that is ended may leave what it did not read.
    feed.on("error", () => {})
    tell({ kind: "open" })
  } else answer(404, { message: `${path} is not here` })
})

/** @type {(bytes: Buffer) => Promise<void>} */
const write = (bytes) =>
  new Promise((resolve, reject) => {
    if (feed === undefined) reject(new Error("nobody reads the feed"))
    else feed.write(bytes, (error) => (error ? reject(error) : resolve()))
  })

/** @param {Burst} burst */
const sendBurst = async ({ actions, count, last }) => {
  // Prepared before the clock starts; while one is on its way the next is made.
  const slots = Array.from({ length: 3 }, () => ({ batch: batch(actions, batchSize, 0), written: Promise.resolve() }))
  const rest = batch(actions, count % batchSize, sent + count - (count % batchSize))
  const end = batch([last], 1, sent + count)
  const start = now()
  for (let at = 0; at + batchSize <= count; at += batchSize) {
    const slot = slots[(at / batchSize) % slots.length]
    if (slot === undefined) throw new Error("no slot")
    await slot.written
    renew(slot.batch, sent + at)
    slot.written = write(slot.batch.bytes)
  }
  await Promise.all([...slots.map((slot) => slot.written), write(Buffer.concat([rest.bytes, end.bytes]))])
  sent += count + 1
  tell({ kind: "sent", times: [start] })
}

/** @param {Paced} paced */
const sendPaced = async ({ actions, count, interval }) => {
  const start = now()
  const times = []
  for (let index = 0; index < count; index++) {
    await sleep(Math.max(0, index * interval - (now() - start) / 1e6))
    const { bytes } = batch([actions[index % actions.length] ?? ""], 1, sent++)
    times.push(now())
    await write(bytes)
  }
  tell({ kind: "sent", times })
}

process.on("message", (/** @type {Burst | Paced} */ order) => {
  const sending = order.kind === "burst" ? sendBurst(order) : sendPaced(order)
  sending.catch((error) => tell({ kind: "failed", message: String(error) }))
})
process.on("disconnect", () => process.exit())
server.listen(socketPath, () => tell({ kind: "listening" }))
