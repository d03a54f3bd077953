import { request } from "node:http"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Log from "../Log.ts"
import * as Address from "../operate/Address.ts"
import * as Operate from "../operate/Status.ts"
import { formatAge, formatBytes, formatEvents } from "../operate/Words.ts"
import * as SystemReason from "../SystemReason.ts"
import * as CliCommand from "./CliCommand.ts"
import * as CliOption from "./CliOption.ts"
import { CommandError, UsageError } from "./CommandError.ts"
import * as CommonOptions from "./CommonOptions.ts"
import * as Operated from "./Operated.ts"
import * as Results from "./Results.ts"
import * as State from "./State.ts"

/** How long des waits for the answer, in milliseconds. A health check that hangs is worse than one that fails. */
const patience = 5000

/** How many bytes an answer may have. What listens there may not be des. */
const longestAnswer = 8_388_608

const decode = Schema.decodeUnknown(Schema.parseJson(Operate.Status))

/** Asks the des that listens at an address. */
const ask = (address: Address.Address): Effect.Effect<string, CommandError> =>
  Effect.async((resume) => {
    const fail = (why: string) =>
      resume(
        new CommandError({
          message: `no des answers at ${Address.format(address)} (${why}). Give the --state or the --listen of the des that runs`
        })
      )
    const where = address._tag === "Unix" ? { socketPath: address.path } : { host: address.host, port: address.port }
    const asked = request({ ...where, path: "/status", timeout: patience, agent: false }, (response) => {
      const parts: Array<Buffer> = []
      let bytes = 0
      response.on("data", (part: Buffer) => {
        bytes += part.length
        if (bytes > longestAnswer) asked.destroy(new Error("its answer is too long"))
        else parts.push(part)
      })
      response.on("error", (error) => fail(SystemReason.describe(error)))
      response.on("end", () =>
        response.statusCode === 200
          ? resume(Effect.succeed(Buffer.concat(parts).toString("utf8")))
          : fail(`it answers with the status ${response.statusCode}`)
      )
    })
    asked.on("timeout", () => asked.destroy(new Error(`it is silent for ${patience / 1000} s`)))
    asked.on("error", (error) => fail(SystemReason.describe(error)))
    asked.end()
    return Effect.sync(() => asked.destroy())
  })

const addressOf = (given: {
  readonly listen: Address.Address | undefined
  readonly state: string | undefined
}): Effect.Effect<Address.Address, UsageError> => {
  if (given.listen !== undefined) return Effect.succeed(given.listen)
  if (given.state !== undefined && State.isUrl(given.state)) {
    return new UsageError({
      message: "--state names a journal that several des share: give the --listen ADDR of the des that you ask"
    })
  }
  return given.state === undefined
    ? new UsageError({
        message:
          "--state or --listen is missing: give the --state DIR (or DES_STATE_DIR) or the --listen ADDR of the des that runs"
      })
    : Effect.succeed({ _tag: "Unix", path: Operated.socketOf(given.state) })
}

const feedLine = (now: number, feed: Operate.WatchedFeed): string => {
  const state = feed.open
    ? `open for ${formatAge(now - (feed.openedAt ?? now))}`
    : feed.watchedBy === undefined
      ? `not open${feed.why === undefined ? "" : `: ${feed.why}`}`
      : `watched by the node ${feed.watchedBy}`
  const last = feed.lastEventAt === undefined ? "no event yet" : `last event ${formatAge(now - feed.lastEventAt)} ago`
  return `  ${feed.engine}: ${state}; ${last}`
}

const failureLine = (now: number, run: Operate.EndedRun): string =>
  `  ${formatAge(now - run.endedAt)} ago: ${run.script} for ${run.event}, ${run.outcome}, exit ${run.exit}`

const backlogLines = (now: number, backlog: Operate.Status["backlog"]): ReadonlyArray<string> => {
  const line = ({ bytes, events, oldestAt }: Operate.Counted, since: (age: string) => string) => {
    const oldest = oldestAt === undefined ? "" : `, the oldest ${since(formatAge(now - oldestAt))}`
    return `${formatEvents(events)}, ${formatBytes(bytes)}${oldest}`
  }
  const accepted = (age: string) => `accepted ${age} ago`
  return [
    `backlog: ${line(backlog, accepted)}`,
    `  waiting: ${line(backlog.waiting, accepted)}`,
    `  running: ${line(backlog.running, (age) => `since ${age}`)}`
  ]
}

/** The status for people. The first line says it all, as monitoring plugins show it. */
export const lines = (said: Operate.Status): ReadonlyArray<string> => {
  const { backlog, failures, feeds, now, reasons, running } = said
  const health = said.ready ? "healthy" : `not healthy: ${reasons.join("; ")}`
  return [
    `des ${said.version} is ${health}`,
    `process ${said.pid}, up for ${formatAge(now - said.startedAt)}`,
    "engines:",
    ...(feeds.length === 0 ? ["  none"] : feeds.map((feed) => feedLine(now, feed))),
    ...backlogLines(now, backlog),
    `events in the last hour: ${said.eventsPerMinute.reduce((sum, count) => sum + count, 0)}`,
    "running:",
    ...(running.length === 0
      ? ["  none"]
      : running.map((run) => `  ${run.script} for ${run.event}, since ${formatAge(now - run.beganAt)}`)),
    "last failures:",
    ...(failures.length === 0 ? ["  none"] : failures.map((run) => failureLine(now, run)))
  ].map(Log.escape)
}

/** `des status`: how the des that runs is. */
export const status = CliCommand.make({
  name: "status",
  summary: "Say how the des that runs is and what it does; the exit code is 0 if it is healthy, otherwise 1",
  config: {
    ...State.ofState,
    listen: CliOption.optional({
      name: "listen",
      placeholder: "ADDR",
      example: "127.0.0.1:9475",
      description: "ask at the ADDR of --listen of the des that runs, instead of in its state directory",
      parse: Operated.parseAddress
    }),
    json: CommonOptions.json
  },
  run: Effect.fnUntraced(function* (given) {
    const address = yield* addressOf(given)
    const answer = yield* ask(address)
    const found = yield* Effect.mapError(
      decode(answer),
      () => new CommandError({ message: `what listens at ${Address.format(address)} is not this version of des` })
    )
    yield* Results.print(given.json ? [Log.escape(answer.trim())] : lines(found)).pipe(
      Effect.catchAll(Results.untilUnread("the status"))
    )
    return found.ready ? 0 : 1
  })
})
