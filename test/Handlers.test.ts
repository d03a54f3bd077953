import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import { expectTypeOf } from "vitest"
import * as Des from "../src/Des.ts"
import type { EventKey } from "../src/event/EventCatalogue.ts"
import * as Handlers from "../src/Handlers.ts"
import * as Journal from "../src/journal/PublicJournal.ts"
import * as JournalOnDisk from "../src/state.ts"
import * as Testing from "../src/testing.ts"
import { collectLogs } from "./support/Logs.ts"
import * as TempFolder from "./support/TempFolder.ts"

const event = (action: string, id = "c0ffee", type = "container") => Testing.makeEvent({ type, action, id })

/** Runs des with these handlers over these events, to the end of both. */
const handle = <const H extends Handlers.Handlers>(
  handlers: H,
  events: ReadonlyArray<ReturnType<typeof event>>,
  options?: Parameters<typeof Handlers.layer>[1]
) =>
  Des.run.pipe(
    Effect.provide(
      Layer.merge(Handlers.layer(handlers, options), Testing.layerFeed(events)).pipe(
        Layer.provideMerge(Journal.layerMemory())
      )
    )
  )

/** A handler that notes its name and the event. */
const noting =
  (notes: Array<string>, name: string) =>
  ({ Action, Actor }: { Action: string; Actor: { ID: string } }) =>
    Effect.sync(() => void notes.push(`${name}: ${Action} ${Actor.ID}`))

class Webhook extends Context.Tag("test/Webhook")<
  Webhook,
  { readonly post: (text: string) => Effect.Effect<void> }
>() {}

describe("handlers", () => {
  it.effect("run for their events: the action's first, then the type's, then that for every event", () =>
    Effect.gen(function* () {
      const notes: Array<string> = []
      const handlers = {
        all: noting(notes, "all"),
        "container/all": noting(notes, "container/all"),
        "container/exec_create": noting(notes, "container/exec_create")
      }
      yield* handle(handlers, [
        event("exec_create: sh -c true", "a"),
        event("die", "b"),
        event("create", "v", "volume")
      ])
      assert.deepStrictEqual(notes, [
        "container/exec_create: exec_create: sh -c true a",
        "container/all: exec_create: sh -c true a",
        "all: exec_create: sh -c true a",
        "container/all: die b",
        "all: die b",
        "all: create v"
      ])
    })
  )

  it.effect("ask for their services in the type of the layer", () =>
    Effect.gen(function* () {
      const posted: Array<string> = []
      const main = handle(
        {
          "container/die": ({ Actor }) => Effect.flatMap(Webhook, ({ post }) => post(Actor.ID)),
          "container/start": () => Effect.void
        },
        [event("die")]
      )
      expectTypeOf<Effect.Effect.Context<typeof main>>().toEqualTypeOf<Webhook>()
      const webhook = Webhook.of({ post: (text) => Effect.sync(() => void posted.push(text)) })
      yield* Effect.provideService(main, Webhook, webhook)
      assert.deepStrictEqual(posted, ["c0ffee"])
    })
  )

  it.effect("that fail or die are logged with the cause, and the next event is handled", () =>
    Effect.gen(function* () {
      const logs = collectLogs()
      const notes: Array<string> = []
      const handlers: Handlers.Handlers = {
        "container/die": ({ Actor }) =>
          Actor.ID === "typed" ? Effect.fail("no such host") : Effect.die(new Error("a bug")),
        "container/all": noting(notes, "all")
      }
      yield* Effect.provide(handle(handlers, [event("die", "typed"), event("die", "defect")]), logs.layer)
      const errors = logs.lines.filter((line) => line.startsWith("ERROR"))
      assert.strictEqual(errors.length, 2)
      assert.include(errors[0], 'Script container/die Failed! Exit=1 Message="Error: no such host"')
      assert.include(errors[1], 'Script container/die Failed! Exit=1 Message="Error: a bug"')
      assert.deepStrictEqual(notes, ["all: die typed", "all: die defect"])
    })
  )

  it.effect("are retried, timed out and cooled down as scripts are, by options of their own or of all", () =>
    Effect.gen(function* () {
      const notes: Array<string> = []
      let tries = 0
      const handlers: Handlers.Handlers = {
        "container/die": {
          handle: () =>
            Effect.suspend(() => (++tries < 3 ? Effect.fail("not yet") : Effect.sync(() => notes.push("died")))),
          retries: 5
        },
        "container/start": () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => notes.push("interrupted"))),
        "container/pause": { handle: noting(notes, "cooled"), cooldown: "1 minute" }
      }
      const events = [event("die"), event("start"), ...["1", "2", "3"].map(() => event("pause", "busy"))]
      const distinct = events.map((one, at) =>
        Testing.makeEvent({ action: one.Action, id: one.Actor.ID, timeNano: BigInt(at) })
      )
      const running = yield* Effect.fork(handle(handlers, distinct, { timeout: "5 seconds" }))
      for (let second = 0; second < 120; second++) yield* TestClock.adjust("1 second")
      yield* Fiber.join(running)
      assert.strictEqual(tries, 3)
      assert.deepStrictEqual(notes, ["died", "interrupted", "cooled: pause busy", "cooled: pause busy"])
    })
  )

  it.effect("for an event that no engine sends are logged once, with what was probably meant", () =>
    Effect.gen(function* () {
      const logs = collectLogs()
      const handlers = { "container/started": () => Effect.void, "containers/die": () => Effect.void }
      yield* Effect.provide(handle(handlers, [event("start")]), logs.layer)
      const warnings = logs.lines.filter((line) => line.startsWith("WARN"))
      assert.strictEqual(warnings.length, 2, warnings.join("\n"))
      assert.include(warnings[0], "container/started")
      assert.include(warnings[0], "did you mean start?")
      assert.include(warnings[1], "did you mean container?")
    })
  )

  it("have the names of the events that are known as a type, and any other name", () => {
    expectTypeOf<"container/die">().toExtend<EventKey>()
    expectTypeOf<"des/gap">().toExtend<EventKey>()
    expectTypeOf<"volume/all" | "all">().toExtend<EventKey>()
    expectTypeOf<"container/started">().not.toExtend<EventKey>()
    expectTypeOf<"volume/die">().not.toExtend<EventKey>()
    expectTypeOf<{ "container/started": Handlers.Handler }>().toExtend<Handlers.Handlers>()
  })

  it.live(
    "run again after a stop in the middle with a journal on disk, and a handler that is gone is in the history",
    () =>
      Effect.gen(function* () {
        const state = JournalOnDisk.layer({ directory: yield* TempFolder.make("handlers") })
        const notes: Array<string> = []
        const life = <const H extends Handlers.Handlers>(
          handlers: H,
          events: ReadonlyArray<ReturnType<typeof event>>
        ) =>
          Des.run.pipe(
            Effect.provide(
              Layer.merge(Handlers.layer(handlers, { drain: 0 }), Testing.layerFeed(events)).pipe(
                Layer.provideMerge(state),
                Layer.provide(NodeFileSystem.layer)
              )
            )
          )
        const begun = yield* Effect.makeLatch()
        const first = yield* Effect.fork(
          life(
            { "container/die": () => Effect.zipRight(begun.open, Effect.never), "container/all": noting(notes, "all") },
            [event("die")]
          )
        )
        yield* begun.await
        yield* Fiber.interrupt(first)
        assert.deepStrictEqual(notes, [])
        const logs = collectLogs()
        yield* Effect.provide(life({ "container/all": noting(notes, "all") }, []), logs.layer)
        assert.deepStrictEqual(notes, ["all: die c0ffee"])
        assert.include(logs.lines.join("\n"), "this program has no handler container/die any more")
      }).pipe(Effect.scoped),
    60_000
  )
})
