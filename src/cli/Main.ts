import { constants } from "node:os"
import * as Runtime from "@effect/platform/Runtime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"

/**
 * Runs the program as this process: its value is the exit code. SIGINT and SIGTERM interrupt it, and it exits as programs
 * do that a signal ended (130, 143) once everything it started is gone. A second one ends `hurry`, which the program is
 * given. It survives SIGHUP, since a terminal that closes is no reason to stop watching.
 */
export const runMain = (program: (hurry: Effect.Effect<void>) => Effect.Effect<number>): void => {
  const hurry = Deferred.unsafeMake<void>(FiberId.none)
  let received: "SIGINT" | "SIGTERM" | undefined

  const run = Runtime.makeRunMain(({ fiber }) => {
    const onSignal = (signal: "SIGINT" | "SIGTERM") => {
      // Interrupting a fiber again cuts its waiting for what it interrupted, and scripts would be left behind.
      if (received !== undefined) return Deferred.unsafeDone(hurry, Effect.void)
      received = signal
      fiber.unsafeInterruptAsFork(fiber.id())
    }
    process.on("SIGINT", onSignal)
    process.on("SIGTERM", onSignal)
    process.on("SIGHUP", () => {})
    // A reader that is gone (`des --help | head`) is no error of ours.
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})

    const keepAlive = setInterval(() => {}, 2 ** 31 - 1)
    fiber.addObserver((exit) => {
      clearInterval(keepAlive)
      if (received !== undefined) process.exit(128 + constants.signals[received])
      process.exit(Exit.isSuccess(exit) && typeof exit.value === "number" ? exit.value : 1)
    })
  })
  run(program(Deferred.await(hurry)), { disablePrettyLogger: true })
}
