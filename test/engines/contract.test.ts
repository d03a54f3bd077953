/** One set of scripts, written for Docker, on each engine: what they get is the same. */

import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeEngine } from "../support/DescribeEngine.ts"
import { dockerd, type Engine, podman } from "../support/Engines.ts"
import { record } from "../support/Record.ts"
import { test } from "../support/Sandbox.ts"
import { shareEngine } from "../support/SharedEngine.ts"
import { type Watch, watch } from "../support/Watch.ts"

const image = "docker.io/library/busybox:test"

/** What each script writes down of its event, and nothing where Docker would not have run it. */
const scripts = {
  "container/create": '"$ACTOR_ATTRIBUTES_NAME $ACTOR_ATTRIBUTES_IMAGE $FROM"',
  "container/exec_die": '"$ACTOR_ATTRIBUTES_NAME $ACTOR_ATTRIBUTES_IMAGE $ACTOR_ATTRIBUTES_EXITCODE"',
  "container/health_status": '"$ACTOR_ATTRIBUTES_NAME ${ACTION#health_status}"',
  "container/die": '"$ACTOR_ATTRIBUTES_NAME $ACTOR_ATTRIBUTES_IMAGE $ACTOR_ATTRIBUTES_EXITCODE"',
  "container/destroy": '"$ACTOR_ATTRIBUTES_NAME $ACTOR_ATTRIBUTES_IMAGE $ACTOR_ATTRIBUTES_COM_EXAMPLE_ROLE"',
  "image/tag": '"${ACTOR_ID%"${ACTOR_ID#sha256:}"} $ACTOR_ATTRIBUTES_NAME"',
  "image/load": '""',
  "volume/create": '"$ACTOR_ID"',
  "volume/destroy": '"$ACTOR_ID"'
}

/** The same for every engine; a probe of podman that says again what was said is said once. */
const expected: Readonly<Record<keyof typeof scripts, ReadonlyArray<string>>> = {
  "container/create": [`web ${image} ${image}`],
  "container/exec_die": [`web ${image} 3`],
  "container/health_status": ["web : healthy", "web : unhealthy"],
  "container/die": [`web ${image} 7`],
  "container/destroy": [`web ${image} front`],
  "image/tag": ["sha256: registry.example.com/tagged:2"],
  "image/load": [""],
  "volume/create": ["data"],
  "volume/destroy": ["data"]
}

/** Where the engines differ in how a health check is asked for. */
interface Kind {
  readonly name: Engine["name"]
  readonly start: ReturnType<typeof dockerd>
  readonly health: ReadonlyArray<string>
  /** Has the container's health checked until scripts have seen it. */
  readonly check: (engine: Engine, watch: Watch, health: "healthy" | "unhealthy") => Effect.Effect<unknown>
}

const kinds: ReadonlyArray<Kind> = [
  {
    name: "dockerd",
    start: dockerd(),
    health: ["--health-interval", "500ms"],
    check: (_engine, { seen }, health) => seen(`container/health_status: ${health}`)
  },
  {
    name: "podman",
    start: podman(),
    health: ["--health-interval", "disable"],
    // podman 4.3 tells the health from before a check, and fails where it is bad.
    check: (engine, { seen }, health) =>
      Effect.ignore(engine.cli("healthcheck", "run", "web")).pipe(
        Effect.repeatN(1),
        Effect.zipRight(seen(`container/health_status: ${health}`))
      )
  }
]

describe("a set of scripts that was written for Docker", () => {
  test("is looked up, and its conditions are asked, in Docker's words", (sandbox) =>
    Effect.gen(function* () {
      const says = 'echo "$TYPE/$ACTION $ACTOR_ID" >>got'
      sandbox.script("network/connect", `# des: name=inner\n${says}`)
      sandbox.script("container/destroy", says)
      sandbox.script("container/remove", says)
      const podmanRecord = (Type: string, Action: string, attributes: Readonly<Record<string, string>>) =>
        record({ Type, Action, id: "c0ffee", attributes: { image: "", name: "web", podId: "", ...attributes } })
      const { code, stderr } = yield* sandbox.feed([
        podmanRecord("network", "connect", { network: "inner" }),
        podmanRecord("network", "connect", { network: "outer" }),
        podmanRecord("container", "remove", {})
      ])
      assert.strictEqual(code, 0, stderr)
      assert.deepStrictEqual(sandbox.lines("got"), ["network/connect inner", "container/destroy c0ffee"])
    }))

  for (const kind of kinds) {
    describeEngine(kind.name, () => {
      const shared = shareEngine(Effect.tap(kind.start, (engine) => engine.importImage(image)))

      test(
        `gets the same from ${kind.name}`,
        (sandbox) =>
          Effect.gen(function* () {
            const engine = yield* shared
            const cli = (...args: ReadonlyArray<string>) => Effect.orDie(engine.cli(...args))
            for (const [name, said] of Object.entries(scripts)) {
              sandbox.script(name, `printf '%s\\n' ${said} >>"got-$TYPE-${name.replace(/^.*\//, "")}"`)
            }
            const watching = yield* watch(sandbox, engine)
            const { seen, settled } = watching

            yield* cli("volume", "create", "data")
            yield* cli("volume", "rm", "data")
            yield* cli("tag", image, "registry.example.com/tagged:2")
            yield* cli("save", "-o", sandbox.path("saved.tar"), image)
            yield* cli("load", "-i", sandbox.path("saved.tar"))
            yield* seen("image/load")

            const health = ["--health-cmd", "test -e /tmp/fine", ...kind.health, "--health-retries", "1"]
            const command = "touch /tmp/fine; until test -e /tmp/end; do sleep 0.1; done; exit 7"
            const options = ["--name", "web", "--network", "none", "--label", "com.example.role=front", ...health]
            yield* cli("run", "-d", ...options, image, "sh", "-c", command)
            yield* cli("exec", "web", "sh", "-c", "until test -e /tmp/fine; do sleep 0.1; done")
            yield* kind.check(engine, watching, "healthy")
            yield* Effect.exit(engine.cli("exec", "web", "sh", "-c", "rm /tmp/fine; exit 3"))
            yield* kind.check(engine, watching, "unhealthy")
            yield* cli("exec", "web", "touch", "/tmp/end")
            yield* seen("container/die")
            yield* cli("rm", "web")
            yield* seen("container/destroy")
            yield* settled

            const got = (name: string) => sandbox.lines(`got-${name.replace("/", "-")}`)
            const notOfTheTest: Readonly<Record<string, RegExp>> = {
              // Health checks are commands too, and so are those that steer the container.
              "container/exec_die": / [012]$/,
              // A probe before the first result, of which Docker says nothing.
              "container/health_status": /^web $/,
              "volume/create": /^des-/,
              "volume/destroy": /^des-/
            }
            for (const [name, lines] of Object.entries(expected)) {
              const kept = got(name).filter((line) => notOfTheTest[name]?.test(line) !== true)
              assert.deepStrictEqual(
                kept.filter((line, at) => line !== kept[at - 1]),
                lines,
                name
              )
            }
          }),
        90_000
      )
    })
  }
})
