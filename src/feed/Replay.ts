import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Engine, EngineError } from "../engine/Engine.ts"
import type { DockerEvent } from "../event/DockerEvent.ts"
import { decodeRecords } from "../event/Records.ts"
import * as Belief from "./Belief.ts"
import type * as KnownRecords from "./KnownRecords.ts"

/**
 * What an engine can replay: the fingerprints of its records, and the changes in containers' lives that they tell of. The
 * records themselves are not kept: they come again with the feed.
 *
 * `isWhole` is true if the engine ended its answer. What was cut off, stalled, or was too much may lack records.
 *
 * @since 1.0.0
 * @category models
 */
export interface Replay {
  readonly fingerprints: ReadonlyArray<string>
  readonly turns: ReadonlyArray<Belief.Turn>
  readonly isWhole: boolean
}

/**
 * No replay was asked for.
 *
 * @since 1.0.0
 * @category constructors
 */
export const none: Replay = { fingerprints: [], turns: [], isWhole: true }

/** An answer that should end by itself and is silent for so long is given up: some proxies keep it open (moby #48536). */
const pause = "5 seconds"

/** How long an engine may take to replay its ring, which is in its memory. */
const patience = "20 seconds"

/** How long podman's store is read to see what it has: its answer has no end. */
const glance = "500 millis"

/** So many bytes of a replay are held at most, as fingerprints and ids: about 100,000 events. A ring has 256. */
const mostHeldBytes = 16_777_216

/** What a fingerprint takes, beside what it is held in. */
const fingerprintBytes = 100

const weighTurn = (turn: Belief.Turn | undefined): number => (turn === undefined ? 0 : 200 + 2 * turn.id.length)

const read = (
  engine: Engine["Type"],
  known: KnownRecords.KnownRecords,
  range: { readonly since: bigint; readonly until?: bigint },
  within: Duration.DurationInput
): Effect.Effect<Replay, EngineError> =>
  Effect.gen(function* () {
    const { name } = engine
    const fingerprints: Array<string> = []
    const turns: Array<Belief.Turn> = []
    let heldBytes = 0
    let isWhole = false

    const note = (fingerprint: string) => {
      fingerprints.push(fingerprint)
      heldBytes += fingerprintBytes
    }
    const noteEvent = (event: DockerEvent) => {
      const turn = Belief.turnOf(event)
      if (turn !== undefined) turns.push(turn)
      heldBytes += weighTurn(turn)
      known.learn(event.record, event.fingerprint)
      note(event.fingerprint)
    }
    const ended = Effect.sync(() => {
      isWhole = true
    })

    yield* Stream.unwrap(engine.feed(range)).pipe(
      Stream.timeout(pause),
      Stream.catchAll((error) => (error.reason === "Ended" ? Stream.execute(ended) : Stream.fail(error))),
      // What is no event is said when the feed brings it.
      decodeRecords({
        source: name,
        engine: name,
        report: ({ fingerprint }) => Effect.sync(() => note(fingerprint))
      }),
      Stream.interruptAfter(within),
      // Not runForEachWhile, which keeps each event that it was given.
      Stream.takeWhile(() => heldBytes < mostHeldBytes),
      Stream.runForEach((event) => Effect.sync(() => noteEvent(event)))
    )
    return { fingerprints, turns, isWhole: isWhole && heldBytes < mostHeldBytes }
  })

/**
 * What dockerd has in its ring, until a time, as far as it can be read `within` another.
 *
 * @since 1.0.0
 * @category constructors
 */
export const ofRing = (
  engine: Engine["Type"],
  known: KnownRecords.KnownRecords,
  until: bigint,
  within: Duration.DurationInput = patience
): Effect.Effect<Replay, EngineError> => read(engine, known, { since: 0n, until }, within)

/**
 * A part of what podman has in its store, from a time on.
 *
 * @since 1.0.0
 * @category constructors
 */
export const ofStore = (
  engine: Engine["Type"],
  known: KnownRecords.KnownRecords,
  since: bigint
): Effect.Effect<Replay, EngineError> => read(engine, known, { since }, glance)
