import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { it } from "vitest"
import { parse } from "../../src/endpoint/Endpoint.ts"
import { describeEngine } from "../support/DescribeEngine.ts"
import { podman } from "../support/Engines.ts"
import { follow } from "../support/Following.ts"

const image = "docker.io/library/busybox:test"

describeEngine("podman", () => {
  it(
    "that is killed and restarted loses nothing: its store outlives it",
    () =>
      Effect.runPromise(
        Effect.scoped(
          Effect.gen(function* () {
            const engine = yield* podman()
            yield* engine.importImage(image)
            const des = yield* follow(Either.getOrThrow(parse(engine.endpoint)))
            yield* des.until("des/connected")
            yield* engine.cli("run", "-d", "--name", "first", image, "sleep", "100000")
            yield* des.until("container/start first")
            yield* engine.kill9
            yield* engine.cli("run", "-d", "--name", "away", image, "sleep", "100000")
            yield* engine.cli("kill", "first")
            yield* engine.cli("rm", "--force", "first")
            yield* engine.restart
            yield* engine.cli("create", "--name", "last", image, "true")
            yield* des.until("container/create last")
            assert.deepStrictEqual(
              des.told().filter((event) => /^container\/(start|die|destroy) |^des\/gap/.test(event)),
              ["container/start first", "container/start away", "container/die first", "container/destroy first"]
            )
            const records = des.events.filter(({ Type }) => Type !== "des").map(({ record }) => record)
            assert.strictEqual(new Set(records).size, records.length)
          })
        )
      ),
    90_000
  )
})
