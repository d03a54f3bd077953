import * as Fs from "node:fs"
import * as Os from "node:os"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { describeEngine } from "../support/DescribeEngine.ts"
import { post } from "../support/EngineApi.ts"
import { dockerd, type Engine } from "../support/Engines.ts"
import { poll } from "../support/Poll.ts"
import * as Program from "../support/Program.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"
import { shareEngine } from "../support/SharedEngine.ts"
import {
  assertEnvironments,
  begin,
  eventOf,
  expectedBase,
  makeRuns,
  type Run,
  recorder,
  type Watch,
  watch
} from "../support/Watch.ts"

const image = "busybox:test"

/** As process 1 of a container it ends by SIGKILL only, whenever that comes. */
const forever = ["sleep", "100000"]

/** A command of the client that gives a container's exit code as its own. */
const fails = (command: Effect.Effect<string>): Effect.Effect<unknown> =>
  Effect.sandbox(command).pipe(Effect.flip, Effect.orDie)

interface Watched extends Watch {
  readonly sandbox: Sandbox
  readonly engine: Engine
  readonly docker: (...args: ReadonlyArray<string>) => Effect.Effect<string>
}

/** The attributes of the events whose type and action begin like this. */
const attributesOf = (runs: ReadonlyArray<Run>, event: string): ReadonlyArray<Readonly<Record<string, string>>> =>
  runs.filter((run) => eventOf(run).startsWith(event)).map(({ input }) => JSON.parse(input).Actor.Attributes)

/** The actions for one actor, in the order in which their scripts ran. */
const actionsOf = (runs: ReadonlyArray<Run>, type: string, id: string): ReadonlyArray<string> =>
  runs
    .filter(({ environment }) => environment["TYPE"] === type && environment["ACTOR_ID"] === id)
    .map(({ environment }) => environment["ACTION"] ?? "")

describeEngine("dockerd", () => {
  const shared = shareEngine(Effect.tap(dockerd(), (engine) => engine.importImage(image)))

  /** What des did while this test ran is checked after it: each record had its run with its environment, and the log says nothing else. */
  const watched = (name: string, body: (watched: Watched) => Effect.Effect<unknown, never, Scope.Scope>) =>
    test(
      name,
      (sandbox) =>
        Effect.gen(function* () {
          const engine = yield* shared
          const watching = yield* watch(sandbox, engine)
          const docker: Watched["docker"] = (...args) =>
            Effect.orDie(engine.cli(...args)).pipe(Effect.map((text) => text.trim()))
          yield* body({ ...watching, sandbox, engine, docker })
          const runs = yield* watching.settled
          assertEnvironments(runs, { ...expectedBase(sandbox), DOCKER_HOST: engine.endpoint })
          assert.notMatch(yield* watching.des.stderr, / - (?:WARNING|ERROR|CRITICAL) - /)
        }),
      60_000
    )

  watched("a container's whole life", ({ docker, seen, settled }) =>
    Effect.gen(function* () {
      const labels = ["--label", "com.example.role=web", "--label", `com.example.note=It's the "front" door`]
      const id = yield* docker("run", "-d", "--name", "web", "--network", "none", ...labels, image, ...forever)
      yield* fails(docker("exec", "web", "sh", "-c", "echo 'a b' >/tmp/x; exit 3"))
      yield* seen("container/exec_die")
      yield* docker("pause", "web")
      yield* docker("unpause", "web")
      yield* docker("rename", "web", "front")
      yield* docker("restart", "--time", "0", "front")
      yield* docker("kill", "--signal", "HUP", "front")
      yield* docker("kill", "front")
      yield* seen("container/die", 2)
      yield* docker("start", "front")
      yield* docker("stop", "--time", "0", "front")
      yield* docker("rm", "front")
      yield* fails(docker("run", "--name", "short", "--network", "none", image, "sh", "-c", "exit 7"))
      yield* docker("rm", "short")
      yield* seen("container/destroy", 2)

      const runs = yield* settled
      const command = "sh -c echo 'a b' >/tmp/x; exit 3"
      const actions = actionsOf(runs, "container", id)
      // From dockerd 23 on a stop can come before its die.
      assert.deepStrictEqual(
        actions.filter((action) => action !== "stop"),
        [
          ...["create", "start", `exec_create: ${command}`, `exec_start: ${command}`, "exec_die"],
          ...["pause", "unpause", "rename", "kill", "kill", "die", "start", "restart"],
          ...["kill", "kill", "die", "start", "kill", "kill", "die", "destroy"]
        ]
      )
      assert.lengthOf(
        actions.filter((action) => action === "stop"),
        2
      )
      const common = { "com.example.note": `It's the "front" door`, "com.example.role": "web", image }
      assert.deepStrictEqual(attributesOf(runs, "container/create")[0], { ...common, name: "web" })
      const execs = attributesOf(runs, "container/exec_")
      assert.lengthOf(new Set(execs.map(({ execID }) => execID)), 1)
      assert.strictEqual(execs[2]?.["exitCode"], "3")
      assert.deepStrictEqual(attributesOf(runs, "container/rename"), [{ ...common, name: "front", oldName: "/web" }])
      const signals = attributesOf(runs, "container/kill").map(({ signal }) => signal)
      assert.deepStrictEqual(signals, ["15", "9", "1", "9", "15", "9"])
      const codes = attributesOf(runs, "container/die").map(({ exitCode }) => exitCode)
      assert.deepStrictEqual(codes, ["137", "137", "137", "7"])
    })
  )

  watched("what else a container can go through", ({ docker, engine, sandbox, seen, settled }) =>
    Effect.gen(function* () {
      const id = yield* docker("create", "-t", "--name", "other", "--network", "none", image, ...forever)
      yield* docker("start", "other")
      yield* docker("top", "other")
      yield* docker("update", "--cpu-shares", "512", "other")
      yield* docker("cp", "other:/etc/hostname", sandbox.path("hostname"))
      yield* docker("cp", sandbox.path("hostname"), "other:/tmp/copied")
      yield* docker("export", "-o", sandbox.path("other.tar"), "other")
      yield* docker("commit", "--message", "a comment", "other", "other:1")
      yield* Effect.orDie(post(engine, "/containers/other/resize?h=40&w=120"))
      yield* docker("exec", "--detach", "other", "true")
      yield* seen("container/exec_die")
      yield* docker("rm", "--force", "other")
      yield* seen("container/destroy")
      yield* docker("run", "--rm", "--name", "attached", "--network", "none", image, "true")
      yield* seen("container/destroy", 2)
      yield* docker("rmi", "other:1")
      yield* seen("image/delete")

      const runs = yield* settled
      assert.deepStrictEqual(actionsOf(runs, "container", id), [
        ...["create", "start", "top", "update", "archive-path", "extract-to-dir", "export"],
        ...["pause", "commit", "unpause", "resize", "exec_create: true ", "exec_start: true ", "exec_die"],
        ...["kill", "die", "destroy"]
      ])
      const [commit] = attributesOf(runs, "container/commit")
      assert.deepInclude(commit, { comment: "a comment", imageRef: "other:1" })
      const [resize] = attributesOf(runs, "container/resize")
      assert.deepStrictEqual(resize, { height: "40", image, name: "other", width: "120" })
      assert.deepStrictEqual(attributesOf(runs, "container/attach"), [{ image, name: "attached" }])
    })
  )

  watched("a start that fails, and restarts by policy", ({ docker, seen, settled }) =>
    Effect.gen(function* () {
      const id = yield* docker("create", "--name", "none", "--network", "none", image, "/nothing/here")
      yield* fails(docker("start", "none"))
      yield* docker("rm", "none")
      const again = ["--restart", "on-failure:1", "--name", "again", "--network", "none"]
      const retried = yield* docker("run", "-d", ...again, image, "sh", "-c", "exit 4")
      yield* seen("container/die", 2)
      yield* docker("rm", "again")
      yield* seen("container/destroy", 2)

      const runs = yield* settled
      assert.deepStrictEqual(actionsOf(runs, "container", id), ["create", "destroy"])
      assert.deepStrictEqual(actionsOf(runs, "container", retried), [
        ...["create", "start", "die", "start", "die", "destroy"]
      ])
    })
  )

  watched("health checks, and when they change their mind", ({ docker, seen, settled }) =>
    Effect.gen(function* () {
      const health = ["--health-cmd", "test -e /tmp/fine", "--health-interval", "500ms", "--health-retries", "1"]
      const command = ["sh", "-c", "touch /tmp/fine; exec sleep 100000"]
      yield* docker("run", "-d", "--name", "web", "--network", "none", ...health, image, ...command)
      yield* seen("container/health_status: healthy")
      yield* docker("exec", "web", "rm", "/tmp/fine")
      yield* seen("container/health_status: unhealthy")
      yield* docker("rm", "--force", "web")
      yield* seen("container/destroy")

      const runs = yield* settled
      const events = runs.map(eventOf)
      assert.deepStrictEqual(
        events.filter((event) => event.includes("health_status")),
        ["container/health_status: healthy", "container/health_status: unhealthy"]
      )
      assert.include(events, "container/exec_create: /bin/sh -c test -e /tmp/fine")
    })
  )

  watched("volumes", ({ docker, seen, settled }) =>
    Effect.gen(function* () {
      yield* docker("volume", "create", "--label", "a=b", "data")
      const id = yield* docker("run", "-d", "--network", "none", "-v", "data:/var/a b", image, ...forever)
      yield* docker("rm", "--force", id)
      yield* docker("volume", "rm", "data")
      yield* seen("volume/destroy")

      const runs = yield* settled
      // dockerd 20.10 tells the creation again for the container.
      const actions = new Set(actionsOf(runs, "volume", "data"))
      assert.deepStrictEqual([...actions], ["create", "mount", "unmount", "destroy"])
      const [mount] = attributesOf(runs, "volume/mount")
      assert.deepInclude(mount, { container: id, destination: "/var/a b", driver: "local", "read/write": "true" })
      const run = runs.find((run) => eventOf(run) === "volume/mount")
      assert.strictEqual(run?.environment["ACTOR_ATTRIBUTES_READ_WRITE"], "true")
    })
  )

  // The engine has no bridge of its own; a network without a way out needs no rules of the host's firewall.
  watched("networks", ({ docker, seen, settled }) =>
    Effect.gen(function* () {
      const network = yield* docker("network", "create", "--internal", "inner")
      yield* Effect.addFinalizer(() => Effect.exit(docker("network", "rm", "inner")))
      const id = yield* docker("run", "-d", "--network", "inner", image, ...forever)
      yield* docker("network", "disconnect", "inner", id)
      yield* docker("rm", "--force", id)
      yield* docker("network", "rm", "inner")
      yield* seen("network/destroy")

      const runs = yield* settled
      // dockerd 20.10 tells a disconnection on request twice.
      const actions = new Set(actionsOf(runs, "network", network))
      assert.deepStrictEqual([...actions], ["create", "connect", "disconnect", "destroy"])
      const [connect] = attributesOf(runs, "network/connect")
      assert.deepStrictEqual(connect, { container: id, name: "inner", type: "bridge" })
    })
  )

  watched("images", ({ docker, engine, sandbox, seen, settled }) =>
    Effect.gen(function* () {
      yield* Effect.orDie(engine.importImage("imported:1"))
      yield* docker("tag", "imported:1", "registry.example.com/tagged:2")
      yield* docker("save", "-o", sandbox.path("saved.tar"), "imported:1")
      yield* docker("rmi", "registry.example.com/tagged:2", "imported:1")
      yield* docker("load", "-i", sandbox.path("saved.tar"))
      yield* docker("rmi", "imported:1")
      yield* seen("image/delete", 2)

      const runs = yield* settled
      const actions = runs.map(({ environment }) => environment["ACTION"])
      assert.deepStrictEqual(actions, [
        ...["tag", "import", "tag", "save", "untag", "untag", "delete", "load", "untag", "delete"]
      ])
      for (const { environment } of runs) assert.match(environment["ID"] ?? "", /^sha256:/)
    })
  )

  watched("a swarm's objects", ({ des, docker, engine, runs, sandbox, seen, settled }) =>
    Effect.gen(function* () {
      // An address of its own, so that no other swarm of this machine is in the way.
      const address = `127.${process.pid & 255}.${(process.pid >> 8) & 255}.7`
      const leave = Effect.ignore(engine.cli("swarm", "leave", "--force"))
      const bridge = engine.cli("network", "ls", "--quiet", "--filter", "name=docker_gwbridge")
      const bridgeIsGone = Effect.ignore(engine.cli("network", "rm", "docker_gwbridge")).pipe(
        Effect.zipRight(bridge),
        Effect.map((found) => found === ""),
        Effect.orDie
      )
      yield* Effect.addFinalizer(() => Effect.zipRight(leave, poll(bridgeIsGone, 10_000)))
      yield* docker("swarm", "init", "--advertise-addr", address, "--listen-addr", `${address}:2377`)
      yield* seen("node/update")
      // An engine that leaves while it sets up this network keeps what it has made of it.
      const hasIngress = () => attributesOf(runs(), "network/create").some(({ name }) => name === "ingress")
      yield* des.until("the network of a swarm", hasIngress)
      sandbox.write("data", "data")
      const secret = yield* docker("secret", "create", "key", sandbox.path("data"))
      const config = yield* docker("config", "create", "settings", sandbox.path("data"))
      for (const [path, name, id] of [
        ["secrets", "key", secret],
        ["configs", "settings", config]
      ] as const) {
        const { Version } = JSON.parse(yield* Effect.orDie(engine.get(`/${path}/${id}`)))
        const update = post(engine, `/${path}/${id}/update?version=${Version.Index}`, {
          Name: name,
          Labels: { a: "b" }
        })
        yield* Effect.orDie(update)
      }
      // No node takes its tasks.
      const nowhere = ["--constraint", "node.labels.no==where"]
      yield* docker("service", "create", "--detach", "--name", "web", "--replicas", "1", ...nowhere, image, ...forever)
      yield* docker("service", "update", "--detach", "--replicas", "3", "web")
      const network = yield* docker("network", "create", "--driver", "overlay", "over")
      const node = yield* docker("node", "ls", "--quiet")
      yield* docker("node", "update", "--availability", "pause", node)
      yield* docker("service", "rm", "web")
      yield* docker("secret", "rm", "key")
      yield* docker("config", "rm", "settings")
      yield* docker("network", "rm", "over")
      yield* seen("network/remove")

      const all = yield* settled
      assert.deepStrictEqual(actionsOf(all, "secret", secret), ["create", "update", "remove"])
      assert.deepStrictEqual(actionsOf(all, "config", config), ["create", "update", "remove"])
      const updates = actionsOf(all, "node", node)
      assert.isAtLeast(updates.length, 2)
      assert.deepStrictEqual([...new Set(updates)], ["update"])
      assert.includeMembers([...actionsOf(all, "network", network)], ["create", "remove"])
      assert.deepStrictEqual(attributesOf(all, "service/"), [
        { name: "web" },
        { name: "web", "replicas.new": "3", "replicas.old": "1" },
        { name: "web" }
      ])
      const ofNodes = all.filter((run) => eventOf(run) === "node/update").map((run) => run.environment)
      const paused = ofNodes.find((environment) => environment["ACTOR_ATTRIBUTES_AVAILABILITY_NEW"] === "pause")
      assert.strictEqual(paused?.["SCOPE"], "swarm")
      assert.strictEqual(paused?.["ACTOR_ATTRIBUTES_AVAILABILITY_OLD"], "active")
    })
  )

  watched("a daemon that reads its settings again", ({ engine, seen }) =>
    Effect.gen(function* () {
      process.kill(Number(Fs.readFileSync(`${engine.dir}/pid`, "utf8")), "SIGHUP")
      const [run] = yield* seen("daemon/reload")
      assert.strictEqual(run?.environment["ACTOR_ATTRIBUTES_LIVE_RESTORE"], "false")
      assert.strictEqual(run?.environment["ACTOR_ATTRIBUTES_NAME"], Os.hostname())
    })
  )

  watched("prunes", ({ docker, seen, settled }) =>
    Effect.gen(function* () {
      const id = yield* docker("create", "--network", "none", image, "true")
      yield* docker("volume", "create", "unused")
      yield* docker("network", "create", "--internal", "unused")
      yield* Effect.addFinalizer(() => Effect.exit(docker("network", "rm", "unused")))
      for (const object of ["container", "volume", "network", "image", "builder"]) {
        yield* docker(object, "prune", "--force")
      }
      yield* seen("builder/prune")

      const runs = yield* settled
      assert.deepStrictEqual(actionsOf(runs, "container", id), ["create", "destroy"])
      const prunes = runs.filter(({ environment }) => environment["ACTION"] === "prune")
      assert.deepStrictEqual(
        prunes.map(({ environment }) => environment["TYPE"]),
        ["container", "volume", "network", "image", "builder"]
      )
      for (const { environment } of prunes) {
        assert.strictEqual(environment["ACTOR_ID"], "")
        assert.match(environment["ACTOR_ATTRIBUTES_RECLAIMED"] ?? "", /^\d+$/)
      }
    })
  )

  watched(
    "more events of one container at a time than scripts can run meanwhile",
    ({ docker, engine, seen, settled }) =>
      Effect.gen(function* () {
        const id = yield* docker("create", "--name", "busy", "--network", "none", image, "true")
        for (let at = 1; at <= 60; at++) yield* Effect.orDie(post(engine, `/containers/${id}/rename?name=busy-${at}`))
        yield* docker("rm", id)
        yield* seen("container/destroy")
        assert.lengthOf(actionsOf(yield* settled, "container", id), 62)
      })
  )

  test("DOCKER_HOST inside a script is the engine that is watched", (sandbox) =>
    Effect.gen(function* () {
      const engine = yield* shared
      sandbox.script("container/create", `docker inspect --format '{{.Id}} {{.Name}}' "$ACTOR_ID" >>inspected 2>&1`)
      yield* watch(sandbox, engine)
      const id = (yield* Effect.orDie(
        engine.cli("create", "--name", "asked", "--network", "none", image, "true")
      )).trim()
      yield* Effect.addFinalizer(() => Effect.ignore(engine.cli("rm", "asked")))
      const asked = Effect.sync(() => sandbox.lines("inspected").length > 0)
      assert.isTrue(yield* poll(asked, 20_000))
      assert.deepStrictEqual(sandbox.lines("inspected"), [`${id} /asked`])
    }))

  test("the real docker command's feed on stdin", (sandbox) =>
    Effect.gen(function* () {
      const engine = yield* shared
      const docker = (...args: ReadonlyArray<string>) => Effect.orDie(engine.cli(...args))
      Fs.mkdirSync(sandbox.path("runs"))
      sandbox.script("all", recorder)
      const since = Date.now() / 1000
      // The feed ends with its command, which is ended by the test.
      const events = `docker -H ${engine.endpoint} events --since ${since} --format '{{json .}}'`
      const feed = `{ ${events} & echo $! >pid; wait $!; } | tee feed | ${Program.des("-d", sandbox.dir, "--from", "-").join(" ")}`
      const program = yield* Program.start(["sh", "-c", feed], { cwd: sandbox.top, env: { HOME: sandbox.top } })
      const id = (yield* docker("run", "-d", "--name", "piped", "--network", "none", image, ...forever)).trim()
      yield* docker("rm", "--force", "piped")
      const runs = makeRuns(sandbox)
      yield* program.until("container/destroy", () => runs().some((run) => eventOf(run) === "container/destroy"))
      process.kill(Number(sandbox.read("pid")), "SIGTERM")
      const { code, stderr } = yield* program.ended
      assert.strictEqual(code, 0, stderr)

      assert.deepStrictEqual(actionsOf(runs(), "container", id), ["create", "start", "kill", "die", "destroy"])
      assert.deepStrictEqual(
        runs().map(({ input }) => input),
        sandbox.lines("feed").map((line) => `${line}\n`)
      )
      // No engine is known here, so none is named.
      assertEnvironments(runs(), expectedBase(sandbox))
    }))

  test(
    "dockerd that is not there yet is waited for, and one that was killed comes back",
    (sandbox) =>
      Effect.gen(function* () {
        const engine = yield* shared
        const docker = (...args: ReadonlyArray<string>) => Effect.orDie(engine.cli(...args))
        yield* engine.kill9
        Fs.rmSync(engine.socket)
        const { connected, des, settled } = yield* begin(sandbox, engine)
        yield* des.said("the socket does not exist; is the engine running?")
        yield* Effect.orDie(engine.restart)
        yield* connected
        yield* docker("create", "--name", "first", "--network", "none", image, "true")
        yield* docker("rm", "first")
        assert.includeMembers((yield* settled).map(eventOf), ["container/create", "container/destroy"])

        yield* engine.kill9
        yield* des.said("nothing listens there; is the engine running?")
        yield* Effect.orDie(engine.restart)
        yield* connected
        yield* docker("create", "--name", "second", "--network", "none", image, "true")
        yield* docker("rm", "second")
        assert.includeMembers((yield* settled).map(eventOf), ["container/create", "container/destroy"])

        const said = (yield* des.stderr).split("\n").filter((line) => !line.includes("Running script "))
        assert.lengthOf(
          said.filter((line) => line.includes(`watching ${engine.endpoint} for events`)),
          1
        )
        assert.lengthOf(
          said.filter((line) => line.includes(`the feed of ${engine.endpoint} is open again`)),
          1
        )
        // One line for each thing that was in the way, however often it was tried.
        const reasons = said
          .filter((line) => line.includes(" - WARNING - "))
          .map((line) => line.slice(line.indexOf("WARNING")))
        assert.deepStrictEqual(reasons, [...new Set(reasons)])
      }),
    90_000
  )
})
