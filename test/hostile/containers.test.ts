/**
 * Containers of a stranger on a real dockerd, beside those of others, with des in a small heap: the events of the others run in time.
 */

import * as Http from "node:http"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Beside from "../support/Beside.ts"
import { describeEngine } from "../support/DescribeEngine.ts"
import { post } from "../support/EngineApi.ts"
import { dockerd, type Engine } from "../support/Engines.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"

const image = "busybox:test"

/** How many containers of others start beside each other, and how many milliseconds are between two of one lane: five a second in all. */
const lanes = 4
const pace = 200

/** Containers of others, which wait for each other where the engine is slow. */
const others = (engine: Engine) =>
  Effect.forEach(
    Array.from({ length: Beside.events }, (_, at) => at),
    (at) =>
      engine
        .cli("run", "--rm", "--network", "none", "--name", `other-${at}`, image, "true")
        .pipe(Effect.delay(pace), Effect.orDie),
    { concurrency: lanes, discard: true }
  )

/** When a reader that does nothing else had each event of others, by its timeNano: no reader can be earlier than the engine. */
const arrivals = (engine: Engine): Effect.Effect<ReadonlyMap<string, number>, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<{ readonly request: Http.ClientRequest; readonly arrived: Map<string, number> }>((resume) => {
      const arrived = new Map<string, number>()
      const request = Http.get({ socketPath: engine.socket, path: "/events", agent: false }, (response) => {
        let last = ""
        response.setEncoding("latin1").on("data", (text: string) => {
          const lines = text.split("\n")
          lines[0] = last + lines[0]
          // Of a line that is long only the end is of interest, which is none.
          last = (lines.pop() ?? "").slice(-4096)
          for (const line of lines) {
            const time = /"Action":"start".*"name":"other-.*"timeNano":(\d+)/.exec(line.slice(-4096))?.[1]
            if (time !== undefined) arrived.set(time, Date.now())
          }
        })
        response.on("error", () => undefined)
        resume(Effect.succeed({ request, arrived }))
      })
      request.on("error", () => undefined)
    }),
    ({ request }) => Effect.sync(() => void request.destroy())
  ).pipe(Effect.map(({ arrived }) => arrived))

/** Creates a container of the stranger, and removes it with the scope. */
const create = (engine: Engine, config: object): Effect.Effect<string, never, Scope.Scope> =>
  Effect.acquireRelease(
    post(engine, "/containers/create?name=stranger", { Image: image, NetworkDisabled: true, ...config }).pipe(
      Effect.orDie,
      Effect.map((body): string => JSON.parse(body).Id)
    ),
    (id) => Effect.exit(engine.cli("rm", "--force", id))
  )

/** A container of the stranger that runs and is removed while those of the others come and go. */
const shortLife = (labels: Readonly<Record<string, string>>) => (engine: Engine) =>
  Effect.scoped(
    Effect.gen(function* () {
      const id = yield* create(engine, { Cmd: ["true"], Labels: labels })
      yield* Effect.orDie(
        Effect.zipRight(post(engine, `/containers/${id}/start`), post(engine, `/containers/${id}/wait`))
      )
    })
  )

/** A container of the stranger whose health is asked for as often as the engine can. */
const healthStorm = (engine: Engine) =>
  Effect.gen(function* () {
    const id = yield* create(engine, {
      Cmd: ["sleep", "100000"],
      Labels: { label: "x".repeat(2_000_000) },
      Healthcheck: { Test: ["CMD", "true"], Interval: 1_000_000, Timeout: 1_000_000_000, Retries: 1 }
    })
    yield* Effect.orDie(post(engine, `/containers/${id}/start`))
  })

const strangers: ReadonlyArray<
  readonly [what: string, act: (engine: Engine) => Effect.Effect<void, never, Scope.Scope>]
> = [
  ["nothing of the kind", () => Effect.void],
  ["one label of 70 MB", shortLife({ label: "x".repeat(70_000_000) })],
  [
    "a million labels",
    shortLife(Object.fromEntries(Array.from({ length: 1_000_000 }, (_, at) => [`l${at.toString(36)}`, "v"])))
  ],
  ["a health check without a pause and a label of 2 MB", healthStorm]
]

/** des at work on a real engine, while others start containers and a stranger acts. */
const beside = (sandbox: Sandbox, act: (engine: Engine) => Effect.Effect<void, never, Scope.Scope>) =>
  Effect.gen(function* () {
    const engine = yield* Effect.orDie(Effect.tap(dockerd(), (engine) => engine.importImage(image)))
    // The milliseconds at the end of TIMENANO are those of the engine's clock, which is des's own.
    sandbox.script(
      "container/start",
      `case "$ACTOR_ATTRIBUTES_NAME" in other-*) ${Beside.note("${TIMENANO%??????}")};; esac`
    )
    // Runs for what the stranger does, too.
    sandbox.script("container/all", ":")
    const des = yield* Beside.start(sandbox, "-e", engine.endpoint)
    yield* des.said("watching")
    const arrived = yield* arrivals(engine)
    yield* Effect.all([others(engine), Effect.delay(act(engine), 10 * pace)], { concurrency: "unbounded" })
    const engineLate = Math.round(Math.max(...[...arrived].map(([time, at]) => at - Number(time) / 1e6)))
    console.info(`a plain reader had the latest of ${arrived.size} after ${engineLate} ms`)
    return { des, engineLate }
  })

describeEngine("dockerd", () => {
  for (const [what, act] of strangers) {
    test(
      `events of other containers run in time while one has ${what}`,
      (sandbox) =>
        Effect.flatMap(beside(sandbox, act), ({ des, engineLate }) => Beside.judge(sandbox, des, engineLate)),
      240_000
    )
  }
})
