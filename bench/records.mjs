// @ts-check

/** Engines sort them. */
const attributes = {
  "com.docker.compose.container-number": "1",
  "com.docker.compose.oneoff": "False",
  "com.docker.compose.project": "shop",
  "com.docker.compose.service": "web",
  "com.docker.compose.version": "2.29.7",
  "com.example.team": "checkout",
  image: "registry.example.com/shop/web:1.24.3",
  "io.example.tier": "edge",
  maintainer: "web@example.com",
  name: "shop-web-1"
}

/** @type {(ordinal: number) => string} */
const idStart = (ordinal) => ordinal.toString(16).padStart(12, "0")

/** The present millisecond; the ordinal tells its records apart. @type {(ordinal: number) => string} */
const timeNano = (ordinal) => `${Date.now()}${String(ordinal % 1e6).padStart(6, "0")}`

/**
 * One record as dockerd writes it for a container with eight labels: about 650 bytes. Every ordinal gives another one.
 *
 * @param {string} action
 * @param {number} ordinal
 * @param {number} container
 */
export const record = (action, ordinal, container = ordinal) => {
  const nanoseconds = timeNano(ordinal)
  const id = idStart(container) + "9d4c5a0b7e21".repeat(5).slice(0, 52)
  return (
    `{"status":"${action}","id":"${id}","from":"${attributes.image}","Type":"container","Action":"${action}",` +
    `"Actor":{"ID":"${id}","Attributes":${JSON.stringify(attributes)}},` +
    `"scope":"local","time":${nanoseconds.slice(0, 10)},"timeNano":${nanoseconds}}`
  )
}

/** Engines flush after each record, so each is a chunk of its own in the answer. */
const frame = (/** @type {string} */ text) => `${(text.length + 1).toString(16)}\r\n${text}\n\r\n`

/**
 * @typedef {object} Batch
 * @property {Buffer} bytes
 * @property {ReadonlyArray<{ container: number, id: number, actorId: number, timeNano: number }>} places where each record
 *   has what is its own; `container` is the offset of its container's number
 */

/**
 * Records behind each other, framed as they go over the wire.
 *
 * @param {ReadonlyArray<string>} actions taken in turn: all of them are the life of one container
 * @param {number} count
 * @param {number} first the ordinal of the first one
 * @returns {Batch}
 */
export const batch = (actions, count, first) => {
  const places = []
  let text = ""
  for (let index = 0; index < count; index++) {
    const turn = index % actions.length
    const container = index - turn
    const framed = frame(record(actions[turn] ?? "", first + index, first + container))
    const place = (/** @type {string} */ key) => text.length + framed.indexOf(key) + key.length
    places.push({ container, id: place('"id":"'), actorId: place('"ID":"'), timeNano: place('"timeNano":') })
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
    const id = idStart(first + place.container)
    bytes.write(id, place.id, "latin1")
    bytes.write(id, place.actorId, "latin1")
    bytes.write(timeNano(first + index), place.timeNano, "latin1")
  }
}
