import { assert, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { describe } from "vitest"
import * as DockerEvent from "../../src/event/DockerEvent.ts"

const decode = (record: string) => Either.getOrThrow(DockerEvent.decode(record))

/** A record with these attributes and this text for timeNano, as engines order their fields. */
const recordOf = (timeNano: string, attributes: Readonly<Record<string, string>> = {}) =>
  `{"Type":"container","Action":"start","Actor":{"ID":"4a5b","Attributes":${JSON.stringify(attributes)}},` +
  `"scope":"local","time":1795453740,"timeNano":${timeNano}}`

describe("decode", () => {
  it("reads every field", () => {
    const record = recordOf("1795453740123456789", { image: "alpine", name: "web" })
    assert.deepStrictEqual(decode(record), {
      Type: "container",
      Action: "start",
      Actor: { ID: "4a5b", Attributes: { image: "alpine", name: "web" } },
      scope: "local",
      time: 1795453740,
      timeNano: 1795453740123456789n,
      record,
      fingerprint: DockerEvent.make({
        type: "container",
        action: "start",
        id: "4a5b",
        attributes: { name: "web", image: "alpine" },
        timeNano: 1795453740123456789n
      }).fingerprint,
      engine: "",
      synthetic: false
    })
  })

  it("gives a field that is left out its empty value", () => {
    for (const record of [
      '{"Type":"daemon","Action":"reload"}',
      '{"Type":"daemon","Action":"reload","Actor":{}}',
      '{"Type":"daemon","Action":"reload","Actor":{"ID":"","Attributes":null}}'
    ]) {
      const { fingerprint, ...event } = decode(record)
      assert.strictEqual(fingerprint, decode('{"Type":"daemon","Action":"reload"}').fingerprint)
      assert.deepStrictEqual(event, {
        Type: "daemon",
        Action: "reload",
        Actor: { ID: "", Attributes: {} },
        scope: "",
        time: 0,
        timeNano: 0n,
        record,
        engine: "",
        synthetic: false
      })
    }
  })

  it("accepts unknown fields, and keeps them in the record", () => {
    const record =
      '{"status":"health_status","id":"4a5b","from":"alpine","Type":"container","Action":"health_status","HealthStatus":"starting","Later":{"a":[1]}}'
    const event = decode(record)
    assert.strictEqual(event.Action, "health_status")
    assert.strictEqual(event.record, record)
    assert.notProperty(event, "HealthStatus")
  })

  it("accepts any key and value in the attributes", () => {
    const attributes = { "": "", "a=b": "\u0000\n\t", constructor: "x", "é 🐳": '"', PATH: "/tmp" }
    assert.deepStrictEqual(decode(recordOf("1", attributes)).Actor.Attributes, attributes)
    const named = decode('{"Type":"t","Action":"a","Actor":{"ID":"","Attributes":{"__proto__":"x"}}}')
    assert.deepStrictEqual(Object.entries(named.Actor.Attributes), [["__proto__", "x"]])
  })

  it("accepts any action", () => {
    for (const action of ["exec_create: sh -c 'a: b'", "health_status: healthy", "../../x", "\u0000", "exec_start: "]) {
      assert.strictEqual(decode(JSON.stringify({ Type: "container", Action: action })).Action, action)
    }
  })
})

describe("timeNano", () => {
  it("is exact to its last digit", () => {
    for (const digits of [
      "1795453740123456789",
      "1795453740123456788",
      "9223372036854775807",
      "-1795453740123456789"
    ]) {
      assert.strictEqual(decode(recordOf(digits)).timeNano, BigInt(digits))
    }
  })

  it("is read at any place in the record, and with spaces after the colon", () => {
    const record = '{ "timeNano": \t1795453740123456789, "Type": "container", "Action": "start" }'
    assert.strictEqual(decode(record).timeNano, 1795453740123456789n)
  })

  // JSON.parse gives the same number for all of these.
  const near = "1795453740123456790"
  for (const [what, attributes] of Object.entries<Readonly<Record<string, string>>>({
    "a label of that name": { timeNano: near },
    "a label that holds the field": { note: `"timeNano":${near}`, json: `{"timeNano":${near},"x":1}` },
    "a label that holds it behind escaped quotes and backslashes": {
      a: `\\"timeNano":${near}`,
      b: `\\\\"timeNano":${near}`,
      c: `\\`,
      d: `"timeNano":${near}`
    },
    "a label whose key ends in it": { 'x"timeNano': near, '"timeNano': near, [`"timeNano":${near}`]: near }
  })) {
    it(`is not taken from ${what}`, () => {
      assert.strictEqual(Number(near), Number("1795453740123456789"))
      assert.strictEqual(decode(recordOf("1795453740123456789", attributes)).timeNano, 1795453740123456789n)
    })
  }

  it("is the nearest integer if it is written with an exponent", () => {
    assert.strictEqual(decode(recordOf("1.5e3")).timeNano, 1500n)
    assert.strictEqual(decode(recordOf("1.795453740123456789e18")).timeNano, BigInt(Number("1795453740123456789")))
  })
})

describe("a record that is not an event", () => {
  const refused: ReadonlyArray<readonly [what: string, record: string, reason: RegExp]> = [
    ["no text", "", /JSON/],
    ["no JSON", "not json", /JSON/],
    ["JSON that is cut", '{"Type":"container","Action":"st', /JSON/],
    ["two records in one line", '{"Type":"a","Action":"b"}{"Type":"a","Action":"b"}', /JSON/],
    ["an array", "[]", /Expected .*Type/],
    ["a number", "42", /Expected .*Type/],
    ["a text", '"start"', /Expected .*Type/],
    ["null", "null", /Expected .*Type/],
    ["an error answer of the engine", '{"message":"page not found"}', /^Type is missing$/],
    ["no Action", '{"Type":"container"}', /^Action is missing$/],
    ["a Type that is no string", '{"Type":7,"Action":"start"}', /^Type Expected .*, actual 7$/],
    ["an empty Type", '{"Type":"","Action":"start"}', /^Type Expected a non empty string/],
    ["an empty Action", '{"Type":"container","Action":""}', /^Action Expected a non empty string/],
    ["an Action that is null", '{"Type":"container","Action":null}', /^Action Expected .*, actual null$/],
    ["an Actor that is no object", '{"Type":"a","Action":"b","Actor":"4a5b"}', /^Actor Expected .*, actual "4a5b"$/],
    ["an ID that is a number", '{"Type":"a","Action":"b","Actor":{"ID":4}}', /^Actor\.ID Expected .*, actual 4$/],
    [
      "an attribute that is a number",
      '{"Type":"a","Action":"b","Actor":{"ID":"","Attributes":{"exitCode":0}}}',
      /^Actor\.Attributes Expected .*, actual \{"exitCode":0\}$/
    ],
    [
      "attributes that are an array",
      '{"Type":"a","Action":"b","Actor":{"ID":"","Attributes":["x"]}}',
      /^Actor\.Attributes Expected .*, actual \["x"\]$/
    ],
    ["a time that is a text", '{"Type":"a","Action":"b","time":"1"}', /^time Expected number, actual "1"$/],
    ["a timeNano that is a text", recordOf('"1"'), /^timeNano Expected number, actual "1"$/],
    ["a timeNano with a fraction", recordOf("1.5"), /^timeNano Expected an integer, actual 1\.5$/],
    ["a timeNano that no number holds", recordOf("1e400"), /^timeNano Expected an integer, actual Infinity$/]
  ]

  for (const [what, record, reason] of refused) {
    it(`${what} is a ParseError that says why`, () => {
      const error = Either.flip(DockerEvent.decode(record)).pipe(Either.getOrThrow)
      assert.instanceOf(error, ParseResult.ParseError)
      const issue = ParseResult.ArrayFormatter.formatErrorSync(error)[0]
      assert.match([issue?.path.join("."), issue?.message].filter((part) => part !== "").join(" "), reason)
      assert.isTrue(
        Either.isLeft(Schema.decodeUnknownEither(DockerEvent.FromRecord)(record)),
        "FromRecord refuses it too"
      )
    })
  }
})

/** Records as an engine could write them: any text in any place, a timeNano of any 64 bits, with and without the old fields. */
const anyText = FastCheck.string({ unit: "binary" })
const anyRecord = FastCheck.record({
  fields: FastCheck.record(
    {
      status: anyText,
      Type: FastCheck.string({ unit: "binary", minLength: 1 }),
      Action: FastCheck.string({ unit: "binary", minLength: 1 }),
      Actor: FastCheck.record({ ID: anyText, Attributes: FastCheck.dictionary(anyText, anyText) }),
      scope: anyText,
      time: FastCheck.maxSafeInteger(),
      extra: FastCheck.json()
    },
    { requiredKeys: ["Type", "Action", "Actor"] }
  ),
  timeNano: FastCheck.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  first: FastCheck.boolean()
}).map(({ fields, first, timeNano }) => {
  const text = JSON.stringify(fields)
  return {
    fields,
    timeNano,
    record: first ? `{"timeNano":${timeNano},${text.slice(1)}` : `${text.slice(0, -1)},"timeNano":${timeNano}}`
  }
})

describe("FromRecord", () => {
  it.prop("decodes and encodes a record without losing anything", [anyRecord], ([{ fields, record, timeNano }]) => {
    const event = Schema.decodeSync(DockerEvent.FromRecord)(record)
    assert.strictEqual(Schema.encodeSync(DockerEvent.FromRecord)(event), record)
    assert.deepStrictEqual(event, decode(record))
    const { fingerprint: _, ...read } = event
    assert.deepStrictEqual(read, {
      Type: fields.Type,
      Action: fields.Action,
      Actor: fields.Actor,
      scope: fields.scope ?? "",
      time: fields.time ?? 0,
      timeNano,
      record,
      engine: "",
      synthetic: false
    })
  })
})

describe("verb", () => {
  it("is the action up to its first colon", () => {
    for (const [action, expected] of [
      ["start", "start"],
      ["exec_create: sh -c 'a: b'", "exec_create"],
      ["health_status: healthy", "health_status"],
      ["exec_start:", "exec_start"],
      [": x", ""],
      ["archive-path", "archive-path"]
    ] as const) {
      assert.strictEqual(DockerEvent.verb({ Action: action }), expected)
    }
  })
})
