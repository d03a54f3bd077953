import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import { assert } from "vitest"
import * as Arguments from "../../src/cli/Arguments.ts"
import * as CliCommand from "../../src/cli/CliCommand.ts"
import * as CliOption from "../../src/cli/CliOption.ts"

/** Each run is a whole command line. */
const options = { fastCheck: { numRuns: 30 } }

const anyText = (name: string) => ({
  name,
  placeholder: "TEXT",
  example: "a",
  description: "any text",
  parse: CliOption.anyText
})

/** Reads a command line with the library, and gives what reaches the command. */
const received = (argv: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const seen: Array<unknown> = []
    const parent = CliCommand.make({ name: "des", summary: "parent", config: {}, run: () => Effect.succeed(0) })
    const child = CliCommand.make({
      name: "child",
      summary: "child",
      config: {
        one: CliOption.optional({ ...anyText("one"), short: "o" }),
        byDefault: CliOption.withDefault({ ...anyText("by-default"), fallback: "fallback" }),
        many: CliOption.repeatable(anyText("many")),
        on: CliOption.flag({ name: "on", description: "a switch" }),
        rest: Args.text({ name: "REST" }).pipe(Args.map(Arguments.unquote), Args.repeated)
      },
      run: (given) =>
        Effect.as(
          Effect.sync(() => seen.push(given)),
          0
        )
    })
    const grammars = {
      des: { name: "des", ...parent.grammar },
      subcommands: new Map([["child", { name: "des child", ...child.grammar }]])
    }
    const given = Arguments.parse(grammars, argv)
    if ("problem" in given) return assert.fail(given.problem)
    const run = Command.run(Command.withSubcommands(parent.command, [child.command]), { name: "des", version: "1" })
    yield* run(["node", "des", ...Arguments.spell(given, grammars)])
    return seen[0]
  }).pipe(Effect.provide(NodeContext.layer))

describe("a command", () => {
  const hostile = FastCheck.constantFrom(
    "child",
    "--version",
    "--help",
    "--",
    "-",
    "true",
    "no",
    " x ",
    "a\nb",
    '"',
    "\\"
  )
  const value = FastCheck.oneof(hostile, FastCheck.fullUnicodeString({ minLength: 1 }))

  it.effect.prop(
    "gets every value exactly as it was given",
    {
      one: value,
      many: FastCheck.array(value),
      on: FastCheck.boolean(),
      rest: FastCheck.array(FastCheck.oneof(value, FastCheck.constant("")))
    },
    ({ many, on, one, rest }) =>
      Effect.gen(function* () {
        const options = [`--one=${one}`, ...many.map((text) => `--many=${text}`), ...(on ? ["--on"] : [])]
        assert.deepStrictEqual(yield* received(["child", ...options, "--", ...rest]), {
          one,
          many,
          on,
          rest,
          byDefault: "fallback"
        })
      }),
    options
  )

  it.effect("knows from its options how each is written", () =>
    Effect.sync(() => {
      const words = CliOption.choice({
        name: "colour",
        description: "a colour",
        words: ["red", "green"],
        example: "red",
        label: "COLOUR"
      })
      const text = CliOption.repeatable({ ...anyText("text"), short: "t" })
      const on = CliOption.flag({ name: "on", short: "o", description: "a switch" })
      assert.deepStrictEqual([words, text, on].flatMap(CliOption.spelling), [
        { name: "colour", isRepeatable: false, placeholder: "red | green", words: ["red", "green"] },
        { name: "text", short: "t", isRepeatable: true, placeholder: "TEXT" },
        { name: "on", short: "o", isRepeatable: false }
      ])
    })
  )
})
