import * as Fs from "node:fs"
import { assert, describe, it } from "vitest"
import { type CatalogueEntry, entries } from "../../src/event/EventCatalogue.ts"
import { asDocker } from "../../src/event/PodmanEvents.ts"
import { variableName } from "../../src/scripts/Environment.ts"

const nameOf = (entry: { readonly type: string; readonly action: string }) => `${entry.type}/${entry.action}`

const find = (name: string): CatalogueEntry | undefined => entries.find((entry) => nameOf(entry) === name)

/** Events as an engine sent them: the name, then the keys of its attributes, without the container's labels. */
const seenOnDocker = [
  "builder/prune reclaimed",
  "config/create name",
  "config/remove name",
  "container/archive-path image name",
  "container/attach image name",
  "container/commit comment image imageID imageRef name",
  "container/create image name",
  "container/destroy image name",
  "container/die exitCode image name",
  "container/exec_create execID image name",
  "container/exec_die execID exitCode image name",
  "container/exec_start execID image name",
  "container/export image name",
  "container/extract-to-dir image name",
  "container/health_status image name",
  "container/kill image name signal",
  "container/oom image name",
  "container/pause image name",
  "container/prune reclaimed",
  "container/rename image name oldName",
  "container/resize height image name width",
  "container/restart image name",
  "container/start image name",
  "container/stop image name",
  "container/top image name",
  "container/unpause image name",
  "container/update image name",
  `daemon/reload allow-nondistributable-artifacts cluster-advertise cluster-store cluster-store-opts debug
    default-cgroupns-mode default-ipc-mode default-runtime default-shm-size features insecure-registries labels
    live-restore max-concurrent-downloads max-concurrent-uploads max-download-attempts name registry-mirrors runtimes
    shutdown-timeout default-stop-timeout nri-opts`,
  "image/delete name",
  "image/import name",
  "image/load name",
  "image/prune reclaimed",
  "image/save name",
  "image/tag name",
  "image/untag name",
  "network/create name type",
  "network/destroy name type",
  "network/disconnect container name type",
  "network/prune reclaimed",
  "network/remove name",
  "network/update name",
  "node/create name",
  "node/update availability.new availability.old name role.new role.old state.new state.old",
  "secret/create name",
  "secret/remove name",
  "service/create name",
  "service/remove name",
  "service/update name replicas.new replicas.old",
  "volume/create driver",
  "volume/destroy driver",
  "volume/mount container destination driver propagation read/write",
  "volume/prune reclaimed",
  "volume/unmount container driver"
]

/** The same for podman, with only the keys that have a value: `image`, `podId` and `containerExitCode` are on every event. */
const seenOnPodman = [
  "artifact/create name",
  "artifact/remove name",
  "container/attach image name",
  "container/cleanup image name podId",
  "container/commit image name",
  "container/create image name podId",
  "container/die containerExitCode exitCode image name",
  "container/exec image name",
  "container/exec_died containerExitCode image name",
  "container/health_status image name",
  "container/init image name podId",
  "container/kill image name podId",
  "container/mount image name",
  "container/pause image name podId",
  "container/remove image name podId",
  "container/rename image name",
  "container/restart image name",
  "container/start image name podId",
  "container/stop image name",
  "container/sync image name",
  "container/unpause image name podId",
  "image/build name",
  "image/delete name",
  "image/loadfromarchive name",
  "image/mount",
  "image/pull name",
  "image/save name",
  "image/tag name",
  "image/unmount",
  "image/untag name",
  "network/connect name",
  "network/disconnect name",
  "pod/create name",
  "pod/kill name",
  "pod/pause name",
  "pod/remove name",
  "pod/start name",
  "pod/stop name",
  "pod/unpause name",
  "secret/create name",
  "secret/remove name",
  "system/renumber",
  "volume/create name",
  "volume/prune name",
  "volume/remove name"
]

describe("EventCatalogue", () => {
  it("has each event once, and the events of one type stand together", () => {
    const names = entries.map(nameOf)
    assert.deepStrictEqual([...new Set(names)], names)

    const starts = entries.filter((entry, index) => entries[index - 1]?.type !== entry.type)
    assert.strictEqual(starts.length, new Set(entries.map((entry) => entry.type)).size)
  })

  it("has only names that are looked up in a script directory", () => {
    for (const entry of entries) {
      assert.match(entry.type, /^[A-Za-z][A-Za-z0-9_-]{0,63}$/)
      assert.match(entry.action, /^[A-Za-z][A-Za-z0-9_-]{0,63}$/)
    }
  })

  it("says for each event when it runs, in one sentence on one line", () => {
    for (const entry of entries) {
      assert.match(entry.when, /^[^\n|]+\.$/, nameOf(entry))
      assert.notMatch(entry.when, /\.\s/, nameOf(entry))
    }
  })

  it("gives each event's attributes and engines once, and every attribute its own variable", () => {
    for (const entry of entries) {
      const variables = entry.attributes.map((key) => variableName(["Actor", "Attributes", key]))
      assert.deepStrictEqual([...new Set(variables)], variables, nameOf(entry))
      assert.include(["docker", "podman", "docker podman"], entry.engines.join(" "), nameOf(entry))
    }
  })

  it.each([
    ["docker", seenOnDocker],
    ["podman", seenOnPodman]
  ] as const)("knows what %s was seen to emit, with the attributes as on the wire", (engine, seen) => {
    for (const line of seen) {
      const [sent = "", ...keys] = line.split(/\s+/)
      const [type = "", action = ""] = sent.split("/")
      const name = nameOf({
        type,
        action: asDocker({ Type: type, Action: action, scope: engine === "podman" ? "local" : "swarm" }).Action
      })
      const entry = find(name)
      assert.isDefined(entry, name)
      assert.include(entry?.engines, engine, name)
      assert.includeMembers([...(entry?.attributes ?? [])], keys, name)
    }
  })

  it("has no event that scripts see under another name", () => {
    for (const { action, engines, type } of entries) {
      const scope = engines.includes("podman") ? "local" : "swarm"
      assert.strictEqual(asDocker({ Type: type, Action: action, scope }).Action, action, type)
    }
  })

  it("has no event that is only documented, or only a name in an engine's source", () => {
    for (const name of [
      "container/copy",
      "container/died",
      "container/exec_died",
      "container/history",
      "container/import",
      "container/refresh",
      "container/remove",
      "daemon/start",
      "daemon/stop",
      "image/loadfromarchive",
      "image/remove",
      "image/history",
      "machine/init",
      "machine/start",
      "network/reload",
      "plugin/install",
      "plugin/push",
      "plugin/set",
      "plugin/upgrade",
      "secret/rotate",
      "task/create"
    ]) {
      assert.isUndefined(find(name), name)
    }
    assert.notInclude(
      entries.map((entry) => entry.type),
      "machine"
    )
  })

  it.each([
    ["container/destroy", ["docker", "podman"]],
    ["container/exec", ["podman"]],
    ["container/exec_create", ["docker"]],
    ["container/exec_die", ["docker", "podman"]],
    ["container/die", ["docker", "podman"]],
    ["image/create", ["docker"]],
    ["image/load", ["docker", "podman"]],
    ["image/pull-error", ["podman"]],
    ["network/destroy", ["docker", "podman"]],
    ["network/remove", ["docker"]],
    ["volume/destroy", ["docker", "podman"]],
    ["secret/update", ["docker"]],
    ["secret/remove", ["docker", "podman"]]
  ])("tells who emits %s", (name, engines) => {
    assert.deepStrictEqual([...(find(name)?.engines ?? [])], engines)
  })
})

describe("docs/events.md", () => {
  const lines = Fs.readFileSync(new URL("../../docs/events.md", import.meta.url), "utf8").split("\n")

  it("has exactly the catalogue's rows, in its order", () => {
    let heading = ""
    const rows: Array<string> = []
    for (const line of lines) {
      if (line.startsWith("#")) heading = line
      if (line.startsWith("| `")) rows.push(`${heading} ${line}`)
    }
    const expected = entries.map((entry) => {
      const variables = entry.attributes.map((key) => `\`${variableName(["Actor", "Attributes", key])}\``)
      const cells = [`\`${entry.action}\``, entry.engines.join(", "), entry.when, variables.join(", ") || "none"]
      return `## ${entry.type} | ${cells.join(" | ")} |`
    })
    assert.deepStrictEqual(rows, expected)
  })

  it("has no other table, and a heading for each type", () => {
    const tables = lines.filter((line) => line.startsWith("|") && !line.startsWith("| `"))
    const types = new Set(entries.map((entry) => entry.type))
    const head = ["| action | engines | when | variables |", "| --- | --- | --- | --- |"]
    assert.deepStrictEqual(
      tables,
      [...types].flatMap(() => head)
    )
  })
})
