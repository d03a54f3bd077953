/**
 * The program at work on a real engine, with a script that keeps the environment and the input of each of its runs. What it kept is compared with
 * what the engine itself says of the same time.
 */

import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Effect from "effect/Effect"
import * as Record from "effect/Record"
import type * as Scope from "effect/Scope"
import { assert } from "vitest"
import { asDocker } from "../../src/event/PodmanEvents.ts"
import type { Engine } from "./Engines.ts"
import { poll } from "./Poll.ts"
import type * as Program from "./Program.ts"
import type { Sandbox } from "./Sandbox.ts"

/** One run of the recording script. */
export interface Run {
  /** Every variable that the script was started with. */
  readonly environment: Readonly<Record<string, string>>
  /** Its whole input. */
  readonly input: string
}

export interface Watch {
  readonly des: Program.Program
  /** The runs for what the engine has said since scripts were last known to see it, in the order in which they ended. */
  readonly runs: () => ReadonlyArray<Run>
  /** Waits until scripts ran for so many events whose type and action begin like this, and gives their runs. */
  readonly seen: (event: string, count?: number) => Effect.Effect<ReadonlyArray<Run>>
  /** Waits until scripts see what happens; from then on the engine is compared. */
  readonly connected: Effect.Effect<void>
  /** Waits until each record of the engine has had its one run, and nothing else has, and gives the runs. */
  readonly settled: Effect.Effect<ReadonlyArray<Run>>
}

/**
 * Keeps the environment as the kernel has it, since a shell gives on what it understands only, and then the input; the whole file appears at once.
 * A relative path is in des's working directory.
 */
export const recorder = `name=$TIMENANO.$$
cat /proc/$$/environ - >"runs/.$name" && mv "runs/.$name" "runs/$name" && echo "$name" >>runs/order`

const parseRun = (text: string): Run => {
  const end = text.lastIndexOf("\0")
  const variables = text.slice(0, end).split("\0")
  const pairs = variables.map((variable): readonly [string, string] => {
    const at = variable.indexOf("=")
    return [variable.slice(0, at), variable.slice(at + 1)]
  })
  const environment: Readonly<Record<string, string>> = Object.fromEntries(pairs)
  assert.strictEqual(Object.keys(environment).length, pairs.length, "a variable is there twice")
  return { environment, input: text.slice(end + 1) }
}

/** The runs so far, in the order in which they ended. Each is read once: some are large. */
export const makeRuns = (sandbox: Sandbox): (() => ReadonlyArray<Run>) => {
  const known = new Map<string, Run>()
  return () =>
    sandbox.lines("runs/order").map((name) => {
      const run = known.get(name) ?? parseRun(sandbox.read(`runs/${name}`))
      known.set(name, run)
      return run
    })
}

/** The exact time of a record. JSON.parse would round it; a match inside a string is impossible, since its quotes are escaped. */
const timeOf = (record: string): bigint => BigInt(/"timeNano":(\d+)/.exec(record)?.[1] ?? "0")

export const eventOf = ({ environment }: Run): string => `${environment["TYPE"]}/${environment["ACTION"]}`

/** What an engine says that has happened since a time, record by record. */
const recordsOf = (engine: Engine, since: bigint): Effect.Effect<ReadonlyArray<string>> => {
  // podman 4.3 answers `until` in the past with the first record or none, so it lies a little ahead.
  const until = Date.now() / 1000 + (engine.name === "podman" ? 0.3 : 0)
  return engine.get(`/events?since=0&until=${until.toFixed(3)}`).pipe(
    Effect.map((body) => body.split("\n").filter((line) => line !== "" && timeOf(line) >= since)),
    Effect.orDie
  )
}

const mostRecords = 256

/** Starts des in a sandbox with the recording script. */
const start = (sandbox: Sandbox, args: ReadonlyArray<string>): Effect.Effect<Program.Program, never, Scope.Scope> =>
  Effect.suspend(() => {
    Fs.mkdirSync(sandbox.path("runs"))
    if (!sandbox.exists("events.d/all")) sandbox.script("all", recorder)
    return sandbox.start(["-d", sandbox.dir, ...args])
  })

/** What des does with the events of one engine; `all` gives the runs for it. */
const over = (sandbox: Sandbox, des: Program.Program, engine: Engine, all: () => ReadonlyArray<Run>): Watch => {
  const name = sandbox.top.slice(-6)

  // An engine may answer before it has subscribed its client, so what happens at once can be missed.
  let pokes = 0
  const poke = Effect.gen(function* () {
    const volume = `des-${name}-${pokes++}`
    yield* engine.cli("volume", "create", volume)
    yield* engine.cli("volume", "rm", volume)
    const isEnd = ({ input }: Run) => input.includes(`"${volume}"`) && /"Action":"(?:destroy|remove)"/.test(input)
    return yield* poll(
      Effect.sync(() => all().some(isEnd)),
      1000
    )
  })
  let since = 0n
  const connected = Effect.gen(function* () {
    if (!(yield* poll(Effect.orDie(poke), 20_000))) {
      yield* Effect.dieMessage(`no script saw a volume; des said:\n${yield* des.stderr}`)
    }
    since = BigInt(Date.now()) * 1_000_000n
  })

  const runs = () =>
    all().filter(({ environment }) => environment["TYPE"] !== "des" && BigInt(environment["TIMENANO"] ?? 0) >= since)

  const seen = (event: string, count = 1) => {
    const found = () => runs().filter((run) => eventOf(run).startsWith(event))
    return Effect.map(
      des.until(`${count} ${event}`, () => found().length >= count),
      found
    )
  }

  const settled = Effect.gen(function* () {
    let records: ReadonlyArray<string> = []
    const inputs = () =>
      runs()
        .map(({ input }) => input)
        .sort()
    const agrees = Effect.map(recordsOf(engine, since), (said) => {
      records = said.map((record) => `${record}\n`).sort()
      return JSON.stringify(records) === JSON.stringify(inputs())
    })
    if (!(yield* poll(agrees, 20_000))) {
      // The difference is easier to read than all of it.
      const [missing, more] = [
        records.filter((record) => !inputs().includes(record)),
        inputs().filter((input) => !records.includes(input))
      ]
      assert.deepStrictEqual({ missing, more }, { missing: [], more: [] }, yield* des.stderr)
      assert.strictEqual(inputs().length, records.length, "a record was run twice")
    }
    if (engine.name === "dockerd") assert.isBelow(records.length, mostRecords, "the engine remembers no more")
    return runs()
  })

  return { des, runs, seen, connected, settled }
}

/** Starts des in a sandbox on an engine that may be away. */
export const begin = (
  sandbox: Sandbox,
  engine: Engine,
  ...args: ReadonlyArray<string>
): Effect.Effect<Watch, never, Scope.Scope> =>
  Effect.map(start(sandbox, ["-e", engine.endpoint, ...args]), (des) => over(sandbox, des, engine, makeRuns(sandbox)))

/** Starts des in a sandbox on several engines that may be away, each under its name. */
export const beginAll = <Name extends string>(
  sandbox: Sandbox,
  engines: Readonly<Record<Name, Engine>>,
  ...args: ReadonlyArray<string>
): Effect.Effect<Readonly<Record<Name, Watch>>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const named = Record.toEntries(engines)
    const des = yield* start(sandbox, [
      ...named.flatMap(([name, { endpoint }]) => ["-e", `${name}=${endpoint}`]),
      ...args
    ])
    const all = makeRuns(sandbox)
    const isOf = (name: string) => (run: Run) => run.environment["DES_ENGINE"] === name
    return Record.map(engines, (engine, name) => over(sandbox, des, engine, () => all().filter(isOf(name))))
  })

/** Starts des in a sandbox on an engine that runs, and waits until its scripts see what happens there. */
export const watch = (
  sandbox: Sandbox,
  engine: Engine,
  ...args: ReadonlyArray<string>
): Effect.Effect<Watch, never, Scope.Scope> =>
  begin(sandbox, engine, ...args).pipe(
    Effect.tap(({ des }) => des.said(`watching ${engine.endpoint} for events`)),
    Effect.tap(({ connected }) => connected)
  )

const user = Os.userInfo()

const variable = (key: string) => key.toUpperCase().replace(/[^A-Z0-9_]/g, "_")

interface Event {
  readonly [field: string]: unknown
  readonly Type: string
  readonly Action: string
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> }
}

/** The fields that engines put beside the others until API 1.52, and that scripts have in any case. */
const legacy = ({ Action, Actor, Type }: Event): Readonly<Record<string, string | undefined>> => {
  if (Type !== "container" && Type !== "image") return {}
  const image = Actor.Attributes["image"]
  return { status: Action, id: Actor.ID, ...(Type === "container" && image !== undefined ? { from: image } : {}) }
}

/** What a script gets for a record that is not hostile: no two of its keys meet in one name, and all of it fits. */
const expectedVariables = (record: string): Readonly<Record<string, string>> => {
  const sent: Event = JSON.parse(record)
  const { Action, Actor: { ID = "", Attributes } = {} } = asDocker(sent)
  const event: Event = {
    ...sent,
    ...("status" in sent ? { status: Action } : {}),
    ...("id" in sent ? { id: ID } : {}),
    Action,
    Actor: { ID, Attributes: Attributes ?? {} }
  }
  const { Actor, timeNano: _rounded, ...fields } = event
  const flat = (prefix: string, values: Readonly<Record<string, unknown>>) =>
    Object.entries(values).map(([key, value]) => [`${prefix}${variable(key)}`, String(value)])
  const top = { ...legacy(event), ...fields }
  return Object.fromEntries([
    // Engines leave out an image that is empty; scripts have all three or none.
    ...flat("", "status" in top && "id" in top ? { from: "", ...top } : top),
    ...flat("ACTOR_ATTRIBUTES_", Actor.Attributes),
    ["ACTOR_ID", Actor.ID],
    ["TIMENANO", String(timeOf(record))]
  ])
}

/** What a script gets in a sandbox whatever the event is. */
export const expectedBase = (sandbox: Sandbox): Readonly<Record<string, string>> => ({
  PATH: process.env["PATH"] ?? "",
  HOME: sandbox.top,
  USER: user.username,
  LOGNAME: user.username,
  SHELL: user.shell ?? "/bin/sh"
})

/** The variables of a run without those of des's own. */
export const withoutOwn = (environment: Run["environment"]): Run["environment"] =>
  Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith("DES_")))

/** Checks that each run got exactly the variables of its record and the base. */
export const assertEnvironments = (runs: ReadonlyArray<Run>, base: Readonly<Record<string, string>>): void => {
  for (const { environment, input } of runs) {
    assert.match(environment["TIMENANO"] ?? "", /^\d{19}$/)
    assert.strictEqual(environment["DES_ATTEMPT"], "1")
    assert.deepStrictEqual(withoutOwn(environment), { ...expectedVariables(input), ...base })
  }
}
