// @ts-check
// An engine in a process of its own, honest or hostile: `node stranger.mjs SOCKET CONDUCT`. What it does to des must not be
// slowed by what it does to itself, so every large answer is made before the first request.
import { createServer } from "node:http"

const [socketPath = "", conduct = "honest"] = process.argv.slice(2)

/** How many records a real engine keeps. */
const ringSize = 256

/** @type {Array<string>} */
const ring = []

/** @type {Set<import("node:http").ServerResponse>} */
const feeds = new Set()

let ordinal = 0

/** One record as dockerd 28 writes it. @param {string} attributes the JSON of the attributes, without its braces @param {string} id */
const record = (attributes, id = (++ordinal).toString(16).padStart(64, "0"), action = "start") => {
  const now = `${Date.now()}${String(++ordinal % 1e6).padStart(6, "0")}`
  return (
    `{"status":"${action}","id":"${id}","from":"busybox","Type":"container","Action":"${action}",` +
    `"Actor":{"ID":"${id}","Attributes":{${attributes}}},"scope":"local","time":${Math.floor(Date.now() / 1000)},"timeNano":${now}}`
  )
}

/** Keeps a record and sends it to every open feed. A feed that is not read gets nothing more, as from dockerd. @param {string} text */
const emit = (text) => {
  ring.push(text)
  if (ring.length > ringSize) ring.shift()
  for (const feed of feeds) if (!feed.writableNeedDrain) feed.write(`${text}\n`)
}

/** @param {number} milliseconds @param {() => void} act */
const every = (milliseconds, act) => setInterval(act, milliseconds)

const labels = (/** @type {number} */ count) =>
  Array.from({ length: count }, (_, at) => `"l${at.toString(36)}":"v"`).join(",")

const oneActor = "c".repeat(64)

/** What each conduct does from the start, beside answering as an engine does. @type {Record<string, () => void>} */
const conducts = {
  /** Ten events a second, each of another container, which say when they were sent. */
  honest: () =>
    void every(100, () => emit(record(`"image":"busybox","name":"honest-${ordinal}","sent":"${Date.now()}"`))),
  /** One label of 70 MB, as dockerd takes it, then a small event; again and again. */
  "a label of 70 MB": () => {
    const large = `"image":"busybox","name":"large","large":"${"x".repeat(70_000_000)}"`
    emit(record(large))
    every(20_000, () => emit(record(large)))
    every(500, () => emit(record('"image":"busybox","name":"small"')))
  },
  "a million labels": () => {
    const many = `"image":"busybox","name":"many",${labels(1_000_000)}`
    every(5_000, () => emit(record(many)))
  },
  "an array of 30 million numbers": () => {
    const numbers = `"z":[${"1,".repeat(6_000_000)}1]`
    every(5_000, () => emit(record('"image":"busybox","name":"array"').replace(/\}$/, `,${numbers}}`)))
  },
  "arrays in arrays": () => {
    every(200, () =>
      emit(
        record('"image":"busybox","name":"deep"').replace(/\}$/, `,"z":${"[".repeat(100_000)}${"]".repeat(100_000)}}`)
      )
    )
    every(200, () => emit(`${"[".repeat(100_000)}${"]".repeat(100_000)}`))
    every(200, () =>
      emit(
        `{"Type":"container","Action":"start","Actor":{"ID":"x","Attributes":{"a":${"[".repeat(3000)}${"]".repeat(3000)}}}}`
      )
    )
  },
  "130 starts with 12 MB": () => {
    const label = `"image":"busybox","name":"heavy","label":"${"x".repeat(12_000_000)}"`
    for (let at = 0; at < 130; at++) ring.push(record(label))
    every(1_000, () => emit(record(label)))
  },
  "a container with 2 MB that never rests": () => {
    const label = `"image":"busybox","name":"restless","label":"${"x".repeat(2_000_000)}"`
    every(20, () => emit(record(label, oneActor)))
  },
  "no records, only braces": () => {
    const braces = "{}".repeat(5_000)
    every(10, () => {
      for (const feed of feeds) if (!feed.writableNeedDrain) feed.write(braces)
    })
  },
  "a ping without end": () => {},
  "information without end": () => {},
  "a list without end": () => {},
  "a refusal without end": () => {}
}

const filler = Buffer.alloc(1 << 20, "x")

/** @param {import("node:http").ServerResponse} response */
const endless = (response) => {
  const more = () => {
    while (!response.destroyed && response.write(filler));
  }
  response.on("drain", more)
  more()
}

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? "", "http://docker")
  const path = pathname.replace(/^\/v1\.\d+/, "")
  const head = { "Api-Version": "1.45", "Content-Type": "application/json" }
  const answer = (/** @type {unknown} */ body) => response.writeHead(200, head).end(JSON.stringify(body))
  response.on("error", () => {})
  if (path === "/_ping" && conduct === "a ping without end") return endless(response.writeHead(200, head))
  if (path === "/info" && conduct === "information without end") return endless(response.writeHead(200, head))
  if (path === "/containers/json" && conduct === "a list without end") return endless(response.writeHead(200, head))
  if (path === "/events" && conduct === "a refusal without end") return endless(response.writeHead(500, head))
  if (path === "/_ping") return answer("OK")
  if (path === "/info") return answer({ ID: conduct, ServerVersion: "28.5.2", SystemTime: new Date().toISOString() })
  if (path === "/containers/json") return answer([])
  if (path !== "/events") return response.writeHead(404, head).end('{"message":"page not found"}')
  response.writeHead(200, head).flushHeaders()
  const send = (/** @type {number} */ at) => {
    const text = ring[at]
    if (text !== undefined) return void response.write(`${text}\n`, () => send(at + 1))
    if (searchParams.has("until")) return void response.end()
    feeds.add(response)
  }
  response.on("close", () => feeds.delete(response))
  send(0)
})

server.listen(socketPath, () => {
  conducts[conduct]?.()
  console.log("listening")
})
