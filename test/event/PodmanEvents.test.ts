import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as DockerEvent from "../../src/event/DockerEvent.ts"
import { entries } from "../../src/event/EventCatalogue.ts"
import * as Environment from "../../src/scripts/Environment.ts"

const id = "467730e17a0ac265eae034d21cf633755aa57d03483ae479b623bc5569d6c274"

const decode = (record: unknown) => Either.getOrThrow(DockerEvent.decode(JSON.stringify(record)))

interface Fields {
  readonly Type?: string
  readonly Action: string
  readonly id?: string
  readonly attributes?: Readonly<Record<string, string>>
  readonly more?: Readonly<Record<string, unknown>>
}

/** Whether the event has the old fields, which podman sends up to 5.8 and dockerd up to API 1.51. */
type Old = "old fields" | "no old fields"
const olds: ReadonlyArray<Old> = ["old fields", "no old fields"]

const attributesOf = (Type: string, more: Fields["attributes"]): Readonly<Record<string, string>> => ({
  image: Type === "container" ? "alpine" : "",
  name: "web",
  podId: "",
  ...more
})

/** A record of podman: what it puts on every event, then what is given. */
const podman = (old: Old, { Action, Type = "container", attributes, id: ID = id, more }: Fields) => ({
  // Empty ones are left out, as Go does.
  ...(old === "old fields" ? { status: Action, ...(ID === "" ? {} : { id: ID }) } : {}),
  ...(old === "old fields" && Type === "container" ? { from: "alpine" } : {}),
  Type,
  Action,
  Actor: {
    ID,
    Attributes: attributesOf(Type, attributes)
  },
  scope: "local",
  time: 1795453740,
  ...more
})

const variables = (record: unknown, ...names: ReadonlyArray<string>) => {
  const environment = Environment.fromEvent(decode(record))
  return names.map((name) => environment[name])
}

/** What des's own variables say of the engine's words. */
const engineSaid = (record: unknown) =>
  Object.fromEntries(Object.entries(Environment.fromEvent(decode(record))).filter(([name]) => name.startsWith("DES_")))

const ifOld = (old: Old, values: Readonly<Record<string, string>>) => (old === "old fields" ? values : {})

describe.each(olds)("podman with %s", (old) => {
  it("the remove of a container becomes destroy", () => {
    const record = podman(old, { Action: "remove" })
    assert.strictEqual(decode(record).Action, "destroy")
    assert.deepStrictEqual(variables(record, "ACTION", "STATUS", "ID", "FROM", "ACTOR_ATTRIBUTES_NAME"), [
      ...["destroy", "destroy", id, "alpine", "web"]
    ])
    assert.deepStrictEqual(engineSaid(record), {
      DES_ENGINE_ACTION: "remove",
      ...ifOld(old, { DES_ENGINE_STATUS: "remove" })
    })
  })

  it("died becomes die and exec_died becomes exec_die, with the exit code, whatever a label says", () => {
    for (const [Action, expected] of [
      ["died", "die"],
      ["exec_died", "exec_die"]
    ] as const) {
      const record = podman(old, { Action, attributes: { containerExitCode: "3" } })
      assert.deepStrictEqual(variables(record, "ACTION", "STATUS", "ACTOR_ATTRIBUTES_EXITCODE"), [
        ...[expected, expected, "3"]
      ])
      const labels = podman(old, { Action, attributes: { exitCode: "0", EXITCODE: "0", containerExitCode: "3" } })
      assert.strictEqual(decode(labels).Actor.Attributes["exitCode"], "3")
      assert.deepStrictEqual(variables(labels, "ACTOR_ATTRIBUTES_EXITCODE"), ["3"])
      assert.strictEqual(engineSaid(labels)["DES_ENGINE_ACTOR_ATTRIBUTES_EXITCODE"], "0")
    }
  })

  it("health_status gets the health in its action, as in Docker", () => {
    for (const HealthStatus of ["healthy", "unhealthy"]) {
      const record = podman(old, { Action: "health_status", more: { HealthStatus } })
      assert.strictEqual(DockerEvent.verb(decode(record)), "health_status")
      assert.deepStrictEqual(variables(record, "ACTION", "STATUS", "HEALTHSTATUS"), [
        ...[`health_status: ${HealthStatus}`, `health_status: ${HealthStatus}`, HealthStatus]
      ])
      assert.strictEqual(engineSaid(record)["DES_ENGINE_ACTION"], "health_status")
    }
    for (const HealthStatus of ["starting", "", "none: healthy", 1, null, undefined]) {
      const record = podman(old, { Action: "health_status", more: { HealthStatus } })
      assert.deepStrictEqual(variables(record, "ACTION", "STATUS"), ["health_status", "health_status"])
      assert.deepStrictEqual(engineSaid(record), {})
    }
  })

  it("the id of an image gets its algorithm, and its actions become Docker's", () => {
    for (const [Action, expected] of [
      ["loadfromarchive", "load"],
      ["remove", "delete"],
      ["tag", "tag"]
    ] as const) {
      const record = podman(old, { Type: "image", Action })
      const sha = `sha256:${id}`
      assert.deepStrictEqual(variables(record, "ACTION", "STATUS", "ACTOR_ID", "ID"), [expected, expected, sha, sha])
      assert.strictEqual(engineSaid(record)["DES_ENGINE_ACTOR_ID"], id)
    }
    for (const other of ["", id.slice(1), `${id}0`, id.toUpperCase(), `sha256:${id}`, "busybox:latest"]) {
      assert.strictEqual(decode(podman(old, { Type: "image", Action: "tag", id: other })).Actor.ID, other)
    }
  })

  it("a volume gets its name as its id, and its remove becomes destroy", () => {
    const create = podman(old, { Type: "volume", Action: "create", id: "", attributes: { name: "data" } })
    assert.deepStrictEqual(variables(create, "ACTION", "ACTOR_ID", "ACTOR_ATTRIBUTES_NAME"), ["create", "data", "data"])
    assert.deepStrictEqual(engineSaid(create), { DES_ENGINE_ACTOR_ID: "" })
    const remove = podman(old, { Type: "volume", Action: "remove", id: "", attributes: { name: "data" } })
    assert.deepStrictEqual(variables(remove, "ACTION", "ACTOR_ID"), ["destroy", "data"])
  })

  it("connecting a container makes the network the actor and the container an attribute", () => {
    for (const Action of ["connect", "disconnect"]) {
      const record = podman(old, { Type: "network", Action, attributes: { network: "inner" } })
      assert.deepStrictEqual(
        variables(record, "ACTION", "ACTOR_ID", "ACTOR_ATTRIBUTES_CONTAINER", "ACTOR_ATTRIBUTES_NAME"),
        [Action, "inner", id, "inner"]
      )
      assert.deepStrictEqual(engineSaid(record), {
        DES_ENGINE_ACTOR_ID: id,
        DES_ENGINE_ACTOR_ATTRIBUTES_NAME: "web",
        ...ifOld(old, { DES_ENGINE_ID: id })
      })
      // podman 4.3 does not say which network it was.
      const nameless = podman(old, { Type: "network", Action })
      assert.deepStrictEqual(variables(nameless, "ACTOR_ID", "ACTOR_ATTRIBUTES_NAME"), [id, "web"])
      assert.deepStrictEqual(engineSaid(nameless), {})
    }
  })

  it("a network gets its name and its type, and its remove becomes destroy", () => {
    const attributes = { name: "", network: "inner", driver: "bridge" }
    for (const [Action, expected] of [
      ["create", "create"],
      ["remove", "destroy"]
    ] as const) {
      const record = podman(old, { Type: "network", Action, attributes })
      assert.deepStrictEqual(
        variables(record, "ACTION", "ACTOR_ID", "ACTOR_ATTRIBUTES_NAME", "ACTOR_ATTRIBUTES_TYPE"),
        [expected, id, "inner", "bridge"]
      )
    }
  })

  it("an attribute that the engine sends is not replaced", () => {
    for (const [Type, attributes] of [
      ["network", { network: "inner", container: "c0ffee" }],
      ["volume", { name: "data" }]
    ] as const) {
      const event = decode(podman(old, { Type, Action: "connect", attributes }))
      assert.strictEqual(event.Actor.ID, id)
      assert.deepInclude(event.Actor.Attributes, attributes)
    }
  })

  it("an event that Docker does not have keeps its name", () => {
    for (const [Type, Action] of [
      ...["exec", "init", "cleanup", "sync", "mount", "restore", "create", "kill"].map(
        (a) => ["container", a] as const
      ),
      ...["remove", "create"].map((action) => ["pod", action] as const),
      ["secret", "remove"],
      ["artifact", "remove"],
      ["image", "pull-error"],
      ["system", "refresh"]
    ] as const) {
      const record = podman(old, { Type, Action, attributes: { containerExitCode: "0" } })
      const event = decode(record)
      assert.strictEqual(event.Action, Action)
      assert.deepStrictEqual(event.Actor.Attributes, record.Actor.Attributes)
    }
  })
})

it("a die of an older podman gets its exit code, and a synthetic die gets none from a label", () => {
  const attributes = { containerExitCode: "7" }
  assert.deepStrictEqual(
    variables(podman("old fields", { Action: "die", attributes }), "ACTION", "ACTOR_ATTRIBUTES_EXITCODE"),
    ["die", "7"]
  )
  const madeUp = DockerEvent.make({ type: "container", action: "die", id, attributes, timeNano: 1n, synthetic: true })
  const again = Either.getOrThrow(DockerEvent.decode(madeUp.record))
  assert.deepStrictEqual(again.Actor.Attributes, attributes)
})

it("the record stays the line of the engine, and decodes to the same event again", () => {
  const record = JSON.stringify(podman("old fields", { Action: "remove" }))
  const event = Either.getOrThrow(DockerEvent.decode(record))
  assert.strictEqual(event.record, record)
  assert.deepStrictEqual(Either.getOrThrow(DockerEvent.decode(event.record)), event)
})

describe("STATUS, ID and FROM", () => {
  const image = "busybox:test"
  const container = (Action: string, attributes: Readonly<Record<string, string>>) => ({
    Type: "container",
    Action,
    Actor: { ID: id, Attributes: attributes }
  })
  const docker = container("die", { exitCode: "3", image, name: "web" })
  const legacy = { status: "die", id, from: image }
  const health = podman("old fields", { Action: "health_status", more: { HealthStatus: "healthy", from: image } })

  it.each([
    ["dockerd 20.10 and 28", { ...legacy, ...docker }, "die"],
    [
      "dockerd 29 asked with an API below 1.52",
      { Action: "die", Actor: docker.Actor, Type: "container", ...legacy },
      "die"
    ],
    ["dockerd 29 with API 1.52", docker, "die"],
    ["podman 4", { ...legacy, ...container("die", { ...docker.Actor.Attributes, containerExitCode: "3" }) }, "die"],
    ["podman 5, of health", health, "health_status: healthy"],
    ["podman asked with API 1.52", container("died", { containerExitCode: "3", image, name: "web" }), "die"]
  ])("are there from %s", (_engine, record, action) => {
    assert.deepStrictEqual(variables(record, "TYPE", "ACTION", "STATUS", "ID", "FROM"), [
      ...["container", action, action, id, image]
    ])
  })
})

/** Every event that dockerd sends, with hostile labels where it sends labels, and with and without the old fields. */
const labelKeys = [
  ...["podId", "containerExitCode", "exitCode", "network", "container", "driver", "HealthStatus", "status", "id"],
  ...["Action", "Type", "scope", "execID", "error", "oomKilled", "constructor", ""]
]
const labelValues = FastCheck.constantFrom("0", "", "healthy", "remove", "died", "local", id)
// Each of them as often as not.
const labels: FastCheck.Arbitrary<Readonly<Record<string, string>>> = FastCheck.record(
  Object.fromEntries(labelKeys.map((key) => [key, labelValues])),
  { requiredKeys: [] }
).map((some) => Object.fromEntries(Object.entries(some).map(([key, value = ""]) => [key, value])))
const dockerActions = entries
  .filter(({ engines }) => engines.includes("docker"))
  .filter(({ action, type }) => type !== "network" || action !== "remove")
  .map(({ action, type }) => [type, action] as const)

const dockerRecord = FastCheck.record({
  event: FastCheck.oneof(
    FastCheck.constantFrom(...dockerActions),
    FastCheck.constantFrom(
      ["container", "die"] as const,
      ["container", "exec_die"] as const,
      ["container", "health_status: healthy"] as const,
      ["container", "exec_create: remove"] as const,
      ["container", "exec_start: exec_died"] as const
    )
  ),
  labels,
  old: FastCheck.boolean()
}).map(({ event: [Type, Action], labels, old }) => {
  const ID = Type === "image" ? (Action === "pull" ? "busybox:latest" : `sha256:${id}`) : Action === "prune" ? "" : id
  const own = {
    ...(Action === "prune" ? { reclaimed: "0" } : Type === "volume" ? { driver: "local" } : { name: "web" }),
    ...(Type === "network" && Action !== "prune" ? { type: "bridge" } : {}),
    ...(Type === "network" && /connect$/.test(Action) ? { container: id } : {})
  }
  // The engine copies the labels over its own, but for the last two (moby `daemon/events.go`).
  const attributes =
    Type === "container" && Action !== "prune"
      ? { ...(/die$/.test(Action) ? { exitCode: "7", execID: id } : {}), ...labels, image: "alpine", ...own }
      : Type === "image"
        ? { ...labels, ...own }
        : own
  const legacy = old && (Type === "container" || Type === "image") ? { status: Action, id: ID, from: "alpine" } : {}
  return { ...legacy, Type, Action, Actor: { ID, Attributes: attributes }, scope: "local" }
})

describe("an event of Docker", () => {
  it("is not changed, whatever its labels are", () => {
    FastCheck.assert(
      FastCheck.property(dockerRecord, (record) => {
        const { Action, Actor, Type } = decode(record)
        const { Attributes, ID } = record.Actor
        assert.deepStrictEqual(
          { Type, Action, Actor },
          { Type: record.Type, Action: record.Action, Actor: { ID, Attributes } }
        )
        assert.deepStrictEqual(engineSaid(record), {})
      }),
      { numRuns: 3000 }
    )
  })

  it("keeps its remove if it is about a network of a swarm", () => {
    const record = {
      Type: "network",
      Action: "remove",
      Actor: { ID: id, Attributes: { name: "over" } },
      scope: "swarm"
    }
    assert.strictEqual(decode(record).Action, "remove")
  })
})

describe("any event of podman", () => {
  const podmanActions = [
    ...["remove", "died", "exec_died", "die", "health_status"].map((action) => ["container", action] as const),
    ...["loadfromarchive", "remove", "tag"].map((action) => ["image", action] as const),
    ...["create", "remove", "prune"].map((action) => ["volume", action] as const),
    ...["connect", "disconnect", "create", "remove"].map((action) => ["network", action] as const)
  ]
  const podmanRecord = FastCheck.record({
    event: FastCheck.constantFrom(...podmanActions),
    id: FastCheck.constantFrom(id, "", "c0ffee\0"),
    attributes: FastCheck.oneof(labels, FastCheck.dictionary(FastCheck.string({ unit: "binary" }), labelValues)),
    old: FastCheck.constantFrom(...olds),
    more: FastCheck.record({ HealthStatus: FastCheck.jsonValue(), status: FastCheck.jsonValue() }, { requiredKeys: [] })
  }).map(({ attributes, event: [Type, Action], id, more, old }) => podman(old, { Type, Action, id, attributes, more }))

  const told = ["ACTION", "STATUS", "ACTOR_ID", "ID"].concat(
    ["NAME", "EXITCODE", "CONTAINER", "TYPE"].map((key) => `ACTOR_ATTRIBUTES_${key}`)
  )

  it("sets the own names only to what the engine sent, and loses none of it", () => {
    FastCheck.assert(
      FastCheck.property(podmanRecord, (record) => {
        const environment = Environment.fromEvent(decode(record))
        for (const [name, value] of Object.entries(environment)) {
          assert.notInclude(value, "\0")
          if (!name.startsWith("DES_")) continue
          assert.include(told, name.replace(/^DES_ENGINE_/, ""))
          assert.notStrictEqual(environment[name.replace(/^DES_ENGINE_/, "")], undefined, name)
        }
        assert.strictEqual(environment["DES_ENGINE_ACTION"] ?? environment["ACTION"], record.Action)
        const ID = environment["DES_ENGINE_ACTOR_ID"] ?? environment["ACTOR_ID"]
        assert.strictEqual(ID, record.Actor.ID.replaceAll("\0", ""))
      }),
      { numRuns: 2000 }
    )
  })

  it("keeps the labels of a container, except one that would hide an exit code", () => {
    FastCheck.assert(
      FastCheck.property(podmanRecord, (record) => {
        if (record.Type !== "container") return
        const { exitCode, ...others } = decode(record).Actor.Attributes
        const { exitCode: label, ...sent } = record.Actor.Attributes
        assert.deepStrictEqual(others, sent)
        if (/^(?:exec_)?died$/.test(record.Action)) assert.strictEqual(exitCode, sent["containerExitCode"] ?? label)
        else if (record.Action !== "die") assert.strictEqual(exitCode, label)
      }),
      { numRuns: 1000 }
    )
  })
})
