import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Order from "../../src/dispatch/Order.ts"
import { heapInUse } from "../support/Heap.ts"
import { collectLogs } from "../support/Logs.ts"

/** Lets every fiber go on until it waits. Nothing here waits for time, so that turns are enough. */
const settle = Effect.repeatN(Effect.yieldNow(), 60)

interface Work {
  readonly key: string
  readonly number: number
  readonly end: Deferred.Deferred<void>
}

/** An order whose work begins when it may and ends when the test says so. */
const makeGated = (jobs: number) =>
  Effect.gen(function* () {
    const order = yield* Order.make(jobs)
    const running: Array<Work> = []
    const begun: Array<Work> = []
    const broken: Array<string> = []
    let most = 0
    let submitted = 0

    const submit = (key: string, after: Effect.Effect<void> = Effect.void) =>
      Effect.suspend(() => {
        const number = submitted++
        return order.submit(
          key,
          Effect.gen(function* () {
            const work = { key, number, end: yield* Deferred.make<void>() }
            if (running.some((other) => other.key === key)) broken.push(`two works of ${key} run beside each other`)
            running.push(work)
            begun.push(work)
            most = Math.max(most, running.length)
            yield* Deferred.await(work.end)
            running.splice(running.indexOf(work), 1)
            yield* after
          })
        )
      })

    /** Ends the running work at this position, counted around. */
    const end = (at: number) =>
      Effect.suspend(() => {
        const work = running[at % running.length]
        return work === undefined ? Effect.void : Effect.zipRight(Deferred.succeed(work.end, undefined), settle)
      })

    const endAll: Effect.Effect<void> = Effect.suspend(() =>
      running.length === 0 ? Effect.void : Effect.zipRight(end(0), endAll)
    )

    return { order, submit, end, endAll, running, begun, broken, most: () => most }
  })

const numbersOf = (works: ReadonlyArray<Work>, key: string) =>
  works.filter((work) => work.key === key).map(({ number }) => number)

const ascending = (numbers: ReadonlyArray<number>) => numbers.toSorted((a, b) => a - b)

const key = FastCheck.integer({ min: 0, max: 5 }).map(String)
const jobs = FastCheck.integer({ min: 1, max: 4 })
/** Which of the running works ends at each step. */
const interleaving = FastCheck.array(FastCheck.nat(3), { maxLength: 60 })
const runs = { fastCheck: { numRuns: 200 } }

describe("order", () => {
  it.scoped.prop(
    "one submitter: each key's work in its order, never more than the jobs, never a free job while a key could begin",
    { jobs, keys: FastCheck.array(key, { maxLength: 40 }), interleaving },
    ({ interleaving, jobs, keys }) =>
      Effect.gen(function* () {
        const gated = yield* makeGated(jobs)
        let taken = 0
        const submitting = yield* Effect.forEach(keys, (key) =>
          Effect.zipRight(
            gated.submit(key),
            Effect.sync(() => taken++)
          )
        ).pipe(Effect.fork)
        yield* settle
        for (const at of interleaving) {
          const next = keys[taken]
          if (next !== undefined && gated.running.length < jobs) assert.fail(`${next} waits while a job is free`)
          yield* gated.end(at)
        }
        yield* gated.endAll
        yield* Fiber.join(submitting)
        yield* gated.order.awaitIdle

        assert.deepStrictEqual(gated.broken, [])
        assert.isAtMost(gated.most(), jobs)
        assert.deepStrictEqual(ascending(gated.begun.map(({ number }) => number)), [...keys.keys()])
        for (const key of new Set(keys)) {
          assert.deepStrictEqual(numbersOf(gated.begun, key), ascending(numbersOf(gated.begun, key)), key)
        }
        if (jobs === 1) {
          assert.deepStrictEqual(
            gated.begun.map(({ number }) => number),
            [...keys.keys()]
          )
        }
      }),
    runs
  )

  it.scoped.prop(
    "several submitters: each one's work of a key in its order, one work of a key at a time, never more than the jobs",
    { jobs, submitters: FastCheck.array(FastCheck.array(key, { maxLength: 12 }), { maxLength: 5 }), interleaving },
    ({ interleaving, jobs, submitters }) =>
      Effect.gen(function* () {
        const gated = yield* makeGated(jobs)
        const ran = submitters.map((): Array<string> => [])
        const submitting = yield* Effect.forEach(
          submitters,
          (keys, from) =>
            Effect.forEach(keys, (key, at) =>
              gated.submit(
                key,
                Effect.sync(() => ran[from]?.push(`${key} ${at}`))
              )
            ),
          { concurrency: "unbounded" }
        ).pipe(Effect.fork)
        yield* settle
        for (const at of interleaving) yield* gated.end(at)
        yield* gated.endAll
        yield* Fiber.join(submitting)
        yield* gated.order.awaitIdle

        assert.deepStrictEqual(gated.broken, [])
        assert.isAtMost(gated.most(), jobs)
        for (const [from, keys] of submitters.entries()) {
          for (const key of new Set(keys)) {
            assert.deepStrictEqual(
              ran[from]?.filter((work) => work.startsWith(`${key} `)),
              [...keys.entries()].filter(([, other]) => other === key).map(([at]) => `${key} ${at}`)
            )
          }
        }
      }),
    runs
  )

  it.scoped("a slow key delays no other while a job is free, however much waits behind it", () =>
    Effect.gen(function* () {
      const gated = yield* makeGated(2)
      yield* gated.submit("slow")
      for (let at = 0; at < 1000; at++) yield* gated.submit("slow")
      for (let at = 0; at < 10; at++) {
        yield* gated.submit(`quick ${at}`)
        yield* settle
        assert.deepStrictEqual(
          gated.running.map(({ key }) => key),
          ["slow", `quick ${at}`]
        )
        yield* gated.end(1)
      }
      yield* gated.endAll
    })
  )

  it.scoped("a submission returns when its work has begun or waits behind its key, and not before", () =>
    Effect.gen(function* () {
      const gated = yield* makeGated(1)
      yield* gated.submit("a")
      yield* gated.submit("a")
      const other = yield* Effect.fork(gated.submit("b"))
      yield* settle
      assert.isNull(other.unsafePoll())
      yield* gated.end(0)
      assert.isNull(other.unsafePoll(), "the second work of a was submitted before")
      yield* gated.end(0)
      yield* Fiber.join(other)
      yield* gated.endAll
    })
  )

  it.scoped("a busy key delays no other key, however much work waits behind it", () =>
    Effect.gen(function* () {
      const order = yield* Order.make(2)
      const gate = yield* Deferred.make<void>()
      let ran = 0
      const work = Effect.sync(() => {
        ran++
      })
      yield* order.submit("a", Deferred.await(gate))
      for (let at = 0; at < 50_000; at++) yield* order.submit("a", work)
      const other = yield* Deferred.make<void>()
      yield* order.submit("b", Effect.asVoid(Deferred.succeed(other, undefined)))
      yield* Deferred.await(other)
      assert.strictEqual(ran, 0)
      yield* Deferred.succeed(gate, undefined)
      yield* order.awaitIdle
      assert.strictEqual(ran, 50_000)
    })
  )

  for (const jobs of [1, 3]) {
    it.scoped(`work that dies or interrupts itself is one error in the log and nothing more (${jobs} jobs)`, () => {
      const logs = collectLogs()
      return Effect.gen(function* () {
        const order = yield* Order.make(jobs)
        const ran: Array<number> = []
        const endings = [Effect.void, Effect.die(new Error("broken")), Effect.interrupt]
        for (let at = 0; at < 300; at++) {
          yield* order.submit(
            String(at % 7),
            Effect.zipRight(
              Effect.sync(() => ran.push(at)),
              endings[at % 3] ?? Effect.void
            )
          )
        }
        yield* order.awaitIdle
        assert.deepStrictEqual(ascending(ran), [...Array(300).keys()])
        assert.strictEqual(logs.lines.filter((line) => line === "ERROR des failed to run a script").length, 200)
      }).pipe(Effect.provide(logs.layer))
    })
  }

  it.effect("no submission is lost in the moment in which the last work of its key ends", () =>
    Effect.gen(function* () {
      // A fiber gives way after 2,048 steps, so that the order does so just after work of some length.
      for (let steps = 0; steps < 2100; steps++) {
        let over = false
        let ran = false
        yield* Effect.gen(function* () {
          const order = yield* Order.make(1)
          yield* order.submit(
            "a",
            Effect.suspend(() => {
              over = true
              return Effect.void
            }).pipe((last) =>
              Array.from({ length: steps }).reduce<Effect.Effect<void>>((rest) => Effect.suspend(() => rest), last)
            )
          )
          while (!over) yield* Effect.yieldNow()
          yield* order.submit(
            "a",
            Effect.sync(() => {
              ran = true
            })
          )
          yield* order.awaitIdle
        }).pipe(Effect.scoped)
        assert.isTrue(ran, `${steps} steps`)
      }
    })
  )

  it("closing its scope interrupts running work, waits for its end, and begins nothing more", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      yield* Effect.scoped(
        Effect.gen(function* () {
          const order = yield* Order.make(2)
          for (const key of ["a", "b", "a", "b"]) {
            yield* order.submit(
              key,
              Effect.never.pipe(
                Effect.onInterrupt(() =>
                  Effect.zipRight(
                    settle,
                    Effect.sync(() => seen.push(key))
                  )
                )
              )
            )
          }
          yield* settle
        })
      )
      assert.deepStrictEqual(seen.toSorted(), ["a", "b"])
    }).pipe(Effect.runPromise))

  it.scoped("it does not grow with 100,000 keys that came and went", () =>
    Effect.gen(function* () {
      const heap = Effect.zipRight(settle, Effect.sync(heapInUse))
      const order = yield* Order.make(4)
      const through = (from: number, to: number) =>
        Effect.gen(function* () {
          for (let at = from; at < to; at++) {
            yield* order.submit(`container ${at}`, Effect.yieldNow())
            // Every fourth actor has a second event behind the first.
            if (at % 4 === 0) yield* order.submit(`container ${at}`, Effect.void)
          }
          yield* order.awaitIdle
        })
      yield* through(0, 10_000)
      const before = yield* heap
      yield* through(10_000, 110_000)
      const grown = (yield* heap) - before
      // A map with an entry a key would be 10 MB; what the runtime compiles meanwhile is some MB.
      assert.isBelow(grown, 6_000_000)
    })
  )
})
