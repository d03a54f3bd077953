import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as DurationText from "../../src/DurationText.ts"
import * as DockerEvent from "../../src/event/DockerEvent.ts"
import * as Conditions from "../../src/scripts/Condition.ts"
import * as ScriptOptions from "../../src/scripts/ScriptOptions.ts"
import { record } from "../support/Record.ts"

const parse = (...lines: ReadonlyArray<string>) => ScriptOptions.parse(`${lines.join("\n")}\n`)

describe("the head of a script", () => {
  it("has no options if there is no option line", () => {
    for (const head of [
      "",
      "\n",
      "#!/bin/sh",
      "#!/bin/sh\necho\n",
      "# a comment\n",
      "echo\n",
      "# des:\n",
      "# des:  \t\n"
    ]) {
      assert.deepStrictEqual(ScriptOptions.parse(head), ScriptOptions.none, JSON.stringify(head))
    }
  })

  const bounds: Readonly<Record<string, Partial<ScriptOptions.ScriptOptions>>> = {
    "timeout=30s": { timeout: 30_000 },
    "timeout=0": { timeout: 0 },
    "cooldown=1m": { cooldown: 60_000 },
    "retries=3": { retries: 3 },
    "retries=0": { retries: 0 },
    "stop-on-failure=yes": { stopOnFailure: true },
    "stop-on-failure=no": { stopOnFailure: false },
    "user=www-data": { user: "www-data" },
    "inspect=yes": { inspect: true },
    "inspect=no user=_apt": { inspect: false, user: "_apt" },
    "user=_apt": { user: "_apt" },
    "stop-on-failure=yes cooldown=0": { stopOnFailure: true, cooldown: 0 },
    "wait=2s": { wait: { quiet: 2000, latest: 8000 } },
    "wait=500ms..1m": { wait: { quiet: 500, latest: 60_000 } },
    "wait=2s..2s": { wait: { quiet: 2000, latest: 2000 } },
    "wait=2s cooldown=1m": { wait: { quiet: 2000, latest: 8000 }, cooldown: 60_000 },
    "wait=2s per=script": { wait: { quiet: 2000, latest: 8000 }, per: "script" },
    "per=script cooldown=1m": { per: "script", cooldown: 60_000 },
    "cooldown=1m per=actor": { per: "actor", cooldown: 60_000 }
  }
  for (const [text, expected] of Object.entries(bounds)) {
    it(`takes ${text}`, () =>
      assert.deepStrictEqual(parse("#!/bin/sh", `# des: ${text}`), { conditions: [], ...expected }))
  }

  const conditions: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
    "label=com.example.backup": { on: "attribute", key: "com.example.backup" },
    "label=com.example.backup=true": { on: "attribute", key: "com.example.backup", patterns: ["true"] },
    "label=a=b=c": { on: "attribute", key: "a", patterns: ["b=c"] },
    "label=a=": { on: "attribute", key: "a", patterns: [""] },
    "label=a=b,c": { on: "attribute", key: "a", patterns: ["b", "c"] },
    'label="a,b"': { on: "attribute", key: "a,b" },
    'label="a,b"=c,d': { on: "attribute", key: "a,b", patterns: ["c", "d"] },
    "label!=a": { on: "attribute", excludes: true, key: "a" },
    "label!=a=b": { on: "attribute", excludes: true, key: "a", patterns: ["b"] },
    "label=a!=b": { on: "attribute", key: "a!", patterns: ["b"] },
    "attribute=exitCode=137": { on: "attribute", key: "exitCode", patterns: ["137"] },
    "attribute=signal": { on: "attribute", key: "signal" },
    "attribute!=signal=9": { on: "attribute", excludes: true, key: "signal", patterns: ["9"] },
    "image=postgres:*": { on: "attribute", key: "image", patterns: ["postgres:*"] },
    "image=a=b": { on: "attribute", key: "image", patterns: ["a=b"] },
    "image=nginx,postgres:*": { on: "attribute", key: "image", patterns: ["nginx", "postgres:*"] },
    "image!=nginx,postgres:*": { on: "attribute", excludes: true, key: "image", patterns: ["nginx", "postgres:*"] },
    "name=web-*": { on: "attribute", key: "name", patterns: ["web-*"] },
    'name="a,b",c': { on: "attribute", key: "name", patterns: ["a,b", "c"] },
    'name="a b","c d"': { on: "attribute", key: "name", patterns: ["a b", "c d"] },
    'name=a","b': { on: "attribute", key: "name", patterns: ["a,b"] },
    "engine=web*,db": { on: "engine", patterns: ["web*", "db"] },
    "engine!=db": { on: "engine", excludes: true, patterns: ["db"] },
    "exitcode=0": { on: "exit code", codes: [[0, 0]] },
    "exitcode=1..255": { on: "exit code", codes: [[1, 255]] },
    "exitcode=1,137..143": {
      on: "exit code",
      codes: [
        [1, 1],
        [137, 143]
      ]
    }
  }
  for (const [text, expected] of Object.entries(conditions)) {
    it(`takes ${text}`, () =>
      assert.deepEqual<unknown>(parse("#!/bin/sh", `# des: ${text}`), {
        conditions: [{ text, excludes: false, ...expected }]
      }))
  }

  it("accepts values with blanks in double quotes, around the value or the whole", () => {
    const condition = { excludes: false, on: "attribute" as const }
    const [key, pattern] = ["a b", "c  d"]
    for (const text of ['label="a b=c  d"', '"label=a b=c  d"', 'label="a b"="c  d"', 'label=a" "b=c"  "d']) {
      assert.deepStrictEqual(parse(`# des: ${text}`), {
        conditions: [{ ...condition, text, key, patterns: [pattern] }]
      })
    }
    assert.deepStrictEqual(parse('# des: name="a b" image=""'), {
      conditions: [
        { ...condition, text: 'name="a b"', key: "name", patterns: ["a b"] },
        { ...condition, text: 'image=""', key: "image", patterns: [""] }
      ]
    })
    // Only double quotes quote, and what a shell would expand is text.
    assert.deepStrictEqual(parse("# des: name='a' image=$(x)\\#"), {
      conditions: [
        { ...condition, text: "name='a'", key: "name", patterns: ["'a'"] },
        { ...condition, text: "image=$(x)\\#", key: "image", patterns: ["$(x)\\#"] }
      ]
    })
  })

  it("accepts several options on a line and on several lines of its comment block, and keeps all conditions", () => {
    const expected = {
      timeout: 30_000,
      retries: 3,
      cooldown: 60_000,
      conditions: [
        { text: "label=a", excludes: false, on: "attribute" as const, key: "a" },
        { text: "image=b", excludes: false, on: "attribute" as const, key: "image", patterns: ["b"] },
        { text: "label=a=c", excludes: false, on: "attribute" as const, key: "a", patterns: ["c"] }
      ]
    }
    const one = ["#!/bin/sh", "# des: timeout=30s retries=3 cooldown=1m label=a image=b label=a=c"]
    const several = [
      "#!/usr/bin/env bash",
      "",
      "# Backs up.",
      "#des:timeout=30s\tretries=3  ",
      "#",
      "   # an indented comment",
      "\t",
      "#  des:   cooldown=1m label=a",
      "# des: image=b",
      "# des: label=a=c",
      "set -eu"
    ]
    assert.deepStrictEqual(parse(...one), expected)
    assert.deepStrictEqual(parse(...several), expected)
    assert.deepStrictEqual(ScriptOptions.parse(several.join("\r\n")), expected)
  })

  it("uses the last value of an option that is given twice", () => {
    const expected = { timeout: 2000, conditions: [] }
    assert.deepStrictEqual(parse("# des: timeout=1s timeout=2s"), expected)
    assert.deepStrictEqual(parse("# des: timeout=1s", "# des: timeout=2s"), expected)
  })

  it("ends at the first line of code, and later option lines are not read", () => {
    for (const code of ["echo", ": # des: timeout=1", "\u007fELF\u0002\u0001", "exit"]) {
      assert.deepStrictEqual(
        parse("#!/bin/sh", "# des: retries=1", code, "# des: timeout=5", "# des: nonsense"),
        { retries: 1, conditions: [] },
        code
      )
    }
  })

  it("has no options in other comments", () => {
    for (const line of ["# the word des: here", "# description: timeout=1", "#!des: timeout=1", "## des: timeout=1"]) {
      assert.deepStrictEqual(parse("#!/bin/sh", line), ScriptOptions.none, line)
    }
  })

  it("has no options if the executable is not a text", () => {
    const bytes = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0, 0x0a, ...Buffer.from("# des: nonsense\n"), 0xff, 0xfe]
    assert.deepStrictEqual(ScriptOptions.parse(Buffer.from(bytes).toString()), ScriptOptions.none)
  })
})

describe("a head that cannot be understood", () => {
  const problems: Readonly<Record<string, string>> = {
    nonsense: '"nonsense" is not an option',
    "timout=1s": '"timout=1s" is not an option; did you mean timeout=?',
    "nonsense=1": '"nonsense=1" is not an option',
    "Timeout=1s": '"Timeout=1s" is not an option',
    "timeout =1s": '"timeout" is not an option',
    "=1": '"=1" is not an option',
    '""': '"" is not an option',
    "__proto__=1": '"__proto__=1" is not an option',
    "constructor=1": '"constructor=1" is not an option',
    "toString=1": '"toString=1" is not an option',
    timeout: '"timeout" is not an option',
    timeouts: '"timeouts" is not an option',
    // Each has the letters of an option and one more.
    labels: '"labels" is not an option',
    names: '"names" is not an option',
    "image:nginx": '"image:nginx" is not an option',
    "image:": '"image:" is not an option',
    attributes: '"attributes" is not an option',
    "timeout=": 'timeout takes a duration such as 30s, 10m or 500ms, not ""',
    "timeout=soon": 'not "soon"',
    "timeout=-1": 'not "-1"',
    "timeout=5 s": '"s" is not an option',
    'timeout="5 s"': 'not "5 s"',
    "timeout=5S": 'not "5S"',
    "timeout=1m30s": 'not "1m30s"',
    "timeout=1e3": 'not "1e3"',
    "timeout=0x10": 'not "0x10"',
    "timeout=.5": 'not ".5"',
    "timeout=5.": 'not "5."',
    "timeout=∞": 'not "∞"',
    "cooldown=1y": 'cooldown takes a duration such as 30s, 10m or 500ms, not "1y"',
    "wait=": 'wait takes a duration above 0 such as 2s, or two such as 2s..30s, not ""',
    "wait=0": 'not "0"',
    "wait=0..5s": 'not "0..5s"',
    "wait=2s..": 'not "2s.."',
    "wait=..2s": 'not "..2s"',
    "wait=2s..3s..4s": 'not "2s..3s..4s"',
    "wait=2s-30s": 'not "2s-30s"',
    "wait=30s..2s":
      "wait=30s..2s contradicts itself: the run would have to begin at the latest before it may begin; write the shorter time first",
    "per=container cooldown=1s": 'per takes actor or script, not "container"',
    "inspect=true": 'inspect takes yes or no, not "true"',
    "user=": 'user takes the name of a user (letters, digits, _, - and ., the first a letter or _), not ""',
    "user=-u": 'not "-u"',
    "user=0": 'not "0"',
    "user=1000": 'not "1000"',
    "user=#0": 'not "#0"',
    "user=+0": 'not "+0"',
    "user=web:root": 'not "web:root"',
    "user=a/b": 'not "a/b"',
    'user="a b"': 'not "a b"',
    "user!=root": "user takes no !=",
    "retries=": 'retries takes a number, not ""',
    "retries=-1": 'not "-1"',
    "retries=1.5": 'not "1.5"',
    "retries=10000": 'not "10000"',
    "label=": 'label takes KEY or KEY=VALUE, not ""',
    "label==x": 'label takes KEY or KEY=VALUE, not "=x"',
    "attribute=": 'attribute takes KEY or KEY=VALUE, not ""',
    "imgae!=x": '"imgae!=x" is not an option; did you mean image!=?',
    "timout!=1s": '"timout!=1s" is not an option; did you mean timeout=?',
    "timeout!=1s": "timeout takes no !=; only conditions take it, such as image!=VALUE",
    "stop-on-failure=true": 'stop-on-failure takes yes or no, not "true"',
    "stop-on-failure": '"stop-on-failure" is not an option',
    "stop-on-falure=yes": '"stop-on-falure=yes" is not an option; did you mean stop-on-failure=?',
    "label!=": 'label takes KEY or KEY=VALUE, not ""',
    "label=a,b": 'label takes one KEY, not "a,b"; put a key that has a comma in double quotes',
    "label=a,b=c": 'label takes one KEY, not "a,b"',
    "image=a, b": "a value of image is missing beside a comma",
    "image=a,,b": "a value of image is missing beside a comma",
    "name=,a": "a value of name is missing beside a comma",
    "label=a=b,": "a value of label is missing beside a comma",
    "engine=,": "a value of engine is missing beside a comma",
    "exitcode=": 'exitcode takes codes from 0 to 255, such as 1..255 or 1,137, not ""',
    "exitcode=x": 'not "x"',
    "exitcode=-1": 'not "-1"',
    "exitcode=256": 'not "256"',
    "exitcode=9..1": 'not "9..1"',
    "exitcode=1..": 'not "1.."',
    "exitcode=1...3": 'not "1...3"',
    "exitcode=1,": 'not "1,"',
    "exitcode!=0": "exitcode takes no !=; write the codes that count, such as exitcode=1..255",
    'name="a': "a closing double quote is missing",
    'label=a" b" "': "a closing double quote is missing"
  }
  for (const [text, message] of Object.entries(problems)) {
    it(`is a problem: ${text}`, () => {
      for (const line of [1, 2, 5]) {
        const before = ["#!/bin/sh", "# des: retries=1", "", "# x"].slice(0, line - 1)
        for (const end of ["\n", "\r\n"]) {
          const problem = ScriptOptions.parse([...before, `# des: ${text}`, "# des: timeout=1s", ""].join(end))
          assert.containsAllKeys(problem, ["line", "message"])
          if (!("line" in problem)) return
          assert.strictEqual(problem.line, line)
          assert.include(problem.message, message)
        }
      }
    })
  }

  for (const [what, head, line, message] of [
    [
      "stop-on-failure=yes stands before a cooldown",
      "# des: stop-on-failure=yes cooldown=1m",
      1,
      /^stop-on-failure=yes and cooldown contradict each other: /
    ],
    [
      "stop-on-failure=yes stands after a cooldown",
      "# des: cooldown=1m\n# des: stop-on-failure=yes\nexit",
      2,
      /^stop-on-failure=yes and cooldown contradict each other: /
    ],
    [
      "stop-on-failure=yes stands beside a wait",
      "# des: wait=2s stop-on-failure=yes",
      1,
      /^stop-on-failure=yes and wait contradict each other: /
    ],
    [
      "per= stands alone",
      "# des: per=script",
      1,
      /^per=script says whose wait or cooldown it is, and there is none; add /
    ],
    ["per= stands beside no cooldown", "# des: per=actor\n# des: cooldown=0", 2, /^per=actor says whose/]
  ] as const) {
    it(`is a problem if ${what}`, () => {
      const problem = ScriptOptions.parse(head)
      assert.deepInclude(problem, { line })
      assert.match("message" in problem ? problem.message : "", message)
    })
  }

  it("lists the known options", () => {
    const problem = parse("# des: nonsense")
    for (const name of [
      "timeout",
      "cooldown",
      "wait",
      "per",
      "user",
      "inspect",
      "retries",
      "label",
      "attribute",
      "image",
      "name",
      "engine",
      "exitcode"
    ]) {
      assert.include("message" in problem ? problem.message : "", `${name}=`)
    }
  })

  it("is a problem at any place among good options", () => {
    for (const text of ["nonsense timeout=1s", "timeout=1s nonsense retries=1", "timeout=1s nonsense"]) {
      assert.hasAllKeys(parse(`# des: ${text}`), ["line", "message"], text)
    }
  })

  it("is found in an indented line, too", () => {
    assert.deepInclude(parse("#!/bin/sh", "  # des: nonsense"), { line: 2 })
    assert.deepStrictEqual(parse("#!/bin/sh", "\t# des: timeout=1s"), { timeout: 1000, conditions: [] })
  })
})

describe("a duration", () => {
  const units = { "": 1000, ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
  const unit = FastCheck.constantFrom(...Object.entries(units))

  it("is a number and a unit; without one it is seconds", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.nat(), unit, (number, [name, factor]) =>
        assert.strictEqual(DurationText.parse(`${number}${name}`), number * factor)
      )
    )
  })

  it("may be a part of a unit", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.nat(100_000), FastCheck.nat(9), unit, (whole, tenths, [name, factor]) =>
        assert.closeTo(
          DurationText.parse(`${whole}.${tenths}${name}`) ?? Number.NaN,
          whole * factor + (tenths * factor) / 10,
          1e-3
        )
      )
    )
  })

  it("is nothing else, and never less than 0", () => {
    const close = FastCheck.stringMatching(/^[-+ ]?[0-9]{0,3}[.,e]{0,2}[0-9]{0,2}[ ]?(ms|s|m|h|d|S|w|y|)[ \n]?$/)
    FastCheck.assert(
      FastCheck.property(FastCheck.oneof(close, FastCheck.string({ unit: "binary" })), (text) => {
        const parsed = DurationText.parse(text)
        const [, number = "", name = ""] = /^(.*?)([a-z]*)$/su.exec(text) ?? []
        const parts = number.split(".")
        const digits = parts.every((part) => part !== "" && [...part].every((digit) => "0123456789".includes(digit)))
        if (digits && parts.length <= 2 && Object.hasOwn(units, name)) return assert.isAtLeast(parsed ?? -1, 0)
        assert.isUndefined(parsed, JSON.stringify(text))
      }),
      { numRuns: 1000 }
    )
  })
})

describe("what is written is what is read", () => {
  // Of all that a line may hold only the double quote cannot be part of a value.
  const strange = FastCheck.constantFrom(..." \t\r\v\u0085\u00a0\u2028\u2029\ufeff=#*\\'$")
  const character = FastCheck.oneof(FastCheck.string({ unit: "binary", minLength: 1, maxLength: 1 }), strange)
  const value = FastCheck.string({ unit: character }).map((text) => text.replace(/["\n]/g, "_"))
  const key = FastCheck.string({ unit: character, minLength: 1 }).map((text) => text.replace(/["\n=]/g, "_"))
  const excludes = FastCheck.boolean()
  const on = FastCheck.constant("attribute" as const)
  const patterns = FastCheck.array(
    value.filter((text) => text !== ""),
    { minLength: 1, maxLength: 3 }
  )
  const described = FastCheck.oneof(
    FastCheck.record({ on, excludes, key }),
    FastCheck.record({ on, excludes, key, patterns }),
    FastCheck.record({ on, excludes, key: FastCheck.constantFrom("image", "name"), patterns })
  )
  const condition = described.map((given) => {
    const values = "patterns" in given ? `=${given.patterns.map((text) => `"${text}"`).join(",")}` : ""
    return {
      text: `${"patterns" in given ? "attribute" : "label"}${given.excludes ? "!" : ""}="${given.key}"${values}`,
      ...given
    }
  })

  it("for any options", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.record(
          {
            timeout: FastCheck.nat(),
            retries: FastCheck.nat(9999),
            cooldown: FastCheck.nat(),
            conditions: FastCheck.array(condition)
          },
          { requiredKeys: ["conditions"] }
        ),
        FastCheck.constantFrom("\n", "\r\n"),
        ({ conditions, ...bounds }, end) => {
          const texts = [
            ...(bounds.timeout === undefined ? [] : [`timeout=${bounds.timeout}ms`]),
            ...(bounds.retries === undefined ? [] : [`retries=${bounds.retries}`]),
            ...(bounds.cooldown === undefined ? [] : [`cooldown=${bounds.cooldown}ms`]),
            ...conditions.map(({ text }) => text)
          ]
          const expected = { ...bounds, conditions }
          const onOneLine = ["#!/bin/sh", `# des: ${texts.join(" ")}`, "exit", ""].join(end)
          const onLines = ["#!/bin/sh", ...texts.map((text) => `# des: ${text}`), "", "exit", ""].join(end)
          assert.deepEqual(ScriptOptions.parse(onOneLine), expected)
          assert.deepEqual(ScriptOptions.parse(onLines), expected)
        }
      )
    )
  })

  it("and no head, however strange, makes it throw", () => {
    const line = FastCheck.oneof(
      FastCheck.string({ unit: "binary" }),
      FastCheck.string({ unit: "binary" }).map((text) => `# des: ${text}`),
      FastCheck.stringMatching(/^# des: ([a-z]{0,4}(timeout|label|image|name|retries)[=" ]{0,3}[a-z0-9"= ]{0,9}){0,4}$/)
    )
    FastCheck.assert(
      FastCheck.property(FastCheck.array(line), (lines) => {
        const parsed = ScriptOptions.parse(lines.join("\n"))
        if ("conditions" in parsed) return
        assert.isTrue(parsed.line >= 1 && parsed.line <= lines.length)
      })
    )
  })
})

/** Whether a script with these options in its head runs for an event with these attributes. */
const runsFor = (text: string, attributes: Readonly<Record<string, string>>, engine = ""): boolean => {
  const options = parse(`# des: ${text}`)
  if ("line" in options) return assert.fail(options.message)
  return ScriptOptions.matches(options, { Actor: { Attributes: attributes }, engine })
}

describe("a script runs for an event", () => {
  it("only for the engine that a pattern names", () => {
    const head = "engine=web*,east label=a"
    assert.isTrue(runsFor(head, { a: "" }, "web1"))
    assert.isTrue(runsFor(head, { a: "" }, "east"))
    assert.isFalse(runsFor(head, { a: "" }, "db"))
    assert.isFalse(runsFor(head, {}, "web1"))
    // A label is not an engine.
    assert.isFalse(runsFor(head, { a: "", engine: "web1" }, ""))
    assert.isFalse(runsFor("engine!=web*", {}, "web1"))
    assert.isTrue(runsFor("engine!=web*", {}, "db"))
  })

  it("with any attributes, if the head has no condition", () => {
    assert.isTrue(runsFor("", {}))
    assert.isTrue(runsFor("timeout=1s", { any: "thing" }))
  })

  it("if one value of a list fits", () => {
    for (const image of ["nginx", "postgres:16"]) assert.isTrue(runsFor("image=nginx,postgres:*", { image }))
    assert.isFalse(runsFor("image=nginx,postgres:*", { image: "redis" }))
    assert.isFalse(runsFor("image=nginx,postgres:*", { image: "nginx,postgres:16" }))
    assert.isTrue(runsFor('label="a,b"="c,d",e', { "a,b": "c,d" }))
  })

  it("with != exactly if it would not run without the !", () => {
    for (const option of ["label=a", "label=a=b,c*", "attribute=a=b", "image=a,b", "name=*", "engine=e"]) {
      const excluding = option.replace("=", "!=")
      for (const value of [undefined, "", "a", "b", "cc", "x"]) {
        const attributes = value === undefined ? {} : { a: value, image: value, name: value }
        for (const engine of ["e", "f"]) {
          assert.strictEqual(
            runsFor(excluding, attributes, engine),
            !runsFor(option, attributes, engine),
            `${excluding} for ${value} of ${engine}`
          )
        }
      }
    }
  })

  it("whose exit code is one of these", () => {
    for (const [codes, yes, no] of [
      ["1..255", ["1", "137", "255"], ["0", "", "256", "1000", "-1", "1.5", "x", "1 "]],
      ["0", ["0", "00"], ["1"]],
      ["1,137..143", ["1", "137", "140", "143"], ["0", "2", "136", "144"]]
    ] as const) {
      for (const exitCode of yes) assert.isTrue(runsFor(`exitcode=${codes}`, { exitCode }), `${codes}: ${exitCode}`)
      for (const exitCode of no) assert.isFalse(runsFor(`exitcode=${codes}`, { exitCode }), `${codes}: ${exitCode}`)
    }
    assert.isFalse(runsFor("exitcode=0..255", {}))
    assert.isFalse(runsFor("exitcode=0..255", { exitcode: "1" }))
  })

  it("that has the label or attribute, whatever its value", () => {
    for (const option of ["label", "attribute"]) {
      assert.isTrue(runsFor(`${option}=backup`, { backup: "no" }))
      assert.isTrue(runsFor(`${option}=backup`, { backup: "" }))
      assert.isFalse(runsFor(`${option}=backup`, {}))
      assert.isFalse(runsFor(`${option}=backup`, { Backup: "", backups: "", "backup ": "" }))
    }
  })

  it("only if the label or attribute has this value", () => {
    assert.isTrue(runsFor("label=backup=true", { backup: "true" }))
    for (const backup of ["false", "True", "true ", " true", "", "truetrue"]) {
      assert.isFalse(runsFor("label=backup=true", { backup }), backup)
    }
    assert.isTrue(runsFor("label=backup=", { backup: "" }))
    assert.isFalse(runsFor("label=backup=", { backup: "true" }))
  })

  it("of this image and this name", () => {
    assert.isTrue(runsFor("image=nginx", { image: "nginx", name: "web" }))
    assert.isFalse(runsFor("image=nginx", { image: "web", name: "nginx" }))
    assert.isTrue(runsFor("name=web", { image: "nginx", name: "web" }))
    assert.isFalse(runsFor("name=web", { image: "web", name: "nginx" }))
    assert.isFalse(runsFor("name=*", { image: "web" }))
  })

  it("only if all conditions hold", () => {
    const head = "label=a label=b=1 image=nginx:* name=web"
    const all = { a: "", b: "1", image: "nginx:1", name: "web", more: "" }
    assert.isTrue(runsFor(head, all))
    for (const key of ["a", "b", "image", "name"]) {
      const { [key]: _, ...others } = all as Readonly<Record<string, string>>
      assert.isFalse(runsFor(head, others), key)
      if (key !== "a") assert.isFalse(runsFor(head, { ...all, [key]: "other" }), key)
    }
    assert.isTrue(runsFor("label=a=x* label=a=*y", { a: "x y" }))
    assert.isFalse(runsFor("label=a=x* label=a=*y", { a: "x" }))
  })

  it("that has the key itself, not by what objects have in JavaScript", () => {
    for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"]) {
      assert.isFalse(runsFor(`label=${key}`, {}), key)
      assert.isFalse(runsFor(`label=${key}=*`, {}), key)
      // As an engine sends it: JSON.parse makes each key the object's own.
      const text = record({ attributes: { KEY: "x" } }).replace("KEY", key)
      const { Attributes } = Either.getOrThrow(DockerEvent.decode(text)).Actor
      assert.isTrue(runsFor(`label=${key}`, Attributes), key)
      assert.isTrue(runsFor(`label=${key}=x`, Attributes), key)
      assert.isFalse(runsFor(`label=${key}=y`, Attributes), key)
    }
  })
})

/** What a pattern means, said as simply as can be. */
const fits = (text: string, pattern: string): boolean => {
  if (pattern === "") return text === ""
  if (pattern.startsWith("*")) return fits(text, pattern.slice(1)) || (text !== "" && fits(text.slice(1), pattern))
  return text !== "" && text[0] === pattern[0] && fits(text.slice(1), pattern.slice(1))
}

/** Why a script with these lines in its head does not run for an event with these attributes. */
const whyNot = (text: string, attributes: Readonly<Record<string, string>>, engine = ""): string | undefined => {
  const options = parse(`# des: ${text}`)
  if ("line" in options) return assert.fail(options.message)
  return ScriptOptions.whyNot(options, { engine, Actor: { Attributes: attributes } })
}

describe("the condition that keeps a script from an event", () => {
  for (const [text, attributes, why] of [
    ["name=web", { name: "web" }, undefined],
    ["name=db*", { name: "web" }, 'it needs name=db*, and name is "web"'],
    ["image=postgres:*", {}, "it needs image=postgres:*, and the event has no image"],
    ["label=com.example.role", {}, "it needs label=com.example.role, and the event has no com.example.role"],
    ["label=role=db", { role: "web" }, 'it needs label=role=db, and role is "web"'],
    ["engine=web1", { engine: "web1" }, 'it needs engine=web1, and the engine is "web2"'],
    ["name=web label=a", { name: "web" }, "it needs label=a, and the event has no a"],
    ["name=web label=a", { name: "db" }, 'it needs name=web, and name is "db"'],
    ['name!="web 1"', { name: "web 1" }, 'it needs name!="web 1", and name is "web 1"'],
    ["label!=role", { role: "db" }, 'it needs label!=role, and role is "db"'],
    ["engine!=web*", {}, 'it needs engine!=web*, and the engine is "web2"'],
    ["image=a,b", { image: "c" }, 'it needs image=a,b, and image is "c"'],
    ["exitcode=1..255", { exitCode: "0" }, 'it needs exitcode=1..255, and exitCode is "0"'],
    ["exitcode=1..255", {}, "it needs exitcode=1..255, and the event has no exitCode"]
  ] as const) {
    it(`${text} for ${JSON.stringify(attributes)}: ${why ?? "none"}`, () => {
      assert.strictEqual(whyNot(text, attributes, "web2"), why)
    })
  }

  it("is told with 80 characters of what the event has", () => {
    assert.strictEqual(
      whyNot("name=db", { name: "x".repeat(5000) }),
      `it needs name=db, and name is "${"x".repeat(80)}…"`
    )
  })
})

describe("conditions that no event meets together", () => {
  for (const [text, why] of [
    ["name=a name=a", undefined],
    ["name=a* name=*b", undefined],
    ["name=a image=b", undefined],
    ["label=x label=x=1", undefined],
    ["name=web1 name=web*", undefined],
    ["name=a,b name=b,c", undefined],
    ["label=x label!=x=1", undefined],
    ["engine=a name=b", undefined],
    ["exitcode=1..9 exitcode=9", undefined],
    ["name!=a name!=b", undefined],
    ["name=a name=b", "no event meets both name=a and name=b"],
    ["name=db1 name=web*", "no event meets both name=db1 and name=web*"],
    ["label=x=1 attribute=x=2", "no event meets both label=x=1 and attribute=x=2"],
    ["name=a,b name=c,d", "no event meets both name=a,b and name=c,d"],
    ["name=a name!=a", "no event meets both name=a and name!=a"],
    ["label=x label!=x", "no event meets both label=x and label!=x"],
    ["engine=a engine=b", "no event meets both engine=a and engine=b"],
    ["exitcode=1 exitcode=2..255", "no event meets both exitcode=1 and exitcode=2..255"],
    ["exitcode=1 attribute=exitCode=2", "no event meets both exitcode=1 and attribute=exitCode=2"]
  ] as const) {
    it(`${text}: ${why ?? "none"}`, () => {
      const options = parse(`# des: ${text}`)
      if ("line" in options) return assert.fail(options.message)
      assert.strictEqual(Conditions.contradiction(options.conditions), why)
    })
  }
})

describe("the options as they are written", () => {
  it("are those of the comment block at the head, in one line", () => {
    const text = '#!/bin/sh\n# des: timeout=3s\n# other\n\n#des: name="a b" \nexit\n# des: retries=1\n'
    assert.strictEqual(ScriptOptions.written(text), 'timeout=3s name="a b"')
    assert.strictEqual(ScriptOptions.written(""), "")
  })
})

describe("a * in a pattern stands for anything", () => {
  const matches = (text: string, pattern: string) => {
    const condition = { text: "", excludes: false, on: "attribute" as const, key: "k", patterns: [pattern] }
    return ScriptOptions.matches({ conditions: [condition] }, { Actor: { Attributes: { k: text } }, engine: "" })
  }

  for (const [pattern, yes, no] of [
    ["*", ["", "a", "*", "\n", "a\u2028b"], []],
    ["**", ["", "a"], []],
    ["a*", ["a", "ab", "aa"], ["", "ba", "A"]],
    ["*a", ["a", "ba", "aa"], ["", "ab"]],
    ["a*a", ["aa", "aaa", "aba"], ["a", "ab", ""]],
    ["*a*", ["a", "bab"], ["", "b"]],
    ["ab*ba", ["abba", "abxba"], ["aba", "ab", "abb"]],
    ["*ab*ab", ["abab", "xabxab", "ababab"], ["ab", "aba", "xab"]],
    ["a*b*c", ["abc", "aXbXc", "abbc", "abcbc"], ["acb", "ac", "abcd"]],
    [".*", [".", ".x"], ["x", ""]],
    ["[a]?\\d+", ["[a]?\\d+"], ["a", "1"]],
    ["postgres:*", ["postgres:", "postgres:16-alpine"], ["postgres", "my/postgres:16", "postgres16"]]
  ] as const) {
    it(pattern, () => {
      for (const text of yes) assert.isTrue(matches(text, pattern), JSON.stringify(text))
      for (const text of no) assert.isFalse(matches(text, pattern), JSON.stringify(text))
    })
  }

  it("for any text and any pattern", () => {
    const letter = FastCheck.constantFrom("a", "b", "a", "b", ".", "\n")
    const text = FastCheck.string({ unit: letter, maxLength: 12 })
    const pattern = FastCheck.string({ unit: FastCheck.oneof(letter, FastCheck.constant("*")), maxLength: 8 })
    // Some that surely fit, which chance makes seldom.
    const fitting = FastCheck.array(text, { minLength: 1, maxLength: 4 }).chain((parts) =>
      FastCheck.array(text, { minLength: parts.length - 1, maxLength: parts.length - 1 }).map(
        (between) => [parts.map((part, at) => `${part}${between[at] ?? ""}`).join(""), parts.join("*")] as const
      )
    )
    FastCheck.assert(
      FastCheck.property(FastCheck.oneof(FastCheck.tuple(text, pattern), fitting), ([text, pattern]) =>
        assert.strictEqual(matches(text, pattern), fits(text, pattern), JSON.stringify([text, pattern]))
      ),
      { numRuns: 2000 }
    )
  })

  it("at a cost that grows with the text alone, whatever a stranger writes", () => {
    const size = 5_000_000
    const a = "a".repeat(size)
    const ab = "ab".repeat(size / 2)
    const stars = (part: string, end: string) => `${`*${part}`.repeat(1000)}*${end}`
    const before = performance.now()
    for (const [text, pattern, fits] of [
      [a, stars("a", "b"), false],
      [a, stars("a", "a"), true],
      [a, stars("aaaa", "ab"), false],
      [a, stars("a", "b*"), false],
      [ab, stars("ba", "c"), false],
      [ab, stars("ba", "b"), true],
      [ab, "*".repeat(4000), true],
      [`${a}c`, stars("a", "bc"), false],
      [a, `*${"a".repeat(1000)}b*`, false],
      [a, `*b${"a".repeat(1000)}*`, false]
    ] as const) {
      assert.strictEqual(matches(text, pattern), fits, pattern.slice(0, 10))
    }
    // It takes well below a second; what looks at the text again for each star takes minutes, and an expression for ever.
    assert.isBelow(performance.now() - before, 5000)
  })
})
