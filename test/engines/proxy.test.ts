import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { describeEngine } from "../support/DescribeEngine.ts"
import { dockerd, type Engine } from "../support/Engines.ts"
import { type Haproxy, haproxy } from "../support/Haproxy.ts"
import { test } from "../support/Sandbox.ts"
import { shareEngine } from "../support/SharedEngine.ts"
import { eventOf, type Run, type Watch, watch } from "../support/Watch.ts"

const image = "busybox:test"

interface Proxied extends Watch {
  readonly engine: Engine
  readonly proxy: Haproxy
  /** A container that is made and removed, past the proxy. */
  readonly live: (name: string) => Effect.Effect<void>
  /** Waits until the proxy has cut so many feeds more. */
  readonly cut: (times: number) => Effect.Effect<void>
  /** What des said but which scripts it runs. */
  readonly said: Effect.Effect<ReadonlyArray<string>>
}

const namesOf = (runs: ReadonlyArray<Run>, event: string) =>
  runs.filter((run) => eventOf(run) === event).map(({ environment }) => environment["ACTOR_ATTRIBUTES_NAME"])

const tests = () => {
  const shared = shareEngine(Effect.tap(dockerd(), (engine) => engine.importImage(image)))

  const proxied = (
    name: string,
    allow: Parameters<typeof haproxy>[0]["allow"],
    body: (proxied: Proxied) => Effect.Effect<unknown, never, Scope.Scope>
  ) =>
    test(
      name,
      (sandbox) =>
        Effect.gen(function* () {
          const engine = yield* shared
          const proxy = yield* haproxy({ socket: engine.socket, allow })
          const watching = yield* watch(sandbox, { ...engine, endpoint: proxy.endpoint })
          const { des } = watching
          const live = (name: string) =>
            Effect.orDie(
              Effect.zipRight(
                engine.cli("create", "--name", name, "--network", "none", image, "true"),
                Effect.asVoid(engine.cli("rm", name))
              )
            )
          const cut = (times: number) =>
            Effect.suspend(() => {
              const before = proxy.cuts()
              return des.until(`${times} cuts`, () => proxy.cuts() >= before + times)
            })
          const said = Effect.map(des.stderr, (text) =>
            text.split("\n").filter((line) => line !== "" && !line.includes("Running script "))
          )
          yield* body({ ...watching, engine, proxy, live, cut, said })
        }),
      90_000
    )

  proxied("a proxy that cuts the idle feed again and again", "read-only", ({ cut, live, said, settled }) =>
    Effect.gen(function* () {
      const names: Array<string> = []
      for (const at of ["a", "b", "c", "d"]) {
        yield* cut(1)
        // One event just after a cut, while nobody reads, then more until the feed is open again, and after that.
        for (let number = 0; number < 6; number++) {
          names.push(`${at}-${number}`)
          yield* live(`${at}-${number}`)
        }
      }
      yield* cut(2)
      const runs = yield* settled
      assert.deepStrictEqual(namesOf(runs, "container/create"), names)
      assert.deepStrictEqual(namesOf(runs, "container/destroy"), names)
      assert.lengthOf(yield* said, 1)
    })
  )

  proxied("one that lets through the feed and little else", "events-only", ({ cut, live, proxy, said, settled }) =>
    Effect.gen(function* () {
      const names = ["allowed-0", "allowed-1", "allowed-2"]
      for (const name of names) {
        yield* live(name)
        yield* cut(1)
      }
      assert.deepStrictEqual(namesOf(yield* settled, "container/create"), names)
      assert.include(proxy.denied().join(), "/info")
      // Once, however often it is connected: the list of containers is denied.
      const [denied = "", watching = "", ...more] = yield* said
      assert.match(denied, / WARNING - .* refused: 403 .*; without the list of containers/)
      assert.match(watching, / INFO - watching /)
      assert.deepStrictEqual(more, [])
    })
  )

  proxied(
    "the one of contrib/haproxy lets des watch and compare, and changes nothing",
    "contrib",
    ({ live, proxy, said, settled }) =>
      Effect.gen(function* () {
        yield* live("allowed")
        assert.deepStrictEqual(namesOf(yield* settled, "container/create"), ["allowed"])
        // One line: des watches. Nothing that it asks is denied.
        assert.lengthOf(yield* said, 1)
        const answer = (method: string, path: string) =>
          Effect.promise(() =>
            fetch(`${proxy.endpoint.replace("tcp:", "http:")}${path}`, { method }).then(({ status }) => status)
          )
        for (const path of ["/_ping", "/v1.41/info", "/containers/json", "/v1.41/containers/json?all=1"]) {
          assert.strictEqual(yield* answer("GET", path), 200, path)
        }
        for (const path of [
          "/images/json",
          "/containers/allowed/logs",
          "/containers/json/archive",
          "/v1.41/info/../images/json",
          "/secrets"
        ]) {
          assert.strictEqual(yield* answer("GET", path), 403, path)
        }
        for (const path of ["/containers/create", "/events", "/containers/allowed/json"]) {
          assert.strictEqual(yield* answer("POST", path), 403, path)
        }
      })
  )

  proxied("one that is stopped and started again", "read-only", ({ des, live, proxy, said, settled }) =>
    Effect.gen(function* () {
      yield* live("before")
      yield* proxy.stop
      yield* des.said("nothing listens there")
      yield* live("meanwhile")
      yield* proxy.start
      yield* des.said("is open again")
      yield* live("after")
      assert.deepStrictEqual(namesOf(yield* settled, "container/create"), ["before", "meanwhile", "after"])
      assert.lengthOf(yield* said, 3)
    })
  )

  proxied("one whose engine is away", "read-only", ({ connected, des, engine, live, said, seen }) =>
    Effect.gen(function* () {
      yield* engine.kill9
      yield* des.said("refused: 503")
      yield* Effect.orDie(engine.restart)
      yield* des.said("is open again")
      yield* connected
      yield* live("again")
      assert.deepStrictEqual(namesOf(yield* seen("container/destroy"), "container/destroy"), ["again"])
      const levels = (yield* said).map((line) =>
        line.split(" - ").slice(2, 4).join(" ").split(" ").slice(0, 2).join(" ")
      )
      assert.deepStrictEqual(levels, ["INFO watching", "WARNING the", "WARNING the", "WARNING Gap"])
    })
  )
}

describeEngine("dockerd", tests, ["haproxy"])
