import * as Fingerprint from "../event/Fingerprint.ts"

/**
 * The fingerprints of the records that des has seen. When it is full, it forgets the oldest.
 *
 * Journals of an earlier des know a record by its text instead. `learn`, `textsLeft` and `forgetTexts` replace these texts with
 * fingerprints.
 */
export interface KnownRecords {
  /** True if a record with this fingerprint was seen. */
  readonly has: (fingerprint: string) => boolean
  /** Adds a fingerprint. It gives true if the fingerprint was new. */
  readonly add: (fingerprint: string) => boolean
  /** Replaces the text of a record with its fingerprint, if the record was known by its text. */
  readonly learn: (record: string, fingerprint: string) => void
  /** Counts the records that are still known by their text. */
  readonly textsLeft: () => number
  /** Forgets all texts. The feed calls it when the engine has sent every record that it still has. */
  readonly forgetTexts: () => void
  /** Forgets everything. */
  readonly clear: () => void
  /** True if no record is known. */
  readonly isEmpty: () => boolean
  /** Gives the last `count` fingerprints, oldest first. */
  readonly last: (count: number) => ReadonlyArray<string>
}

/**
 * How many fingerprints are kept, in less than a megabyte. dockerd replays 256 records. podman sends more again when it halves its
 * file of events (1 MB, podman `libpod/events/logfile.go`).
 */
const capacity = 4096

/** Begins with these fingerprints, oldest first. */
export const make = (fingerprints: Iterable<string>): KnownRecords => {
  const known = new Set<string>()
  // The ring finds the oldest one fast. A Set finds its first entry more slowly the more entries were deleted.
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
    // Texts come from an earlier des, so they are the oldest.
    last: (count) => [...texts, ...known].slice(-count)
  }
}
