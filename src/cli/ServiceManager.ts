/**
 * Reports to systemd how des is doing (sd_notify(3)): ready, what it watches, alive, stopping. It does so only in a unit
 * with `Type=notify`, and through the program systemd-notify, which comes with systemd.
 */

import * as Command from "@effect/platform/Command"
import * as CommandExecutor from "@effect/platform/CommandExecutor"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type { DockerEvent } from "../event/DockerEvent.ts"
import * as OwnEvent from "../event/OwnEvent.ts"
import { Journal, type JournalError } from "../journal/Journal.ts"
import * as Log from "../Log.ts"

/** The longest status, in characters. */
const longestStatus = 200

/** What `systemctl status` shows: the engines whose feeds are not open now, and how many there are. */
export const statusOf = (engines: ReadonlyArray<string>, connected: ReadonlySet<string>): string => {
  const away = engines.filter((name) => !connected.has(name))
  const text =
    away.length === 0
      ? `watching ${engines.join(", ")}`
      : `watching ${engines.length - away.length} of ${engines.length} engines; waiting for ${away.join(", ")}`
  return Log.escape(text).slice(0, longestStatus)
}

/**
 * Half of the time within which systemd expects a sign of life. Undefined if it expects none, or none of this process
 * (sd_watchdog_enabled(3)).
 */
export const intervalOf = (
  variables: Readonly<Record<string, string | undefined>>,
  pid: number
): Duration.Duration | undefined => {
  const microseconds = Number(variables["WATCHDOG_USEC"])
  const isOurs = [undefined, "", String(pid)].includes(variables["WATCHDOG_PID"])
  return isOurs && microseconds > 0 ? Duration.millis(microseconds / 2000) : undefined
}

/** A failure is only logged. If des never gets ready, systemd ends it, and this line says why. */
const notify = (...assignments: ReadonlyArray<string>) =>
  Command.exitCode(Command.make("systemd-notify", ...assignments)).pipe(
    Effect.flatMap((code) => (code === 0 ? Effect.void : Effect.fail({ message: `exit code ${code}` }))),
    Effect.catchAll(({ message }) =>
      Effect.logWarning(`could not report ${assignments[0]} to systemd: systemd-notify failed (${message})`)
    )
  )

/** The same journal, which also tells `changed` which engines are connected. */
const observed = (changed: (connected: ReadonlySet<string>) => Effect.Effect<unknown>) => {
  const connected = new Set<string>()
  const follow = ({ Action, Type, engine }: DockerEvent): boolean => {
    if (Type !== OwnEvent.type) return false
    return Action === "connected"
      ? connected.size < connected.add(engine).size
      : Action === "disconnected" && connected.delete(engine)
  }
  return Layer.map((context: Context.Context<Journal>) => {
    const journal = Context.get(context, Journal)
    return Context.make(Journal, {
      ...journal,
      accept: (batch) =>
        // What is not stored comes again when there is room.
        Effect.tap(journal.accept(batch), ({ events }) =>
          events.filter(follow).length > 0 ? changed(connected) : Effect.void
        )
    })
  })
}

/**
 * What a watching des does for systemd.
 *
 * - `observed`: the same journal, by whose events systemd hears which engines are connected.
 * - `during`: runs the effect that watches. systemd hears that des is ready when it begins, that des stops when it is
 *   interrupted, and until then that des is alive: the event loop turns, and the journal answers.
 */
export interface ServiceManager {
  readonly observed: <E, R>(journal: Layer.Layer<Journal, E, R>) => Layer.Layer<Journal, E, R>
  readonly during: <A, E, R>(watching: Effect.Effect<A, E, R>) => Effect.Effect<A, E | JournalError, R | Journal>
}

/** Without systemd nothing is reported. */
export const none: ServiceManager = { observed: (journal) => journal, during: (watching) => watching }

/** What des does for systemd while it watches these engines. `variables` are those that systemd has set. */
export const make = Effect.fnUntraced(function* (
  engines: ReadonlyArray<string>,
  variables: Readonly<Record<string, string | undefined>>
) {
  if ((variables["NOTIFY_SOCKET"] ?? "") === "") return none
  const executor = yield* CommandExecutor.CommandExecutor
  const say = (...assignments: ReadonlyArray<string>) =>
    Effect.provideService(notify(...assignments), CommandExecutor.CommandExecutor, executor)
  // Only the newest status counts.
  const statuses = yield* Queue.sliding<string>(1)
  const sayStatuses = Effect.forever(Effect.flatMap(Queue.take(statuses), (status) => say(`STATUS=${status}`)))
  const interval = intervalOf(variables, process.pid)
  const sayAlive =
    interval === undefined
      ? Effect.never
      : Effect.forever(
          Effect.gen(function* () {
            yield* Effect.sleep(interval)
            // Without its database, des lives and waits for it. A restart would change nothing.
            yield* Effect.catchIf(
              (yield* Journal).unfinished,
              ({ reason }) => reason === "Away",
              () => Effect.void
            )
            yield* say("WATCHDOG=1")
          })
        )
  const report = say("READY=1", `STATUS=${statusOf(engines, new Set())}`).pipe(
    Effect.zipRight(Effect.all([sayStatuses, sayAlive], { concurrency: 2 })),
    Effect.onInterrupt(() => say("STOPPING=1", "STATUS=waiting for running scripts")),
    Effect.zipRight(Effect.never)
  )
  const manager: ServiceManager = {
    observed: observed((connected) => Queue.offer(statuses, statusOf(engines, connected))),
    // If a race is interrupted, it does not wait for what it races. So the race is around the report only.
    during: Effect.fnUntraced(function* (watching) {
      const ended = yield* Deferred.make<void>()
      const work = Effect.ensuring(watching, Deferred.succeed(ended, undefined))
      const [result] = yield* Effect.all([work, Effect.raceFirst(report, Deferred.await(ended))], { concurrency: 2 })
      return result
    })
  }
  return manager
})
