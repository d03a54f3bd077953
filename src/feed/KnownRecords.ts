import * as Fingerprint from "../event/Fingerprint.ts"

/**
 * The fingerprints of records that need no more attention. It forgets the oldest beyond its capacity.
 *
 * Journals that an earlier des wrote know records by their text. `learn` is told of each record that an engine sends, and
 * knows by its fingerprint from then on what it knew by its text; `textsLeft` counts what it still knows so, and
 * `forgetTexts` lets go of it, once the engine has shown all that it still has.
 *
 * @since 1.0.0
 * @category models
 */
export interface KnownRecords {
  readonly has: (fingerprint: string) => boolean
  /** Whether it was new. */
  readonly add: (fingerprint: string) => boolean
  readonly learn: (record: string, fingerprint: string) => void
  readonly textsLeft: () => number
  readonly forgetTexts: () => void
  readonly clear: () => void
  readonly isEmpty: () => boolean
  /** The last ones, oldest first. */
  readonly last: (count: number) => ReadonlyArray<string>
}

/**
 * More than the ring of an engine (256), and more than podman gives again when it halves its file of events (of 1 MB,
 * podman `libpod/events/logfile.go`), in less than a megabyte.
 */
const capacity = 4096

/**
 * Begins with these, oldest first.
 *
 * @since 1.0.0
 * @category constructors
 */
export const make = (fingerprints: Iterable<string>): KnownRecords => {
  const known = new Set<string>()
  // Which is the oldest, too: to ask the set takes longer the more it has let go.
  let ring: Array<string> = []
  let oldest = 0
  const add = (fingerprint: string): boolean => {
    if (known.has(fingerprint)) return false
    known.add(fingerprint)
    if (ring.length < capacity) ring.push(fingerprint)
    else {
      known.delete(ring[oldest] ?? "")
      ring[oldest] = fingerprint
      oldest = (oldest + 1) % capacity
    }
    return true
  }
  const texts = new Set<string>()
  for (const fingerprint of fingerprints) {
    if (Fingerprint.isOfText(fingerprint)) texts.add(fingerprint)
    else add(fingerprint)
  }
  return {
    has: (fingerprint) => known.has(fingerprint),
    add,
    learn: (record, fingerprint) => {
      if (texts.size > 0 && texts.delete(Fingerprint.ofText(record))) add(fingerprint)
    },
    textsLeft: () => texts.size,
    forgetTexts: () => texts.clear(),
    clear: () => {
      texts.clear()
      known.clear()
      ring = []
      oldest = 0
    },
    isEmpty: () => known.size === 0 && texts.size === 0,
    // What is known by its text is the oldest.
    last: (count) => [...texts, ...known].slice(-count)
  }
}
