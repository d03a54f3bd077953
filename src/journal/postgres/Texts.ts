import { createHash } from "node:crypto"
import { withoutNul } from "../sql/Rows.ts"

/** Text that PostgreSQL takes: without NUL, and without halves of characters. */
export const textOf = (text: string): string => Buffer.from(withoutNul(text)).toString()

/** How many bytes of a text an index takes surely. PostgreSQL refuses rows of an index over 2,704 bytes. */
const longestIndexed = 400

/** Text for an index. A longer one, which no engine of today sends, is cut and gets a hash, so that two of them differ. */
export const indexed = (text: string): string => {
  const taken = textOf(text)
  if (Buffer.byteLength(taken) <= longestIndexed) return taken
  const hash = createHash("sha256").update(taken).digest("hex")
  return `${Buffer.from(taken)
    .subarray(0, longestIndexed - 80)
    .toString()
    .replace(/\ufffd$/, "")}…${hash}`
}
