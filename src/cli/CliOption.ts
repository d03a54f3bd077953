/**
 * Makes the options of the command line. Each option is defined once: its spelling, its default, its help text, and how
 * its value is parsed.
 */

import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import type * as Usage from "@effect/cli/Usage"
import * as ValidationError from "@effect/cli/ValidationError"
import type * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as DurationText from "../DurationText.ts"
import * as Arguments from "./Arguments.ts"
import type * as Help from "./Help.ts"
import * as Size from "./Size.ts"

/** Parses one value. `name` is the name of the option, for the message. */
export type Parser<A> = (text: string, name: string) => Effect.Effect<A, ValidationError.ValidationError>

/** Wrong usage, in one line. */
export const invalid = (message: string): ValidationError.ValidationError =>
  ValidationError.invalidValue(HelpDoc.p(message))

/** An error that names the option, the refused value, and the reason. */
export const refuse = (name: string, text: string, why: string): ValidationError.ValidationError =>
  invalid(`${name} ${JSON.stringify(text)}: ${why}`)

/** Any text. */
export const anyText: Parser<string> = Effect.succeed

/** A value that `parse` accepts. `expected` describes such values, for the message. */
export const expecting =
  <A>(expected: string, parse: (text: string) => A | undefined): Parser<A> =>
  (text, name) => {
    const parsed = parse(text)
    return parsed === undefined ? Effect.fail(refuse(name, text, `expected ${expected}`)) : Effect.succeed(parsed)
  }

/** A whole number from `least` to `most`. */
export const wholeNumber = (least: number, most: number): Parser<number> =>
  expecting(`a whole number from ${least} to ${most}`, (text) => {
    const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
    return number >= least && number <= most ? number : undefined
  })

/** A duration: a number with its unit. */
export const duration: Parser<Duration.Duration> = expecting("a number with ms, s, m, h or d, such as 30s", (text) => {
  const milliseconds = DurationText.parse(text)
  return milliseconds === undefined ? undefined : Duration.millis(milliseconds)
})

/** A number of bytes, at least one. */
export const bytes: Parser<number> = expecting("a number of bytes, or one with K, M or G, such as 64M", Size.parse)

/** What the library does not know of an option: a value for an example, and how it is completed. */
interface Notes {
  readonly example?: string
  readonly label?: string
  readonly completes?: Help.Completes
  readonly isCommon: boolean
}

/** An option of the library, with what else its help says. */
export type CliOption<A> = Options.Options<A> & { readonly notes: Notes }

/**
 * - `description`: a phrase, and after the first semicolon the details, which the short help leaves out.
 * - `common`: true for an option that `des --help` describes. It only names the others.
 */
interface Described {
  readonly name: string
  readonly short?: string
  readonly description: string
  readonly common?: boolean
}

interface Valued<A> extends Described {
  readonly placeholder: string
  readonly example: string
  readonly completes?: Help.Completes
  readonly parse: Parser<A>
}

const noted =
  ({ common, completes, example, label }: Partial<Notes> & Pick<Described, "common">) =>
  <A>(option: Options.Options<A>): CliOption<A> =>
    Object.assign(option, {
      notes: {
        isCommon: common === true,
        ...(example === undefined ? {} : { example }),
        ...(label === undefined ? {} : { label }),
        ...(completes === undefined ? {} : { completes })
      }
    })

const described =
  ({ description, short }: Described) =>
  <A>(option: Options.Options<A>): Options.Options<A> =>
    Options.withDescription(short === undefined ? option : Options.withAlias(option, short), description)

const textOption = (spec: Valued<unknown>): Options.Options<string> =>
  Options.text(spec.name).pipe(Options.withPseudoName(spec.placeholder), described(spec))

/** An option that is given or not. */
export const flag = (spec: Described): CliOption<boolean> =>
  Options.boolean(spec.name).pipe(described(spec), noted(spec))

/** An option that takes one of these words. `label` is the name of the value in the short help. */
export const choice = <const Word extends string>(
  spec: Described & { readonly words: ReadonlyArray<Word>; readonly example: NoInfer<Word>; readonly label: string }
): CliOption<Word | undefined> =>
  Options.choice(spec.name, spec.words).pipe(
    described(spec),
    Options.optional,
    Options.map(Option.getOrUndefined),
    noted(spec)
  )

const parseWith = <A>(spec: Valued<A>, { source, value }: Arguments.Sourced) => spec.parse(value, source)

/** An option that has a default. */
export const withDefault = <A>(spec: Valued<A> & { readonly fallback: string }): CliOption<A> =>
  textOption(spec).pipe(
    Options.map((quoted) => Option.some(Arguments.unquoteSourced(quoted))),
    // The library's help shows a default only if it is an Option of text.
    Options.withDefault(Option.some(spec.fallback)),
    Options.mapEffect((given) => {
      const value: Arguments.Sourced | string = Option.getOrThrow<Arguments.Sourced | string>(given)
      return parseWith(spec, typeof value === "string" ? { source: `--${spec.name}`, value } : value)
    }),
    noted(spec)
  )

/** An option that may be missing. Then its value comes from `instead`, such as a variable. */
export const optional = <A>(
  spec: Valued<A> & { readonly instead?: Config.Config<Arguments.Sourced> }
): CliOption<A | undefined> =>
  textOption(spec).pipe(
    Options.map(Arguments.unquoteSourced),
    spec.instead === undefined ? identity : Options.withFallbackConfig(spec.instead),
    Options.mapEffect((given) => parseWith(spec, given)),
    Options.optional,
    Options.map(Option.getOrUndefined),
    noted(spec)
  )

/** An option that may be given several times. */
export const repeatable = <A>(spec: Valued<A>): CliOption<ReadonlyArray<A>> =>
  textOption(spec).pipe(
    Options.repeated,
    Options.mapEffect((given) => Effect.all(given.map((quoted) => parseWith(spec, Arguments.unquoteSourced(quoted))))),
    noted(spec)
  )

const spellingIn = (usage: Usage.Usage, isRepeatable: boolean): ReadonlyArray<Arguments.Spelling> => {
  switch (usage._tag) {
    case "Optional":
      return spellingIn(usage.usage, isRepeatable)
    case "Repeated":
      return spellingIn(usage.usage, true)
    case "Named": {
      const [name, short] = usage.names
        .map((dashed) => dashed.replace(/^-+/, ""))
        .toSorted((one, other) => other.length - one.length)
      const placeholder = Option.getOrUndefined(usage.acceptedValues)
      const words = placeholder?.split(" | ") ?? []
      return name === undefined
        ? []
        : [
            {
              name,
              isRepeatable,
              ...(short === undefined ? {} : { short }),
              ...(placeholder === undefined ? {} : { placeholder }),
              ...(words.length < 2 ? {} : { words })
            }
          ]
    }
    default:
      return []
  }
}

/** How an option is written, taken from its usage. */
export const spelling = (option: Options.Options<unknown>): ReadonlyArray<Arguments.Spelling> =>
  spellingIn(Options.getUsage(option), false)

/** The paragraphs of the library's help, such as: a kind of value, the description, the default. */
export const paragraphs = (text: HelpDoc.HelpDoc): ReadonlyArray<string> => {
  switch (text._tag) {
    case "DescriptionList":
      return text.definitions.flatMap(([, block]) => paragraphs(block))
    case "Sequence":
      return [...paragraphs(text.left), ...paragraphs(text.right)]
    case "Paragraph":
      return text.value._tag === "Text" ? [text.value.value] : []
    default:
      return []
  }
}

/** What the help says of an option: its spelling, description and default from the library, and its notes. */
export const help = (option: CliOption<unknown>): ReadonlyArray<Help.OptionHelp> => {
  const [, description = "", ...more] = paragraphs(Options.getHelp(option))
  const fallback = more.flatMap((line) => /Defaults to: (.*)$/.exec(line)?.[1] ?? [])[0]
  return spelling(option).map((spelt) => ({
    ...spelt,
    ...option.notes,
    description,
    ...(fallback === undefined ? {} : { fallback })
  }))
}
