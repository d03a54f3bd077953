import { readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import { assert } from "vitest"
import * as DockerEvent from "../src/event/DockerEvent.ts"
import { eventFields } from "../src/event/EventName.ts"
import * as Log from "../src/Log.ts"
import * as LogFields from "../src/LogFields.ts"
import { parseLogfmt } from "./support/Logfmt.ts"

/** What an effect writes to stderr through the log, a text for each call. */
const written = (
  format: Log.LogFormat,
  effect: Effect.Effect<unknown, unknown>,
  verbose = false,
  journald = false
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function* () {
    const console = yield* Console.consoleWith(Effect.succeed)
    const texts: Array<string> = []
    const error = (...args: ReadonlyArray<unknown>) => void texts.push(args.join(" "))
    const writing = Effect.ignore(effect).pipe(
      Effect.provide(Log.layer({ format, verbose, journald })),
      Effect.withConsole({
        ...console,
        log: () => Effect.dieMessage("stdout is for results"),
        error: (...args) => Effect.sync(() => error(...args)),
        unsafe: { ...console.unsafe, error }
      })
    )
    // A fiber of its own, so that no test depends on how another one's loggers are taken away.
    yield* Effect.flatten(Effect.flatMap(Effect.fork(writing), Fiber.await))
    return texts
  })

const one = (format: Log.LogFormat, effect: Effect.Effect<unknown, unknown>): Effect.Effect<string> =>
  Effect.map(written(format, effect), (lines) => {
    assert.strictEqual(lines.length, 1)
    return lines[0] ?? ""
  })

/** The message of a line as a reader of that format gets it; in text it is what stands behind the level. */
const messageIn: Readonly<Record<Log.LogFormat, (line: string) => unknown>> = {
  text: (line) => line.split(" - ").slice(3).join(" - "),
  logfmt: (line) => parseLogfmt(line)["message"],
  json: (line) => (JSON.parse(line) as { readonly message: unknown }).message
}

const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/u

describe("Log: for journald", () => {
  for (const format of Log.formats) {
    it.effect(`each line in ${format} begins with its priority, and nothing else changes`, () =>
      Effect.gen(function* () {
        const all = Effect.all([
          Effect.logDebug("a"),
          Effect.logInfo("<0>b"),
          Effect.logWarning("c\n<0>d"),
          Effect.logError("e"),
          Effect.logFatal("f")
        ])
        const lines = yield* written(format, all, true, true)
        assert.deepStrictEqual(
          lines.map((line) => /^<(\d)>/.exec(line)?.[1]),
          ["7", "6", "4", "3", "2"]
        )
        assert.deepStrictEqual(
          lines.map((line) => messageIn[format](line.slice(3))),
          ["a", "<0>b", format === "text" ? "c\\n<0>d" : "c\n<0>d", "e", "f"]
        )
      })
    )
  }
})

describe("Log: text", () => {
  it.effect("is the original's line: local time, name, level, message", () =>
    Effect.gen(function* () {
      const line = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - docker-event-script - (\w+) - hello$/
      const lines = yield* written(
        "text",
        Effect.all([
          Effect.logDebug("hello"),
          Effect.logInfo("hello"),
          Effect.logWarning("hello"),
          Effect.logError("hello"),
          Effect.logFatal("hello")
        ]),
        true
      )
      assert.deepStrictEqual(
        lines.map((text) => line.exec(text)?.[1]),
        ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
      )
    })
  )

  it.effect("pads every field of the time", () =>
    Effect.gen(function* () {
      // The test's clock stands at the epoch, which has fields of one digit in every zone.
      const line = yield* one("text", Effect.logInfo("hello"))
      const epoch = new Date(0)
      const [date, time] = [epoch.toLocaleDateString("sv-SE"), epoch.toLocaleTimeString("sv-SE")]
      assert.strictEqual(line, `${date} ${time},000 - docker-event-script - INFO - hello`)
    })
  )

  it.effect("joins the parts of a message, and shows an object as JSON", () =>
    Effect.gen(function* () {
      const line = yield* one("text", Effect.logInfo("Script ENV:", { A: "1", B: 'x "y"' }))
      assert.strictEqual(messageIn.text(line), 'Script ENV: {"A":"1","B":"x \\"y\\""}')
    })
  )
})

describe("Log: layer", () => {
  it.effect("counts only for the effect that it is provided to", () =>
    Effect.gen(function* () {
      const hello = (format: Log.LogFormat) =>
        Effect.logInfo("hello").pipe(Effect.provide(Log.layer({ format, verbose: false })))
      // Each has its own line once, and none has the line of the one before.
      const lines = yield* written("text", Effect.all([hello("json"), hello("json"), hello("json")]))
      assert.strictEqual(lines.filter((line) => line.startsWith("{")).length, 3)
    })
  )

  it.effect("writes DEBUG with verbose alone", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* written("text", Effect.logDebug("hello")), [])
      assert.strictEqual((yield* written("text", Effect.logDebug("hello"), true)).length, 1)
    })
  )
})

const id = "467730e17a0ac265eae034d21cf633755aa57d03483ae479b623bc5569d6c274"

const event = (fields: Partial<Parameters<typeof DockerEvent.make>[0]> = {}) =>
  DockerEvent.make({
    type: "container",
    action: "die",
    id,
    attributes: { name: "web" },
    engine: "east",
    timeNano: 0n,
    ...fields
  })

/** The fields of all lines about that event. */
const aboutEvent = {
  "des.event.type": "container",
  "des.event.action": "die",
  "des.actor.id": id,
  "des.actor.name": "web",
  "container.id": id,
  "container.name": "web",
  "des.engine": "east"
}

const script = "/etc/docker/events.d/container/die"

const about = (fields: ReturnType<typeof LogFields.make>, of = event()) =>
  Effect.annotateLogs({ ...eventFields(of), ...fields })

/** Each kind of line that des writes: how it is logged, its text after the level, and its fields besides level and time. */
const kinds: ReadonlyArray<
  readonly [what: string, line: Effect.Effect<void>, text: string, fields: Readonly<Record<string, unknown>>]
> = [
  ["about nothing in particular", Effect.logInfo("des stops"), "des stops", { message: "des stops" }],
  [
    "about an engine",
    Effect.logInfo("watching east for events").pipe(Effect.annotateLogs(LogFields.make({ engine: "east" }))),
    "watching east for events",
    { message: "watching east for events", "des.engine": "east" }
  ],
  [
    "about a script of the event",
    Effect.logInfo(`Running script ${script}`).pipe(about(LogFields.make({ script, attempt: 1, run: "east-7" }))),
    `Running script ${script} (web)`,
    {
      message: `Running script ${script}`,
      ...aboutEvent,
      "des.script": script,
      "des.run": "east-7",
      "des.attempt": 1
    }
  ],
  [
    "about a script of all events",
    Effect.logInfo("Running script /etc/docker/events.d/all").pipe(
      about(LogFields.make({ script: "/etc/docker/events.d/all" }))
    ),
    "Running script /etc/docker/events.d/all (container/die web)",
    {
      message: "Running script /etc/docker/events.d/all",
      ...aboutEvent,
      "des.script": "/etc/docker/events.d/all"
    }
  ],
  [
    "about a run that failed",
    Effect.logError(`Script ${script} Failed! Exit=-9 Signal=SIGKILL Message=""`).pipe(
      about(LogFields.make({ script, exit: -9, duration: 12, error: "killed" }))
    ),
    `Script ${script} Failed! Exit=-9 Signal=SIGKILL Message="" (web)`,
    {
      message: `Script ${script} Failed! Exit=-9 Signal=SIGKILL Message=""`,
      ...aboutEvent,
      "des.script": script,
      "process.exit.code": -9,
      "des.duration_ms": 12,
      "error.type": "killed"
    }
  ],
  [
    "about a run that took no time and succeeded",
    Effect.logInfo(`Script ${script} succeeded in 0 ms`).pipe(about(LogFields.make({ script, exit: 0, duration: 0 }))),
    `Script ${script} succeeded in 0 ms (web)`,
    {
      message: `Script ${script} succeeded in 0 ms`,
      ...aboutEvent,
      "des.script": script,
      "process.exit.code": 0,
      "des.duration_ms": 0
    }
  ],
  [
    "that a script of the event wrote",
    Effect.logInfo("sent").pipe(about(LogFields.make({ script, stream: "stdout" }))),
    "container/die web: sent",
    { message: "sent", ...aboutEvent, "des.script": script, "log.iostream": "stdout" }
  ],
  [
    "that one of several scripts of the event wrote",
    Effect.logInfo("sent").pipe(about(LogFields.make({ script: `${script}/10-mail`, stream: "stderr" }))),
    "container/die/10-mail web: sent",
    { message: "sent", ...aboutEvent, "des.script": `${script}/10-mail`, "log.iostream": "stderr" }
  ],
  [
    "that a script of all events wrote",
    Effect.logInfo("sent").pipe(about(LogFields.make({ script: "/etc/docker/events.d/all", stream: "stdout" }))),
    "/etc/docker/events.d/all (container/die web): sent",
    { message: "sent", ...aboutEvent, "des.script": "/etc/docker/events.d/all", "log.iostream": "stdout" }
  ],
  [
    "that a script wrote which ran for no event",
    Effect.logInfo("sent").pipe(Effect.annotateLogs(LogFields.make({ script, stream: "stdout" }))),
    `${script}: sent`,
    { message: "sent", "des.script": script, "log.iostream": "stdout" }
  ],
  [
    "that begins with its event",
    Effect.logWarning("container/die web: too many events of this actor still wait").pipe(about({})),
    "container/die web: too many events of this actor still wait",
    { message: "container/die web: too many events of this actor still wait", ...aboutEvent }
  ],
  [
    "that ends with its record",
    Effect.logInfo('Detected actionable event container/die: {"Type":"container"}').pipe(about({})),
    'Detected actionable event container/die: {"Type":"container"}',
    { message: 'Detected actionable event container/die: {"Type":"container"}', ...aboutEvent }
  ],
  [
    "about an actor without a name, on an engine without one",
    Effect.logInfo("Finished handling container/die").pipe(about({}, event({ attributes: {}, engine: "" }))),
    "Finished handling container/die (467730e17a0a)",
    {
      message: "Finished handling container/die",
      "des.event.type": "container",
      "des.event.action": "die",
      "des.actor.id": id,
      "container.id": id
    }
  ],
  [
    "about an event that has no actor",
    Effect.logInfo("Finished handling image/prune").pipe(
      about({}, event({ type: "image", action: "prune", id: "", attributes: {} }))
    ),
    "Finished handling image/prune",
    {
      message: "Finished handling image/prune",
      "des.event.type": "image",
      "des.event.action": "prune",
      "des.engine": "east"
    }
  ],
  [
    "about an exec, whose command is no part of the action",
    Effect.logInfo("Finished handling container/exec_start").pipe(about({}, event({ action: "exec_start: cat /x" }))),
    "Finished handling container/exec_start (web)",
    { message: "Finished handling container/exec_start", ...aboutEvent, "des.event.action": "exec_start" }
  ],
  [
    "of a program that annotates lines itself",
    Effect.logInfo("hello").pipe(
      Effect.annotateLogs({ tenant: "a b", empty: "", none: undefined, nil: null, list: [1], on: false, message: "no" })
    ),
    "hello",
    { message: "hello", list: "[1]", on: false, tenant: "a b" }
  ]
]

describe("Log: each kind of line", () => {
  const page = readFileSync(join(import.meta.dirname, "../docs/running.md"), "utf8")
  for (const name of ["timestamp", "level", "message", ...Object.values(LogFields.names)]) {
    it(`docs/running.md says what ${name} is`, () => {
      assert.match(page, new RegExp(`^\\|[^|]*\`${name}\``, "m"))
    })
  }

  for (const [what, line, text, fields] of kinds) {
    it.effect(`a line ${what} is, in text: ${text}`, () =>
      Effect.gen(function* () {
        assert.strictEqual(messageIn.text(yield* one("text", line)), text)
      })
    )

    it.effect(`a line ${what} has its fields in json, in order, and no empty one`, () =>
      Effect.gen(function* () {
        const { level, timestamp, ...rest } = JSON.parse(yield* one("json", line))
        assert.strictEqual(timestamp, "1970-01-01T00:00:00.000Z")
        assert.oneOf(level, ["INFO", "WARN", "ERROR"])
        assert.strictEqual(JSON.stringify(rest), JSON.stringify(fields))
      })
    )

    it.effect(`a line ${what} has the same fields in logfmt`, () =>
      Effect.gen(function* () {
        const { level, timestamp, ...rest } = parseLogfmt(yield* one("logfmt", line))
        assert.strictEqual(timestamp, "1970-01-01T00:00:00.000Z")
        assert.oneOf(level, ["INFO", "WARN", "ERROR"])
        const asText = Object.entries(fields).map(([name, value]) => [name, String(value)])
        assert.deepStrictEqual(Object.entries(rest), asText)
      })
    )
  }

  it.effect("a line about an exception has its type, message and stack in fields, and in text behind the message", () =>
    Effect.gen(function* () {
      const line = Effect.logError("it broke", Cause.fail(new TypeError("why")))
      const fields: Readonly<Record<string, string>> = JSON.parse(yield* one("json", line))
      assert.deepInclude(fields, {
        message: "it broke",
        "exception.type": "TypeError",
        "exception.message": "why"
      })
      assert.match(fields["exception.stacktrace"] ?? "", /^TypeError: why\n {4}at /)
      assert.match(String(messageIn.text(yield* one("text", line))), /^it broke TypeError: why\\n {4}at /)
    })
  )

  it.effect("a line about a failure that is no Error has no empty field either", () =>
    Effect.gen(function* () {
      const { "exception.stacktrace": stack, ...fields } = JSON.parse(
        yield* one("json", Effect.logError("it broke", Cause.fail("")))
      )
      assert.deepInclude(fields, { message: "it broke", "exception.type": "string" })
      assert.isNotEmpty(stack)
      assert.isFalse(Object.values(fields).includes(""))
    })
  )
})

describe("Log: text that strangers write", () => {
  const escapes: Readonly<Record<string, readonly [text: string, shown: string]>> = {
    "a newline": ["\n", "\\n"],
    "a carriage return": ["\r", "\\r"],
    "a tab": ["\t", "\\t"],
    NUL: ["\u0000", "\\u0000"],
    ESC: ["\u001b[2J", "\\u001b[2J"],
    DEL: ["\u007f", "\\u007f"],
    "C1 control sequence introducer": ["\u009b", "\\u009b"],
    "next line": ["\u0085", "\\u0085"],
    "a line separator": ["\u2028", "\\u2028"],
    "a paragraph separator": ["\u2029", "\\u2029"],
    "right-to-left override": ["\u202e", "\\u202e"],
    "zero width space": ["\u200b", "\\u200b"],
    "byte order mark": ["\ufeff", "\\ufeff"],
    "private use": ["\ue000", "\\ue000"],
    "private use beyond the BMP": ["\u{f0000}", "\\udb80\\udc00"],
    "a tag character": ["\u{e0041}", "\\udb40\\udc41"],
    "half a surrogate pair": ["\ud83d", "\\ud83d"],
    "letters, emoji and combining marks": ["Ä 漢 🐳 e\u0301", "Ä 漢 🐳 e\u0301"]
  }
  for (const [name, [text, shown]] of Object.entries(escapes)) {
    it(`${name} is shown as ${shown}`, () => {
      assert.strictEqual(Log.escape(`a${text}b`), `a${shown}b`)
    })
  }

  const codePoint = FastCheck.oneof(
    FastCheck.integer({ min: 0, max: 0xa0 }),
    FastCheck.constantFrom(0x0a, 0x0d, 0x1b, 0x22, 0x5c, 0x3d, 0x20, 0x85, 0x9b, 0xad, 0x2028, 0x2029, 0x202e, 0xfeff),
    FastCheck.integer({ min: 0, max: 0x10ffff })
  )
  const hostile = FastCheck.array(codePoint, { maxLength: 40 }).map((points) => String.fromCodePoint(...points))
  const options = { fastCheck: { numRuns: 100 } }

  for (const format of Log.formats) {
    it.effect.prop(
      `${format}: a message, an annotation or an error never gives more than one line, and nothing unprintable`,
      [hostile, hostile],
      ([text, other]) =>
        Effect.gen(function* () {
          const logged = Effect.logError(text, Cause.fail(new Error(other))).pipe(
            Effect.annotateLogs({ script: other })
          )
          for (const effect of [Effect.logInfo(text), logged, Effect.logError({ [text]: other })]) {
            assert.notMatch(yield* one(format, effect), unprintable)
          }
        }),
      options
    )
  }

  it.effect.prop(
    "json: the message arrives as it was",
    [hostile],
    ([text]) =>
      Effect.gen(function* () {
        assert.strictEqual(messageIn.json(yield* one("json", Effect.logInfo(text))), text)
      }),
    options
  )

  it.effect.prop(
    "logfmt: the message arrives as it was, and other pairs stay apart from it",
    [hostile, hostile],
    ([text, script]) =>
      Effect.gen(function* () {
        const line = yield* one("logfmt", Effect.logInfo(text).pipe(Effect.annotateLogs({ script })))
        const pairs = parseLogfmt(line)
        assert.strictEqual(pairs["message"], text)
        assert.strictEqual(pairs["script"], script === "" ? undefined : script)
        assert.strictEqual(pairs["level"], "INFO")
      }),
    options
  )
})

describe("Log: long lines are cut", () => {
  const megabyte = "x".repeat(1_000_000)

  for (const format of Log.formats) {
    it.effect(`${format}: a message of 1 MB, and what is cut is counted`, () =>
      Effect.gen(function* () {
        const line = yield* one(format, Effect.logInfo(`start ${megabyte}`))
        assert.isBelow(line.length, 20_000)
        assert.match(String(messageIn[format](line)), /^start x+… \(\d+ more characters\)$/)
        const [, shown = "", more = ""] = /start (x+)… \((\d+)/.exec(line) ?? []
        assert.strictEqual(shown.length + Number(more), megabyte.length)
      })
    )

    it.effect(`${format}: an object of 1 MB`, () =>
      Effect.gen(function* () {
        const line = yield* one(format, Effect.logInfo("Script ENV:", { A: megabyte }))
        assert.isBelow(line.length, 20_000)
        messageIn[format](line)
      })
    )

    it.effect(`${format}: an error of 1 MB`, () =>
      Effect.gen(function* () {
        const line = yield* one(format, Effect.logError("it broke", Cause.fail(new Error(megabyte))))
        assert.isBelow(line.length, 40_000)
        messageIn[format](line)
      })
    )
  }

  for (const format of Log.formats) {
    it.effect(`${format}: fields of 1 MB each`, () =>
      Effect.gen(function* () {
        const of = event({ id: megabyte, attributes: { name: megabyte }, engine: megabyte })
        const line = yield* one(format, Effect.logInfo("hello").pipe(about(LogFields.make({ script: megabyte }), of)))
        assert.isBelow(line.length, format === "text" ? 300 : 8000)
        messageIn[format](line)
      })
    )
  }

  it.effect("a message that is cut inside a character is still valid for every reader", () =>
    Effect.gen(function* () {
      const line = yield* one("json", Effect.logInfo(`${"x".repeat(16_383)}🐳🐳`))
      assert.notMatch(line, unprintable)
      assert.match(String(messageIn.json(line)), /^x+/)
    })
  )

  it.effect("a message of 16,000 characters is whole", () =>
    Effect.gen(function* () {
      const text = "x".repeat(16_000)
      assert.strictEqual(messageIn.text(yield* one("text", Effect.logInfo(text))), text)
    })
  )
})
