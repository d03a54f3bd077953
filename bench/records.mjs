// @ts-check

const time = 1_700_000_000

const labels = {
  "com.docker.compose.container-number": "1",
  "com.docker.compose.oneoff": "False",
  "com.docker.compose.project": "shop",
  "com.docker.compose.service": "web",
  "com.docker.compose.version": "2.29.7",
  "com.example.team": "checkout",
  "io.example.tier": "edge",
  maintainer: "web@example.com"
}

/** @type {(ordinal: number) => string} */
const idStart = (ordinal) => ordinal.toString(16).padStart(12, "0")

/** @type {(ordinal: number) => string} */
const timeNano = (ordinal) => `${time + Math.floor(ordinal / 1e9)}${String(ordinal % 1e9).padStart(9, "0")}`

/**
 * One record as dockerd writes it for a container with eight labels: about 650 bytes. Every ordinal gives another one.
 *
 * @param {string} action
 * @param {number} ordinal
 */
export const record = (action, ordinal) => {
  const id = idStart(ordinal) + "9d4c5a0b7e21".repeat(5).slice(0, 52)
  const attributes = { ...labels, image: "registry.example.com/shop/web:1.24.3", name: "shop-web-1" }
  return (
    `{"status":"${action}","id":"${id}","from":"${attributes.image}","Type":"container","Action":"${action}",` +
    `"Actor":{"ID":"${id}","Attributes":${JSON.stringify(attributes)}},` +
    `"scope":"local","time":${time},"timeNano":${timeNano(ordinal)}}`
  )
}

/** Engines flush after each record, so each is a chunk of its own in the answer. */
const frame = (/** @type {string} */ text) => `${(text.length + 1).toString(16)}\r\n${text}\n\r\n`

/**
 * @typedef {object} Batch
 * @property {Buffer} bytes
 * @property {ReadonlyArray<{ id: number, actorId: number, timeNano: number }>} places where each record has what is its own
 */

/**
 * Records behind each other, framed as they go over the wire.
 *
 * @param {ReadonlyArray<string>} actions taken in turn
 * @param {number} count
 * @param {number} first the ordinal of the first one
 * @returns {Batch}
 */
export const batch = (actions, count, first) => {
  const places = []
  let text = ""
  for (let index = 0; index < count; index++) {
    const framed = frame(record(actions[index % actions.length] ?? "", first + index))
    const place = (/** @type {string} */ key) => text.length + framed.indexOf(key) + key.length
    places.push({ id: place('"id":"'), actorId: place('"ID":"'), timeNano: place('"timeNano":') })
    text += framed
  }
  return { bytes: Buffer.from(text, "latin1"), places }
}

/**
 * Makes the records of a batch new ones in place: to write each anew would make the sender slower than its readers.
 *
 * @param {Batch} batch
 * @param {number} first the ordinal of the first one
 */
export const renew = ({ bytes, places }, first) => {
  for (const [index, place] of places.entries()) {
    const id = idStart(first + index)
    bytes.write(id, place.id, "latin1")
    bytes.write(id, place.actorId, "latin1")
    bytes.write(timeNano(first + index), place.timeNano, "latin1")
  }
}
