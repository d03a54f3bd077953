import * as Args from "@effect/cli/Args"
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Record from "effect/Record"
import * as Stream from "effect/Stream"
import * as Des from "../Des.ts"
import * as DurationText from "../DurationText.ts"
import * as Engine from "../engine/Engine.ts"
import * as EngineHttp from "../engine/EngineHttp.ts"
import * as DockerEvent from "../event/DockerEvent.ts"
import { eventName } from "../event/EventName.ts"
import * as Records from "../event/Records.ts"
import * as SampleEvent from "../event/SampleEvent.ts"
import * as EventFeed from "../feed/EventFeed.ts"
import * as JournalInMemory from "../journal/JournalInMemory.ts"
import * as Log from "../Log.ts"
import * as Environment from "../scripts/Environment.ts"
import * as Findings from "../scripts/Findings.ts"
import * as ScriptDirectory from "../scripts/ScriptDirectory.ts"
import * as ScriptRunner from "../scripts/ScriptRunner.ts"
import * as Trust from "../scripts/Trust.ts"
import * as Arguments from "./Arguments.ts"
import * as CliCommand from "./CliCommand.ts"
import * as CliOption from "./CliOption.ts"
import { CommandError, UsageError } from "./CommandError.ts"
import * as CommonOptions from "./CommonOptions.ts"
import * as GivenEvent from "./GivenEvent.ts"
import * as Judged from "./Judged.ts"
import * as Outcomes from "./Outcomes.ts"
import * as RecordFile from "./RecordFile.ts"
import * as RunOptions from "./RunOptions.ts"
import * as WatchedEngine from "./WatchedEngine.ts"

/** The first record of a file that has this type and action, or the first one if none is named. */
const fromFile = Effect.fnUntraced(function* (file: string, named: GivenEvent.Named | undefined, engine: string) {
  const { bytes, source } = yield* RecordFile.open(file, "--record")
  const isMeant = (event: DockerEvent.DockerEvent) =>
    named === undefined ||
    (event.Type === named.type && (event.Action === named.action || DockerEvent.verb(event) === named.action))
  const found = yield* bytes.pipe(
    Records.decodeRecords({ source, engine }),
    Stream.filter(isMeant),
    Stream.runHead,
    Effect.mapError(({ message }) => new CommandError({ message: `--record ${file} cannot be read: ${message}` }))
  )
  if (Option.isSome(found)) return found.value
  const what = named === undefined ? "no event" : `no event ${named.type}/${named.action}`
  return yield* new CommandError({ message: `--record ${file}: it has ${what}` })
})

/** The attributes of a real container, and its ID. */
const fromContainer = Effect.fnUntraced(function* (
  name: string,
  watched: Effect.Effect.Success<ReturnType<typeof WatchedEngine.find>>[number]
) {
  const found = yield* Effect.flatMap(Engine.Engine, ({ inspect }) => inspect(name)).pipe(
    Effect.provide(Layer.provide(Engine.layer(watched), EngineHttp.layer(watched)))
  )
  if (Option.isNone(found)) {
    return yield* new CommandError({ message: `--container ${name}: ${watched.name} has no such container` })
  }
  return found.value
})

/** An event with more attributes. Its record is written again, with them. */
const withAttributes = (
  event: DockerEvent.DockerEvent,
  attributes: Readonly<Record<string, string>>
): DockerEvent.DockerEvent =>
  Object.keys(attributes).length === 0
    ? event
    : DockerEvent.make({
        type: event.Type,
        action: event.Action,
        id: event.Actor.ID,
        attributes: { ...event.Actor.Attributes, ...attributes },
        timeNano: event.timeNano,
        engine: event.engine
      })

/** Prints what a script would get, and starts nothing. */
const printer = Layer.succeed(ScriptRunner.ScriptRunner, {
  run: ({ environment, script, user, ...run }) => {
    const variables = Object.entries(environment).toSorted(([one], [other]) => (one < other ? -1 : 1))
    const lines = [
      script,
      ...(user === undefined ? [] : [`  user: ${user.name}`]),
      "  environment:",
      ...variables.map(([name, value]) => `    ${name}=${value}`),
      "  stdin:",
      ...ScriptRunner.inputOf(run).map((line) => `    ${line}`)
    ]
    return Effect.as(
      Console.log(lines.map(Log.escape).join("\n")),
      ScriptRunner.Outcome.Exited({ code: 0, message: "" })
    )
  }
})

/** A feed of one event. If a script wants inspect data, the engine is asked as in a real feed. */
const feedOf = (event: DockerEvent.DockerEvent, watched: Parameters<typeof Des.layerFeed>[0] | undefined) => {
  const one = Stream.make(event)
  const feed = { engines: [], events: one, resume: () => one }
  return watched === undefined
    ? Layer.succeed(EventFeed.EventFeed, feed)
    : Layer.map(Des.layerFeed(watched), (context) =>
        Context.make(EventFeed.EventFeed, { ...Context.get(context, EventFeed.EventFeed), ...feed })
      )
}

/** Lets no script wait: nothing of what is only printed would change meanwhile. */
const withoutWait = <R>(context: Context.Context<R | ScriptDirectory.ScriptDirectory>) => {
  const { find } = Context.get(context, ScriptDirectory.ScriptDirectory)
  return Context.add(context, ScriptDirectory.ScriptDirectory, {
    find: (type, verb) =>
      Effect.map(
        find(type, verb),
        Arr.map(({ options: { wait: _, ...options }, path }) => ({ path, options }))
      )
  })
}

/**
 * Says which conditions keep scripts from running, and which scripts wait. des itself says nothing of this, since for most
 * events that is normal.
 */
const sayUnmet = Effect.fnUntraced(function* (directory: string, insecure: boolean, event: DockerEvent.DockerEvent) {
  const { scripts } = yield* Judged.read(directory, insecure)
  const judged = Judged.forEvent(scripts, {
    type: event.Type,
    verb: DockerEvent.verb(event),
    engine: event.engine,
    attributes: event.Actor.Attributes
  })
  yield* Effect.forEach(
    judged.filter(({ script, why }) => why !== undefined && (script.isEmpty || Judged.neverRuns(script) === undefined)),
    ({ script, why = "" }) =>
      Effect.logInfo(why.startsWith(script.path) ? why : `${script.path} is not run for this event: ${why}`),
    { discard: true }
  )
  for (const { script, why } of judged) {
    const wait = script.options?.wait
    if (why !== undefined || wait === undefined) continue
    yield* Effect.logInfo(
      `${script.path} waits ${DurationText.format(wait.quiet)} for further events before it runs, as its option wait= says`
    )
  }
})

/** `des try`: runs the scripts of one event that did not happen. */
export const tryEvent = CliCommand.make({
  name: "try",
  summary: "Make an event and run its scripts as des would",
  operands: { usage: "TYPE/ACTION [KEY=VALUE...]", example: "container/die", completes: "event" },
  config: {
    directory: CommonOptions.directory,
    ...CommonOptions.ofEngine,
    container: CliOption.optional({
      name: "container",
      placeholder: "NAME",
      example: "web",
      description: "take the ID, name, image and labels of this container",
      parse: CliOption.anyText
    }),
    record: CliOption.optional({
      name: "record",
      placeholder: "FILE",
      example: "feed.jsonl",
      completes: "file",
      description: "take the first such event from a file with one JSON record a line (- is stdin)",
      parse: CliOption.anyText
    }),
    dryRun: CliOption.flag({
      name: "dry-run",
      description: "print the scripts, their environment and their stdin, and start nothing"
    }),
    ...RunOptions.ofRuns,
    insecureScripts: CommonOptions.insecureScripts,
    operands: Args.text({ name: "TYPE/ACTION | KEY=VALUE" }).pipe(
      Args.withDescription("the event, and attributes and labels for it, such as container/die name=web exitCode=1"),
      Args.map(Arguments.unquote),
      Args.repeated
    )
  },
  run: Effect.fnUntraced(function* (given) {
    const [first = "", ...others] = given.operands
    const isNamed = first !== "" && !first.includes("=")
    const named = isNamed ? yield* GivenEvent.parseOperand(first) : undefined
    const attributes = yield* GivenEvent.attributes(isNamed ? others : given.operands)
    if (given.record !== undefined && given.container !== undefined) {
      return yield* new UsageError({
        message: "conflicting options: --record and --container both say what the event is about; use only one"
      })
    }
    if (given.container !== undefined && named !== undefined && named.type !== "container") {
      return yield* new UsageError({
        message: `--container ${given.container}: ${named.type}/${named.action} is no event of a container`
      })
    }
    const directory = Trust.absolute(given.directory)
    const engines = yield* WatchedEngine.find(given)
    const [watched] = engines
    const engine = watched?.name ?? ""

    const made = Effect.gen(function* () {
      if (named === undefined) {
        return yield* new UsageError({
          message: "the event is missing: give TYPE/ACTION, such as des try container/start name=web, or --record FILE"
        })
      }
      const found =
        given.container === undefined || watched === undefined
          ? undefined
          : yield* fromContainer(given.container, watched)
      const sample = SampleEvent.make(named.type, named.action, {
        ...found?.attributes,
        ...(found !== undefined && named.action === "die" ? { exitCode: String(found.exitCode) } : {}),
        ...attributes
      })
      const now = BigInt(Math.trunc(yield* Clock.currentTimeMillis)) * 1_000_000n
      return DockerEvent.make({ type: named.type, ...sample, id: found?.id ?? sample.id, timeNano: now, engine })
    })
    const event =
      given.record === undefined
        ? yield* made
        : withAttributes(yield* fromFile(given.record, named, engine), attributes)

    const unknown = Findings.unknownEvent(event.Type, DockerEvent.verb(event))
    if (unknown !== undefined) yield* Effect.logWarning(unknown)
    yield* sayUnmet(directory, given.insecureScripts, event)
    const shared = yield* RunOptions.shared(given.env)
    const { counts, layer: journal } = Outcomes.counted(JournalInMemory.layer())
    const des = Des.layer({
      ...given,
      directory,
      base: Environment.base({ ...shared, engine: {} }),
      engines: Record.map(Des.engineVariables(engines), (variables) => ({ ...variables, ...shared.extra })),
      timeout: RunOptions.unlessZero(given.timeout),
      hurry: yield* CliCommand.Hurry
    })
    yield* Des.run.pipe(
      Effect.provide(
        (given.dryRun ? Layer.map(des, withoutWait) : des).pipe(
          Layer.provide(given.dryRun ? printer : ScriptRunner.layer),
          Layer.merge(feedOf(event, watched)),
          Layer.provideMerge(journal)
        )
      ),
      // Without a run, the lines that say that scripts run would be wrong.
      given.dryRun ? Logger.withMinimumLogLevel(LogLevel.Warning) : (run) => run
    )
    if (counts.accepted === 0) {
      yield* Effect.logError(
        `no script runs for ${eventName(event)}; des check --event ${event.Type}/${DockerEvent.verb(event)} shows what it has`
      )
    }
    return counts.failed > 0 || counts.accepted === 0 ? 1 : 0
  })
})
