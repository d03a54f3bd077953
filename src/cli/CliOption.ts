/** An option of the command line, once: its spelling, its default, its place in the help and what its value means. */

import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as DurationText from "../DurationText.ts"
import type { Spelling } from "./Arguments.ts"
import { UsageError } from "./CommandError.ts"
import * as Size from "./Size.ts"

/** What a shell offers for a value: files, directories, or one of these words. */
export type Completion = "file" | "directory" | ReadonlyArray<string>

/** What the help and the completions show of an option. */
export interface Described extends Spelling {
  readonly description: string
  /** The value that counts where none is given, as its user would write it. */
  readonly fallback?: string
  readonly completion?: Completion
}

/** An option whose values, as they were given, mean an `A`. */
export interface CliOption<out A> extends Described {
  readonly read: (values: ReadonlyArray<string>) => Effect.Effect<A, UsageError>
}

/** Reads one value; `name` is the option's, for the message. */
export type Parser<A> = (text: string, name: string) => Effect.Effect<A, UsageError>

/** A value that an option does not take, and why. */
export const refuse = (name: string, text: string, why: string): UsageError =>
  new UsageError({ message: `${name} ${JSON.stringify(text)}: ${why}` })

/** Any text. */
export const anyText: Parser<string> = Effect.succeed

/** A value that a function understands; `expected` says what it takes. */
export const expecting =
  <A>(expected: string, parse: (text: string) => A | undefined): Parser<A> =>
  (text, name) => {
    const parsed = parse(text)
    return parsed === undefined ? refuse(name, text, `expected ${expected}`) : Effect.succeed(parsed)
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

/** One of these words. */
export const oneOf = <A>(words: Readonly<Record<string, A>>): Parser<A> => {
  const names = Object.keys(words)
  const listed = `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`
  return expecting(listed, (text) => (Object.hasOwn(words, text) ? words[text] : undefined))
}

interface Switch {
  readonly name: string
  readonly short?: string
  readonly description: string
}

interface Valued<A> extends Switch {
  readonly placeholder: string
  readonly completion?: Completion
  readonly parse: Parser<A>
}

/** An option that is given or not. */
export const flag = (spec: Switch): CliOption<boolean> => ({
  ...spec,
  isRepeatable: false,
  read: (values) => Effect.succeed(values.length > 0)
})

/** An option that has a default. */
export const withDefault = <A>(spec: Valued<A> & { readonly fallback: string }): CliOption<A> => ({
  ...spec,
  isRepeatable: false,
  read: ([value = spec.fallback]) => spec.parse(value, `--${spec.name}`)
})

/** An option that may be missing. */
export const optional = <A>(spec: Valued<A>): CliOption<A | undefined> => ({
  ...spec,
  isRepeatable: false,
  read: ([value]) =>
    value === undefined ? Effect.void.pipe(Effect.as(undefined)) : spec.parse(value, `--${spec.name}`)
})

/** An option that may be given several times. */
export const repeatable = <A>(spec: Valued<A>): CliOption<ReadonlyArray<A>> => ({
  ...spec,
  isRepeatable: true,
  read: (values) => Effect.forEach(values, (value) => spec.parse(value, `--${spec.name}`))
})
