import * as Fs from "node:fs"
import { assert, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { describe } from "vitest"
import * as DockerEvent from "../../src/event/DockerEvent.ts"
import * as Engine29 from "../support/Engine29.ts"

const decode = (record: string) => Either.getOrThrow(DockerEvent.decode(record))
const fingerprintOf = (record: string) => decode(record).fingerprint

interface Said {
  readonly Type: string
  readonly Action: string
  readonly ID: string
  readonly attributes: Readonly<Record<string, string>>
  readonly scope: string
  readonly timeNano: bigint
}

const text = FastCheck.oneof(
  FastCheck.string({ unit: "binary" }),
  FastCheck.constantFrom("", "\0", "a", "a\0b", "1", "die")
)
const filled = text.filter((value) => value !== "")

const said: FastCheck.Arbitrary<Said> = FastCheck.record({
  Type: FastCheck.oneof(FastCheck.constantFrom("container", "image", "volume"), filled),
  Action: FastCheck.oneof(FastCheck.constantFrom("start", "died", "health_status"), filled),
  ID: text,
  attributes: FastCheck.dictionary(text, text),
  scope: FastCheck.constantFrom("local", "swarm"),
  timeNano: FastCheck.bigInt({ min: 1n << 60n, max: (1n << 61n) - 1n })
})

const legacy = ({ Action, ID, attributes }: Said) => ({ status: Action, id: ID, from: attributes["image"] ?? "" })

/** An object's text with its keys in the order that `order` gives them; a bigint is written with all its digits. */
const write = (value: unknown, order: (keys: ReadonlyArray<string>) => ReadonlyArray<string>): string =>
  typeof value === "bigint"
    ? String(value)
    : typeof value === "object" && value !== null
      ? `{${order(Object.keys(value))
          .map((key) => `${JSON.stringify(key)}:${write(Reflect.get(value, key), order)}`)
          .join(",")}}`
      : JSON.stringify(value)

const inOrder = (keys: ReadonlyArray<string>) => keys

const shuffled = (seed: number) => (keys: ReadonlyArray<string>) =>
  keys
    .map((key, at) => [Math.sin(seed + 31 * at + key.length), key] as const)
    .sort(([one], [other]) => one - other)
    .map(([, key]) => key)

const recordOf = (
  event: Said,
  form: { readonly more?: object; readonly order?: typeof inOrder; readonly timeNano?: bigint } = {}
) =>
  write(
    {
      ...form.more,
      Type: event.Type,
      Action: event.Action,
      Actor: { ID: event.ID, Attributes: event.attributes },
      scope: event.scope,
      time: Number(event.timeNano / 1_000_000_000n),
      timeNano: form.timeNano ?? event.timeNano
    },
    form.order ?? inOrder
  )

/** As dockerd 29 sends it below API 1.52: the shortest digits of the double. */
const rounded = (timeNano: bigint) => BigInt(String(Number(timeNano)))

describe("the fingerprint of an event", () => {
  it.prop(
    "is the same for any order of keys, with and without the fields for old clients, rounded or not",
    [said, FastCheck.integer(), FastCheck.boolean(), FastCheck.boolean()],
    ([event, seed, isLegacy, isRounded]) => {
      const other = recordOf(event, {
        more: isLegacy ? legacy(event) : {},
        order: shuffled(seed),
        ...(isRounded ? { timeNano: rounded(event.timeNano) } : {})
      })
      assert.strictEqual(fingerprintOf(other), fingerprintOf(recordOf(event)))
      assert.match(fingerprintOf(other), /^[\w-]{43}$/)
    },
    { fastCheck: { numRuns: 1000 } }
  )

  it.prop(
    "differs for every other event",
    [said, said, FastCheck.constantFrom<keyof Said>("Type", "Action", "ID", "attributes", "scope", "timeNano")],
    ([event, other, field]) => {
      const changed = { ...event, [field]: other[field] }
      const isSame =
        field === "timeNano"
          ? Number(event.timeNano) === Number(other.timeNano)
          : write(event[field], (keys) => [...keys].sort()) === write(other[field], (keys) => [...keys].sort())
      assert.strictEqual(fingerprintOf(recordOf(event)) === fingerprintOf(recordOf(changed)), isSame)
    },
    { fastCheck: { numRuns: 1000 } }
  )

  it("differs although a part of the event contains the separator of the parts", () => {
    const of = (attributes: Readonly<Record<string, string>>) =>
      DockerEvent.make({ type: "container", action: "start", id: "1", attributes, timeNano: 5n }).fingerprint
    const all = [{ a: "b", c: "d" }, { a: "b\0c\0d" }, { "a\0b": "c\0d" }, { "a\0b\0c": "d" }, { "a\0b": "", c: "d" }]
    assert.strictEqual(new Set(all.map(of)).size, all.length)
  })

  it("is the same for two equal events within 256 ns, and differs beyond that", () => {
    const at = (timeNano: bigint) =>
      DockerEvent.make({ type: "container", action: "start", id: "1", attributes: {}, timeNano }).fingerprint
    assert.strictEqual(at(1795453740123456789n), at(1795453740123456800n))
    assert.notStrictEqual(at(1795453740123456789n), at(1795453740123456789n + 256n))
  })

  it("does not need a time in nanoseconds", () => {
    const at = (time: number) => fingerprintOf(`{"Type":"container","Action":"start","time":${time}}`)
    assert.notStrictEqual(at(1), at(2))
    assert.strictEqual(
      at(1),
      fingerprintOf('{"time":1,"Action":"start","Actor":{"Attributes":null},"Type":"container"}')
    )
  })

  it("is the same for each API version of a recorded feed of dockerd 29, and scripts get the digits that were sent", () => {
    const feed = Fs.readFileSync(new URL("../../examples/container-life.jsonl", import.meta.url), "utf8")
    const records = feed.split("\n").filter((line) => line !== "")
    assert.isAbove(records.length, 5)
    for (const record of records) {
      const { status: _, id: __, from: ___, ...event } = JSON.parse(record)
      const newer = record.includes('"status"')
        ? `${JSON.stringify({ ...event, timeNano: undefined }).slice(0, -1)},"timeNano":${decode(record).timeNano}}`
        : record
      const older = Engine29.asOlderApi(newer)
      if (event.Type === "container") assert.notStrictEqual(older, newer)
      assert.strictEqual(fingerprintOf(older), fingerprintOf(newer))
      assert.strictEqual(fingerprintOf(record), fingerprintOf(newer))
      assert.strictEqual(
        decode(older).timeNano,
        older === newer ? decode(newer).timeNano : rounded(decode(newer).timeNano)
      )
    }
  })

  it("is the same for an event of podman with and without the fields for old clients, and for each place of its health", () => {
    const attributes = '"Attributes":{"containerExitCode":"0","image":"alpine","name":"web","podId":""}'
    const rest = `"scope":"local","time":1795453742,"timeNano":1795453742123456701`
    for (const action of ["died", "die", "remove", "health_status", "exec_died"]) {
      const five = `{"status":"${action}","id":"9c","from":"alpine","Type":"container","Action":"${action}","Actor":{"ID":"9c",${attributes}},${rest},"HealthStatus":"healthy"}`
      const six = `{"Action":"${action}","Actor":{${attributes},"ID":"9c"},"HealthStatus":"unhealthy",${rest},"Type":"container"}`
      assert.strictEqual(fingerprintOf(five), fingerprintOf(six))
    }
  })
})
