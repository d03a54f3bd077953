import * as CommandExecutor from "@effect/platform/CommandExecutor"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as ServiceManager from "../../src/cli/ServiceManager.ts"
import * as OwnEvent from "../../src/event/OwnEvent.ts"
import { Journal } from "../../src/journal/Journal.ts"
import * as JournalInMemory from "../../src/journal/JournalInMemory.ts"
import * as ScriptOptions from "../../src/scripts/ScriptOptions.ts"

describe("the status", () => {
  const status = (connected: ReadonlyArray<string>) => ServiceManager.statusOf(["east", "west"], new Set(connected))

  it("names the engines that des watches, and those that it waits for", () => {
    assert.strictEqual(status([]), "watching 0 of 2 engines; waiting for east, west")
    assert.strictEqual(status(["west"]), "watching 1 of 2 engines; waiting for east")
    assert.strictEqual(status(["west", "east"]), "watching east, west")
  })

  it("is one short line, whatever the names are", () => {
    const text = ServiceManager.statusOf(["a\nb\u001b[2J", "x".repeat(1000)], new Set())
    assert.isAtMost(text.length, 200)
    assert.include(text, "waiting for a\\nb\\u001b[2J, xxx")
  })
})

describe("the interval of the watchdog", () => {
  it("is half of the time that systemd waits, if systemd waits for this process", () => {
    assert.deepStrictEqual(ServiceManager.intervalOf({ WATCHDOG_USEC: "30000000" }, 7), Duration.seconds(15))
    const own = ServiceManager.intervalOf({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "7" }, 7)
    assert.deepStrictEqual(own, Duration.seconds(15))
    assert.isUndefined(ServiceManager.intervalOf({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "8" }, 7))
    for (const none of [undefined, "", "0", "x"]) {
      assert.isUndefined(ServiceManager.intervalOf({ WATCHDOG_USEC: none }, 7))
    }
  })
})

/** Runs `use` with a manager for one engine, and with what systemd hears. */
const heard = <A>(
  use: (manager: ServiceManager.ServiceManager, said: ReadonlyArray<string>) => Effect.Effect<A, unknown, Journal>
) => {
  const said: Array<string> = []
  const executor = CommandExecutor.makeExecutor((command) =>
    Effect.sync(() => {
      if (command._tag === "StandardCommand") said.push(`${command.command} ${command.args.join(" ")}`)
      return { exitCode: Effect.succeed(CommandExecutor.ExitCode(0)) } as unknown as CommandExecutor.Process
    })
  )
  const variables = { NOTIFY_SOCKET: "/run/notify", WATCHDOG_USEC: "20000000" }
  return Effect.gen(function* () {
    const manager = yield* ServiceManager.make(["east"], variables)
    yield* Effect.provide(
      use(manager, said),
      manager.observed(JournalInMemory.layer({ capacity: 1, whenFull: "refuse" }))
    )
    return said
  }).pipe(Effect.provide(Layer.succeed(CommandExecutor.CommandExecutor, executor)), Effect.scoped)
}

describe("systemd", () => {
  const ready = "systemd-notify READY=1 STATUS=watching 0 of 1 engines; waiting for east"
  const stopping = "systemd-notify STOPPING=1 STATUS=waiting for running scripts"

  it.effect("hears that des is ready, and that it stops before the running scripts have ended", () =>
    Effect.gen(function* () {
      const release = yield* Deferred.make<void>()
      const said = yield* heard(
        Effect.fnUntraced(function* (manager, saidSoFar) {
          const watching = Effect.onInterrupt(Effect.never, () => Deferred.await(release))
          const fiber = yield* Effect.fork(manager.during(watching))
          yield* Effect.yieldNow()
          yield* TestClock.adjust(0)
          yield* Fiber.interruptFork(fiber)
          yield* TestClock.adjust(0)
          assert.deepStrictEqual(saidSoFar, [ready, stopping])
          yield* Deferred.succeed(release, undefined)
          yield* Fiber.await(fiber)
        })
      )
      assert.deepStrictEqual(said, [ready, stopping])
    })
  )

  it.effect("hears twice in its time that des is alive", () =>
    Effect.gen(function* () {
      const said = yield* heard((manager) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(manager.during(Effect.never))
          yield* TestClock.adjust("25 seconds")
          yield* Fiber.interrupt(fiber)
        })
      )
      assert.deepStrictEqual(said, [ready, "systemd-notify WATCHDOG=1", "systemd-notify WATCHDOG=1", stopping])
    })
  )

  it.effect("hears when an engine is connected or lost, and nothing of other events", () =>
    Effect.gen(function* () {
      const said = yield* heard((manager) =>
        Effect.gen(function* () {
          const journal = yield* Journal
          const fiber = yield* Effect.fork(manager.during(Effect.never))
          yield* TestClock.adjust(0)
          for (const action of ["connected", "start", "connected", "disconnected"]) {
            const event = yield* OwnEvent.make({ action, id: "east", engine: "east", attributes: {} })
            yield* journal.accept({ events: [event], accepted: [] })
            yield* TestClock.adjust(0)
          }
          yield* Fiber.interrupt(fiber)
        })
      )
      assert.deepStrictEqual(said, [
        ready,
        "systemd-notify STATUS=watching east",
        "systemd-notify STATUS=watching 0 of 1 engines; waiting for east",
        stopping
      ])
    })
  )

  it.effect("hears of a connection once it is accepted, and not of one that a full queue refuses", () =>
    Effect.gen(function* () {
      const said = yield* heard((manager) =>
        Effect.gen(function* () {
          const journal = yield* Journal
          const fiber = yield* Effect.fork(manager.during(Effect.never))
          yield* TestClock.adjust(0)
          const event = yield* OwnEvent.make({ action: "connected", id: "east", engine: "east", attributes: {} })
          const script = { path: "/s", options: ScriptOptions.none }
          const accepted = [1, 2].map(() => ({ event, scripts: [script] }))
          assert.isFalse((yield* journal.accept({ events: [event], accepted })).isAll)
          yield* TestClock.adjust(0)
          yield* Fiber.interrupt(fiber)
        })
      )
      assert.deepStrictEqual(said, [ready, stopping])
    })
  )

  it.effect("hears nothing if des is not its service", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* ServiceManager.make(["east"], {}), ServiceManager.none)
    }).pipe(Effect.provide(Layer.succeed(CommandExecutor.CommandExecutor, {} as CommandExecutor.CommandExecutor)))
  )
})
