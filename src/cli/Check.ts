import { userInfo } from "node:os"
import * as Args from "@effect/cli/Args"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Engine from "../engine/Engine.ts"
import * as EngineHttp from "../engine/EngineHttp.ts"
import * as OwnKeys from "../event/OwnKeys.ts"
import * as Log from "../Log.ts"
import * as Conditions from "../scripts/Condition.ts"
import * as Findings from "../scripts/Findings.ts"
import type * as Inventory from "../scripts/Inventory.ts"
import * as Listing from "../scripts/Listing.ts"
import * as ScriptDirectory from "../scripts/ScriptDirectory.ts"
import * as ScriptOptions from "../scripts/ScriptOptions.ts"
import * as Trust from "../scripts/Trust.ts"
import * as Arguments from "./Arguments.ts"
import * as CliCommand from "./CliCommand.ts"
import * as CliOption from "./CliOption.ts"
import { UsageError } from "./CommandError.ts"
import * as CommonOptions from "./CommonOptions.ts"
import * as GivenEvent from "./GivenEvent.ts"
import * as Judged from "./Judged.ts"
import * as Results from "./Results.ts"
import type * as Table from "./Table.ts"
import * as WatchedEngine from "./WatchedEngine.ts"

/** What a script is called in a table: its path in the script directory. */
const nameIn = (directory: string, path: string): string => path.slice(directory.length + 1)

const eventOf = ({ action, type }: Inventory.Found): string =>
  type === undefined ? "every event" : `${type}/${action ?? "*"}`

const stateOf = (script: Judged.Judged): string => {
  if (Judged.neverRuns(script) !== undefined) return "never runs"
  const { action, type } = script
  return type !== undefined && Findings.unknownEvent(type, action) !== undefined ? "no such event" : "runs"
}

/** The problems, each once: several scripts can lie in one directory that is not trusted. */
const problemsOf = (directory: string, listing: Listing.Listing, scripts: ReadonlyArray<Judged.Judged>) => {
  const untrusted = scripts.flatMap((script) =>
    script.untrusted === undefined || script.isEmpty ? [] : [{ path: script.path, message: script.untrusted }]
  )
  const withoutUser = scripts.flatMap(({ isEmpty, noUser, path }) =>
    noUser === undefined || isEmpty ? [] : [{ path, message: noUser }]
  )
  const cut = listing.isWhole
    ? []
    : [{ path: directory, message: `${directory} has more files than des checks (${Listing.mostEntries})` }]
  const all = [...Findings.look(directory, listing.entries), ...untrusted, ...withoutUser, ...cut]
  return [...new Map(all.map(({ message, path }) => [message, path]))].map(([message, path]) => ({ path, message }))
}

/** A condition that probably no event meets. It is no error, since labels and containers change. */
interface Hint {
  readonly path: string
  readonly message: string
}

const keyOf = (condition: ScriptOptions.Condition): string => Conditions.keyOf(condition) ?? ""

/** True if a condition is about an attribute that engines set, and not about a label. */
const isOwn = (condition: ScriptOptions.Condition): boolean => OwnKeys.attributes.includes(keyOf(condition))

/** Conditions on the engine's own attributes that the event of the script does not have. */
const missingAttributes = ({ action, options, path, type }: Judged.Judged): ReadonlyArray<Hint> => {
  if (options === undefined || type === undefined || action === undefined) return []
  const sent = Findings.attributesOf(type, action)
  if (sent === undefined) return []
  const missing = options.conditions.filter(
    (condition) => !condition.excludes && isOwn(condition) && !sent.includes(keyOf(condition))
  )
  return missing.map((condition) => ({
    path,
    message: `${path}: ${condition.text} is about ${keyOf(condition)}, which ${type}/${action} does not have`
  }))
}

/** A script that asks for the inspect data of events that are not about containers. */
const withoutContainer = ({ options, path, type }: Judged.Judged): ReadonlyArray<Hint> =>
  options?.inspect === true && type !== undefined && type !== "container"
    ? [
        {
          path,
          message: `${path}: inspect=yes gives no data, since events of the type ${type} are not about containers`
        }
      ]
    : []

/** The conditions of a script on labels of containers. */
const labelConditions = ({ options, type }: Judged.Judged): ReadonlyArray<ScriptOptions.Condition> =>
  type === undefined || type === "container"
    ? (options?.conditions.filter((condition) => condition.on === "attribute" && !isOwn(condition)) ?? [])
    : []

/** Conditions on labels that no running container meets now. */
const unmetLabels = (script: Judged.Judged, running: ReadonlyArray<Engine.Listed>): ReadonlyArray<Hint> =>
  labelConditions(script).flatMap((condition) => {
    const isMet = ({ attributes }: Engine.Listed) =>
      ScriptOptions.matches({ conditions: [condition] }, { engine: "", Actor: { Attributes: attributes } })
    return running.some(isMet)
      ? []
      : [{ path: script.path, message: `${script.path}: no running container meets ${condition.text}` }]
  })

/** The running containers of an engine, and why an engine could not be asked. */
const askRunning = Effect.fnUntraced(function* (given: Parameters<typeof WatchedEngine.find>[0]) {
  const engines = yield* WatchedEngine.find(given)
  const lists = yield* Effect.forEach(engines, (watched) =>
    Effect.flatMap(Engine.Engine, ({ running }) => running).pipe(
      Effect.provide(Layer.provide(Engine.layer(watched), EngineHttp.layer(watched)))
    )
  )
  return lists.flat()
})

const labelHints = Effect.fnUntraced(function* (
  directory: string,
  scripts: ReadonlyArray<Judged.Judged>,
  given: Parameters<typeof WatchedEngine.find>[0]
) {
  if (!scripts.some((script) => labelConditions(script).length > 0)) return []
  const running = yield* Effect.either(askRunning(given))
  if (Either.isRight(running)) return scripts.flatMap((script) => unmetLabels(script, running.right))
  return [
    { path: directory, message: `conditions on labels were not compared with containers: ${running.left.message}` }
  ]
})

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

const userName = (): string => {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? "")
  }
}

const print = (lines: ReadonlyArray<string>) => (lines.length === 0 ? Effect.void : Console.log(lines.join("\n")))

const printJson = (rows: ReadonlyArray<object>) => print(rows.map((row) => Log.escape(JSON.stringify(row))))

const report = (
  table: typeof Table,
  directory: string,
  scripts: ReadonlyArray<Judged.Judged>,
  problems: ReadonlyArray<Hint>,
  hints: ReadonlyArray<Hint>
) => {
  const shown = scripts.filter(({ isEmpty }) => !isEmpty)
  const empty = scripts.length - shown.length
  const rows = shown.map((script) => [eventOf(script), nameIn(directory, script.path), stateOf(script), script.written])
  const cells = rows.length === 0 ? [] : [["EVENT", "SCRIPT", "STATE", "OPTIONS"], ...rows]
  const comments = empty === 0 ? "" : `, and ${counted(empty, "script")} of comments only`
  return [
    ...table.format(
      cells.map((row) => row.map(Log.escape)),
      Results.terminalWidth()
    ),
    ...(cells.length === 0 ? [] : [""]),
    ...problems.map(({ message }) => Log.escape(`problem: ${message}`)),
    ...hints.map(({ message }) => Log.escape(`hint: ${message}`)),
    Log.escape(
      `${directory}: ${counted(shown.length, "script")}${comments}, ${counted(problems.length, "problem")}; checked as user ${userName()}`
    )
  ]
}

/** Says which scripts would run for an event, and why the others would not. Returns true if one would run. */
const explain = Effect.fnUntraced(function* (
  directory: string,
  scripts: ReadonlyArray<Judged.Judged>,
  event: GivenEvent.Named & { readonly engine: string; readonly attributes: Readonly<Record<string, string>> },
  json: boolean
) {
  const [verb = ""] = event.action.split(":", 1)
  const judged = Judged.forEvent(scripts, { ...event, verb })
  const running = judged.filter(({ why }) => why === undefined)
  const unknown = Findings.unknownEvent(event.type, verb)
  if (json) {
    yield* printJson(
      judged.map(({ script, why }) => ({
        path: script.path,
        runs: why === undefined,
        ...(why === undefined ? {} : { why })
      }))
    )
  } else {
    const others = judged.flatMap(({ script, why }) =>
      why === undefined || script.isEmpty
        ? []
        : [`not run: ${why.startsWith(script.path) ? why : `${script.path}: ${why}`}`]
    )
    const none = `no script would run for ${event.type}/${event.action}`
    yield* print(
      [
        ...(running.length === 0
          ? [none]
          : running.map(({ script }, at) => `${at + 1}. ${nameIn(directory, script.path)}`)),
        ...others,
        ...(unknown === undefined ? [] : [`hint: ${unknown}`])
      ].map(Log.escape)
    )
  }
  return running.length > 0
})

/** `des check`: the script directory as des sees it. */
export const check = CliCommand.make({
  name: "check",
  summary:
    "Show each script with its event and options, and what will never run; it also shows what will not run as meant",
  operands: { usage: "[DIR | KEY=VALUE...]", completes: "directory" },
  config: {
    directory: CommonOptions.directory,
    ...CommonOptions.ofEngine,
    event: CliOption.optional({
      name: "event",
      placeholder: "TYPE/ACTION",
      example: "container/die",
      completes: "event",
      description:
        "show which scripts would run for this event, with the attributes KEY=VALUE, and why the others would not",
      parse: GivenEvent.parse
    }),
    json: CommonOptions.json,
    insecureScripts: CommonOptions.insecureScripts,
    operands: Args.text({ name: "DIR | KEY=VALUE" }).pipe(
      Args.withDescription("the script directory; with --event, the attributes and labels of the event"),
      Args.map(Arguments.unquote),
      Args.repeated
    )
  },
  run: Effect.fnUntraced(function* (given) {
    const [pairs, directories] =
      given.event === undefined
        ? [[], given.operands]
        : [given.operands.filter((text) => text.includes("=")), given.operands.filter((text) => !text.includes("="))]
    if (directories.length > 1) {
      return yield* new UsageError({ message: `${JSON.stringify(directories[1])}: des check takes one directory` })
    }
    const attributes = yield* GivenEvent.attributes(pairs)
    const directory = Trust.absolute(directories[0] ?? given.directory)
    yield* ScriptDirectory.checkReadable(directory)
    const { listing, scripts } = yield* Judged.read(directory, given.insecureScripts)
    if (given.event !== undefined) {
      const isEngineGiven = given.endpoint.length + given.context.length > 0
      const engines = isEngineGiven ? yield* WatchedEngine.find(given) : []
      const event = { ...given.event, engine: engines[0]?.name ?? "", attributes }
      return (yield* explain(directory, scripts, event, given.json)) ? 0 : 1
    }
    const problems = problemsOf(directory, listing, scripts)
    const hints = [
      ...scripts.flatMap(missingAttributes),
      ...scripts.flatMap(withoutContainer),
      ...(yield* labelHints(directory, scripts, given))
    ]
    if (given.json) {
      yield* printJson([
        ...scripts.map((script) => {
          const why = Judged.neverRuns(script)
          return {
            kind: "script",
            path: script.path,
            type: script.type ?? null,
            action: script.action ?? null,
            options: script.options ?? null,
            trusted: script.untrusted === undefined,
            runs: why === undefined,
            ...(why === undefined ? {} : { why })
          }
        }),
        ...problems.map((problem) => ({ kind: "problem", ...problem })),
        ...hints.map((hint) => ({ kind: "hint", ...hint }))
      ])
    } else yield* print(report(yield* Results.loadTable, directory, scripts, problems, hints))
    return problems.length === 0 ? 0 : 1
  })
})
