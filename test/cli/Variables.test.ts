import * as Fs from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as Arguments from "../../src/cli/Arguments.ts"
import { grammars } from "../../src/cli/Cli.ts"
import * as Variables from "../../src/cli/Variables.ts"

const read = (environment: Readonly<Record<string, string>>, ...argv: ReadonlyArray<string>) => {
  const given = Variables.fill(Arguments.parse(grammars, argv), grammars, environment)
  return "problem" in given ? given.problem : Object.fromEntries(given.values)
}

describe("a variable", () => {
  it("sets the option of its name, and an option on the command line wins", () => {
    assert.deepStrictEqual(read({ DES_JOBS: "4", DES_MAX_AGE: "1h" }), { jobs: ["4"], "max-age": ["1h"] })
    assert.deepStrictEqual(read({ DES_JOBS: "4" }, "--jobs", "8"), { jobs: ["8"] })
    assert.deepStrictEqual(read({ DES_STATE_DIR: "/s", DES_STATE: "/t" }), { state: ["/s"] })
  })

  it("that is empty counts as not set", () => assert.deepStrictEqual(read({ DES_JOBS: "", DES_SYNC: "" }), {}))

  it("turns a flag on or off", () => {
    for (const on of ["1", "true", "yes"]) assert.deepStrictEqual(read({ DES_SYNC: on }), { sync: [""] })
    for (const off of ["0", "false", "no"]) assert.deepStrictEqual(read({ DES_SYNC: off }), {})
    assert.strictEqual(read({ DES_SYNC: "on" }), 'DES_SYNC "on": expected 1 or 0')
  })

  it("gives a repeatable option one value for each word", () => {
    assert.deepStrictEqual(read({ DES_ENDPOINT: " a=tcp://a  b=tcp://b\n" }), { endpoint: ["a=tcp://a", "b=tcp://b"] })
    assert.deepStrictEqual(read({ DES_ENDPOINT: "tcp://a" }, "-e", "tcp://b"), { endpoint: ["tcp://b"] })
  })

  it("with a word that the option does not know is wrong usage, and the message names the variable", () =>
    assert.strictEqual(read({ DES_LOG_FORMAT: "xml" }), `DES_LOG_FORMAT "xml": expected text, logfmt or json`))

  it("never changes what des does: create, from, help, version and completions have none", () => {
    const all = { DES_CREATE: "1", DES_FROM: "-", DES_HELP: "1", DES_VERSION: "1", DES_COMPLETIONS: "bash" }
    assert.deepStrictEqual(read(all), {})
    assert.deepStrictEqual(read({ DES_JOBS: "no number" }, "--help"), { help: [""] })
  })

  it.each([
    [{}, ["-v", "--log-level", "none"], { "log-level": ["none"] }],
    [{ DES_VERBOSE: "1" }, ["--log-level", "none"], { "log-level": ["none"] }],
    [{ DES_LOG_LEVEL: "none" }, ["-v"], { verbose: [""] }],
    [{ DES_LOG_LEVEL: "none", DES_VERBOSE: "1" }, [], { "log-level": ["none"] }]
  ] as const)(
    "leaves one log level: of %j and %j that of the command line, or --log-level",
    (variables, argv, left) => {
      assert.deepStrictEqual(read(variables, ...argv), left)
    }
  )

  it("counts for a subcommand only if des has the option, too", () => {
    const all = { DES_STATE_DIR: "/s", DES_FAILED: "1", DES_JSON: "1", DES_JOBS: "4" }
    assert.deepStrictEqual(read(all, "history"), { state: ["/s"] })
  })
})

it("docs/running.md lists the variable of each option", () => {
  const page = Fs.readFileSync(new URL("../../docs/running.md", import.meta.url), "utf8")
  const listed = [...page.matchAll(/^\| `(DES_[A-Z_]+)` \| `--([a-z-]+)` \|/gm)].map(([, variable, name]) => [
    name,
    variable
  ])
  const expected = grammars.des.options.flatMap(({ name }) => {
    const variable = Variables.variableOf(name)
    return variable === undefined ? [] : [[name, variable]]
  })
  assert.deepStrictEqual(listed.toSorted(), expected.toSorted())
})
