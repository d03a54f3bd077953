import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Tracer from "effect/Tracer"
import type { DockerEvent } from "../event/DockerEvent.ts"
import type * as FeedMemory from "../feed/FeedMemory.ts"
import type { Loss } from "../feed/Gap.ts"
import type { Outlived } from "../scripts/Outlived.ts"
import type { Script } from "../scripts/ScriptDirectory.ts"
import type { Outcome } from "../scripts/ScriptRunner.ts"

/**
 * The journal on disk cannot be used.
 *
 * - `Unusable`: its directory cannot be created, read or written, or other users could change it.
 * - `InUse`: another des uses it.
 * - `Damaged`: the file is not a journal, or is damaged.
 * - `Full`: its disk is full.
 * - `Away`: its database cannot be reached now. des goes on when it is back.
 * - `TakenOver`: another des has the event now. What this one still does for it counts for nothing.
 * - `Failed`: anything else.
 *
 * @since 1.0.0
 * @category errors
 */
export class JournalError extends Schema.TaggedError<JournalError>()("JournalError", {
  reason: Schema.Literal("Unusable", "InUse", "Damaged", "Full", "Away", "TakenOver", "Failed"),
  detail: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    return this.detail
  }
}

/**
 * An event and its scripts, in the order in which they run. `inspected` is the line for those with `inspect=yes`.
 *
 * @since 1.0.0
 * @category models
 */
export interface Accepted {
  readonly event: DockerEvent
  readonly scripts: ReadonlyArray<Script>
  readonly inspected?: string
}

/**
 * The events of one read. `events` are all of them, so that duplicates can be recognised later; `accepted` are those
 * that have scripts.
 *
 * @since 1.0.0
 * @category models
 */
export interface Batch {
  readonly events: ReadonlyArray<DockerEvent>
  readonly accepted: ReadonlyArray<Accepted>
}

/**
 * What a journal stored of a batch. `isAll` is false if it had no room for all of it; it then stored the events before the first one that
 * did not fit.
 *
 * @since 1.0.0
 * @category models
 */
export interface Stored extends Batch {
  readonly isAll: boolean
}

/**
 * How the work for an event, or one of its scripts, ended. An event has failed if one of its scripts has failed.
 *
 * @since 1.0.0
 * @category models
 */
export type Result = "succeeded" | "failed"

/**
 * What happened to a script for an event before des was restarted. `attempts` is how many runs began. `settled` is how
 * the last run ended, if no retry follows. `outlived` are the runs that may still go on.
 *
 * @since 1.0.0
 * @category models
 */
export interface Earlier {
  readonly attempts: number
  readonly settled: Result | undefined
  readonly outlived: ReadonlyArray<Outlived>
}

/**
 * An accepted event that was taken to be run. `acceptedAt` is when it was accepted, in milliseconds since 1970. By the path of each script:
 *
 * - `earlier`: what happened to it before des was restarted.
 * - `coalesced`: how many older events its run also stands for, if there are any.
 *
 * @since 1.0.0
 * @category models
 */
export interface Entry extends Accepted {
  readonly id: number
  readonly acceptedAt: number
  readonly earlier: Readonly<Record<string, Earlier>>
  readonly coalesced: Readonly<Record<string, number>>
}

/**
 * A run that the journal records.
 *
 * - `variables`: variables for the script's environment, by which des finds the process later.
 * - `started`: records that the script's process has started. If des ends before this, its own handling of the event
 *   may be the cause.
 * - `ended`: records the outcome and the end of the output. With `last` no retry follows.
 * - `skipped`: records that the script is not run for its event, and why. No run follows.
 * - `interrupted`: records that des was told to stop before the run ended.
 * - `span`: the span of the run, if there are traces. The log lines of the run name it.
 * - `whileHeld`: does some work for the run, as long as no other des may have taken the event. Then it interrupts the work and fails with
 *   `TakenOver`. A journal of one des changes nothing here.
 *
 * @since 1.0.0
 * @category models
 */
export interface KeptRun {
  readonly variables: Readonly<Record<string, string>>
  readonly started: (pid: number) => Effect.Effect<void>
  readonly ended: (outcome: Outcome, output: string, last: boolean) => Effect.Effect<void, JournalError>
  readonly skipped: (reason: string) => Effect.Effect<void, JournalError>
  readonly interrupted: Effect.Effect<void>
  readonly whileHeld: <A>(work: Effect.Effect<A>) => Effect.Effect<A, JournalError>
  readonly span?: Tracer.AnySpan
}

/**
 * An event that the journal does not store, while its scripts run.
 *
 * - `begin`: begins a run of a script, which is not recorded.
 * - `finish`: ends the event after its last script.
 *
 * @since 1.0.0
 * @category models
 */
export interface UnkeptEvent {
  readonly begin: (script: Script) => Effect.Effect<KeptRun>
  readonly finish: (result: Result) => Effect.Effect<void>
}

/**
 * The order in which a journal gives events.
 *
 * - `total`: in the order of acceptance. The next event comes when the last one is finished or parked.
 * - `fair`: the next event of the actor that was served longest ago, so that actors take turns. The events of one actor
 *   come in the order of acceptance, one after the other.
 *
 * @since 1.0.0
 * @category models
 */
export type TakeOrder = "total" | "fair"

/**
 * Some of the accepted events that are not finished.
 *
 * - `events`: how many there are.
 * - `bytes`: how many bytes they take, in memory or on the disk.
 * - `oldest`: the time of the oldest, in milliseconds since 1970; undefined if there is none.
 *
 * @since 1.0.0
 * @category models
 */
export interface Unfinished {
  readonly events: number
  readonly bytes: number
  readonly oldest: number | undefined
}

/**
 * What a journal says of itself.
 *
 * - `accepted`: all accepted events that are not finished. `oldest` is when the first of them was accepted.
 * - `waiting`: those of which no script runs, because no job is free, or a cooldown or a wait delays them. `oldest` is when the first of
 *   them was accepted.
 * - `running`: the others, from the first run to the last one, with the retries in between. `oldest` is when the first of them began to
 *   run.
 * - `size`: how many bytes the journal takes on the disk; 0 if it is in memory.
 * - `watchedElsewhere`: by the name of an engine, the node that watches it, if several des share the journal and it is another one.
 *
 * @since 1.0.0
 * @category models
 */
export interface JournalStatus {
  readonly accepted: Unfinished
  readonly waiting: Unfinished
  readonly running: Unfinished
  readonly size: number
  readonly watchedElsewhere?: Readonly<Record<string, string>>
}

/**
 * Stores accepted events and their runs. It stands between the feed and the scripts, so that the feed never waits for a
 * script.
 *
 * @example
 * import { Journal } from "docker-event-scripts"
 * import * as Effect from "effect/Effect"
 *
 * export const waiting = Effect.flatMap(Journal.Journal, (journal) => journal.unfinished)
 *
 * @since 1.0.0
 * @category services
 */
export class Journal extends Context.Tag("des/Journal")<
  Journal,
  {
    /** True if unfinished events run again after the next start of des. */
    readonly durable: boolean
    /** Stores a batch, and returns what it stored of it. It remembers nothing of the other events. */
    readonly accept: (batch: Batch) => Effect.Effect<Stored, JournalError>
    /**
     * Stores an event that des makes while it runs scripts. It never waits for room, because such a script may be what
     * takes the room. Returns false if there is none; the event is then lost.
     */
    readonly acceptOwn: (accepted: Accepted) => Effect.Effect<boolean, JournalError>
    /** Waits until there is room again. */
    readonly room: Effect.Effect<void>
    /** What the feed remembers of each engine and its accepted events. */
    readonly memory: FeedMemory.FeedMemory
    /** Accepts nothing more. `take` then returns none after the last event. */
    readonly close: Effect.Effect<void>
    /**
     * Returns the next event, or waits for one. The event is out until it is finished or parked. While an event is out,
     * `total` gives no other event, and `fair` no other event of the same actor.
     */
    readonly take: (order: TakeOrder) => Effect.Effect<Option.Option<Entry>, JournalError>
    /**
     * Drops an event from memory whose work waits for later. Then the next event of its actor can be taken. Does nothing
     * if the event is finished.
     */
    readonly park: (id: number) => Effect.Effect<void>
    /** Loads a parked event again. */
    readonly reload: (id: number) => Effect.Effect<Entry, JournalError>
    /** Records that the run of a script for this event also stands for so many older events. */
    readonly coalesce: (
      entry: Pick<Entry, "id" | "scripts">,
      script: Script,
      count: number
    ) => Effect.Effect<void, JournalError>
    /**
     * Begins a cooldown for all des of this journal, in milliseconds, unless one goes on. Returns for how many milliseconds it goes on; 0 if
     * the run may begin. `key` says whose cooldown it is. With `isAgain` it begins in any case. A journal of one des returns 0.
     */
    readonly cool: (
      key: string,
      how: { readonly cooldown: number; readonly isAgain: boolean }
    ) => Effect.Effect<number, JournalError>
    /** Records that a run begins. It is called before des does anything else for the run. */
    readonly begin: (entry: Entry, script: Script, attempt: number) => Effect.Effect<KeptRun, JournalError>
    /** Begins to handle an event that is not stored, such as `des/stop`. */
    readonly unkept: (accepted: Accepted) => Effect.Effect<UnkeptEvent>
    /** Records that the last script of an event has ended. */
    readonly finish: (id: number, result: Result) => Effect.Effect<void, JournalError>
    /**
     * Waits until events of an actor were lost for a while, because too much of it waited, and returns how many. The
     * losses of one actor come once a minute at most.
     */
    readonly lost: Effect.Effect<Loss>
    /** Counts the accepted events that are not finished. */
    readonly unfinished: Effect.Effect<number, JournalError>
    /** Tells what waits, and how large the journal is. With a large backlog on the disk this takes long. */
    readonly status: Effect.Effect<JournalStatus, JournalError>
    /** Writes something that changes nothing. Fails if the journal cannot be written. */
    readonly probe: Effect.Effect<void, JournalError>
  }
>() {}

/**
 * A name for an event's actor that no other actor has. An ID alone is unique only for one engine and type.
 *
 * @internal
 */
export const actorOf = (event: Pick<DockerEvent, "engine" | "Type" | "Actor">): string =>
  `${event.engine} ${event.Type} ${event.Actor.ID}`

/**
 * A run that is not recorded.
 *
 * @since 1.0.0
 * @category constructors
 */
export const unkept: KeptRun = {
  variables: {},
  started: () => Effect.void,
  ended: () => Effect.void,
  skipped: () => Effect.void,
  interrupted: Effect.void,
  whileHeld: identity
}

/**
 * An event that is not stored, and whose runs nobody observes.
 *
 * @since 1.0.0
 * @category constructors
 */
export const unkeptEvent: UnkeptEvent = { begin: () => Effect.succeed(unkept), finish: () => Effect.void }
