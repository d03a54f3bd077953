import { closeSync, readSync } from "node:fs"
import { Socket } from "node:net"
import type { Readable } from "node:stream"

/** How much one read takes, in bytes: as much as a pipe holds. */
const pieceBytes = 65_536

/** How much a pipe that is closed before its end still gives, in bytes: as much output as a run may log. */
const mostLeft = 1_048_576

/** All pipes share this buffer. The bytes are copied out of it before the next read. */
const piece = Buffer.allocUnsafeSlow(pieceBytes)

/**
 * The reading end of a script's stdout or stderr. The first reads go directly to the pipe. Node's event loop watches
 * the pipe only after a read found nothing, so the output of a script that has ended costs two reads.
 */
export interface OutputPipe {
  /** Returns what can be read without waiting, `"nothing yet"`, or `"end"` if nobody can write any more. */
  readonly read: () => Uint8Array | "nothing yet" | "end"
  /** Calls back once, when a read may return something else than `"nothing yet"`. */
  readonly whenReadable: (callback: () => void) => void
  /** Closes the reading end, even before the end of the output. What was written before can still be read. */
  readonly close: () => void
}

/**
 * An output that Node's event loop reads. `onClosed` gets true if the end of the output was seen. `unread` reads what
 * the event loop has not read yet.
 */
const ofReadable = (
  readable: Readable,
  onClosed: (sawEnd: boolean) => void,
  unread: () => ReadonlyArray<Uint8Array> = () => []
): OutputPipe => {
  const left: Array<Uint8Array> = []
  let sawEnd = false
  let isClosed = false
  let waiting: (() => void) | undefined
  const wake = () => {
    const callback = waiting
    waiting = undefined
    callback?.()
  }
  const close = () => {
    if (isClosed) return
    isClosed = true
    readable.destroy()
    onClosed(sawEnd)
    wake()
  }
  readable.on("readable", wake)
  readable.on("end", () => {
    sawEnd = true
    close()
  })
  readable.on("error", close)
  readable.on("close", close)
  return {
    read: () => {
      const bytes: Uint8Array | null = left.shift() ?? (isClosed ? null : readable.read())
      return bytes ?? (isClosed ? "end" : "nothing yet")
    },
    whenReadable: (callback) => {
      waiting = callback
      if (isClosed) wake()
    },
    close: () => {
      if (isClosed) return
      const buffered: Buffer | null = readable.read()
      left.push(...(buffered === null ? [] : [buffered]), ...unread())
      close()
    }
  }
}

/** An output that Node made itself. */
export const ofSocket = (socket: Readable): OutputPipe => ofReadable(socket, () => {})

/**
 * The reading end of a pipe that does not block. It owns the descriptor. `onClosed` gets true if the end of the output
 * was seen.
 */
export const ofDescriptor = (descriptor: number, onClosed: (sawEnd: boolean) => void = () => {}): OutputPipe => {
  let watched: OutputPipe | undefined
  let left: ReadonlyArray<Uint8Array> = []
  let isClosed = false
  const unread = () => {
    const pieces: Array<Uint8Array> = []
    for (let bytes = 0; bytes < mostLeft; ) {
      const length = readNow(descriptor)
      if (length === undefined || length === 0) break
      pieces.push(Buffer.from(piece.subarray(0, length)))
      bytes += length
    }
    return pieces
  }
  const close = (sawEnd: boolean) => {
    if (isClosed) return
    isClosed = true
    closeSync(descriptor)
    onClosed(sawEnd)
  }
  return {
    read: () => {
      if (watched !== undefined) return watched.read()
      if (isClosed) {
        const [first, ...others] = left
        left = others
        return first ?? "end"
      }
      const length = readNow(descriptor)
      if (length === undefined) {
        watched = ofReadable(new Socket({ fd: descriptor, readable: true, writable: false }), onClosed, unread)
        return "nothing yet"
      }
      if (length > 0) return Buffer.from(piece.subarray(0, length))
      close(true)
      return "end"
    },
    whenReadable: (callback) => (watched === undefined ? callback() : watched.whenReadable(callback)),
    close: () => {
      if (watched !== undefined) return watched.close()
      if (!isClosed) left = unread()
      close(false)
    }
  }
}

/** Reads into the shared buffer. Returns the number of bytes, 0 at the end, `undefined` if there is nothing yet. */
const readNow = (descriptor: number): number | undefined => {
  try {
    return readSync(descriptor, piece, 0, pieceBytes, null)
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EAGAIN") return undefined
    // A descriptor that cannot be read counts as ended.
    return 0
  }
}

/** An output that nobody can write to. */
export const none: OutputPipe = { read: () => "end", whenReadable: (callback) => callback(), close: () => {} }
