import * as Schema from "effect/Schema"
import * as Lines from "../event/Lines.ts"
import * as RecordHead from "../event/RecordHead.ts"
import * as Framing from "./Framing.ts"

const newline = 0x0a

/** A record with more bytes counts as endless. A shorter record that is too long to be read is only skipped. */
export const endlessRecord = 1_073_741_824

/** A record does not end. des closes the connection, since it cannot find the next record. */
export class EndlessRecord extends Schema.TaggedError<EndlessRecord>()("EndlessRecord", {}) {
  override get message(): string {
    return `a record has no end after ${endlessRecord} bytes`
  }
}

/**
 * After so many bytes of a record des asks for the last time whether it is wanted. It asks first after {@link Lines.longFrom}, and again
 * after each doubling: an engine writes the command of an exec before the actor, and a command can be long.
 */
const lastLook = 1_048_576

/** Says whether a large record is unwanted, from its beginning. */
export type IsUnwanted = (record: Omit<RecordHead.RecordHead, "engine">) => boolean

/**
 * Makes a function for the pieces of one feed. It puts every record on a line of its own, and leaves out the rest of large records that
 * are not wanted: their lines end with {@link Lines.cutMark}. Of a record with more than `longest` bytes it makes an error.
 */
export const make = (
  isUnwanted: IsUnwanted = () => false,
  longest: number = endlessRecord
): ((bytes: Uint8Array) => Uint8Array | EndlessRecord) => {
  const separate = Framing.makeSeparator()
  /** The line that has not ended: how long it is, and how it began, as long as des may still ask whether it is wanted. */
  let length = 0
  let beginning: Array<Uint8Array> = []
  let nextLook = Lines.longFrom
  let isSkipping = false

  const begin = () => {
    length = 0
    beginning = []
    nextLook = Lines.longFrom
    isSkipping = false
  }

  const look = () => {
    const head = RecordHead.read(Buffer.concat(beginning).toString(), "")
    isSkipping = head !== undefined && isUnwanted(head)
    while (nextLook < length) nextLook *= 2
    if (isSkipping || nextLook > lastLook) beginning = []
  }

  const add = (bytes: Buffer) => {
    length += bytes.length
    if (isSkipping || nextLook > lastLook) return
    beginning.push(bytes)
    if (length > nextLook) look()
  }

  /** Passes on bytes from the end of the line that is skipped. */
  const endSkipped = (bytes: Buffer): Uint8Array | EndlessRecord => {
    const end = bytes.indexOf(newline)
    if (end === -1) {
      add(bytes)
      return Buffer.alloc(0)
    }
    begin()
    return Buffer.concat([Buffer.of(Lines.cutMark), pass(bytes.subarray(end))])
  }

  const pass = (bytes: Buffer): Buffer => {
    const start = bytes.lastIndexOf(newline) + 1
    if (start > 0) begin()
    if (start < bytes.length) add(bytes.subarray(start))
    return bytes
  }

  return (given) => {
    const separated = separate(given)
    const bytes = Buffer.from(separated.buffer, separated.byteOffset, separated.byteLength)
    const passed = isSkipping ? endSkipped(bytes) : pass(bytes)
    return length > longest ? new EndlessRecord() : passed
  }
}
