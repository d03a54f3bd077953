/** Several engines at once: two of Docker and a podman. */

import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeEngine } from "../support/DescribeEngine.ts"
import { dockerd, type Engine, podman } from "../support/Engines.ts"
import { test } from "../support/Sandbox.ts"
import { shareEngine } from "../support/SharedEngine.ts"
import {
  assertEnvironments,
  beginAll,
  eventOf,
  expectedBase,
  makeRuns,
  type Run,
  type Watch
} from "../support/Watch.ts"

const image = "docker.io/library/busybox:test"

type Name = "east" | "west" | "pod"

const names: ReadonlyArray<Name> = ["east", "west", "pod"]

const nameOf = ({ environment }: Run) => environment["ACTOR_ATTRIBUTES_NAME"]

const cli = (engine: Engine, ...args: ReadonlyArray<string>) => Effect.orDie(engine.cli(...args))

/** A container that is made and removed. */
const live = (engine: Engine, name: string) =>
  Effect.zipRight(
    cli(engine, "create", "--name", name, "--network", "none", image, "true"),
    cli(engine, "rm", "--force", name)
  )

/** The names of the containers that were made, in the order in which scripts ran for them. */
const made = (runs: ReadonlyArray<Run>) => runs.filter((run) => eventOf(run) === "container/create").map(nameOf)

const connectAll = (watches: Readonly<Record<Name, Watch>>) =>
  Effect.forEach(names, (name) => watches[name].connected, { discard: true })

describeEngine("dockerd", () => {
  const shared = shareEngine(
    Effect.all({ east: dockerd(), west: dockerd(), pod: podman() }, { concurrency: "unbounded" }).pipe(
      Effect.tap((engines) => Effect.forEach(names, (name) => engines[name].importImage(image)))
    )
  )

  test(
    "the events of all engines come, in the order of each container, and each script gets the variables of its engine",
    (sandbox) =>
      Effect.gen(function* () {
        const engines = yield* shared
        const inspect = `docker inspect --format '{{.Id}} {{.Name}}' "$ACTOR_ID"`
        sandbox.script("container/start", `${inspect} >"asked-$DES_ENGINE" 2>&1; echo "$?" >>"asked-$DES_ENGINE"`)
        const watches = yield* beginAll(sandbox, engines, "--jobs", "4")
        yield* connectAll(watches)
        for (const name of names) {
          const run = ["run", "-d", "--name", `of-${name}`, "--network", "none", image, "sleep", "100000"]
          const id = (yield* cli(engines[name], ...run)).trim()
          const asked = `asked-${name}`
          yield* watches[name].des.until(asked, () => sandbox.lines(asked).length > 1)
          // Only that engine knows it.
          assert.deepStrictEqual(sandbox.lines(asked), [`${id} /of-${name}`, "0"])
          yield* cli(engines[name], "rm", "--force", `of-${name}`)
        }
        const same = [0, 1, 2, 3].map((at) => `same-${at}`)
        yield* Effect.forEach(
          names,
          (name) =>
            Effect.gen(function* () {
              for (const container of same) {
                // The same volume on each: what has one name is not one thing.
                yield* cli(engines[name], "volume", "create", "data")
                yield* live(engines[name], container)
                yield* cli(engines[name], "volume", "rm", "data")
              }
            }),
          { concurrency: "unbounded" }
        )
        for (const name of names) {
          const runs = yield* watches[name].settled
          assert.deepStrictEqual([...made(runs)].sort(), [`of-${name}`, ...same])
          const ids = new Set(runs.map(({ environment }) => environment["ACTOR_ID"]))
          for (const id of ids) {
            const times = runs.flatMap(({ environment }) =>
              environment["ACTOR_ID"] === id ? [environment["TIMENANO"] ?? ""] : []
            )
            assert.deepStrictEqual(times, [...times].sort())
          }
          assertEnvironments(runs, { ...expectedBase(sandbox), DOCKER_HOST: engines[name].endpoint })
          for (const { environment } of runs) assert.strictEqual(environment["DES_ENDPOINT"], engines[name].endpoint)
        }
      }),
    60_000
  )

  test(
    "a script for one engine runs for no other",
    (sandbox) =>
      Effect.gen(function* () {
        const engines = yield* shared
        sandbox.script("container/create", `# des: engine=*st\necho "$DES_ENGINE" >>limited`)
        const watches = yield* beginAll(sandbox, engines)
        yield* connectAll(watches)
        for (const name of names) yield* live(engines[name], "limited")
        for (const name of names) yield* watches[name].settled
        assert.sameMembers([...sandbox.lines("limited")], ["east", "west"])
      }),
    60_000
  )

  test(
    "an engine that is killed does not disturb the others, and its gap is reported and repaired",
    (sandbox) =>
      Effect.gen(function* () {
        const engines = yield* shared
        const { east, pod, west } = engines
        const watches = yield* beginAll(sandbox, engines)
        const { des } = watches.east
        const own = (event: string) => makeRuns(sandbox)().filter((run) => eventOf(run) === event)
        yield* connectAll(watches)
        const id = (yield* cli(
          west,
          ...["run", "-d", "--name", "lasting", "--network", "none", image, "sleep", "100000"]
        )).trim()
        yield* watches.west.seen("container/start")

        yield* west.kill9
        yield* des.said("west")
        yield* des.until("des/disconnected", () => own("des/disconnected").length > 0)
        yield* live(east, "meanwhile")
        yield* live(pod, "meanwhile")
        assert.deepStrictEqual(made(yield* watches.east.settled), ["meanwhile"])
        assert.deepStrictEqual(made(yield* watches.pod.settled), ["meanwhile"])

        yield* Effect.orDie(west.restart)
        yield* des.said("Gap 1 in the feed of west")
        const isEnd = (run: Run) => eventOf(run) === "container/die" && run.environment["ACTOR_ID"] === id
        yield* des.until("the end of the container", () => makeRuns(sandbox)().some(isEnd))
        yield* watches.west.connected
        yield* cli(west, "rm", "--force", "lasting")
        yield* live(west, "again")
        assert.deepStrictEqual(made(yield* watches.west.settled), ["again"])

        const ends = makeRuns(sandbox)().filter(isEnd)
        assert.lengthOf(ends, 1)
        for (const event of ["des/disconnected", "des/gap"]) {
          const [only, ...more] = own(event).map(({ environment }) => environment["DES_ENGINE"])
          assert.strictEqual(only, "west", event)
          assert.deepStrictEqual(more, [], event)
        }
        const warnings = (yield* des.stderr).split("\n").filter((line) => / - (?:WARNING|ERROR) - /.test(line))
        for (const line of warnings) assert.include(line, "west")
      }),
    90_000
  )

  test(
    "des waits for an engine that is away from the start, while the others work",
    (sandbox) =>
      Effect.gen(function* () {
        const engines = yield* shared
        yield* engines.west.kill9
        const watches = yield* beginAll(sandbox, engines)
        yield* watches.east.des.said("no engine can be reached at west")
        yield* watches.east.connected
        yield* watches.pod.connected
        yield* live(engines.east, "first")
        assert.deepStrictEqual(made(yield* watches.east.settled), ["first"])

        const info = yield* sandbox.des([
          "info",
          ...names.flatMap((name) => ["-e", `${name}=${engines[name].endpoint}`])
        ])
        assert.strictEqual(info.code, 1)
        assert.include(info.stdout, `name:     east\nendpoint: ${engines.east.endpoint}`)
        assert.include(info.stdout, `name:     pod\nendpoint: ${engines.pod.endpoint}`)
        assert.notInclude(info.stdout, engines.west.endpoint)
        assert.lengthOf(info.lines, 1)
        assert.include(info.stderr, `no engine can be reached at west (${engines.west.endpoint})`)

        yield* Effect.orDie(engines.west.restart)
        yield* watches.west.connected
        yield* live(engines.west, "later")
        assert.deepStrictEqual(made(yield* watches.west.settled), ["later"])
        const all = yield* sandbox.des([
          ...["info", "--json"],
          ...names.flatMap((name) => ["-e", `${name}=${engines[name].endpoint}`])
        ])
        assert.strictEqual(all.code, 0, all.stderr)
        const told = all.stdout
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line))
        assert.deepStrictEqual(
          told.map(({ endpoint, engine, name }) => ({ endpoint, engine, name })),
          names.map((name) => ({
            endpoint: engines[name].endpoint,
            engine: name === "pod" ? "podman" : "docker",
            name
          }))
        )
      }),
    90_000
  )

  test(
    "the journal keeps them apart over a restart of des",
    (sandbox) =>
      Effect.gen(function* () {
        const engines = yield* shared
        const state = ["--state", sandbox.path("state")]
        const watches = yield* beginAll(sandbox, engines, ...state)
        const { des } = watches.east
        yield* connectAll(watches)
        for (const name of names) yield* live(engines[name], `${name}-before`)
        for (const name of names) yield* watches[name].settled
        yield* des.kill("SIGTERM")
        yield* des.ended
        for (const name of names) yield* live(engines[name], `${name}-away`)

        const again = yield* sandbox.start([
          ...["-d", sandbox.dir, ...state],
          // In another order.
          ...[...names].reverse().flatMap((name) => ["-e", `${name}=${engines[name].endpoint}`])
        ])
        yield* again.said("watching ", 3)
        for (const name of names) yield* live(engines[name], `${name}-after`)
        for (const name of names) {
          assert.deepStrictEqual(made(yield* watches[name].settled), [
            `${name}-before`,
            `${name}-away`,
            `${name}-after`
          ])
        }
        assert.notMatch(yield* again.stderr, / - (?:WARNING|ERROR) - /)
      }),
    90_000
  )
}, ["podman", "conmon"])

describe("engines with the same name, or with wrong options", () => {
  for (const [what, message, ...args] of [
    ["two of one name", "two engines have the name a;", "-e", "a=unix:///x", "-e", "a=unix:///y"],
    ["one under two names", "a and b are the same engine, unix:///x,", "-e", "a=unix:///x", "-e", "b=/x"],
    ["one twice", "two engines have the name unix:///x;", "-e", "unix:///x", "-e", "/x"],
    ["a name of nothing", 'the endpoint "" is empty;', "-e", "a=", "-e", "b=unix:///x"]
  ] as const) {
    test(`are wrong usage: ${what}`, (sandbox) =>
      Effect.gen(function* () {
        for (const command of [["-d", sandbox.dir], ["info"]]) {
          const { code, lines } = yield* sandbox.des([...command, ...args])
          assert.strictEqual(code, 2)
          assert.lengthOf(lines, 1)
          assert.include(lines[0], message)
        }
      }))
  }
})
