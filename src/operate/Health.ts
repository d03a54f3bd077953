/** Whether des is healthy, from facts alone. */

/** What the health of des depends on. Times are in milliseconds. */
export interface Facts {
  readonly now: number
  /** After how long a silence a feed is checked; infinite if never. */
  readonly liveness: number
  readonly feeds: ReadonlyArray<{
    readonly engine: string
    readonly open: boolean
    readonly why?: string | undefined
    /** The node that watches this engine, if it is another one. */
    readonly watchedBy?: string | undefined
    readonly aliveAt?: number | undefined
  }>
  /** Why the journal cannot be written; undefined if it can. */
  readonly journalError: string | undefined
}

const seconds = (milliseconds: number): string => `${Math.round(milliseconds / 1000)} s`

/** Why des is not healthy. Healthy is: no reason. */
export const reasons = ({ feeds, journalError, liveness, now }: Facts): ReadonlyArray<string> => [
  ...feeds.flatMap(({ aliveAt = 0, engine, open, watchedBy, why }) => {
    if (!open && watchedBy !== undefined) return []
    if (!open) return [`the feed of ${engine} is not open${why === undefined ? "" : `: ${why}`}`]
    const silent = now - aliveAt
    return silent > 2 * liveness
      ? [
          `the feed of ${engine} was not proven alive for ${seconds(silent)}, which is more than two intervals of --liveness (${seconds(liveness)})`
        ]
      : []
  }),
  ...(journalError === undefined ? [] : [journalError])
]
