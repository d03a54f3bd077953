/**
 * What des does now, as `/status`, the page and `des status` show it.
 *
 * @since 1.0.0
 */
import * as Schema from "effect/Schema"

/** A time in milliseconds since 1970. */
const Time = Schema.Number

/** The feed of an engine. `why` is why it is not open, if that is known. `watchedBy` is the node that watches it, if it is another one. */
const Feed = Schema.Struct({
  engine: Schema.String,
  open: Schema.Boolean,
  why: Schema.optional(Schema.String),
  watchedBy: Schema.optional(Schema.String),
  openedAt: Schema.optional(Time),
  aliveAt: Schema.optional(Time),
  lastEventAt: Schema.optional(Time),
  opens: Schema.Number
})

/** A run that has begun. `event` is the event's type, action and name. */
const Running = Schema.Struct({
  script: Schema.String,
  event: Schema.String,
  engine: Schema.String,
  attempt: Schema.Number,
  beganAt: Time
})

/** A run that has ended. `exit` is its exit code, as `des history` has it. `output` is the end of what it wrote. */
const Ended = Schema.Struct({
  ...Running.fields,
  endedAt: Time,
  outcome: Schema.String,
  exit: Schema.Number,
  output: Schema.String
})

/** Some of the accepted events: how many, their bytes, and the time of the oldest. */
const Counted = Schema.Struct({
  events: Schema.Number,
  bytes: Schema.Number,
  oldestAt: Schema.optional(Time)
})

/** A gap in the events of an engine. */
const Gap = Schema.Struct({ engine: Schema.String, reason: Schema.String, at: Time })

/**
 * The schema of a status. Times are in milliseconds since 1970.
 *
 * - `ready`, `reasons`: whether des is healthy, and if not, why.
 * - `feeds`: the engines that des watches.
 * - `backlog`: the accepted events that wait or run: how many, their bytes, and when the first of them was accepted. `waiting` says the
 *   same of those that wait. Of those in `running`, `oldestAt` is when the first of them began to run. `journalBytes` is the size of the
 *   journal on the disk, 0 if it is in memory.
 * - `running`, `runs`, `failures`, `gaps`: what runs now; the last runs, failures and gaps since the start of des, the newest first.
 * - `eventsPerMinute`: how many events came in each minute of the last hour, the last one at the end.
 *
 * @since 1.0.0
 * @category schemas
 */
export const Status = Schema.Struct({
  version: Schema.String,
  pid: Schema.Number,
  now: Time,
  startedAt: Time,
  ready: Schema.Boolean,
  reasons: Schema.Array(Schema.String),
  feeds: Schema.Array(Feed),
  backlog: Schema.Struct({
    ...Counted.fields,
    waiting: Counted,
    running: Counted,
    journalBytes: Schema.Number
  }),
  running: Schema.Array(Running),
  runs: Schema.Array(Ended),
  failures: Schema.Array(Ended),
  gaps: Schema.Array(Gap),
  eventsPerMinute: Schema.Array(Schema.Number)
}).annotations({ identifier: "Status" })

/**
 * What des does now.
 *
 * @since 1.0.0
 * @category models
 */
export interface Status extends Schema.Schema.Type<typeof Status> {}

/** A run that has ended. */
export type EndedRun = Schema.Schema.Type<typeof Ended>

/** A run that has begun. */
export type RunningRun = Schema.Schema.Type<typeof Running>

/** A gap in the events of an engine. */
export type SeenGap = Schema.Schema.Type<typeof Gap>

/** The feed of an engine. */
export type WatchedFeed = Schema.Schema.Type<typeof Feed>

/** Some of the accepted events. */
export type Counted = Schema.Schema.Type<typeof Counted>
