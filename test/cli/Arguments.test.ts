import { describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { assert } from "vitest"
import * as Arguments from "../../src/cli/Arguments.ts"
import { grammars } from "../../src/cli/Cli.ts"

const parse = (argv: ReadonlyArray<string>) => Arguments.parse(grammars, argv)

/** The options of a command line in one plain spelling: `--name` and its value as two arguments. */
const plain = ({ values }: Arguments.Given): ReadonlyArray<string> =>
  [...values].flatMap(([name, given]) =>
    given.flatMap((value) => (value === "" ? [`--${name}`] : [`--${name}`, value]))
  )

const read = (...argv: ReadonlyArray<string>): ReadonlyArray<string> => {
  const parsed = parse(argv)
  return "problem" in parsed ? assert.fail(`${JSON.stringify(argv)}: ${parsed.problem}`) : plain(parsed)
}

const problem = (...argv: ReadonlyArray<string>): string => {
  const parsed = parse(argv)
  return "problem" in parsed ? parsed.problem : assert.fail(`${JSON.stringify(argv)} is ${plain(parsed).join(" ")}`)
}

describe("Arguments: spelling", () => {
  const directory = ["--directory", "DIR"]
  const spellings: ReadonlyArray<readonly [given: ReadonlyArray<string>, expected: ReadonlyArray<string>]> = [
    [[], []],
    [
      ["-c", "-v"],
      ["--create", "--verbose"]
    ],
    [["-cv"], ["--create", "--verbose"]],
    [["-vvc"], ["--verbose", "--create"]],
    [
      ["-vd", "DIR"],
      ["--verbose", ...directory]
    ],
    [["-d", "DIR"], directory],
    [["-dDIR"], directory],
    [["-d=DIR"], directory],
    [["--directory", "DIR"], directory],
    [["--directory=DIR"], directory],
    [["-cvd=DIR"], ["--create", "--verbose", ...directory]],
    [["-cvdDIR"], ["--create", "--verbose", ...directory]],
    [["-d=DIR=1"], ["--directory", "DIR=1"]],
    [["-d==DIR"], ["--directory", "=DIR"]],
    [["-dcv"], ["--directory", "cv"]],
    [["-d", "OTHER", "-d", "DIR"], directory],
    [["--directory=OTHER", "-dDIR"], directory],
    [["-eunix:///a=b.sock"], ["--endpoint", "unix:///a=b.sock"]],
    [["-e=tcp://host"], ["--endpoint", "tcp://host"]],
    [["--env=A=B=C"], ["--env", "A=B=C"]],
    [["--env=A=two\nlines"], ["--env", "A=two\nlines"]],
    [
      ["--env", "A", "--env=B="],
      ["--env", "A", "--env", "B="]
    ],
    [
      ["--from", "-"],
      ["--from", "-"]
    ],
    [["--from=-"], ["--from", "-"]],
    [["-d=-cv"], ["--directory", "-cv"]],
    [["-d-cv"], ["--directory", "-cv"]],
    [["--directory=--version"], ["--directory", "--version"]],
    [["-v", "--"], ["--verbose"]],
    [
      ["-d", "DIR", "--from", "F", "--log-level", "error"],
      [...directory, "--from", "F", "--log-level", "error"]
    ],
    [
      ["--log-level", "error", "-d", "DIR"],
      ["--log-level", "error", ...directory]
    ]
  ]
  for (const [given, expected] of spellings) {
    it(`${JSON.stringify(given)} is ${JSON.stringify(expected)}`, () => {
      assert.deepStrictEqual(read(...given), expected)
    })
  }

  it("the version comes before everything else, then help", () => {
    assert.deepStrictEqual(read("-c", "-d", "DIR", "--version", "-h", "--nope", "foo"), ["--version"])
    assert.deepStrictEqual(read("-c", "--nope", "--help", "foo"), ["--help"])
    assert.deepStrictEqual(read("-cvh"), ["--help", "--verbose"])
  })
})

describe("Arguments: a subcommand", () => {
  for (const [given, subcommand, expected] of [
    [["info"], "info", []],
    [["info", "--json", "-v"], "info", ["--json", "--verbose"]],
    [["-e", "unix:///run/x.sock", "info"], "info", ["--endpoint", "unix:///run/x.sock"]],
    [["-v", "info", "-e=tcp://h"], "info", ["--verbose", "--endpoint", "tcp://h"]],
    [["info", "-h", "--nope"], "info", ["--help"]],
    [["info", "--version"], "info", ["--version"]],
    [["-d", "info"], undefined, ["--directory", "info"]],
    [["-dinfo", "--env=info"], undefined, ["--directory", "info", "--env", "info"]]
  ] as const) {
    it(`${JSON.stringify(given)} is ${subcommand ?? "none"}, ${JSON.stringify(expected)}`, () => {
      const parsed = parse(given)
      if ("problem" in parsed) return assert.fail(parsed.problem)
      assert.strictEqual(parsed.subcommand, subcommand)
      assert.deepStrictEqual(plain(parsed), [...expected])
    })
  }

  it("accepts only its own options, and no second subcommand", () => {
    assert.include(problem("info", "-d", "DIR"), "-d")
    assert.include(problem("--json"), "--json")
    assert.include(problem("info", "info"), "info")
    assert.include(problem("--", "info"), "info")
    assert.include(problem("Info"), "Info")
    assert.include(problem("toString"), "toString")
  })

  it("completions ignore everything else", () => {
    assert.deepStrictEqual(read("-v", "--completions", "bash"), ["--completions", "bash"])
  })
})

describe("Arguments: an option that every command has", () => {
  const common = [["-v"], ["--log-level", "error"], ["--log-format=json"]]
  for (const [name, grammar] of [["", grammars.des] as const, ...grammars.subcommands]) {
    const subcommand = name === "" ? [] : [name]
    const operands = name === "retry" ? ["17"] : name === "try" ? ["container/die"] : []
    const other = grammar.options.find(({ placeholder, words }) => placeholder !== undefined && words === undefined)

    it(`can stand anywhere on the command line of ${grammar.name}, and means the same`, () => {
      const own = other === undefined ? [] : [`--${other.name}`, "x"]
      for (const option of common) {
        const spelled = [
          [...option, ...subcommand, ...own, ...operands],
          [...subcommand, ...option, ...own, ...operands],
          [...subcommand, ...own, ...option, ...operands],
          [...subcommand, ...own, ...operands, ...option],
          [...own, ...option, ...subcommand, ...operands]
        ].map((argv) => {
          const parsed = parse(argv)
          if ("problem" in parsed) return assert.fail(`${argv.join(" ")}: ${parsed.problem}`)
          return [...Arguments.spell(parsed, grammars)].toSorted()
        })
        for (const each of spelled) assert.deepStrictEqual(each, spelled[0])
      }
    })
  }
})

describe("Arguments: what is wrong is named", () => {
  const wrong: ReadonlyArray<readonly [given: ReadonlyArray<string>, named: string]> = [
    [["--nope"], "--nope"],
    [["--nope=1"], "--nope"],
    [["-x"], "-x"],
    [["-cx"], "-x"],
    [["-xc"], "-x"],
    [["-V"], "-V"],
    [["--Create"], "--Create"],
    [["--creat"], "--creat"],
    [["--no-verbose"], "--no-verbose"],
    [["--wizard"], "--wizard"],
    [["-d"], "--directory"],
    [["-v", "-e"], "--endpoint"],
    [["--from"], "--from"],
    [["-d", "-v"], "--directory"],
    [["-d", "--version"], "--directory"],
    [["-d", ""], "--directory"],
    [["-d="], "--directory"],
    [["--env="], "--env"],
    [["--env", "A", "--env", ""], "--env"],
    [["--create=yes"], "--create"],
    [["--version=1"], "--version"],
    [["-v", "yes"], "yes"],
    [["foo"], "foo"],
    [["--", "-c"], "-c"],
    [["--", "--version"], "--version"],
    [["--__proto__"], "--__proto__"]
  ]
  for (const [given, named] of wrong) {
    it(JSON.stringify(given), () => assert.include(problem(...given), named))
  }

  it("an empty argument, and a lone dash", () => {
    problem("")
    problem("-")
  })
})

describe("Arguments: what was probably meant is suggested", () => {
  const cases: ReadonlyArray<readonly [given: ReadonlyArray<string>, problem: string]> = [
    [["--timout", "30s"], "--timout: there is no such option; did you mean --timeout?"],
    [["--Create"], "--Create: there is no such option; did you mean --create?"],
    [["--dir=x"], "--dir: there is no such option; did you mean --directory?"],
    [["--wizard"], "--wizard: there is no such option; des --help shows its options"],
    [
      ["--json"],
      "--json: this is an option of des check, des events, des info, des status and des history, not of des; des --help shows its options"
    ],
    [
      ["info", "-d", "x"],
      "-d: this is an option of des, des check, des try and des events, not of des info; des info --help shows its options"
    ],
    [["info", "--jsn"], "--jsn: there is no such option; did you mean --json?"],
    [["histroy"], '"histroy": des takes no positional argument; did you mean des history?'],
    [["foo"], '"foo": des takes no positional argument; des --help shows its options'],
    [["-d", "-v"], "--directory: its value is missing; if the value is -v, write --directory=-v"],
    [["-d"], "--directory: its value is missing: --directory DIR"],
    [["--create=yes"], '--create="yes": this option takes no value'],
    [
      ["--log-level", "warn"],
      '--log-level "warn": expected debug, info, warning, error or none; did you mean warning?'
    ],
    [["info", "--hlep"], "--hlep: there is no such option; did you mean --help?"],
    [["--folow"], "--folow: there is no such option; did you mean des history --follow?"]
  ]
  for (const [given, says] of cases) it(JSON.stringify(given), () => assert.strictEqual(problem(...given), says))
})

describe("Arguments: whatever is given", () => {
  const letters = FastCheck.constantFrom("c", "v", "d", "e", "h", "x", "=", "-", "D")
  const flag = FastCheck.constantFrom("-c", "-v", "-d", "-e", "--from", "--env", "--directory", "--version", "-h", "--")
  const argument = FastCheck.oneof(
    flag,
    FastCheck.stringOf(letters, { minLength: 1, maxLength: 6 }).map((text) => `-${text}`),
    FastCheck.tuple(FastCheck.constantFrom("--env", "--directory", "--nope"), FastCheck.string()).map(
      ([name, value]) => `${name}=${value}`
    ),
    FastCheck.string(),
    FastCheck.fullUnicodeString()
  )
  const argv = FastCheck.array(argument, { maxLength: 6 })
  const options = { fastCheck: { numRuns: 2000 } }

  /** Each option as one argument, the only spelling that every value has. */
  const attached = ({ operands, subcommand, values }: Arguments.Given): ReadonlyArray<string> => [
    ...(subcommand === undefined ? [] : [subcommand]),
    ...[...values].flatMap(([name, given]) =>
      given.map((value) => (value === "" ? `--${name}` : `--${name}=${value}`))
    ),
    ...(operands.length === 0 ? [] : ["--", ...operands])
  ]

  it.prop(
    "reading twice is reading once",
    [argv],
    ([given]) => {
      const once = parse(given)
      if ("problem" in once) return
      assert.deepStrictEqual(parse(attached(once)), once)
    },
    options
  )

  it.prop(
    "a problem is one line that says something",
    [argv],
    ([given]) => {
      const parsed = parse(given)
      if ("problem" in parsed) assert.notStrictEqual(parsed.problem.trim(), "")
    },
    options
  )

  it.prop(
    "a value stays as it is",
    [FastCheck.constantFrom("-d=", "-vd=", "--directory="), FastCheck.fullUnicodeString({ minLength: 1 })],
    ([spelling, value]) => {
      assert.deepStrictEqual(read(`${spelling}${value}`).slice(-2), ["--directory", value])
    },
    options
  )
})
