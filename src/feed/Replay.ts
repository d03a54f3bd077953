import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Engine, EngineError } from "../engine/Engine.ts"
import type { DockerEvent } from "../event/DockerEvent.ts"
import { noneUnwanted, type Unwanted } from "../event/RecordHead.ts"
import { decodeRecords } from "../event/Records.ts"
import * as Belief from "./Belief.ts"
import type * as KnownRecords from "./KnownRecords.ts"

/** What an engine can replay. The records themselves are not kept: they come again with the feed. */
export interface Replay {
  /** The fingerprints of the records. */
  readonly fingerprints: ReadonlyArray<string>
  /** The changes in containers' lives that the records report. */
  readonly lifeEvents: ReadonlyArray<Belief.LifeEvent>
  /** True if the engine ended its answer. An answer that was cut off, stalled or too large may lack records. */
  readonly isWhole: boolean
}

/** The replay when des did not ask for one. It proves nothing, so it does not count as whole. */
export const none: Replay = { fingerprints: [], lifeEvents: [], isWhole: false }

/** How long an answer may be silent before des gives it up. Some proxies keep an answer open that has ended (moby #48536). */
export const longestSilence = "5 seconds"

/** How long dockerd may take to replay its ring. The ring is in its memory. */
const patience = "20 seconds"

/** How long des reads podman's store. The answer of podman has no end. */
const glance = "500 millis"

/** How many bytes of a replay are kept, as fingerprints and ids: enough for about 100,000 events. A ring has 256. */
const mostKeptBytes = 16_777_216

/** The memory that one fingerprint takes, in bytes. */
const fingerprintBytes = 100

/** The memory that a change takes, in bytes. */
const sizeOf = (change: Belief.LifeEvent | undefined): number => (change === undefined ? 0 : 200 + 2 * change.id.length)

const read = (
  engine: Engine["Type"],
  known: KnownRecords.KnownRecords,
  range: { readonly since: bigint; readonly until?: bigint },
  within: Duration.DurationInput,
  unwanted: Unwanted = noneUnwanted
): Effect.Effect<Replay, EngineError> =>
  Effect.gen(function* () {
    const { name } = engine
    const fingerprints: Array<string> = []
    const lifeEvents: Array<Belief.LifeEvent> = []
    let keptBytes = 0
    let isWhole = false

    const note = (fingerprint: string) => {
      fingerprints.push(fingerprint)
      keptBytes += fingerprintBytes
    }
    const noteEvent = (event: DockerEvent) => {
      const change = Belief.lifeEventOf(event)
      if (change !== undefined) lifeEvents.push(change)
      keptBytes += sizeOf(change)
      known.learn(event.record, event.fingerprint)
      note(event.fingerprint)
    }
    const ended = Effect.sync(() => {
      isWhole = true
    })

    yield* Stream.unwrap(engine.feed(range, (record) => unwanted.has({ ...record, engine: name }))).pipe(
      Stream.timeout(longestSilence),
      Stream.catchAll((error) => (error.reason === "Ended" ? Stream.execute(ended) : Stream.fail(error))),
      // Lines that are not events are logged later, when the feed sends them again.
      decodeRecords({
        source: name,
        engine: name,
        lose: unwanted.lose,
        // If a replay has only such lines, its time limit ends it. Beyond the bound none of them is kept.
        report: ({ fingerprint }) =>
          Effect.sync(() => {
            if (keptBytes < mostKeptBytes) note(fingerprint)
          })
      }),
      Stream.interruptAfter(within),
      // runForEachWhile would keep each event in memory.
      Stream.takeWhile(() => keptBytes < mostKeptBytes),
      Stream.runForEach((event) => Effect.sync(() => noteEvent(event)))
    )
    return { fingerprints, lifeEvents, isWhole: isWhole && keptBytes < mostKeptBytes }
  })

/** Reads what dockerd has in its ring up to the time `until`. It reads for at most `within`, and leaves out what is `unwanted`. */
export const ofRing = (
  engine: Engine["Type"],
  known: KnownRecords.KnownRecords,
  until: bigint,
  within: Duration.DurationInput = patience,
  unwanted?: Unwanted
): Effect.Effect<Replay, EngineError> => read(engine, known, { since: 0n, until }, within, unwanted)

/** Reads a part of what podman has in its store, from the time `since` on, and leaves out what is `unwanted`. */
export const ofStore = (
  engine: Engine["Type"],
  known: KnownRecords.KnownRecords,
  since: bigint,
  unwanted?: Unwanted
): Effect.Effect<Replay, EngineError> => read(engine, known, { since }, glance, unwanted)
