/** Whatever has the structure of JSON, of a script's head or of a script directory, and none that anybody would write. */

import { assert, describe } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as DockerEvent from "../../src/event/DockerEvent.ts"
import * as OwnKeys from "../../src/event/OwnKeys.ts"
import * as PodmanEvents from "../../src/event/PodmanEvents.ts"
import { decodeRecords } from "../../src/event/Records.ts"
import type { SkippedLine } from "../../src/event/SkippedLines.ts"
import * as Wire from "../../src/event/Wire.ts"
import * as Environment from "../../src/scripts/Environment.ts"
import * as Findings from "../../src/scripts/Findings.ts"
import * as ScriptOptions from "../../src/scripts/ScriptOptions.ts"
import * as Fuzz from "../support/Fuzz.ts"
import { record } from "../support/Record.ts"

/** The longest message about a stranger's text, in characters. */
const longestMessage = 2_000

const ownKeys = [...OwnKeys.fields, "Actor", "ID", "Attributes", ...OwnKeys.attributes]

const key = FastCheck.oneof(
  FastCheck.constantFrom(...ownKeys),
  FastCheck.constantFrom(...ownKeys).map((name) => name.toUpperCase()),
  FastCheck.constantFrom(
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "length",
    "",
    "\0",
    "\ud800",
    "a\nb"
  ),
  FastCheck.constantFrom("PATH", "LD_PRELOAD", "DES_ATTEMPT", "DES_TRUNCATED", "BASH_FUNC_x%%", "containerExitCode"),
  FastCheck.string({ unit: "binary" })
)

const string = FastCheck.oneof(
  FastCheck.string({ unit: "binary" }),
  FastCheck.constantFrom("container", "image", "network", "volume", "start", "die", "died", "remove", "connect", "des"),
  FastCheck.constantFrom(
    "\ud800",
    "\udfff\ud800",
    "\0",
    "a\0b",
    "\u2028",
    "\u001b[2J",
    "f".repeat(64),
    "health_status"
  ),
  FastCheck.tuple(FastCheck.string(), FastCheck.nat(3000)).map(([text, times]) => text.repeat(times).slice(0, 300_000))
).map((text) => JSON.stringify(text))

/** As text: JSON.stringify writes none of these. */
const number = FastCheck.oneof(
  FastCheck.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  FastCheck.bigInt().map(String),
  FastCheck.constantFrom(
    "1e400",
    "-1e400",
    "1E-400",
    "-0",
    "0.0",
    "1.0",
    "1e3",
    "1795453740123456789",
    "1.5e9",
    "9e999999"
  ),
  FastCheck.nat(5000).map((digits) => `1${"0".repeat(digits)}`)
)

const scalar = FastCheck.oneof(string, number, FastCheck.constantFrom("null", "true", "false", "{}", "[]"))

type Field = readonly [key: string, value: string]

/** Written by hand: an object would swallow `__proto__` and a key that is there twice. */
const object = (fields: ReadonlyArray<Field>): string =>
  `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`

/** How many values an array has. Now and then they are more than are read whole. */
const wide = FastCheck.oneof(
  { weight: 30, arbitrary: FastCheck.nat(20_000) },
  { weight: 1, arbitrary: FastCheck.constant(260_000) }
)

const { value } = FastCheck.letrec<{ value: string; fields: ReadonlyArray<Field> }>((tie) => ({
  value: FastCheck.oneof(
    { depthSize: "medium", withCrossShrink: true },
    scalar,
    FastCheck.array(tie("value"), { maxLength: 6 }).map((all) => `[${all.join(",")}]`),
    tie("fields").map(object),
    // Deep, or wide.
    FastCheck.tuple(FastCheck.nat(12_000), scalar).map(
      ([levels, inner]) => `${"[".repeat(levels)}${inner}${"]".repeat(levels)}`
    ),
    FastCheck.tuple(FastCheck.nat(3_000), scalar).map(
      ([levels, inner]) => `${'{"a":'.repeat(levels)}${inner}${"}".repeat(levels)}`
    ),
    FastCheck.tuple(wide, number).map(([count, inner]) => `[${`${inner.slice(0, 20)},`.repeat(count)}0]`)
  ),
  fields: FastCheck.array(FastCheck.tuple(key, tie("value")), { maxLength: 8 })
}))

const labels = FastCheck.oneof(
  FastCheck.array(FastCheck.tuple(key, string), { maxLength: 30 }),
  // Wide: some with names that meet in one variable.
  FastCheck.tuple(FastCheck.nat(8_000), string, key).map(([count, text, name]) =>
    Array.from(
      { length: Math.min(count, Math.floor(1_000_000 / text.length)) },
      (_, at): Field => [`${name.slice(0, 20)}${at % 2 === 0 ? at : "."}`, text]
    )
  )
)

/** An event, whole but for what its labels and further fields do to it. */
const event = FastCheck.record({
  Type: string.filter((text) => text !== '""'),
  Action: string.filter((text) => text !== '""'),
  ID: string,
  labels,
  more: FastCheck.array(FastCheck.tuple(key, value), { maxLength: 4 }),
  time: FastCheck.option(number, { nil: undefined }),
  timeNano: FastCheck.option(number, { nil: undefined })
}).map(({ Action, ID, Type, labels, more, time, timeNano }) =>
  object([
    ...more,
    ["Type", Type],
    ["Action", Action],
    [
      "Actor",
      object([
        ["ID", ID],
        ["Attributes", object(labels)]
      ])
    ],
    ["scope", '"local"'],
    ...(time === undefined ? [] : [["time", time] as const]),
    ...(timeNano === undefined ? [] : [["timeNano", timeNano] as const])
  ])
)

const part = FastCheck.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })

/** An event with a field of the wrong kind, or anything else. */
const line = FastCheck.oneof(
  { weight: 4, arbitrary: event },
  {
    weight: 2,
    arbitrary: FastCheck.tuple(event, FastCheck.constantFrom(...OwnKeys.fields, "Actor"), value).map(
      ([text, name, wrong]) => text.replace(/\}$/, () => `,${JSON.stringify(name)}:${wrong}}`)
    )
  },
  { weight: 1, arbitrary: value },
  // No JSON, and too much to be parsed as a whole.
  {
    weight: 3,
    arbitrary: FastCheck.tuple(
      event,
      FastCheck.constantFrom("\\", '"', "{", "}", "[", "]", "\\x", "\\u1", "e", ":", ","),
      part
    ).map(([text, broken, at]) => {
      const place = Math.floor(at * text.length)
      return text.slice(0, place) + broken + text.slice(place).replace(/\}$/, () => `,"z":[${"0,".repeat(260_000)}0]}`)
    })
  },
  { weight: 1, arbitrary: FastCheck.string({ unit: "binary" }).map((text) => text.replaceAll("\n", " ")) }
)

const isOneLine = (message: string): void => {
  assert.isAtMost(message.length, longestMessage)
  assert.notInclude(message, "\n")
}

/** What the kernel counts of an environment. */
const kernelSize = (environment: Environment.Environment): number =>
  Object.entries(environment).reduce((sum, [name, text]) => sum + Buffer.byteLength(`${name}=${text}\0`) + 8, 0)

const base = Environment.base({
  own: { PATH: "/usr/bin:/bin", TMPDIR: "/tmp" },
  user: { name: "root", home: "/root", shell: "/bin/sh" },
  engine: { DOCKER_HOST: "unix:///e" },
  extra: { DES_STATE_DIR: "/s" }
})

const fuzz = Fuzz.make()

describe("for any JSON in a line", () => {
  fuzz("it is an event with the record as it came, or a refusal in words of a bounded length", line, (text) => {
    const decoded = DockerEvent.decode(text, "unix:///e")
    if (Either.isLeft(decoded)) return void assert.isAtMost(decoded.left.message.length, longestMessage)
    const { right } = decoded
    assert.strictEqual(right.record, text)
    assert.strictEqual(right.engine, "unix:///e")
    assert.strictEqual(typeof right.timeNano, "bigint")
    assert.strictEqual(typeof right.time, "number")
    for (const field of [right.Type, right.Action, right.Actor.ID, right.scope, right.fingerprint]) {
      assert.strictEqual(typeof field, "string")
    }
    assert.isTrue(Wire.isAttributes(right.Actor.Attributes))
    assert.isFalse(right.synthetic)
    assert.notStrictEqual(right.Type, "")
    const again = DockerEvent.decode(text, "unix:///e")
    assert.strictEqual(Either.getOrThrow(again).fingerprint, right.fingerprint)
  })

  const feed = FastCheck.record({
    lines: FastCheck.array(FastCheck.oneof(line, FastCheck.constant(undefined)), { maxLength: 8 }),
    lineEnd: FastCheck.constantFrom("\n", "\r\n"),
    separator: FastCheck.constantFrom("", "\u001e"),
    hasLastEnd: FastCheck.boolean(),
    cuts: Fuzz.cuts
  })

  fuzz(
    "each line of a feed is one event or one skipped line, and valid records are complete, wherever the bytes are split",
    feed,
    async ({ cuts, hasLastEnd, lineEnd, lines, separator }) => {
      const honest = (at: number) => record({ id: `honest-${at}`, attributes: { name: "web" } })
      const texts = lines.map((text, at) => separator + (text ?? honest(at)))
      const bytes = Buffer.from(texts.join(lineEnd) + (hasLastEnd ? lineEnd : ""))
      const skipped: Array<SkippedLine> = []
      const events = await Stream.fromIterable(Fuzz.cut(bytes, cuts)).pipe(
        Stream.rechunk(1),
        decodeRecords({ source: "FEED", report: (one) => Effect.sync(() => void skipped.push(one)) }),
        Stream.runCollect,
        Effect.map(Chunk.toReadonlyArray),
        Effect.runPromise
      )
      const ids = events.map(({ Actor }) => Actor.ID).filter((id) => id.startsWith("honest-"))
      assert.deepStrictEqual(
        ids,
        lines.flatMap((text, at) => (text === undefined ? [`honest-${at}`] : []))
      )
      for (const { message } of skipped) assert.isAtMost(message.length, longestMessage)
      const lineCount = texts.filter((text) => text.replace("\u001e", "").trim() !== "").length
      assert.strictEqual(events.length + skipped.length, lineCount)
    }
  )

  fuzz(
    "the environment has legal names and the engine's own values, fits, and overwrites no base variable",
    line,
    (text) => {
      const decoded = DockerEvent.decode(text)
      if (Either.isLeft(decoded)) return
      const event = decoded.right
      for (const limits of [Environment.defaultLimits, { variable: 2_000, total: 65_536 }]) {
        const environment = Environment.make(event, base, limits)
        assert.deepInclude(environment, base)
        for (const [name, text] of Object.entries(environment)) {
          assert.match(name, /^[A-Z_][A-Z0-9_]*$/)
          assert.notInclude(text, "\0")
          if (Object.hasOwn(base, name)) continue
          assert.isTrue(Environment.isReserved(name), name)
          // What des says itself, and what podman said in words of its own.
          if (name.startsWith("DES_")) assert.match(name, /^DES_(?:TRUNCATED$|ENGINE_)/)
          if (name !== "DES_TRUNCATED") assert.isAtMost(Buffer.byteLength(`${name}=${text}\0`), limits.variable)
        }
        assert.isAtMost(kernelSize(environment), limits.total)
        const isCut = (name: string) => (environment["DES_TRUNCATED"] ?? "").split(" ").includes(name)
        const says = (name: string, text: string) => {
          assert.property(environment, name)
          const whole = Buffer.from(text.replaceAll("\0", "")).toString()
          const given = Buffer.from(environment[name] ?? "").toString()
          if (isCut(name)) assert.isTrue(whole.startsWith(given), name)
          else assert.strictEqual(given, whole, name)
        }
        says("TYPE", event.Type)
        says("ACTION", event.Action)
        says("ACTOR_ID", event.Actor.ID)
        for (const name of ["image", "name", "exitCode"]) {
          if (!Object.hasOwn(event.Actor.Attributes, name)) continue
          says(Environment.variableName(["Actor", "Attributes", name]), event.Actor.Attributes[name] ?? "")
        }
      }
    }
  )

  fuzz("podman's words are put into Docker's once, and labels are left as they are", line, (text) => {
    const decoded = DockerEvent.decode(text)
    if (Either.isLeft(decoded)) return
    // What is read in part need not be JSON as a whole.
    const sent = Option.getOrUndefined(Option.liftThrowable((): unknown => JSON.parse(text))())
    if (!Wire.isWire(sent)) return
    const docker = PodmanEvents.asDocker(sent)
    assert.deepStrictEqual(PodmanEvents.asDocker(docker), docker)
    assert.strictEqual(docker.Type, sent.Type)
    const before = sent.Actor?.Attributes ?? {}
    const after = docker.Actor?.Attributes ?? {}
    for (const name of Object.keys(before)) {
      assert.isTrue(Object.hasOwn(after, name), name)
      if (!OwnKeys.attributes.includes(name)) assert.strictEqual(after[name], before[name], name)
    }
    assert.isTrue(Wire.isWire(docker))
  })
})

const word = FastCheck.oneof(
  FastCheck.constantFrom(
    "#",
    "# des:",
    "#des: ",
    "// des:",
    "--",
    "des",
    " ",
    "\t",
    "\n",
    "\r\n",
    '"',
    "=",
    "*",
    "\\",
    "\0"
  ),
  FastCheck.constantFrom(
    "timeout=",
    "cooldown=",
    "wait=",
    "per=",
    "user=",
    "inspect=",
    "retries=",
    "label=",
    "attribute=",
    "image=",
    "name=",
    "engine=",
    "exitcode=",
    "!=",
    ",",
    "1..255",
    "timout="
  ),
  FastCheck.constantFrom(
    "10s",
    "0",
    "1e9",
    "99999999999d",
    "-1",
    "Infinity",
    "9999",
    "10000",
    "__proto__=",
    "constructor="
  ),
  FastCheck.constantFrom("__proto__", "a=b", "a=*", "*".repeat(50), "#!/bin/sh\n", "exit 0\n"),
  FastCheck.nat(4_000).map((times) => " ".repeat(times)),
  FastCheck.nat(4_000).map((times) => '"a" '.repeat(times)),
  FastCheck.string({ unit: "binary" })
)

const head = FastCheck.array(word, { maxLength: 40 }).map((words) => words.join(""))

describe("for any text in the head of a script", () => {
  fuzz(
    "its options are within their bounds or a problem names the line, and matching an event never throws",
    FastCheck.tuple(head, FastCheck.boolean(), FastCheck.dictionary(key, FastCheck.string({ unit: "binary" }))),
    ([text, whole, attributes]) => {
      const lines = text.split("\n").length
      const parsed = ScriptOptions.parse(text, whole)
      if ("message" in parsed) {
        assert.isAtLeast(parsed.line, 1)
        assert.isAtMost(parsed.line, lines)
        assert.notInclude(parsed.message, "\n")
      } else {
        for (const duration of [parsed.timeout ?? 0, parsed.cooldown ?? 0]) {
          assert.isAtLeast(duration, 0)
          assert.isTrue(Number.isFinite(duration))
        }
        assert.isAtMost(parsed.retries ?? 0, 9_999)
        const event = { Actor: { Attributes: attributes }, engine: "unix:///e" }
        const why = ScriptOptions.whyNot(parsed, event)
        assert.strictEqual(why === undefined, ScriptOptions.matches(parsed, event))
      }
      for (const { line: at, message } of ScriptOptions.unread(text)) {
        assert.isAtLeast(at, 1)
        assert.isAtMost(at, lines)
        isOneLine(message)
      }
    }
  )
})

const fileName = FastCheck.oneof(
  FastCheck.constantFrom("container", "image", "des", "all", "start", "die", "contaner", "strat", "died", "remove"),
  FastCheck.constantFrom("10-a", "10-a.sh", "all.sh", "start.d", ".git", "x~", "__proto__", "constructor", "toString"),
  FastCheck.constantFrom("health_status: healthy", "a\nb", "\u001b[2J", "\ud800"),
  FastCheck.string({ unit: "binary", minLength: 1 }).filter((name) => !/[/\0]/.test(name))
)

const { entry } = FastCheck.letrec<{ entry: Findings.ListedFile }>((tie) => ({
  entry: FastCheck.oneof(
    { depthSize: "small" },
    FastCheck.record({
      kind: FastCheck.constant("file" as const),
      name: fileName,
      isExecutable: FastCheck.boolean(),
      head: FastCheck.oneof(
        head,
        FastCheck.tuple(FastCheck.constant("#!"), head).map((all) => all.join(""))
      ),
      hasInterpreter: FastCheck.boolean()
    }),
    FastCheck.record({
      kind: FastCheck.constant("directory" as const),
      name: fileName,
      entries: FastCheck.array(tie("entry"), { maxLength: 6 })
    })
  )
}))

describe("for any content of a script directory", () => {
  fuzz("each finding names an existing file or directory", FastCheck.array(entry, { maxLength: 8 }), (listing) => {
    const paths = new Set<string>()
    const walk = (path: string, entries: ReadonlyArray<Findings.ListedFile>): void => {
      for (const one of entries) {
        paths.add(`${path}/${one.name}`)
        if (one.kind === "directory") walk(`${path}/${one.name}`, one.entries)
      }
    }
    walk("/d", listing)
    for (const { message, path } of Findings.look("/d", listing)) {
      assert.isTrue(paths.has(path), path)
      assert.isTrue(message.startsWith(path), message)
    }
  })
})
