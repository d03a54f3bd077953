// @ts-check
import { execFileSync } from "node:child_process"
import { once } from "node:events"
import {
  chmodSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { Socket } from "node:net"
import { now } from "./clock.mjs"
import { within } from "./processes.mjs"

/** Debian's and Ubuntu's busybox-static, which is what it runs as: a copy that is named `true` is true(1). */
const busybox = "/bin/busybox"

/**
 * Makes a script directory: `container/true` is the smallest program there is, `container/mark` says that it runs by a byte
 * into a FIFO, `container/shell` is a script of the system's shell, `container/python` one of Python. des and raw Node run the same files. `container/block` runs until it is ended.
 *
 * @param {string} root an empty directory
 */
export const makeScripts = (root) => {
  const directory = `${root}/events.d`
  const container = `${directory}/container`
  const fifo = `${root}/marks`
  mkdirSync(container, { recursive: true })
  const isStatic = existsSync(busybox)
  const place = (/** @type {string} */ name, /** @type {string} */ path) => {
    if (isStatic) copyFileSync(busybox, path)
    else symlinkSync(`/bin/${name}`, path)
    if (isStatic) chmodSync(path, 0o755)
  }
  place("true", `${container}/true`)
  place("sh", `${root}/sh`)
  place("sleep", `${root}/sleep`)
  execFileSync("mkfifo", [fifo])
  writeFileSync(`${container}/mark`, `#!${root}/sh\necho > ${fifo}\n`, { mode: 0o755 })
  writeFileSync(`${container}/shell`, "#!/bin/sh\n:\n", { mode: 0o755 })
  writeFileSync(`${container}/python`, "#!/usr/bin/python3\npass\n", { mode: 0o755 })
  writeFileSync(`${container}/block`, `#!${root}/sh\nexec ${root}/sleep 1000000\n`, { mode: 0o755 })
  return { directory, container, marks: openMarks(fifo), isStatic }
}

/**
 * When each run of `mark` was seen, in order. It is seen by one process on one clock, whoever runs the script.
 *
 * @param {string} fifo
 */
const openMarks = (fifo) => {
  // Opened for writing too, so that it never ends and no script waits for a reader.
  const socket = new Socket({ fd: openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK) })
  /** @type {number[]} */
  let seen = []
  socket.on("data", (bytes) => {
    const time = now()
    for (const _ of bytes) seen.push(time)
    socket.emit("mark")
  })
  const arrived = async (/** @type {number} */ count) => {
    while (seen.length < count) await once(socket, "mark")
    const times = seen
    seen = []
    if (times.length > count) throw new Error(`mark ran ${times.length} times instead of ${count}`)
    return times
  }
  return {
    /** Waits until `mark` has run `count` times more, and gives the time of each. */
    take: (/** @type {number} */ count) => within(`${count} runs of mark`, arrived(count)),
    close: () => socket.destroy()
  }
}
