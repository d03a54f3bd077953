import { spawnSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as DockerEvent from "../../src/event/DockerEvent.ts"
import * as Environment from "../../src/scripts/Environment.ts"
import { makeEvent } from "../../src/testing.ts"

const decode = (record: string) => Either.getOrThrow(DockerEvent.decode(record))

const base = Environment.base({
  own: { PATH: "/usr/bin:/bin" },
  user: { name: "root", home: "/root", shell: "/bin/sh" }
})

const withLabels = (labels: Readonly<Record<string, string>>) =>
  makeEvent({ attributes: { image: "alpine", name: "web", ...labels } })

const legalName = /^[A-Z_][A-Z0-9_]*$/

/** What the kernel counts of an environment. */
const kernelSize = (environment: Environment.Environment): number =>
  Object.entries(environment).reduce((sum, [name, value]) => sum + Buffer.byteLength(`${name}=${value}\0`) + 8, 0)

/** A real process, with the environment that a script would get. */
const start = (environment: Environment.Environment) =>
  spawnSync("/bin/sh", ["-c", 'printf %s "$TYPE"'], { env: environment, encoding: "utf8" })

describe("the example of the original's README", () => {
  const record =
    '{"status":"start","id":"467730e17a0ac265eae034d21cf633755aa57d03483ae479b623bc5569d6c274","from":"alpine","Type":"container","Action":"start","Actor":{"ID":"467730e17a0ac265eae034d21cf633755aa57d03483ae479b623bc5569d6c274","Attributes":{"image":"alpine","name":"backstabbing_lichterman"}},"time":1471131434,"timeNano":1471131434853322607}'
  const expected = {
    ACTION: "start",
    ACTOR_ATTRIBUTES_IMAGE: "alpine",
    TIME: "1471131434",
    ACTOR_ID: "467730e17a0ac265eae034d21cf633755aa57d03483ae479b623bc5569d6c274",
    STATUS: "start",
    ACTOR_ATTRIBUTES_NAME: "backstabbing_lichterman",
    ID: "467730e17a0ac265eae034d21cf633755aa57d03483ae479b623bc5569d6c274",
    FROM: "alpine",
    TYPE: "container",
    TIMENANO: "1471131434853322607"
  }

  it("gives every variable with its exact value and no other", () => {
    assert.deepStrictEqual(Environment.fromEvent(decode(record)), expected)
  })

  it("gives the same from an engine that no longer sends status, id and from", () => {
    const newer = record.replace(/"status":"start","id":"[0-9a-f]+","from":"alpine",/, "")
    assert.notInclude(newer, "status")
    assert.deepStrictEqual(Environment.fromEvent(decode(newer)), expected)
  })
})

describe("names", () => {
  it("joins the key path, upper-cases it, and replaces every other character by one _", () => {
    const environment = Environment.fromEvent(
      withLabels({ "com.example.role": "1", "read/write": "2", grün: "3", "🐳": "4", "": "5", "x y": "6", ſt: "7" })
    )
    assert.include(environment, {
      ACTOR_ATTRIBUTES_COM_EXAMPLE_ROLE: "1",
      ACTOR_ATTRIBUTES_READ_WRITE: "2",
      ACTOR_ATTRIBUTES_GR_N: "3",
      ACTOR_ATTRIBUTES__: "4",
      ACTOR_ATTRIBUTES_: "5",
      ACTOR_ATTRIBUTES_X_Y: "6",
      // U+017F is S in upper case; here it is a foreign character like any other.
      ACTOR_ATTRIBUTES__T: "7"
    })
  })

  it("lets the engine's own key win over a label, whatever the order", () => {
    for (const attributes of [
      { name: "web", Name: "label", NAME: "label", exitCode: "7", exitcode: "label" },
      { exitcode: "label", NAME: "label", Name: "label", exitCode: "7", name: "web" }
    ]) {
      const environment = Environment.fromEvent(makeEvent({ action: "die", attributes }))
      assert.strictEqual(environment["ACTOR_ATTRIBUTES_NAME"], "web")
      assert.strictEqual(environment["ACTOR_ATTRIBUTES_EXITCODE"], "7")
    }
  })

  it("lets the lower-case key win between labels, then byte order", () => {
    const environment = Environment.fromEvent(
      withLabels({ A_B: "upper", a_b: "lower", "a.b": "dot", "c.d": "dot", "c-d": "dash", "C D": "blank" })
    )
    assert.strictEqual(environment["ACTOR_ATTRIBUTES_A_B"], "lower")
    assert.strictEqual(environment["ACTOR_ATTRIBUTES_C_D"], "blank")
  })

  it("gives unknown fields names that begin with EVENT_, so that no program reads them by mistake", () => {
    const environment = Environment.fromEvent(
      decode(
        '{"Type":"container","Action":"start","Path":"/evil","LD":{"PRELOAD":"x"},"type":"fake","BASH_ENV":"x","1":"y","DES":{"ATTEMPT":"9"},"list":[1,{"a":true}],"none":null}'
      )
    )
    assert.deepStrictEqual(environment, {
      TYPE: "container",
      ACTION: "start",
      STATUS: "start",
      ID: "",
      FROM: "",
      EVENT_PATH: "/evil",
      EVENT_LD_PRELOAD: "x",
      EVENT_TYPE: "fake",
      EVENT_BASH_ENV: "x",
      EVENT_1: "y",
      EVENT_DES_ATTEMPT: "9",
      EVENT_LIST_0: "1",
      EVENT_LIST_1_A: "true",
      EVENT_NONE: ""
    })
  })
})

describe("values", () => {
  it("keeps every digit of every number", () => {
    const environment = Environment.fromEvent(
      decode(
        '{"Type":"volume","Action":"prune","Actor":{"ID":"","Attributes":{"reclaimed":"0","x":"\\"timeNano\\":1"}},"big":12345678901234567890123,"ratio":0.5,"timeNano":1795453736016879091}'
      )
    )
    assert.include(environment, {
      TIMENANO: "1795453736016879091",
      EVENT_BIG: "12345678901234567890123",
      EVENT_RATIO: "0.5"
    })
  })

  it("removes NUL", () => {
    assert.strictEqual(Environment.fromEvent(withLabels({ "a\0b": "c\0d" }))["ACTOR_ATTRIBUTES_A_B"], "cd")
  })

  it("restores status, id and from by the engine's own rule, with an empty from if there is no image", () => {
    const names = (event: DockerEvent.DockerEvent) =>
      Object.entries(Environment.fromEvent(event)).filter(([name]) => ["STATUS", "ID", "FROM"].includes(name))
    assert.deepStrictEqual(names(makeEvent({ action: "exec_create: sh -c x", id: "1", attributes: { image: "i" } })), [
      ["STATUS", "exec_create: sh -c x"],
      ["ID", "1"],
      ["FROM", "i"]
    ])
    assert.deepStrictEqual(names(makeEvent({ id: "1", attributes: {} })), [
      ["STATUS", "start"],
      ["ID", "1"],
      ["FROM", ""]
    ])
    assert.deepStrictEqual(names(makeEvent({ type: "image", action: "pull", id: "a:1", attributes: { image: "i" } })), [
      ["STATUS", "pull"],
      ["ID", "a:1"],
      ["FROM", ""]
    ])
    assert.deepStrictEqual(names(makeEvent({ type: "network", id: "1" })), [])
  })
})

describe("sizes", () => {
  it("cuts a value of 5 MB between two characters to what the kernel accepts, and says so", () => {
    const environment = Environment.make(withLabels({ huge: "é".repeat(2_500_000), small: "whole" }), base)
    const cut = environment["ACTOR_ATTRIBUTES_HUGE"] ?? ""
    assert.isAtMost(Buffer.byteLength(`ACTOR_ATTRIBUTES_HUGE=${cut}\0`), 131_072)
    assert.isAbove(Buffer.byteLength(cut), 131_000)
    assert.match(cut, /^é+$/)
    assert.strictEqual(environment["ACTOR_ATTRIBUTES_SMALL"], "whole")
    assert.strictEqual(environment["DES_TRUNCATED"], "ACTOR_ATTRIBUTES_HUGE")
    assert.deepInclude(start(environment), { status: 0, stdout: "container" })
  })

  it("cuts the largest values first if the total is too large", () => {
    const labels = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`l${at}`, "x".repeat(100_000)]))
    const environment = Environment.make(withLabels({ ...labels, small: "y".repeat(1000) }), base)
    assert.strictEqual(environment["ACTOR_ATTRIBUTES_SMALL"], "y".repeat(1000))
    assert.strictEqual(environment["DES_TRUNCATED"]?.split(" ").length, 30)
    assert.isAtMost(kernelSize(environment), Environment.defaultLimits.total)
    assert.isAbove(kernelSize(environment), Environment.defaultLimits.total * 0.95)
    assert.deepInclude(start(environment), { status: 0, stdout: "container" })
  })

  it("starts a process with 50,000 labels whose names alone are too large, and counts what is left out", () => {
    const labels = Object.fromEntries(Array.from({ length: 50_000 }, (_, at) => [`${"k".repeat(100)}${at}`, "v"]))
    const environment = Environment.make(withLabels(labels), base)
    assert.isAtMost(kernelSize(environment), Environment.defaultLimits.total)
    assert.include(environment, Environment.fromEvent(withLabels({})))
    assert.match(environment["DES_TRUNCATED"] ?? "", /(?:^| )\+\d+$/)
    assert.isAtMost(environment["DES_TRUNCATED"]?.length ?? 0, 4096)
    assert.deepInclude(start(environment), { status: 0, stdout: "container" })
  })

  it("leaves out a name that no variable can have", () => {
    const environment = Environment.make(withLabels({ ["k".repeat(200_000)]: "v" }), base)
    assert.strictEqual(environment["DES_TRUNCATED"], "+1")
    assert.deepInclude(start(environment), { status: 0, stdout: "container" })
  })

  it("survives a record that is nested without end", () => {
    const record = `{"Type":"container","Action":"start","deep":${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}}`
    // A feed gives no such record; one of a program's own making, or of an older journal, may be one.
    const environment = Environment.make({ ...makeEvent(), record }, base)
    assert.strictEqual(environment["DES_TRUNCATED"], "+1")
    assert.deepInclude(start(environment), { status: 0, stdout: "container" })
  })

  it("uses half of a quarter of the stack limit, within the least and the most that Linux allows", () => {
    assert.strictEqual(Environment.limitsFor(8 * 1024 * 1024).total, 1_048_576)
    assert.strictEqual(Environment.limitsFor(16 * 1024).total, 65_536)
    assert.strictEqual(Environment.limitsFor(Number.POSITIVE_INFINITY).total, 3_145_728)
  })
})

describe("for any event that JSON can carry", () => {
  const hostile = FastCheck.constantFrom(
    "PATH",
    "LD_PRELOAD",
    "BASH_FUNC_x%%",
    "DES_ATTEMPT",
    "HOME=",
    "=",
    "a=b",
    "",
    "\n",
    "\0",
    "name",
    "Name",
    "__proto__",
    "constructor",
    "\ud800"
  )
  const text = FastCheck.oneof(hostile, FastCheck.string({ unit: "binary" }), FastCheck.string())
  const event = FastCheck.record({
    type: text,
    action: text,
    id: text,
    labels: FastCheck.array(FastCheck.tuple(text, text), { maxLength: 40 }),
    more: FastCheck.array(
      FastCheck.tuple(
        FastCheck.oneof(text, FastCheck.constantFrom("status", "id", "from", "HealthStatus")),
        FastCheck.jsonValue()
      ),
      { maxLength: 10 }
    )
  })
  // Written by hand, since an object would swallow `__proto__` and equal keys.
  const object = (entries: ReadonlyArray<readonly [string, string]>) =>
    `{${entries.map(([key, value]) => `${JSON.stringify(key)}:${value}`).join(",")}}`
  const record = event.map(({ action, id, labels, more, type }) =>
    object([
      ...more.map(([key, value]) => [key, JSON.stringify(value)] as const),
      ["Type", JSON.stringify(`t${type}`)],
      ["Action", JSON.stringify(`a${action}`)],
      [
        "Actor",
        object([
          ["ID", JSON.stringify(id)],
          ["Attributes", object(labels.map(([key, value]) => [key, JSON.stringify(value)] as const))]
        ])
      ]
    ])
  )

  it("the environment is legal, touches no name of the base or of des, and fits", () => {
    const limits = { variable: 600, total: 8192 }
    FastCheck.assert(
      FastCheck.property(record, (line) => {
        const environment = Environment.make(decode(line), base, limits)
        assert.deepInclude(environment, base)
        if ("STATUS" in environment && "ID" in environment) assert.property(environment, "FROM")
        for (const [name, value] of Object.entries(environment)) {
          assert.match(name, legalName)
          assert.notInclude(value, "\0")
          if (name in base) continue
          assert.isTrue(Environment.isReserved(name), name)
          if (name !== "DES_TRUNCATED") {
            assert.notMatch(name, /^DES_/)
            assert.isAtMost(Buffer.byteLength(`${name}=${value}\0`), limits.variable)
          }
        }
        assert.isAtMost(kernelSize(environment), limits.total)
      }),
      { numRuns: 600 }
    )
  })

  it("a real process starts with it", () => {
    FastCheck.assert(
      FastCheck.property(record, (line) => {
        const environment = Environment.make(decode(line), base)
        assert.deepInclude(start(environment), { status: 0, stdout: Buffer.from(environment["TYPE"] ?? "").toString() })
      }),
      { numRuns: 50 }
    )
  })
})

describe("the base", () => {
  const user = { name: "u", home: "/home/u", shell: "/bin/dash" }

  it("is closed: nothing of des's own environment but what programs need", () => {
    const own = {
      PATH: "/p",
      LANG: "C",
      LC_ALL: "C",
      TZ: "UTC",
      TMPDIR: "/t",
      DOCKER_CERT_PATH: "/c",
      DOCKER_CONTEXT: "prod",
      SECRET: "s",
      LD_PRELOAD: "x",
      NODE_OPTIONS: "y",
      HOME: undefined
    }
    assert.deepStrictEqual(Environment.base({ own, user }), {
      PATH: "/p",
      HOME: "/home/u",
      USER: "u",
      LOGNAME: "u",
      SHELL: "/bin/dash",
      LANG: "C",
      LC_ALL: "C",
      TZ: "UTC",
      TMPDIR: "/t",
      DOCKER_CERT_PATH: "/c"
    })
  })

  it("has the variables that reach the engine only from that engine", () => {
    const own = { DOCKER_CONFIG: "/c", DOCKER_TLS: "1", DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: "/other" }
    const engine = { DOCKER_HOST: "tcp://h:2376", DOCKER_TLS: "1" }
    const { DOCKER_CONFIG, ...base } = Environment.base({ own, user, engine })
    assert.strictEqual(DOCKER_CONFIG, "/c")
    assert.deepStrictEqual(
      Object.fromEntries(Object.entries(base).filter(([name]) => name.startsWith("DOCKER_"))),
      engine
    )
  })

  it("has a default PATH, the DOCKER_HOST of the engine, and above all the user's own variables", () => {
    assert.deepInclude(
      Environment.base({
        own: { DOCKER_HOST: "tcp://other:1" },
        user,
        engine: { DOCKER_HOST: "unix:///e.sock" },
        extra: { HOME: "/srv", X: "1" }
      }),
      {
        PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        DOCKER_HOST: "unix:///e.sock",
        HOME: "/srv",
        X: "1"
      }
    )
  })
})
