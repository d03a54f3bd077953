import { statfs } from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** The room of a disk, in bytes. */
export interface Space {
  readonly free: number
  readonly total: number
}

/** A disk with less room is warned of, in bytes: 256 MiB, or a tenth of a small disk. */
const leastFree = ({ total }: Space): number => Math.min(268_435_456, total / 10)

/** How often the disk is looked at: a storm writes some 15 MB in a second, and takes longer to fill what is left. */
const lookEvery = "5 seconds"

const mebibytes = (bytes: number): string => `${Math.floor(bytes / 1_048_576)} MiB`

/** Says once that a disk is short of room, and once that it is not any more. The two bounds differ, so that it does not alternate. */
export const judge = (wasShort: boolean, space: Space): { readonly isShort: boolean; readonly says?: string } => {
  const least = leastFree(space)
  const isShort = space.free < (wasShort ? 1.5 * least : least)
  if (isShort === wasShort) return { isShort }
  return {
    isShort,
    says: isShort
      ? `${mebibytes(space.free)} are left on the disk of the journal, less than ${mebibytes(least)}; when it is full, des stops. Free some, or keep less of what has run (--keep)`
      : `The disk of the journal has room again: ${mebibytes(space.free)} are left`
  }
}

/** Watches the disk of a directory, for as long as des runs. */
export const watch = (directory: string): Effect.Effect<never> => {
  const look = Effect.option(Effect.tryPromise(() => statfs(directory)))
  const step = (wasShort: boolean) =>
    Effect.gen(function* () {
      const found = yield* look
      if (Option.isNone(found)) return wasShort
      const { bavail, blocks, bsize } = found.value
      const { isShort, says } = judge(wasShort, { free: bavail * bsize, total: blocks * bsize })
      if (says !== undefined) yield* Effect.logWarning(`${directory}: ${says}`)
      return isShort
    })
  const go = (wasShort: boolean): Effect.Effect<never> =>
    Effect.flatMap(step(wasShort), (isShort) => Effect.zipRight(Effect.sleep(lookEvery), go(isShort)))
  return go(false)
}
