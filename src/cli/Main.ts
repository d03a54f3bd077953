import { constants } from "node:os"
import * as Runtime from "@effect/platform/Runtime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"

/** How long what was written may wait for its reader when a signal ends des, in milliseconds. */
const patience = 1000

/** What was written is read by then, or will never be: to exit would throw away what a pipe has no room for. */
const written = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => stream.write("", () => resolve()))

/**
 * Runs the program as this process: its value is the exit code. SIGINT and SIGTERM interrupt it, and it exits as programs
 * do that a signal ended (130, 143) once everything it started is gone. A second one ends `hurry`, which the program is
 * given. It survives SIGHUP, since a terminal that closes is no reason to stop watching.
 *
 * A program that has ended waits for the reader of its output, as long as no signal ends it.
 */
export const runMain = (program: (hurry: Effect.Effect<void>) => Effect.Effect<number>): void => {
  const hurry = Deferred.unsafeMake<void>(FiberId.none)
  let received: "SIGINT" | "SIGTERM" | undefined
  let hasEnded = false

  const run = Runtime.makeRunMain(({ fiber }) => {
    const onSignal = (signal: "SIGINT" | "SIGTERM") => {
      // Interrupting a fiber again cuts its waiting for what it interrupted, and scripts would be left behind.
      if (received !== undefined) return Deferred.unsafeDone(hurry, Effect.void)
      received = signal
      if (hasEnded) process.exit(128 + constants.signals[signal])
      fiber.unsafeInterruptAsFork(fiber.id())
    }
    process.on("SIGINT", onSignal)
    process.on("SIGTERM", onSignal)
    process.on("SIGHUP", () => {})
    // A reader that is gone (`des --help | head`) is no error of ours.
    for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {})

    const keepAlive = setInterval(() => {}, 2 ** 31 - 1)
    fiber.addObserver((exit) => {
      hasEnded = true
      const code = Exit.isSuccess(exit) && typeof exit.value === "number" ? exit.value : 1
      const end = () => process.exit(received === undefined ? code : 128 + constants.signals[received])
      if (received !== undefined) setTimeout(end, patience)
      Promise.all([process.stdout, process.stderr].map(written)).then(end)
      clearInterval(keepAlive)
    })
  })
  run(program(Deferred.await(hurry)), { disablePrettyLogger: true })
}
