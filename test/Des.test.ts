import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Des from "../src/Des.ts"
import * as Dispatch from "../src/dispatch/Dispatch.ts"
import type * as DockerEvent from "../src/event/DockerEvent.ts"
import { EventFeed, EventFeedError, layerMerged } from "../src/feed/EventFeed.ts"
import type { FeedMemory } from "../src/feed/FeedMemory.ts"
import * as Journal from "../src/journal/Journal.ts"
import * as JournalInMemory from "../src/journal/JournalInMemory.ts"
import { ScriptDirectory } from "../src/scripts/ScriptDirectory.ts"
import { Outcome, type ScriptRun, ScriptRunner } from "../src/scripts/ScriptRunner.ts"
import * as Trust from "../src/scripts/Trust.ts"
import * as Testing from "../src/testing.ts"
import { collectLogs } from "./support/Logs.ts"
import * as TempFolder from "./support/TempFolder.ts"

const scripts = Testing.layerScripts({
  "container/start": ["/d/container/start", "/d/all"],
  "container/die": ["/d/container/die"]
})

const dispatchWith = (options: Partial<Dispatch.DispatchOptions>) =>
  Dispatch.layer({ base: { PATH: "/bin" }, ...options }).pipe(
    Layer.provideMerge(JournalInMemory.layer()),
    Layer.provide([Trust.layerInsecure, NodeFileSystem.layer])
  )
const dispatch = dispatchWith({})

const assembled = <E, R>(feed: Layer.Layer<EventFeed, E, R>, runner = Testing.layerRecorder()) =>
  Layer.mergeAll(feed, scripts, dispatch).pipe(Layer.provideMerge(runner))

const feedOf = <E extends EventFeedError>(events: Stream.Stream<DockerEvent.DockerEvent, E>) => ({
  events,
  resume: () => events
})

const ids = (runs: ReadonlyArray<ScriptRun>) => runs.map((run) => `${run.event.Actor.ID} ${run.script}`)

describe("a script with inspect=yes", () => {
  const withInspect = (path: string) => ({ path, options: { inspect: true, conditions: [] } })
  const without = (path: string) => ({ path, options: { conditions: [] } })
  const directory = Layer.succeed(ScriptDirectory, {
    find: (type, verb) =>
      Effect.succeed(verb === "die" ? [without("/die")] : [without(`/${type}`), withInspect(`/${type}/inspect`)])
  })

  it.effect("gets a line of its own, and no engine is asked for the events and the scripts of others", () => {
    const asked: Array<string> = []
    const event = (id: string, engine: string, action = "start", type = "container") => ({
      ...Testing.makeEvent({ id, action, type }),
      engine
    })
    const events = Stream.fromIterable([
      event("a", "one"),
      event("a", "one", "restart"),
      event("a", "two"),
      event("b", "one", "die"),
      event("c", "three"),
      event("v", "one", "create", "volume")
    ])
    const feed = (name: string) =>
      Layer.succeed(EventFeed, {
        engines: [name],
        ...feedOf(name === "one" ? events : Stream.empty),
        inspect: (_, ids) =>
          Effect.sync(() => {
            asked.push(...[...ids].map((id) => `${name} ${id}`))
            return new Map([...ids].map((id) => [id, `{"inspect":"${name} ${id}"}`]))
          })
      })
    return Effect.gen(function* () {
      yield* Des.run
      const runs = yield* Effect.flatMap(Testing.RecordedRuns, ({ all }) => all)
      assert.deepStrictEqual(
        runs
          .filter((run) => run.event.Type !== "des")
          .map((run) => `${run.event.Actor.ID} ${run.script} ${run.inspected ?? ""}`.trim()),
        [
          "a /container",
          'a /container/inspect {"inspect":"one a"}',
          "a /container",
          'a /container/inspect {"inspect":"one a"}',
          "a /container",
          'a /container/inspect {"inspect":"two a"}',
          "b /die",
          "c /container",
          'c /container/inspect {"inspect":null,"reason":"des does not watch the engine of this event"}',
          "v /volume",
          'v /volume/inspect {"inspect":null,"reason":"the event is not about a container"}'
        ]
      )
      assert.sameMembers(asked, ["one a", "one a", "two a"])
    }).pipe(
      Effect.provide(
        Layer.mergeAll(layerMerged([feed("one"), feed("two")]), directory, dispatch).pipe(
          Layer.provideMerge(Testing.layerRecorder())
        )
      )
    )
  })
})

describe("des", () => {
  it.effect(
    "runs the scripts of each event in the feed's order, with the event's environment, and ends after the feed",
    () =>
      Effect.gen(function* () {
        yield* Des.run
        const recorded = yield* Testing.RecordedRuns
        const runs = yield* recorded.all
        assert.deepStrictEqual(ids(runs), ["1 /d/container/start", "1 /d/all", "2 /d/container/die"])
        assert.include(runs[0]?.environment, { ACTION: "start", ACTOR_ID: "1", PATH: "/bin" })
        assert.include(runs[2]?.environment, { ACTION: "die", ACTOR_ATTRIBUTES_EXITCODE: "1" })
      }).pipe(
        Effect.provide(
          assembled(
            Testing.layerFeed([
              Testing.makeEvent({ id: "1" }),
              Testing.makeEvent({ type: "volume", action: "create", id: "v" }),
              "no event",
              Testing.makeEvent({ action: "die", id: "2", attributes: { exitCode: "1" } })
            ])
          )
        )
      )
  )

  it.effect("logs how a script failed, and goes on", () => {
    const logs = collectLogs()
    const outcomes: Readonly<Record<string, Outcome>> = {
      "1": Outcome.Exited({ code: 3, message: 'a "quote"' }),
      "2": Outcome.Killed({ signal: "SIGSEGV", message: "" }),
      "3": Outcome.NotStarted({ message: "spawn ENOENT" })
    }
    return Effect.gen(function* () {
      yield* Des.run
      assert.deepStrictEqual(
        logs.lines.filter((line) => line.startsWith("ERROR")),
        [
          'ERROR Script /d/container/die Failed! Exit=3 Message="a \\"quote\\""',
          'ERROR Script /d/container/die Failed! Exit=-11 Signal=SIGSEGV Message=""',
          'ERROR Script /d/container/die Failed! Exit=127 NotStarted Message="spawn ENOENT"'
        ]
      )
    }).pipe(
      Effect.provide(
        assembled(
          Testing.layerFeed(["1", "2", "3", "4"].map((id) => Testing.makeEvent({ action: "die", id }))),
          Testing.layerRecorder((run) => outcomes[run.event.Actor.ID] ?? Outcome.Exited({ code: 0, message: "" }))
        )
      ),
      Effect.provide(logs.layer)
    )
  })

  it.effect("never makes the reader wait for a script", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<void>()
      const read = yield* Deferred.make<void>()
      const feed = Layer.succeed(EventFeed, {
        engines: [],
        ...feedOf(
          Stream.fromIterable(Array.from({ length: 1000 }, (_, at) => Testing.makeEvent({ id: String(at) }))).pipe(
            Stream.rechunk(1),
            Stream.concat(Stream.execute(Deferred.succeed(read, undefined)))
          )
        )
      })
      const ran: Array<string> = []
      const runner = Layer.succeed(ScriptRunner, {
        run: (run: ScriptRun) =>
          Effect.as(
            Effect.zipLeft(
              Deferred.await(gate),
              Effect.sync(() => ran.push(run.script))
            ),
            Outcome.Exited({ code: 0, message: "" })
          )
      })
      const fiber = yield* Des.run.pipe(
        Effect.provide(Layer.mergeAll(feed, scripts, Layer.provide(dispatch, runner), Layer.empty)),
        Effect.provide(collectLogs().layer),
        Effect.fork
      )
      yield* Deferred.await(read)
      assert.deepStrictEqual(ran, [])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(fiber)
      assert.strictEqual(ran.length, 2000)
    })
  )

  it.effect("runs the accepted events after a feed fails, and then fails with the feed's error", () =>
    Effect.gen(function* () {
      const error = new EventFeedError({ reason: "Unreadable", source: "f", cause: new Error("gone") })
      const result = yield* Effect.either(Des.run).pipe(
        Effect.zip(Effect.flatMap(Testing.RecordedRuns, (recorded) => recorded.all)),
        Effect.provide(
          assembled(
            Layer.succeed(EventFeed, {
              engines: [],
              ...feedOf(Stream.concat(Stream.succeed(Testing.makeEvent({ id: "1" })), Stream.fail(error)))
            })
          )
        )
      )
      assert.deepStrictEqual(result[0], Either.left(error))
      assert.deepStrictEqual(ids(result[1]), ["1 /d/container/start", "1 /d/all"])
    })
  )

  describe("that is interrupted", () => {
    /** Runs until a script has started that ends after `takes`, or 5 seconds after it was told to. */
    const interruptDuring = (takes: Duration.DurationInput, hurry: Effect.Effect<void> = Effect.never) =>
      Effect.gen(function* () {
        const started = yield* Deferred.make<void>()
        const ran: Array<string> = []
        const runner = Layer.succeed(ScriptRunner, {
          run: ({ event }: ScriptRun) =>
            Deferred.succeed(started, undefined).pipe(
              Effect.zipRight(Effect.sleep(takes)),
              Effect.onInterrupt(() => Effect.sleep("5 seconds")),
              Effect.tap(() => ran.push(event.Actor.ID)),
              Effect.as(Outcome.Exited({ code: 0, message: "" }))
            )
        })
        const feed = Testing.layerFeed(["1", "2", "3"].map((id) => Testing.makeEvent({ action: "die", id })))
        const logs = collectLogs()
        const fiber = yield* Des.run.pipe(
          Effect.provide(Layer.mergeAll(feed, scripts, Layer.provide(dispatchWith({ hurry }), runner))),
          Effect.provide(logs.layer),
          Effect.fork
        )
        yield* Deferred.await(started)
        return { stopping: yield* Effect.fork(Fiber.interrupt(fiber)), ran, logs }
      })
    const endsAfter = (stopping: Fiber.RuntimeFiber<unknown>, seconds: number) =>
      Effect.gen(function* () {
        yield* TestClock.adjust(Duration.millis(seconds * 1000 - 1))
        assert.isNull(stopping.unsafePoll(), "it ended too early")
        yield* TestClock.adjust("1 millis")
        yield* Fiber.join(stopping)
      })

    it.effect("gives running scripts the drain time, starts no more, and logs how many events did not run", () =>
      Effect.gen(function* () {
        const { logs, ran, stopping } = yield* interruptDuring("20 seconds")
        yield* endsAfter(stopping, 20)
        assert.deepStrictEqual(ran, ["1"])
        assert.strictEqual(logs.lines.at(-1), "WARN des stops; 2 accepted events did not run to the end")
      })
    )

    it.effect("ends the scripts that still run after the drain time, and waits for their end", () =>
      Effect.gen(function* () {
        const { ran, stopping } = yield* interruptDuring("1 hour")
        yield* endsAfter(stopping, 35)
        assert.deepStrictEqual(ran, [])
      })
    )

    it.effect("does not wait for the drain time if it must hurry", () =>
      Effect.gen(function* () {
        const hurry = yield* Deferred.make<void>()
        const { stopping } = yield* interruptDuring("1 hour", Deferred.await(hurry))
        yield* TestClock.adjust("3 seconds")
        yield* Deferred.succeed(hurry, undefined)
        yield* endsAfter(stopping, 5)
      })
    )
  })
})

/** A feed of an engine that gives these events. */
const watched = (events: Stream.Stream<DockerEvent.DockerEvent>) =>
  Layer.succeed(EventFeed, { engines: ["unix:///e"], ...feedOf(events) })

const ownScripts = Testing.layerScripts({
  "container/start": ["/d/container/start"],
  "des/start": ["/d/des/start"],
  "des/stop": ["/d/des/stop"]
})

describe("des's own events", () => {
  const run = (events: Stream.Stream<DockerEvent.DockerEvent>) =>
    Effect.gen(function* () {
      const layer = watched(events)
      return yield* Des.run.pipe(
        Effect.exit,
        Effect.zipRight(Effect.flatMap(Testing.RecordedRuns, ({ all }) => all)),
        Effect.provide(Layer.mergeAll(layer, ownScripts, dispatch).pipe(Layer.provideMerge(Testing.layerRecorder()))),
        Effect.provide(collectLogs().layer)
      )
    })

  it.effect("are des/start before all other events and des/stop after them", () =>
    Effect.gen(function* () {
      const runs = yield* run(Stream.make(Testing.makeEvent({ id: "1" })))
      assert.deepStrictEqual(
        runs.map(({ environment, script }) => [script, environment["TYPE"], environment["ACTION"]]),
        [
          ["/d/des/start", "des", "start"],
          ["/d/container/start", "container", "start"],
          ["/d/des/stop", "des", "stop"]
        ]
      )
      assert.strictEqual(runs[0]?.environment["ACTOR_ATTRIBUTES_ENGINES"], "unix:///e")
      assert.strictEqual(runs[2]?.environment["ACTOR_ATTRIBUTES_REASON"], "end")
    })
  )

  it.effect("have a signal as the reason of des/stop, after the running scripts have ended", () =>
    Effect.gen(function* () {
      const ran: Array<string> = []
      const started = yield* Deferred.make<void>()
      const runner = Layer.succeed(ScriptRunner, {
        run: ({ environment, script }: ScriptRun) =>
          Deferred.succeed(started, undefined).pipe(
            Effect.zipRight(script === "/d/container/start" ? Effect.sleep("3 seconds") : Effect.void),
            Effect.tap(() => ran.push(`${script} ${environment["ACTOR_ATTRIBUTES_REASON"] ?? ""}`)),
            Effect.as(Outcome.Exited({ code: 0, message: "" }))
          )
      })
      const layer = watched(Stream.concat(Stream.make(Testing.makeEvent({ id: "1" })), Stream.never))
      const fiber = yield* Des.run.pipe(
        Effect.provide(Layer.mergeAll(layer, ownScripts, Layer.provide(dispatch, runner))),
        Effect.provide(collectLogs().layer),
        Effect.fork
      )
      yield* Deferred.await(started)
      yield* TestClock.adjust("1 second")
      const stopping = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(stopping)
      assert.deepStrictEqual(ran, ["/d/des/start ", "/d/container/start ", "/d/des/stop signal"])
    })
  )

  it.effect("do not run in a stop whose drain time is over", () =>
    Effect.gen(function* () {
      const logs = collectLogs()
      const started = yield* Deferred.make<void>()
      const runner = Layer.succeed(ScriptRunner, {
        run: ({ script }: ScriptRun) =>
          script === "/d/container/start"
            ? Effect.zipRight(Deferred.succeed(started, undefined), Effect.never)
            : Effect.succeed(Outcome.Exited({ code: 0, message: "" }))
      })
      const layer = watched(Stream.concat(Stream.make(Testing.makeEvent({ id: "1" })), Stream.never))
      const fiber = yield* Des.run.pipe(
        Effect.provide(Layer.mergeAll(layer, ownScripts, Layer.provide(dispatch, runner))),
        Effect.provide(logs.layer),
        Effect.fork
      )
      yield* Deferred.await(started)
      const stopping = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(stopping)
      assert.match(
        logs.lines.at(-1) ?? "",
        /^WARN The scripts of des\/stop are not run, .* used up the time of --drain$/
      )
    })
  )

  it.effect("delay a stop by no more than the drain time, whatever des/stop does", () =>
    Effect.gen(function* () {
      const stopped = yield* Deferred.make<void>()
      const runner = Layer.succeed(ScriptRunner, {
        run: ({ script }: ScriptRun) =>
          script === "/d/des/stop"
            ? Effect.zipRight(Deferred.succeed(stopped, undefined), Effect.never)
            : Effect.succeed(Outcome.Exited({ code: 0, message: "" }))
      })
      const layer = watched(Stream.empty)
      const fiber = yield* Des.run.pipe(
        Effect.provide(Layer.mergeAll(layer, ownScripts, Layer.provide(dispatch, runner))),
        Effect.provide(collectLogs().layer),
        Effect.fork
      )
      yield* Deferred.await(stopped)
      yield* TestClock.adjust("29 seconds")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
    })
  )
})

describe("a journal", () => {
  const start = (id: string) => Testing.makeEvent({ id, timeNano: BigInt(id) })

  it.effect("that loses events of an actor emits a des/gap with their number, once a minute", () => {
    const storm = Array.from({ length: 40 }, () => ({ ...start("1"), engine: "unix:///e" }))
    const feed = Layer.succeed(EventFeed, {
      engines: ["unix:///e"],
      ...feedOf(Stream.concat(Stream.fromIterable(storm), Stream.never))
    })
    const scripts = Testing.layerScripts({ "des/gap": ["/gap"], "container/start": ["/s"] })
    const capacity = 20 * (1024 + 4 * start("1").record.length)
    return Effect.gen(function* () {
      yield* Effect.fork(Des.run)
      yield* TestClock.adjust("3 minutes")
      const runs = yield* Effect.flatMap(Testing.RecordedRuns, (recorded) => recorded.all)
      const gaps = runs.filter(({ script }) => script === "/gap").map(({ environment }) => environment)
      assert.lengthOf(gaps, 1)
      const attribute = (name: string) => gaps[0]?.[`ACTOR_ATTRIBUTES_${name}`]
      assert.strictEqual(gaps[0]?.["ACTOR_ID"], "unix:///e")
      assert.deepStrictEqual(["REASON", "TYPE", "ID", "ENGINE", "FROM", "TO"].map(attribute), [
        "backlog",
        "container",
        "1",
        "unix:///e",
        "0",
        "60000000000"
      ])
      assert.strictEqual(Number(attribute("LOST")), 40 - runs.filter(({ script }) => script === "/s").length)
    }).pipe(
      Effect.provide(
        Layer.mergeAll(feed, scripts, Dispatch.layer({ base: {} })).pipe(
          Layer.provideMerge(JournalInMemory.layer({ capacity })),
          Layer.provideMerge(Testing.layerRecorder()),
          Layer.provide([Trust.layerInsecure, NodeFileSystem.layer])
        )
      )
    )
  })

  it.effect(
    "that is full closes the feed until there is room, and the feed continues after the accepted events",
    () => {
      const logs = collectLogs()
      return Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const ran: Array<string> = []
        const runner = Layer.succeed(ScriptRunner, {
          run: ({ event }: ScriptRun) =>
            Effect.as(
              Effect.zipLeft(
                Deferred.await(gate),
                Effect.sync(() => ran.push(event.Actor.ID))
              ),
              Outcome.Exited({ code: 0, message: "" })
            )
        })
        const all = ["1", "2", "3", "4", "5"].map((id) => ({ ...start(id), engine: "unix:///e" }))
        let open = 0
        let opened = 0
        // An engine that replays all, of which the feed leaves out what is known.
        const resume = (memory: FeedMemory) =>
          Stream.unwrapScoped(
            Effect.gen(function* () {
              yield* Effect.acquireRelease(
                Effect.sync(() => {
                  open++
                  opened++
                }),
                () => Effect.sync(() => open--)
              )
              const { fingerprints } = yield* memory.recall("unix:///e")
              return Stream.rechunk(
                Stream.fromIterable(all.filter(({ fingerprint }) => !fingerprints.includes(fingerprint))),
                2
              )
            })
          )
        const layer = Layer.succeed(EventFeed, { engines: ["unix:///e"], events: Stream.die("not used"), resume })
        const scripts = Testing.layerScripts({ "container/start": ["/s"] })
        const capacity = 2 * (1024 + 4 * start("1").record.length)
        const fiber = yield* Des.run.pipe(
          Effect.provide(
            Layer.mergeAll(layer, scripts, Layer.provide(Dispatch.layer({ base: {} }), runner)).pipe(
              Layer.provideMerge(JournalInMemory.layer({ capacity })),
              Layer.provide([Trust.layerInsecure, NodeFileSystem.layer])
            )
          ),
          Effect.provide(logs.layer),
          Effect.fork
        )
        const warnings = () => logs.lines.filter((line) => line.startsWith("WARN"))
        while (warnings().length === 0) yield* Effect.yieldNow()
        for (let at = 0; at < 100; at++) yield* Effect.yieldNow()
        assert.deepStrictEqual([open, opened], [0, 1])
        yield* Deferred.succeed(gate, undefined)
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(ran, ["1", "2", "3", "4", "5"])
        assert.isAbove(opened, 1)
        assert.match(
          warnings()[0] ?? "",
          /queue of accepted events is full: des reads no more events until scripts catch up/
        )
        assert.match(warnings()[1] ?? "", /has room again: des reads on/)
      })
    }
  )

  it.effect("that fails ends des with its error, and no more scripts start", () =>
    Effect.gen(function* () {
      const error = new Journal.JournalError({ reason: "Full", detail: "no room" })
      const failing = Layer.map(JournalInMemory.layer(), (context) => {
        const journal = Context.get(context, Journal.Journal)
        const begin: typeof journal.begin = (entry, script, attempt) =>
          entry.event.Actor.ID === "2" ? Effect.fail(error) : journal.begin(entry, script, attempt)
        return Context.make(Journal.Journal, { ...journal, begin })
      })
      const layer = watched(Stream.concat(Stream.make(start("1"), start("2"), start("3")), Stream.never))
      const [result, runs] = yield* Effect.either(Des.run).pipe(
        Effect.zip(Effect.flatMap(Testing.RecordedRuns, ({ all }) => all)),
        Effect.provide(
          Layer.mergeAll(layer, scripts, Dispatch.layer({ base: {} })).pipe(
            Layer.provideMerge(failing),
            Layer.provideMerge(Testing.layerRecorder()),
            Layer.provide([Trust.layerInsecure, NodeFileSystem.layer])
          )
        ),
        Effect.provide(collectLogs().layer)
      )
      assert.deepStrictEqual(result, Either.left(error))
      assert.deepStrictEqual(ids(runs), ["1 /d/container/start", "1 /d/all"])
    })
  )
})

describe("the layers of several engines", () => {
  const socket = (path: string) => ({ _tag: "Unix", path }) as const

  it("give scripts the variables of the engine of their event", () => {
    const engines = [
      { name: "podman", endpoint: socket("/run/podman.sock") },
      { endpoint: { _tag: "Ssh", user: "ops", host: "web1" } }
    ] as const
    assert.deepStrictEqual(Des.engineVariables(engines, { SSH_AUTH_SOCK: "/agent", HOME: "/root" }), {
      podman: { DES_ENGINE: "podman", DES_ENDPOINT: "unix:///run/podman.sock", DOCKER_HOST: "unix:///run/podman.sock" },
      "ssh://ops@web1": {
        DES_ENGINE: "ssh://ops@web1",
        DES_ENDPOINT: "ssh://ops@web1",
        DOCKER_HOST: "ssh://ops@web1",
        SSH_AUTH_SOCK: "/agent"
      }
    })
  })

  it.effect("merge the feeds under the names of the engines", () =>
    Effect.gen(function* () {
      const { engines } = yield* EventFeed
      assert.deepStrictEqual(engines, ["docker", "unix:///run/podman.sock"])
    }).pipe(
      Effect.provide(
        Des.layerFeeds([
          { name: "docker", endpoint: socket("/run/docker.sock") },
          { endpoint: socket("/run/podman.sock") }
        ])
      )
    )
  )

  it.effect("take their options from the configuration, and name the variable that is missing", () =>
    Effect.gen(function* () {
      const configured = Des.layerConfig({ directory: Config.string("SCRIPT_DIR"), base: Config.succeed({}) })
      const error = yield* Effect.flip(Layer.build(configured))
      assert.include(String(error), "SCRIPT_DIR")
      const directory = yield* TempFolder.make("config")
      const provider = ConfigProvider.fromMap(new Map([["SCRIPT_DIR", `${directory}/none`]]))
      const absent = yield* Effect.flip(Effect.withConfigProvider(Layer.build(configured), provider))
      assert.include(String(absent), `${directory}/none does not exist`)
    }).pipe(Effect.scoped, Effect.provide([JournalInMemory.layer(), Testing.layerRecorder(), NodeFileSystem.layer]))
  )
})

describe("a script that fails in the end", () => {
  const alerting = Testing.layerScripts({ "container/start": ["/d/container/start"], "des/failed": ["/d/des/failed"] })

  it.effect("runs the scripts for des/failed with the details of the failure, also at the end of a feed", () =>
    Effect.gen(function* () {
      yield* Des.run
      const runs = yield* Effect.flatMap(Testing.RecordedRuns, ({ all }) => all)
      assert.deepStrictEqual(ids(runs), ["1 /d/container/start", "/d/container/start /d/des/failed"])
      assert.include(runs[1]?.environment, {
        TYPE: "des",
        ACTION: "failed",
        ACTOR_ID: "/d/container/start",
        ACTOR_ATTRIBUTES_SCRIPT: "/d/container/start",
        ACTOR_ATTRIBUTES_EVENT: "container/start",
        ACTOR_ATTRIBUTES_ACTOR: "1",
        ACTOR_ATTRIBUTES_NAME: "web",
        ACTOR_ATTRIBUTES_IMAGE: "nginx",
        ACTOR_ATTRIBUTES_ATTEMPTS: "1",
        ACTOR_ATTRIBUTES_EXIT: "3"
      })
    }).pipe(
      Effect.provide(
        Layer.mergeAll(Testing.layerFeed([Testing.makeEvent({ id: "1" })]), alerting, dispatch).pipe(
          Layer.provideMerge(
            Testing.layerRecorder(({ script }) =>
              Outcome.Exited({ code: script.endsWith("start") ? 3 : 1, message: "" })
            )
          )
        )
      )
    )
  )

  it.effect("is only logged if the queue has no room for des/failed, because des never waits for room", () => {
    const logs = collectLogs()
    const events = ["1", "2", "3"].map((id) => Testing.makeEvent({ id }))
    const capacity = 1024 + 4 * (events[0]?.record.length ?? 0)
    return Effect.gen(function* () {
      const running = yield* Effect.fork(Des.run)
      yield* TestClock.adjust("5 minutes")
      yield* Fiber.join(running)
      const runs = yield* Effect.flatMap(Testing.RecordedRuns, ({ all }) => all)
      assert.deepStrictEqual(
        runs.filter(({ script }) => script === "/d/container/start").map(({ event }) => event.Actor.ID),
        ["1", "2", "3"]
      )
      assert.match(
        logs.lines.find((line) => line.startsWith("WARN")) ?? "",
        /^WARN des\/failed is lost, since the queue is full: its scripts do not hear that \/d\/container\/start failed\./
      )
    }).pipe(
      Effect.provide(
        Layer.mergeAll(
          Testing.layerFeed(events),
          alerting,
          Dispatch.layer({ base: {} }).pipe(
            Layer.provideMerge(JournalInMemory.layer({ capacity, whenFull: "wait" })),
            Layer.provide([Trust.layerInsecure, NodeFileSystem.layer])
          )
        ).pipe(Layer.provideMerge(Testing.layerRecorder(() => Outcome.Exited({ code: 1, message: "" }))))
      ),
      Effect.provide(logs.layer)
    )
  })
})
