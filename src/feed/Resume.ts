import * as Gap from "./Gap.ts"

/**
 * How des connects to an engine: for the first time (`first`), to another engine at the same endpoint (`other-engine`), or to the same one
 * again (`again`).
 */
export type Meeting = "first" | "other-engine" | "again"

/**
 * Compares the ID of the engine before (undefined: there was none) with the ID of the engine that answers. If a proxy hides one of the
 * IDs (empty), des takes the engines for the same.
 */
export const meetingOf = (before: string | undefined, now: string): Meeting => {
  if (before === undefined) return "first"
  return before !== "" && now !== "" && before !== now ? "other-engine" : "again"
}

/** The facts that des gathers when it opens a feed. */
export interface Facts {
  /** How des connects to the engine. */
  readonly meeting: Meeting
  readonly kind: "docker" | "podman"
  /** True if des remembers no record that a replay could have: nothing has happened since the first connection, or since a gap. */
  readonly knowsNothing: boolean
  /**
   * The replay of dockerd's ring: how many records were read, if one of them is known, and if they are all. podman has no ring. Its
   * store is read from a time on, and counts as known if des has such a time.
   */
  readonly replay: { readonly count: number; readonly isKnown: boolean; readonly isWhole: boolean }
  /** The first events of the feed: how many were read, and if one of them is known, so that nothing is missing. */
  readonly head: { readonly count: number; readonly isJoined: boolean }
  /** True if des emits a start for each running container at the first connection. */
  readonly sync: boolean
}

/** What des does with a feed that it opens. */
export interface Plan {
  /** Report a gap for this reason. */
  readonly gap: Gap.Reason | undefined
  /** With no remembered records, report a gap for this reason only if the containers differ from the belief. */
  readonly gapIfDifferent: Gap.Reason | undefined
  /** Ask the engine for its containers. */
  readonly compares: boolean
  /** Emit synthetic events for the differences. Otherwise only the belief changes. */
  readonly synthesises: boolean
  /** The replayed events are over and do not run. */
  readonly isOver: boolean
}

/** The gap that a replay proves. A replay that was not read whole proves none. */
const gapOfReplay = ({ knowsNothing, meeting, replay }: Facts): Gap.Reason | undefined => {
  if (meeting === "first") return undefined
  if (meeting === "other-engine") return "other-engine"
  if (replay.isKnown || !replay.isWhole) return undefined
  if (replay.count >= Gap.ringSize) return "overrun"
  return knowsNothing ? undefined : "restart"
}

/** The gap that the first events of a feed prove. podman forgets nothing at a restart. */
const gapOfHead = ({ head, kind }: Facts): Gap.Reason | undefined => {
  if (head.isJoined) return undefined
  return kind === "podman" || head.count >= Gap.ringSize ? "overrun" : "restart"
}

/** Decides how to resume a feed. */
export const decide = (facts: Facts): Plan => {
  const { knowsNothing, meeting, replay, sync } = facts
  const gap = gapOfReplay(facts) ?? gapOfHead(facts)
  const isUnproven = meeting === "again" && knowsNothing && !replay.isKnown
  return {
    gap,
    gapIfDifferent: isUnproven ? "restart" : undefined,
    compares: gap !== undefined || meeting === "first" || isUnproven,
    synthesises: meeting !== "first" || sync,
    isOver: meeting !== "again"
  }
}
