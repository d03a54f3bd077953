import { describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import { assert } from "vitest"
import * as Log from "../src/Log.ts"
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

describe("Log: json and logfmt", () => {
  it.effect("json is an object with timestamp, level, message and annotations", () =>
    Effect.gen(function* () {
      const line = yield* one("json", Effect.logWarning('a "b"\n\\').pipe(Effect.annotateLogs({ script: "/x y" })))
      const { annotations, logLevel, message, timestamp } = JSON.parse(line)
      assert.deepStrictEqual(
        { annotations, logLevel, message },
        { annotations: { script: "/x y" }, logLevel: "WARN", message: 'a "b"\n\\' }
      )
      assert.strictEqual(timestamp, "1970-01-01T00:00:00.000Z")
    })
  )

  it.effect("logfmt is pairs of timestamp, level, message and annotations", () =>
    Effect.gen(function* () {
      const line = yield* one("logfmt", Effect.logWarning('a "b"\n\\').pipe(Effect.annotateLogs({ script: "/x y" })))
      const { level, message, script, timestamp } = parseLogfmt(line)
      assert.deepStrictEqual({ level, message, script }, { level: "WARN", message: 'a "b"\n\\', script: "/x y" })
      assert.strictEqual(timestamp, "1970-01-01T00:00:00.000Z")
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
    "logfmt: the message arrives as it was, or as it is shown, and other pairs stay apart from it",
    [hostile, hostile],
    ([text, script]) =>
      Effect.gen(function* () {
        const line = yield* one("logfmt", Effect.logInfo(text).pipe(Effect.annotateLogs({ script })))
        const pairs = parseLogfmt(line)
        assert.oneOf(pairs["message"], [text, Log.escape(text)])
        assert.oneOf(pairs["script"], [script, Log.escape(script)])
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
