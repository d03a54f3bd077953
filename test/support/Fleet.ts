/**
 * Several des on one journal, and engines that send them events: each image of an engine is an actor, and each tag that it gets is one event
 * of this actor, with a number in its name. Run what uses it with the live clock (`it.scopedLive`).
 */

import * as Http from "node:http"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as V from "vitest"
import { describeEngine } from "./DescribeEngine.ts"
import { dockerd, type Engine, EngineError } from "./Engines.ts"
import { poll } from "./Poll.ts"
import { describePostgres, type Postgres, type PostgresError, postgres } from "./Postgres.ts"
import type * as Program from "./Program.ts"
import * as Ran from "./Ran.ts"
import type { Sandbox } from "./Sandbox.ts"
import { signal } from "./Sweep.ts"

/** An engine with images to tag. */
export interface Source {
  readonly name: string
  readonly engine: Engine
  /** The ids of the images. */
  readonly images: ReadonlyArray<string>
  /** Tags images in turn, so many in all, with a pause after each. Gives the events, each as `ACTOR SEQ`. */
  readonly emit: (count: number, pauseMillis: number) => Effect.Effect<ReadonlyArray<string>, EngineError>
}

const post = (socketPath: string, path: string): Effect.Effect<void, EngineError> =>
  Effect.async((resume) => {
    const failed = (reason: string) => resume(Effect.fail(new EngineError({ message: `POST ${path}: ${reason}` })))
    const request = Http.request({ socketPath, path, method: "POST", agent: false }, (response) => {
      response.resume()
      response.on("end", () => (response.statusCode === 201 ? resume(Effect.void) : failed(`${response.statusCode}`)))
    })
    request.on("error", (error) => failed(error.message))
    request.end()
  })

/** Starts a private dockerd with so many images for the scope. */
export const source = (name: string, images: number): Effect.Effect<Source, EngineError, Scope.Scope> =>
  Effect.gen(function* () {
    const engine = yield* dockerd()
    yield* Effect.forEach(Array.from({ length: images }).keys(), (at) => engine.importImage(`image${at}:base`))
    const ids = (yield* engine.cli("images", "--quiet", "--no-trunc")).trim().split("\n")
    let sent = 0
    return {
      name,
      engine,
      images: ids,
      emit: (count, pauseMillis) =>
        Effect.forEach(Array.from({ length: count }), () =>
          Effect.gen(function* () {
            const id = ids[sent % ids.length] ?? ""
            const seq = Math.floor(sent++ / ids.length)
            yield* post(engine.socket, `/images/${id}/tag?repo=of-${id.slice(7, 19)}&tag=${seq}`)
            yield* Effect.sleep(pauseMillis)
            return `${name}/${id} ${seq}`
          })
        )
    }
  })

/** One des of a fleet. */
export interface Node {
  readonly name: string
  readonly program: Program.Program
  readonly kill9: Effect.Effect<void>
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
  /** Stops it as systemd does, and waits until it has ended. */
  readonly stop: Effect.Effect<Program.Ended>
}

/** How a node is started. */
export interface NodeOptions {
  readonly name: string
  /** The URL of the journal. */
  readonly state: string
  readonly sources: ReadonlyArray<Source>
  /** `--jobs`, 4 by default. */
  readonly jobs?: number
  readonly args?: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
}

/** The variables that the scripts of {@link Ran.body} need. */
const scriptVariables = (sandbox: Sandbox, name: string): ReadonlyArray<string> => [
  ...["--env", `NODE=${name}`],
  ...["--env", `RAN=${sandbox.path("ran")}`]
]

/** Starts a node with the script directory of the sandbox, for the scope. */
export const node = (sandbox: Sandbox, options: NodeOptions): Effect.Effect<Node, never, Scope.Scope> =>
  Effect.gen(function* () {
    const engines = options.sources.flatMap(({ engine, name }) => ["-e", `${name}=${engine.endpoint}`])
    const program = yield* sandbox.start(
      [
        ...["-d", sandbox.dir, "--state", options.state, "--node", options.name],
        ...["--jobs", String(options.jobs ?? 4)],
        ...engines,
        ...scriptVariables(sandbox, options.name),
        ...(options.args ?? [])
      ],
      options.env === undefined ? {} : { env: options.env }
    )
    return {
      name: options.name,
      program,
      kill9: Effect.zipRight(program.kill("SIGKILL"), Effect.asVoid(program.ended)),
      freeze: signal(program.pid, "SIGSTOP"),
      thaw: signal(program.pid, "SIGCONT"),
      stop: Effect.zipRight(program.kill("SIGTERM"), program.ended)
    }
  })

/** Writes the script for the events, which takes a while, and makes room for what it writes down. */
export const prepare = (sandbox: Sandbox, work: string): void => {
  sandbox.write("ran", "")
  sandbox.write("ran.busy/.keep", "")
  sandbox.script("image/tag", Ran.body(work))
}

/** What scripts wrote down until now. */
export const ran = (sandbox: Sandbox): ReadonlyArray<Ran.Line> => Ran.parse(sandbox.lines("ran"))

/** How many events have ended until now. */
export const ended = (sandbox: Sandbox): number =>
  new Set(ran(sandbox).flatMap(({ actor, kind, seq }) => (kind === "end" ? [`${actor} ${seq}`] : []))).size

/** Waits until so many events have ended; false if they have not within so many milliseconds. */
export const untilEnded = (sandbox: Sandbox, events: number, within: number): Effect.Effect<boolean> =>
  poll(
    Effect.sync(() => ended(sandbox) >= events),
    within
  )

/** Groups tests that need PostgreSQL and dockerd. */
export const describeFleet = (name: string, tests: () => void): void =>
  describePostgres(name, () => describeEngine("dockerd", tests))

/** Two engines and a database, for the scope. */
export const ground: Effect.Effect<
  { readonly database: Postgres; readonly east: Source; readonly west: Source },
  EngineError | PostgresError,
  Scope.Scope
> = Effect.all(
  { database: postgres(), east: source("east", 10), west: source("west", 10) },
  { concurrency: "unbounded" }
)

/** Waits until each engine has a watcher among these nodes, and gives the node that watches it. */
export const watched = (
  nodes: ReadonlyArray<Node>,
  sources: ReadonlyArray<Source>
): Effect.Effect<ReadonlyArray<Node>> =>
  Effect.forEach(sources, ({ name }) =>
    Effect.gen(function* () {
      let found: Node | undefined
      yield* poll(
        Effect.gen(function* () {
          for (const one of nodes) {
            if ((yield* one.program.stderr).includes(`watching ${name} for events`)) found = one
          }
          return found !== undefined
        }),
        60_000
      )
      if (found !== undefined) return found
      const logs = yield* Effect.forEach(nodes, (one) =>
        Effect.map(one.program.stderr, (text) => `${one.name}:\n${text}`)
      )
      return yield* Effect.dieMessage(`nobody watches ${name}\n${logs.join("\n")}`)
    })
  )

/** One run as `des history --json` prints it. */
export interface Recorded {
  readonly id: number
  readonly actor: string
  readonly name: string
  readonly engine: string
  readonly attempt: number
  readonly outcome: string
  readonly exit?: number
  readonly node?: string
}

/** All runs that the journal has. */
export const history = (sandbox: Sandbox, state: string): Effect.Effect<ReadonlyArray<Recorded>> =>
  Effect.map(sandbox.des(["history", "--state", state, "--json"]), ({ code, stderr, stdout }) => {
    V.assert.strictEqual(code, 0, stderr)
    return stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Recorded)
  })

/** Asserts that all events ran, in order, none beside another, none again after the journal had it as done. */
export const assertWell = (
  sandbox: Sandbox,
  state: string,
  events: ReadonlyArray<string>,
  hint = ""
): Effect.Effect<ReadonlyArray<Recorded>> =>
  Effect.gen(function* () {
    V.assert.deepStrictEqual(Ran.judge(ran(sandbox), events), Ran.nothingWrong, hint)
    const runs = yield* history(sandbox, state)
    const done = new Map<string, number>()
    for (const { actor, engine, exit, name, outcome } of runs) {
      if (outcome !== "exited" || exit !== 0) continue
      const event = `${engine}/${actor} ${name.split(":").at(-1)}`
      done.set(event, (done.get(event) ?? 0) + 1)
    }
    V.assert.deepStrictEqual(
      events.filter((event) => done.get(event) !== 1),
      [],
      `each event is done once in the journal ${hint}`
    )
    return runs
  })
