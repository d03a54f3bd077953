/** Makes one request to a collector of many spans or log lines, within its bound in bytes. */

import type * as HttpBody from "@effect/platform/HttpBody"

/** How many spans or log lines one request has. */
export const mostRecords = 250

/** How many bytes the body of one request has. Collectors refuse larger ones. */
const mostBytes = 4_194_304

/** A body, and how many of the last records it leaves out since there is no room for them. */
export interface Batch {
  readonly body: HttpBody.HttpBody
  readonly dropped: number
}

/** Encodes records, as many as fit: all, or the first half, or the first quarter, and so on. */
export const make = <A>(
  records: ReadonlyArray<A>,
  encode: (records: ReadonlyArray<A>) => HttpBody.HttpBody,
  most: number = mostBytes
): Batch => {
  let left = records.length
  let body = encode(records)
  while (left > 0 && (body.contentLength ?? 0) > most) {
    left = Math.floor(left / 2)
    body = encode(records.slice(0, left))
  }
  return { body, dropped: records.length - left }
}
