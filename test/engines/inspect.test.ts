/** Scripts with inspect=yes, on each engine. */

import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeEngine } from "../support/DescribeEngine.ts"
import { dockerd, podman } from "../support/Engines.ts"
import { test } from "../support/Sandbox.ts"
import { shareEngine } from "../support/SharedEngine.ts"

const image = "docker.io/library/busybox:test"

for (const [name, start, run] of [
  ["dockerd", dockerd(), ["run", "-d", "--network", "none"]],
  ["podman", podman(), ["run", "-d"]]
] as const) {
  describeEngine(name, () => {
    const shared = shareEngine(Effect.tap(start, (engine) => engine.importImage(image)))

    test("a script gets the inspect data of a container that runs, and the last data of one that is gone", (sandbox) =>
      Effect.gen(function* () {
        const engine = yield* shared
        sandbox.script("container/start", "# des: inspect=yes\ncat >>started")
        sandbox.script("container/die", "wc -l >>died")
        sandbox.script("container/destroy", "# des: inspect=yes\ncat >>destroyed")
        const des = yield* sandbox.start(["-d", sandbox.dir, "-e", engine.endpoint])
        yield* des.said(`watching ${engine.endpoint} for events`)
        const cli = (...args: ReadonlyArray<string>) =>
          Effect.orDie(engine.cli(...args)).pipe(Effect.map((text) => text.trim()))
        const id = yield* cli(...run, "--name", "web", "--label", "role=db", "-e", "A=b c", image, "sleep", "100000")
        yield* des.until("the start", () => sandbox.lines("started").length === 2)
        yield* cli("kill", "web")
        yield* cli("rm", "-f", "web")
        yield* des.until("the end", () => sandbox.lines("destroyed").length === 2)

        const inspected = (file: string) => JSON.parse(sandbox.lines(file)[1] ?? "")
        const started = inspected("started")
        assert.deepStrictEqual(Object.keys(started), ["inspect"])
        assert.strictEqual(started.inspect.Id, id)
        assert.strictEqual(started.inspect.Config.Labels.role, "db")
        assert.include(started.inspect.Config.Env, "A=b c")
        const destroyed = inspected("destroyed")
        assert.deepInclude(destroyed, { stale: true, reason: "the container is gone", inspect: started.inspect })
        assert.isBelow(Date.parse(destroyed.taken), Date.now())
        assert.deepStrictEqual(sandbox.lines("died"), ["1"])
        assert.notMatch(yield* des.stderr, / - (?:WARNING|ERROR|CRITICAL) - /)
      }))
  })
}
