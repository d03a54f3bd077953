import * as Gap from "./Gap.ts"

/**
 * How an engine is met: for the first time, in place of another one, or again.
 *
 * @since 1.0.0
 * @category models
 */
export type Meeting = "first" | "other-engine" | "again"

/**
 * How an engine is met, by the identity of the one that was met before (nothing: none was) and of the one that answers. Where
 * one of them is hidden it is taken for the same.
 *
 * @since 1.0.0
 * @category combinators
 */
export const meetingOf = (met: string | undefined, answers: string): Meeting => {
  if (met === undefined) return "first"
  return met !== "" && answers !== "" && met !== answers ? "other-engine" : "again"
}

/**
 * What was observed when a feed was opened.
 *
 * - `knowsNothing`: there is no record to know again, as where nothing has happened since the first meeting.
 * - `replay`: of dockerd's ring, how many records were read, whether one of them is known, and whether they are all. podman
 *   has none: its store goes on from a time, which counts as known where there is one.
 * - `head`: the beginning of the feed: how many records were read, and whether one of them joins it to what is known.
 * - `sync`: tell what runs at the first meeting.
 *
 * @since 1.0.0
 * @category models
 */
export interface Facts {
  readonly meeting: Meeting
  readonly kind: "docker" | "podman"
  readonly knowsNothing: boolean
  readonly replay: { readonly count: number; readonly isKnown: boolean; readonly isWhole: boolean }
  readonly head: { readonly count: number; readonly isJoined: boolean }
  readonly sync: boolean
}

/**
 * What is to be done.
 *
 * - `gap`: a gap is said, for this reason.
 * - `gapIfDifferent`: it is said only if the containers differ from what is believed, since nothing else could tell.
 * - `compares`: the engine is asked for its containers.
 * - `tells`: how they differ is told as synthetic events. If not, it is believed only.
 * - `isOver`: what the engine replays is over and does not run.
 *
 * @since 1.0.0
 * @category models
 */
export interface Plan {
  readonly gap: Gap.Reason | undefined
  readonly gapIfDifferent: Gap.Reason | undefined
  readonly compares: boolean
  readonly tells: boolean
  readonly isOver: boolean
}

/** What a replay tells of a gap. A part of it that knows nothing tells nothing. */
const gapOfReplay = ({ knowsNothing, meeting, replay }: Facts): Gap.Reason | undefined => {
  if (meeting === "first") return undefined
  if (meeting === "other-engine") return "other-engine"
  if (replay.isKnown || !replay.isWhole) return undefined
  if (replay.count >= Gap.ringSize) return "overrun"
  return knowsNothing ? undefined : "restart"
}

/** What the beginning of a feed tells of a gap: podman forgets nothing at a restart. */
const gapOfHead = ({ head, kind }: Facts): Gap.Reason | undefined => {
  if (head.isJoined) return undefined
  return kind === "podman" || head.count >= Gap.ringSize ? "overrun" : "restart"
}

/**
 * Decides how a feed is resumed.
 *
 * @since 1.0.0
 * @category combinators
 */
export const decide = (facts: Facts): Plan => {
  const { knowsNothing, meeting, replay, sync } = facts
  const gap = gapOfReplay(facts) ?? gapOfHead(facts)
  const isUnproven = meeting === "again" && knowsNothing && !replay.isKnown
  return {
    gap,
    gapIfDifferent: isUnproven ? "restart" : undefined,
    compares: gap !== undefined || meeting === "first" || isUnproven,
    tells: meeting !== "first" || sync,
    isOver: meeting !== "again"
  }
}
