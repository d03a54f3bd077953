import { constants } from "node:os"
import * as Runtime from "@effect/platform/Runtime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"

/** How long des waits for the reader of its output after a signal, in milliseconds. */
const patience = 1000

/** Waits until the output so far was taken by its reader. To exit before would lose what does not fit into the pipe. */
const written = (stream: NodeJS.WriteStream): Promise<void> =>
  new Promise((resolve) => stream.write("", () => resolve()))

/**
 * Runs the program as this process: its value is the exit code. SIGINT and SIGTERM interrupt the program. It exits
 * after everything that it started has ended, with the usual code for that signal (130, 143). A second signal ends
 * `hurry`, which the program gets as its argument. SIGHUP is ignored, because a closed terminal is no reason to stop
 * watching.
 *
 * A program that has ended by itself waits for the reader of its output.
 */
export const runMain = (program: (hurry: Effect.Effect<void>) => Effect.Effect<number>): void => {
  const hurry = Deferred.unsafeMake<void>(FiberId.none)
  let received: "SIGINT" | "SIGTERM" | undefined
  let hasEnded = false

  const run = Runtime.makeRunMain(({ fiber }) => {
    const onSignal = (signal: "SIGINT" | "SIGTERM") => {
      // The fiber is interrupted only once. A second interrupt would end its wait for the scripts, and leave them
      // running.
      if (received !== undefined) return Deferred.unsafeDone(hurry, Effect.void)
      received = signal
      if (hasEnded) process.exit(128 + constants.signals[signal])
      fiber.unsafeInterruptAsFork(fiber.id())
    }
    process.on("SIGINT", onSignal)
    process.on("SIGTERM", onSignal)
    process.on("SIGHUP", () => {})
    // A reader that has ended (`des --help | head`) is not an error.
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
