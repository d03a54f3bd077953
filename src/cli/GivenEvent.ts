import * as Effect from "effect/Effect"
import * as CliOption from "./CliOption.ts"
import { UsageError } from "./CommandError.ts"

/** An event as it is named on the command line. */
export interface Named {
  readonly type: string
  readonly action: string
}

const expected = "TYPE/ACTION, such as container/start"

const read = (text: string): Named | undefined => {
  const [, type, action] = /^([A-Za-z][A-Za-z0-9_-]{0,63})\/([A-Za-z][A-Za-z0-9_-]{0,63}(?::.*)?)$/s.exec(text) ?? []
  return type === undefined || action === undefined ? undefined : { type, action }
}

/** Parses TYPE/ACTION. The action may have more behind a colon, as in `container/health_status: healthy`. */
export const parse: CliOption.Parser<Named> = CliOption.expecting(expected, read)

/** Parses TYPE/ACTION as a positional argument. */
export const parseOperand = (text: string): Effect.Effect<Named, UsageError> => {
  const named = read(text)
  return named === undefined
    ? new UsageError({ message: `${JSON.stringify(text)}: expected ${expected}` })
    : Effect.succeed(named)
}

/** Parses attributes, each KEY=VALUE. The last value of a key counts. */
export const attributes = (texts: ReadonlyArray<string>): Effect.Effect<Readonly<Record<string, string>>, UsageError> =>
  Effect.map(
    Effect.forEach(texts, (text) => {
      const at = text.indexOf("=")
      return at > 0
        ? Effect.succeed([text.slice(0, at), text.slice(at + 1)] as const)
        : new UsageError({
            message: `${JSON.stringify(text)}: expected KEY=VALUE, an attribute or a label of the event, such as name=web`
          })
    }),
    Object.fromEntries
  )
