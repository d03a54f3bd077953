import { statfs } from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Metrics from "../../Metrics.ts"

/** The space of a disk, in bytes. */
export interface Space {
  readonly free: number
  readonly total: number
}

/** des warns below this free space, in bytes: 256 MiB, or a tenth of a small disk. */
const leastFree = ({ total }: Space): number => Math.min(268_435_456, total / 10)

/**
 * How often the free space is checked. A storm writes some 15 MB in a second, so it cannot fill 256 MiB between two
 * checks.
 */
const lookEvery = "5 seconds"

const mebibytes = (bytes: number): string => `${Math.floor(bytes / 1_048_576)} MiB`

/**
 * Decides what to log: once that the disk is short of space, and once that it is not any more. The second bound is
 * higher than the first, so that the messages do not alternate.
 */
export const judge = (wasShort: boolean, space: Space): { readonly isShort: boolean; readonly says?: string } => {
  const least = leastFree(space)
  const isShort = space.free < (wasShort ? 1.5 * least : least)
  if (isShort === wasShort) return { isShort }
  return {
    isShort,
    says: isShort
      ? `${mebibytes(space.free)} are left on the disk of the journal, less than ${mebibytes(least)}; when the disk is full, des stops. Free some space, or keep less history (--keep)`
      : `The disk of the journal has space again: ${mebibytes(space.free)} are left`
  }
}

/** Watches the disk of a directory as long as des runs: measures its free space, and warns if it is short of space. */
export const watch = (directory: string): Effect.Effect<never> => {
  const look = Effect.option(Effect.tryPromise(() => statfs(directory)))
  const step = (wasShort: boolean) =>
    Effect.gen(function* () {
      const found = yield* look
      if (Option.isNone(found)) return wasShort
      const { bavail, blocks, bsize } = found.value
      const space = { free: bavail * bsize, total: blocks * bsize }
      Metrics.journalFree(space.free)
      const { isShort, says } = judge(wasShort, space)
      if (says !== undefined) yield* Effect.logWarning(`${directory}: ${says}`)
      return isShort
    })
  const go = (wasShort: boolean): Effect.Effect<never> =>
    Effect.flatMap(step(wasShort), (isShort) => Effect.zipRight(Effect.sleep(lookEvery), go(isShort)))
  return go(false)
}
