/** What every journal keeps, whatever it stands on. Each case uses the clock of the machine, since a database has its own. */

import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as FeedMemory from "../../src/feed/FeedMemory.ts"
import * as Journal from "../../src/journal/Journal.ts"
import * as Keep from "../../src/journal/Keep.ts"
import type { Script } from "../../src/scripts/ScriptDirectory.ts"
import { Outcome } from "../../src/scripts/ScriptRunner.ts"
import { makeEvent } from "../../src/testing.ts"
import { anyEvents } from "./AnyEvents.ts"
import { collectLogs } from "./Logs.ts"

/** Options of a journal that all kinds have. */
export interface Life {
  readonly maxAge: number
  readonly engines: ReadonlyArray<string> | undefined
  readonly keep: Keep.Keep
}

/** A place for one journal. Each layer that is built is the journal of one more process, after the one before has ended. */
export type Place = (life: Life) => Layer.Layer<Journal.Journal, Journal.JournalError>

const engine = "unix:///e"

const script: Script = { path: "/d/container/start", options: { conditions: [], timeout: 5000 } }

const accepted = (
  id: string,
  fields: { readonly timeNano?: bigint; readonly engine?: string; readonly number?: number } = {}
): Journal.Accepted => ({
  event: {
    ...makeEvent({
      id,
      ...(fields.timeNano === undefined ? {} : { timeNano: fields.timeNano }),
      ...(fields.number === undefined ? {} : { attributes: { number: String(fields.number) } })
    }),
    engine: fields.engine ?? engine
  },
  scripts: [script]
})

const accept = (...all: ReadonlyArray<Journal.Accepted>) =>
  Effect.flatMap(Journal.Journal, (journal) => journal.accept({ events: all.map(({ event }) => event), accepted: all }))

const storm = (id: string, count: number) => Array.from({ length: count }, (_, number) => accepted(id, { number }))

const takeIn = (order: Journal.TakeOrder) =>
  Effect.flatMap(Journal.Journal, (journal) => Effect.flatten(journal.take(order)))

const take = takeIn("fair")

const idOf = ({ event }: Journal.Entry) => `${event.Actor.ID}${event.Actor.Attributes["number"] ?? ""}`

const finish = (entry: Journal.Entry) =>
  Effect.flatMap(Journal.Journal, (journal) => journal.finish(entry.id, "succeeded"))

/** Takes and finishes so many events. */
const runThrough = (order: Journal.TakeOrder, count: number) =>
  Effect.gen(function* () {
    const taken: Array<string> = []
    for (let at = 0; at < count; at++) {
      const entry = yield* takeIn(order)
      taken.push(idOf(entry))
      yield* finish(entry)
    }
    return taken.join(" ")
  })

/** Takes what waits, until there is nothing. */
export const takeAll = Effect.gen(function* () {
  const journal = yield* Journal.Journal
  yield* journal.close
  const all: Array<Journal.Entry> = []
  for (let taken = yield* journal.take("fair"); Option.isSome(taken); taken = yield* journal.take("fair")) {
    all.push(taken.value)
    // The next event of its actor is given meanwhile.
    yield* journal.park(taken.value.id)
  }
  return all
})

/** Nothing comes of it for a while. A journal that gives an event does so within a few milliseconds. */
const isWaiting = <A, E>(fiber: Fiber.RuntimeFiber<A, E>) =>
  Effect.as(Effect.sleep("150 millis"), fiber.unsafePoll() === null)

const exited = (code: number) => Outcome.Exited({ code, message: "" })

/** The cases of a journal. `isDurable`: unfinished events run again after the next start. */
export const journalContract = (
  name: string,
  options: {
    readonly isDurable: boolean
    readonly place: Effect.Effect<Place, unknown, Scope.Scope>
  }
): void => {
  /** The body gets a function that runs an effect in one life of the journal. */
  const test = (
    title: string,
    body: (
      life: <A, E>(
        effect: Effect.Effect<A, E, Journal.Journal>,
        options?: Partial<Life>
      ) => Effect.Effect<A, E | Journal.JournalError>
    ) => Effect.Effect<void, unknown>
  ) =>
    it.scopedLive(title, () =>
      Effect.flatMap(options.place, (place) =>
        body((effect, life = {}) =>
          Effect.gen(function* () {
            const made = yield* Layer.build(
              place({ maxAge: Number.POSITIVE_INFINITY, engines: undefined, keep: Keep.defaults, ...life })
            )
            const journal = Context.get(made, Journal.Journal)
            // The feed of an engine begins with this.
            for (const one of [engine, "unix:///other"]) yield* journal.memory.recall(one)
            return yield* Effect.provide(effect, made)
          }).pipe(Effect.scoped)
        )
      )
    )

  describe(`the journal ${name}`, () => {
    test("gives accepted events complete and in order", (life) =>
      life(
        Effect.gen(function* () {
          const synthetic = { ...accepted("2"), event: { ...accepted("2").event, synthetic: true } }
          const inspected = { ...accepted("3"), inspected: '{"Id":"3"}' }
          yield* accept(accepted("1"), synthetic, inspected)
          const entry = yield* take
          assert.deepStrictEqual(entry.event, accepted("1").event)
          assert.deepStrictEqual(entry.scripts, [script])
          assert.deepStrictEqual(entry.earlier, {})
          assert.deepStrictEqual(entry.coalesced, {})
          assert.deepStrictEqual((yield* take).event, synthetic.event)
          assert.strictEqual((yield* take).inspected, '{"Id":"3"}')
        })
      ))

    test("takes text that strangers wrote as it is, but for NUL", (life) =>
      life(
        Effect.gen(function* () {
          const odd = accepted("1", {})
          const event = makeEvent({ id: "i'\"\\;--$1", attributes: { name: 'a"b\\u0000\u2028\u{1F980}', "'": "\\" } })
          yield* accept({ ...odd, event: { ...event, engine } })
          const taken = yield* take
          assert.deepStrictEqual(taken.event, { ...event, engine })
        })
      ))

    test("takes a container whose ID has a NUL or is endless, and goes on with others", (life) =>
      life(
        Effect.gen(function* () {
          const journal = yield* Journal.Journal
          const odd = ["a\u0000b", `${"x".repeat(10_000)}`, "\ud800"]
          yield* accept(...odd.map((id) => accepted(id)), accepted("usual"))
          const running = odd.map((id) => ({ id, attributes: { name: id }, startedAt: 3n }))
          yield* journal.memory.meet(engine, { ...FeedMemory.nothing, identity: "I\u0000", running })
          const die = odd.map((id) => ({ ...makeEvent({ id, action: "die", timeNano: 9n }), engine }))
          yield* journal.accept({ events: die, accepted: [] })
          assert.deepStrictEqual((yield* journal.memory.recall(engine)).running, [])
          const all = [yield* take, yield* take, yield* take, yield* take]
          assert.strictEqual(all.at(-1)?.event.Actor.ID, "usual")
        })
      ))

    test("wakes a reader that waits, and ends when it is closed and empty", (life) =>
      life(
        Effect.gen(function* () {
          const journal = yield* Journal.Journal
          const waiting = yield* Effect.fork(take)
          assert.isTrue(yield* isWaiting(waiting))
          yield* accept(accepted("1"), accepted("2"))
          yield* finish(yield* Fiber.join(waiting))
          yield* journal.close
          yield* finish(yield* take)
          assert.deepStrictEqual(yield* journal.take("fair"), Option.none())
        })
      ))

    test("wakes a reader for an event of des's own", (life) =>
      life(
        Effect.gen(function* () {
          const journal = yield* Journal.Journal
          const waiting = yield* Effect.fork(take)
          assert.isTrue(yield* isWaiting(waiting))
          const own = makeEvent({ type: "des", action: "failed", id: "own" })
          assert.isTrue(yield* journal.acceptOwn({ event: own, scripts: [script] }))
          assert.strictEqual(idOf(yield* Fiber.join(waiting)), "own")
        })
      ))

    for (const order of ["total", "fair"] as const) {
      test(`gives no other event of an actor while one is out, also if a parked one is finished meanwhile (${order})`, (life) =>
        life(
          Effect.gen(function* () {
            const journal = yield* Journal.Journal
            yield* accept(...storm("a", 3))
            const first = yield* takeIn(order)
            yield* journal.park(first.id)
            const second = yield* takeIn(order)
            yield* finish(first)
            const third = yield* Effect.fork(takeIn(order))
            assert.isTrue(yield* isWaiting(third))
            yield* finish(second)
            assert.strictEqual(idOf(yield* Fiber.join(third)), "a2")
          })
        ))
    }

    test("gives an actor's next event while one of it is parked, and that one when it is reloaded", (life) =>
      life(
        Effect.gen(function* () {
          const journal = yield* Journal.Journal
          yield* accept(...storm("a", 3))
          const first = yield* take
          yield* journal.park(first.id)
          const second = yield* take
          assert.strictEqual(idOf(second), "a1")
          yield* finish(second)
          assert.deepStrictEqual(yield* journal.reload(first.id), first)
          const third = yield* Effect.fork(take)
          assert.isTrue(yield* isWaiting(third), "the first is out again")
          yield* finish(first)
          assert.strictEqual(idOf(yield* Fiber.join(third)), "a2")
          assert.strictEqual(yield* journal.unfinished, 1)
        })
      ))

    test("gives the events of one actor in order, if two of it are out, whichever is finished first", (life) =>
      life(
        Effect.gen(function* () {
          const journal = yield* Journal.Journal
          yield* accept(...storm("a", 4))
          const first = yield* take
          yield* journal.park(first.id)
          const second = yield* take
          yield* journal.reload(first.id)
          yield* finish(second)
          const third = yield* Effect.fork(take)
          assert.isTrue(yield* isWaiting(third), "the first is still out")
          yield* journal.park(first.id)
          assert.strictEqual(idOf(yield* Fiber.join(third)), "a2")
          yield* finish(yield* Fiber.join(third))
          assert.strictEqual(idOf(yield* take), "a3")
        })
      ))

    test("has the order of acceptance if it is total, one event after the other", (life) =>
      life(
        Effect.gen(function* () {
          const journal = yield* Journal.Journal
          yield* accept(...storm("a", 2), ...storm("b", 2))
          assert.strictEqual(yield* runThrough("total", 2), "a0 a1")
          yield* accept(accepted("a", { number: 9 }))
          const b = yield* takeIn("total")
          assert.strictEqual(idOf(b), "b0")
          yield* journal.park(b.id)
          assert.strictEqual(yield* runThrough("total", 2), "b1 a9")
          assert.strictEqual(idOf(yield* journal.reload(b.id)), "b0")
        })
      ))

    test("gives each actor its turn if it is fair", (life) =>
      life(
        Effect.gen(function* () {
          yield* accept(...storm("a", 5), ...storm("b", 2))
          assert.strictEqual(yield* runThrough("fair", 3), "a0 b0 a1")
          yield* accept(...storm("c", 2))
          assert.strictEqual(yield* runThrough("fair", 6), "b1 a2 c0 a3 c1 a4")
        })
      ))

    test("skips events that are too old, and logs it", (life) => {
      const logs = collectLogs()
      const now = BigInt(Date.now()) * 1_000_000n
      return life(
        Effect.gen(function* () {
          yield* accept(
            accepted("old", { timeNano: now - 7_200_000_000_000n }),
            accepted("new", { timeNano: now }),
            accepted("timeless", { timeNano: 0n })
          )
          assert.deepStrictEqual((yield* takeAll).map(idOf), ["new", "timeless"])
          assert.include(logs.lines, "WARN 1 event is skipped: older than --max-age (1h)")
        }),
        { maxAge: 3_600_000 }
      ).pipe(Effect.provide(logs.layer))
    })

    test("remembers the same about a feed as a feed's own memory", (life) =>
      Effect.gen(function* () {
        const batches = FastCheck.sample(anyEvents, { numRuns: 60, seed: 7 })
        const expected = FeedMemory.make()
        for (const events of batches) expected.accept(events)
        const recalled = yield* life(
          Effect.gen(function* () {
            const journal = yield* Journal.Journal
            for (const events of batches) yield* journal.accept({ events, accepted: [] })
            return yield* journal.memory.recall(engine)
          })
        )
        const sorted = ({ running, ...rest }: FeedMemory.Recollection) => ({
          ...rest,
          running: [...running].sort((one, other) => (one.id < other.id ? -1 : 1))
        })
        const known = sorted(yield* expected.recall(engine))
        assert.isAbove(known.running.length, 0)
        assert.deepStrictEqual(sorted(recalled), known)
      }))

    test("replaces what it remembers of an engine when the feed has met it", (life) =>
      life(
        Effect.gen(function* () {
          const { accept: acceptBatch, memory } = yield* Journal.Journal
          const met = {
            identity: "I",
            fingerprints: ["before"],
            last: 1n,
            over: 4n,
            gaps: 3,
            running: ["old", "gone"].map((id) => ({ id, attributes: { name: id }, startedAt: 3n }))
          }
          yield* acceptBatch({ events: [accepted("forgotten").event], accepted: [] })
          yield* memory.meet(engine, met)
          const die = { ...makeEvent({ id: "gone", action: "die", timeNano: 6n }), engine }
          yield* acceptBatch({ events: [die], accepted: [] })
          assert.deepStrictEqual(yield* memory.recall(engine), {
            ...met,
            last: 6n,
            fingerprints: ["before", die.fingerprint],
            running: [{ id: "old", attributes: { name: "old" }, startedAt: 3n }]
          })
        })
      ))

    test("counts what waits and what is out", (life) =>
      life(
        Effect.gen(function* () {
          const journal = yield* Journal.Journal
          yield* accept(...storm("a", 2), ...storm("b", 1))
          const first = yield* take
          assert.strictEqual(yield* journal.unfinished, 3)
          yield* finish(first)
          const status = yield* journal.status
          assert.strictEqual(status.accepted.events, 2)
          assert.isAbove(status.accepted.bytes, 2000)
          assert.isAbove(status.accepted.oldest ?? 0, 0)
          assert.deepStrictEqual(status.waiting, status.accepted)
          const next = yield* take
          const run = yield* journal.begin(next, script, 1)
          const { accepted: all, running, waiting } = yield* journal.status
          assert.deepStrictEqual([all.events, running.events, waiting.events], [2, 1, 1])
          assert.isAbove(running.oldest ?? 0, 0)
          assert.strictEqual(waiting.oldest, next.acceptedAt)
          yield* run.ended(exited(0), "", true)
          yield* finish(next)
          assert.deepStrictEqual((yield* journal.status).running, { events: 0, bytes: 0, oldest: undefined })
          yield* journal.probe
        })
      ))

    if (!options.isDurable) return

    describe("after a restart", () => {
      test("gives unfinished events again, and no finished ones", (life) =>
        Effect.gen(function* () {
          yield* life(
            Effect.gen(function* () {
              const journal = yield* Journal.Journal
              yield* accept(accepted("1"), accepted("2"), accepted("3"), accepted("4"))
              yield* finish(yield* take)
              const second = yield* take
              const run = yield* journal.begin(second, script, 1)
              yield* run.started(process.pid)
              yield* run.ended(exited(1), "the last\nof its output", true)
              yield* journal.finish(second.id, "failed")
              const third = yield* take
              const other = yield* journal.begin(third, script, 1)
              yield* other.ended(exited(1), "", false)
              yield* (yield* journal.begin(third, script, 2)).interrupted
            })
          )
          yield* life(
            Effect.gen(function* () {
              const [third, fourth, ...rest] = yield* takeAll
              assert.deepStrictEqual(rest, [])
              assert.strictEqual(third?.event.Actor.ID, "3")
              assert.strictEqual(third?.earlier[script.path]?.attempts, 2)
              assert.isUndefined(third?.earlier[script.path]?.settled)
              assert.strictEqual(fourth?.event.Actor.ID, "4")
              assert.deepStrictEqual(fourth?.earlier, {})
            })
          )
        }))

      test("gives an event again that was parked, in its place", (life) =>
        Effect.gen(function* () {
          yield* life(
            Effect.gen(function* () {
              const journal = yield* Journal.Journal
              yield* accept(...storm("a", 3))
              yield* journal.park((yield* take).id)
              yield* journal.park((yield* take).id)
            })
          )
          assert.strictEqual(yield* life(runThrough("fair", 3)), "a0 a1 a2")
        }))

      test("has its order, total and fair", (life) =>
        Effect.gen(function* () {
          yield* life(accept(...storm("a", 2), ...storm("b", 2)))
          assert.strictEqual(yield* life(runThrough("total", 3)), "a0 a1 b0")
          yield* life(accept(...storm("c", 2), ...storm("d", 2)))
          assert.strictEqual(yield* life(runThrough("fair", 5)), "b1 c0 d0 c1 d1")
        }))

      test("knows of each script of an event whether it ended, and how many older events its run stands for", (life) =>
        Effect.gen(function* () {
          const other = { ...script, path: "/d/all" }
          yield* life(
            Effect.gen(function* () {
              const journal = yield* Journal.Journal
              yield* accept({ ...accepted("1"), scripts: [script, other] })
              const entry = yield* take
              yield* (yield* journal.begin(entry, script, 1)).ended(exited(3), "", true)
              yield* journal.coalesce(entry, other, 3)
              yield* journal.coalesce(entry, other, 4)
            })
          )
          const [entry] = yield* life(takeAll)
          assert.deepStrictEqual(entry?.earlier, { [script.path]: { attempts: 1, settled: "failed", outlived: [] } })
          assert.deepStrictEqual(entry?.coalesced, { "/d/all": 4 })
          assert.deepStrictEqual(entry?.scripts, [script, other])
        }))

      test("does not run a script again that was skipped", (life) =>
        Effect.gen(function* () {
          yield* life(
            Effect.gen(function* () {
              const journal = yield* Journal.Journal
              yield* accept(accepted("1"))
              yield* (yield* journal.begin(yield* take, script, 1)).skipped("10-a has failed")
            })
          )
          const again = yield* life(take)
          assert.deepStrictEqual(again.earlier[script.path], { attempts: 1, settled: "failed", outlived: [] })
        }))

      test("accepts a record once, in one life or in two, and for each engine", (life) =>
        Effect.gen(function* () {
          yield* life(Effect.zipRight(accept(accepted("1"), accepted("1")), accept(accepted("1"))))
          const entries = yield* life(
            Effect.zipRight(accept(accepted("1"), accepted("1", { engine: "unix:///other" })), takeAll)
          )
          assert.deepStrictEqual(
            entries.map(({ event }) => event.engine),
            [engine, "unix:///other"]
          )
        }))

      test("keeps the events of an engine until it is watched again", (life) =>
        Effect.gen(function* () {
          yield* life(accept(accepted("1", { engine: "unix:///other" }), accepted("2")))
          assert.deepStrictEqual((yield* life(takeAll, { engines: [engine] })).map(idOf), ["2"])
          assert.deepStrictEqual((yield* life(takeAll)).map(idOf), ["1", "2"])
        }))

      test("skips what has become too old while it waited", (life) =>
        Effect.gen(function* () {
          yield* life(
            accept(accepted("old", { timeNano: 1_000_000_000_000_000n }), accepted("timeless", { timeNano: 0n }))
          )
          assert.deepStrictEqual((yield* life(takeAll, { maxAge: 3_600_000 })).map(idOf), ["timeless"])
        }))

      test("remembers of each engine its records, its containers and its identity", (life) =>
        Effect.gen(function* () {
          const met = { identity: "J", fingerprints: ["a", "b"], last: 9n, over: 0n, gaps: 0, running: [] }
          const start = accepted("new", { timeNano: 5n }).event
          yield* life(
            Effect.gen(function* () {
              const journal = yield* Journal.Journal
              yield* journal.memory.meet("unix:///other", met)
              yield* journal.accept({ events: [start], accepted: [] })
            })
          )
          yield* life(
            Effect.gen(function* () {
              const { memory } = yield* Journal.Journal
              assert.deepStrictEqual(yield* memory.recall("unix:///other"), met)
              const recalled = yield* memory.recall(engine)
              assert.deepStrictEqual(recalled.fingerprints, [start.fingerprint])
              assert.deepStrictEqual(
                recalled.running.map(({ id }) => id),
                ["new"]
              )
            })
          )
        }))
    })
  })
}
