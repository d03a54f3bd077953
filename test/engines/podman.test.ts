import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { describeEngine } from "../support/DescribeEngine.ts"
import { podman } from "../support/Engines.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"
import { shareEngine } from "../support/SharedEngine.ts"
import { assertEnvironments, begin, eventOf, expectedBase, type Run, type Watch, watch } from "../support/Watch.ts"

const image = "docker.io/library/busybox:test"

/** As process 1 of a container it ends by SIGKILL only, whenever that comes. */
const forever = ["sleep", "100000"]

interface Watched extends Watch {
  readonly sandbox: Sandbox
  readonly podman: (...args: ReadonlyArray<string>) => Effect.Effect<string>
}

/** A command of the client that gives a container's exit code as its own. */
const fails = (command: Effect.Effect<string>): Effect.Effect<unknown> =>
  Effect.sandbox(command).pipe(Effect.flip, Effect.orDie)

const ofType = (runs: ReadonlyArray<Run>, type: string): ReadonlyArray<Run> =>
  runs.filter(({ environment }) => environment["TYPE"] === type)

/** The actions in the order in which their scripts ran, without repetitions: podman 4.3 tells some things twice. */
const actions = (runs: ReadonlyArray<Run>): ReadonlyArray<string> =>
  runs.map(({ environment }) => environment["ACTION"] ?? "").filter((action, at, all) => action !== all[at - 1])

describeEngine("podman", () => {
  const shared = shareEngine(Effect.tap(podman(), (engine) => engine.importImage(image)))

  /** What des did while this test ran is checked after it: each record had its run with its environment, and the log says nothing else. */
  const watched = (name: string, body: (watched: Watched) => Effect.Effect<unknown, never, Scope.Scope>) =>
    test(
      name,
      (sandbox) =>
        Effect.gen(function* () {
          const engine = yield* shared
          const watching = yield* watch(sandbox, engine)
          const podman: Watched["podman"] = (...args) =>
            Effect.orDie(engine.cli(...args)).pipe(Effect.map((text) => text.trim()))
          yield* body({ ...watching, sandbox, podman })
          const runs = yield* watching.settled
          assertEnvironments(runs, { ...expectedBase(sandbox), DOCKER_HOST: engine.endpoint })
          assert.notMatch(yield* watching.des.stderr, / - (?:WARNING|ERROR|CRITICAL) - /)
        }),
      60_000
    )

  watched("a container's whole life", ({ podman, seen, settled }) =>
    Effect.gen(function* () {
      const labels = ["--label", "com.example.role=web", "--label", `com.example.note=It's the "front" door`]
      const id = yield* podman("run", "-d", "--name", "web", ...labels, image, ...forever)
      yield* fails(podman("exec", "web", "sh", "-c", "exit 3"))
      yield* seen("container/exec_die")
      yield* podman("pause", "web")
      yield* podman("unpause", "web")
      yield* podman("rename", "web", "front")
      yield* podman("restart", "--time", "0", "front")
      yield* podman("kill", "front")
      yield* seen("container/die", 2)
      yield* podman("start", "front")
      yield* podman("commit", "--quiet", "front", "committed:1")
      yield* podman("stop", "--time", "0", "front")
      yield* podman("rm", "front")
      yield* seen("container/destroy")
      yield* fails(podman("run", "--name", "short", image, "sh", "-c", "exit 7"))
      yield* podman("rm", "short")
      yield* seen("container/destroy", 2)
      yield* podman("rmi", "committed:1")

      const runs = ofType(yield* settled, "container")
      const life = runs.filter(({ environment }) => environment["ACTOR_ID"] === id)
      // Which of podman's processes sees the end first decides whether there is a stop, and how often it is cleaned up.
      assert.deepStrictEqual(
        actions(life).filter((action) => action !== "stop" && action !== "cleanup"),
        [
          ...["create", "init", "start", "exec", "exec_die", "pause", "unpause", "rename"],
          ...["restart", "die", "init", "start", "kill", "die", "init", "start", "commit", "die", "destroy"]
        ]
      )
      assert.include(actions(life), "cleanup")
      const variables = (action: string, name: string) =>
        runs
          .filter(({ environment }) => environment["ACTION"] === action)
          .map(({ environment }) => environment[`ACTOR_ATTRIBUTES_${name}`])
      assert.deepStrictEqual(variables("create", "COM_EXAMPLE_NOTE"), [`It's the "front" door`, undefined])
      assert.deepStrictEqual(variables("rename", "NAME"), ["front"])
      assert.deepStrictEqual(variables("die", "EXITCODE"), ["137", "137", "137", "7"])
      assert.include(variables("exec_die", "EXITCODE"), "3")
      assert.deepStrictEqual([...new Set(variables("destroy", "NAME"))], ["front", "short"])
      const destroyed = runs.filter(({ environment }) => environment["ACTION"] === "destroy")
      for (const { environment, input } of destroyed) {
        assert.strictEqual(environment["DES_ENGINE_ACTION"], "remove")
        assert.strictEqual(JSON.parse(input).Action, "remove")
      }
      for (const { environment } of runs) {
        assert.strictEqual(environment["STATUS"], environment["ACTION"])
        assert.strictEqual(environment["ID"], environment["ACTOR_ID"])
        assert.strictEqual(environment["FROM"], image)
      }
    })
  )

  watched("health checks", ({ podman, seen, settled }) =>
    Effect.gen(function* () {
      const health = ["--health-cmd", "test -e /tmp/fine", "--health-interval", "disable", "--health-retries", "1"]
      yield* podman("run", "-d", "--name", "web", ...health, image, "sh", "-c", "touch /tmp/fine; exec sleep 100000")
      yield* podman("exec", "web", "sh", "-c", "until test -e /tmp/fine; do :; done")
      yield* podman("healthcheck", "run", "web")
      yield* podman("healthcheck", "run", "web")
      yield* podman("exec", "web", "rm", "/tmp/fine")
      yield* fails(podman("healthcheck", "run", "web"))
      yield* fails(podman("healthcheck", "run", "web"))
      yield* seen("container/health_status", 4)
      yield* podman("rm", "--force", "--time", "0", "web")
      yield* seen("container/destroy")

      const checks = (yield* settled).filter((run) => eventOf(run).startsWith("container/health_status"))
      // podman 4.3 tells the health from before the check.
      const told = checks.map(({ environment }) => [environment["ACTION"], environment["HEALTHSTATUS"]])
      assert.deepStrictEqual(told, [
        ["health_status", "starting"],
        ["health_status: healthy", "healthy"],
        ["health_status: healthy", "healthy"],
        ["health_status: unhealthy", "unhealthy"]
      ])
    })
  )

  watched("volumes", ({ podman, seen, settled }) =>
    Effect.gen(function* () {
      yield* podman("volume", "create", "data")
      yield* podman("volume", "create", "unused")
      yield* podman("volume", "rm", "data")
      yield* podman("volume", "prune", "--force")
      yield* seen("volume/prune")

      const runs = ofType(yield* settled, "volume")
      assert.deepStrictEqual(
        runs.map(({ environment }) => [environment["ACTION"], environment["ACTOR_ATTRIBUTES_NAME"]]),
        [
          ["create", "data"],
          ["create", "unused"],
          ["destroy", "data"],
          ["destroy", "unused"],
          ["prune", "unused"]
        ]
      )
      for (const { environment } of runs) {
        assert.strictEqual(environment["ACTOR_ID"], environment["ACTOR_ATTRIBUTES_NAME"])
        assert.strictEqual(environment["DES_ENGINE_ACTOR_ID"], "")
      }
    })
  )

  watched("pods", ({ podman, seen, settled }) =>
    Effect.gen(function* () {
      const id = yield* podman("pod", "create", "--name", "pod", "--infra=false")
      yield* podman("create", "--pod", "pod", image, ...forever)
      yield* podman("pod", "start", "pod")
      yield* podman("pod", "pause", "pod")
      yield* podman("pod", "unpause", "pod")
      yield* podman("pod", "kill", "pod")
      yield* seen("container/die")
      yield* podman("pod", "start", "pod")
      yield* podman("pod", "stop", "--time", "0", "pod")
      yield* podman("pod", "rm", "--force", "pod")
      yield* seen("pod/remove")

      const runs = yield* settled
      const pods = ofType(runs, "pod")
      const life = ["create", "start", "pause", "unpause", "kill", "start", "stop", "remove"]
      assert.deepStrictEqual(actions(pods), life)
      for (const { environment } of pods) {
        assert.strictEqual(environment["ACTOR_ID"], id)
        assert.strictEqual(environment["ACTOR_ATTRIBUTES_NAME"], "pod")
      }
      const start = runs.find((run) => eventOf(run) === "container/start")
      assert.strictEqual(start?.environment["ACTOR_ATTRIBUTES_PODID"], id)
    })
  )

  watched("images", ({ podman, sandbox, seen, settled }) =>
    Effect.gen(function* () {
      yield* podman("tag", image, "registry.example.com/tagged:2")
      yield* podman("save", "--quiet", "-o", sandbox.path("saved.tar"), "registry.example.com/tagged:2")
      yield* podman("untag", "registry.example.com/tagged:2", "registry.example.com/tagged:2")
      yield* podman("load", "--quiet", "-i", sandbox.path("saved.tar"))
      yield* seen("image/load")
      yield* podman("import", "--quiet", sandbox.path("saved.tar"), "imported:1")
      yield* podman("rmi", "imported:1")
      yield* seen("image/delete")

      const runs = ofType(yield* settled, "image")
      assert.deepStrictEqual(actions(runs), ["tag", "save", "untag", "load", "tag", "untag", "delete"])
      for (const { environment } of runs) {
        assert.strictEqual(environment["STATUS"], environment["ACTION"])
        assert.strictEqual(environment["ID"], environment["ACTOR_ID"])
        assert.match(environment["ACTOR_ID"] ?? "", /^(?:sha256:[0-9a-f]{64})?$/)
        assert.strictEqual(environment["FROM"], "")
      }
    })
  )

  test("DOCKER_HOST inside a script is the service that is watched", (sandbox) =>
    Effect.gen(function* () {
      const engine = yield* shared
      sandbox.script(
        "container/create",
        `podman --url "$DOCKER_HOST" inspect --format '{{.Id}} {{.Name}}' "$ACTOR_ID" >>inspected 2>&1`
      )
      const { des } = yield* watch(sandbox, engine)
      const id = (yield* Effect.orDie(engine.cli("create", "--name", "asked", image, "true"))).trim()
      yield* Effect.addFinalizer(() => Effect.ignore(engine.cli("rm", "asked")))
      yield* des.until("what the script asked", () => sandbox.lines("inspected").length > 0)
      assert.deepStrictEqual(sandbox.lines("inspected"), [`${id} asked`])
    }))

  test(
    "des waits for a service that does not run yet, and reconnects to one that was killed",
    (sandbox) =>
      Effect.gen(function* () {
        const engine = yield* shared
        const podman = (...args: ReadonlyArray<string>) => Effect.orDie(engine.cli(...args))
        yield* engine.kill9
        const { connected, des, settled } = yield* begin(sandbox, engine)
        yield* des.said("is the engine running?")
        for (const time of ["first", "second"]) {
          yield* Effect.orDie(engine.restart)
          yield* connected
          yield* podman("create", "--name", time, image, "true")
          yield* podman("rm", time)
          assert.includeMembers((yield* settled).map(eventOf), ["container/create", "container/destroy"])
          if (time === "first") yield* engine.kill9
        }
        const watching = (yield* des.stderr).split("\n").filter((line) => line.includes("watching "))
        // A service that is back before anybody noticed is no news.
        assert.include([1, 2], watching.length)
      }),
    90_000
  )
})
