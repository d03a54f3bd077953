// @ts-check
// A stand-in for engines that keep no records and have no containers, one at each socket: `node engine.mjs SOCKET…`. Its parent says
// by IPC what it is to send on the feed.
import { once } from "node:events"
import { createServer } from "node:http"
import { setTimeout as sleep } from "node:timers/promises"
import { now } from "./clock.mjs"
import { batch, renew } from "./records.mjs"

/**
 * `burst`: `count` records as fast as the reader takes them, then one of the action `last`.
 * `paced`: `count` records, one every `interval` milliseconds, of one engine after the other.
 *
 * @typedef {{ kind: "burst", actions: string[], count: number, last: string }} Burst
 * @typedef {{ kind: "paced", actions: string[], count: number, interval: number }} Paced
 */

const socketPaths = process.argv.slice(2)
const batchSize = 500

/** By the number of the engine: who reads its feed. @type {(import("node:net").Socket | undefined)[]} */
const feeds = []
let sent = 0

const tell = (/** @type {import("./processes.mjs").Report} */ report) => process.send?.(report)

const makeServer = (/** @type {number} */ engine) =>
  createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "", "http://docker")
    const path = pathname.replace(/^\/v1\.\d+/, "")
    const answer = (/** @type {number} */ status, /** @type {unknown} */ body) =>
      response
        .writeHead(status, { "Api-Version": "1.41", "Content-Type": "application/json" })
        .end(JSON.stringify(body))
    if (path === "/_ping") answer(200, "OK")
    else if (path === "/info")
      answer(200, { ID: `bench-${engine}`, ServerVersion: "20.10.24", SystemTime: new Date().toISOString() })
    else if (path === "/containers/json") answer(200, [])
    else if (path === "/events" && searchParams.has("until")) response.end()
    else if (path === "/events") {
      response.writeHead(200, { "Content-Type": "application/json" }).flushHeaders()
      feeds[engine] = request.socket
      // A reader that is ended may leave what it did not read.
      request.socket.on("error", () => {})
      tell({ kind: "open" })
    } else answer(404, { message: `${path} is not here` })
  })

/** @type {(bytes: Buffer, engine?: number) => Promise<void>} */
const write = (bytes, engine = 0) =>
  new Promise((resolve, reject) => {
    const feed = feeds[engine]
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
    await write(bytes, index % feeds.length)
  }
  tell({ kind: "sent", times })
}

process.on("message", (/** @type {Burst | Paced} */ order) => {
  const sending = order.kind === "burst" ? sendBurst(order) : sendPaced(order)
  sending.catch((error) => tell({ kind: "failed", message: String(error) }))
})
process.on("disconnect", () => process.exit())
await Promise.all(socketPaths.map((path, engine) => once(makeServer(engine).listen(path), "listening")))
tell({ kind: "listening" })
