/** The options about the runs of scripts, and what every script gets. */

import { userInfo } from "node:os"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as DurationText from "../DurationText.ts"
import * as Dispatch from "../dispatch/Dispatch.ts"
import * as Environment from "../scripts/Environment.ts"
import * as CliOption from "./CliOption.ts"

/** The most retries of a failed run. */
const mostRetries = 9999

const parseVariable: CliOption.Parser<readonly [name: string, value: string | undefined]> = (text, option) => {
  const at = text.indexOf("=")
  const name = at === -1 ? text : text.slice(0, at)
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    return Effect.fail(CliOption.refuse(option, text, "expected NAME or NAME=VALUE; a name has letters, digits and _"))
  }
  if (Environment.isReserved(name)) {
    return Effect.fail(CliOption.refuse(option, text, `${name} belongs to the event; take another name`))
  }
  return Effect.succeed([name, at === -1 ? undefined : text.slice(at + 1)])
}

/** An option that takes a duration. */
export const duration = (spec: {
  readonly name: string
  readonly description: string
  readonly fallback: Duration.DurationInput
  readonly example: string
  readonly common?: boolean
}) => {
  const fallback = DurationText.format(Duration.toMillis(spec.fallback))
  return CliOption.withDefault({ ...spec, fallback, placeholder: "DURATION", parse: CliOption.duration })
}

/** The options about each run. */
export const ofRuns = {
  env: CliOption.repeatable({
    name: "env",
    placeholder: "NAME[=VALUE]",
    example: "MAIL_TO=root",
    common: true,
    description: "give scripts one more variable; without VALUE it has the value that it has for des",
    parse: parseVariable
  }),
  timeout: duration({
    name: "timeout",
    example: "1m",
    common: true,
    description: "end a script that takes longer; 0 is no limit",
    fallback: Dispatch.defaults.timeout
  }),
  grace: duration({
    name: "grace",
    example: "30s",
    description: "the time between SIGTERM and SIGKILL when des ends a script",
    fallback: Dispatch.defaults.grace
  }),
  retries: CliOption.withDefault({
    name: "retries",
    placeholder: "N",
    example: "3",
    common: true,
    description: "retry a failed run up to N times; after 1 s, 2 s, 4 s …",
    fallback: String(Dispatch.defaults.retries),
    parse: CliOption.wholeNumber(0, mostRetries)
  })
}

/** For these options `0` means no limit. */
export const unlessZero = (limit: Duration.Duration): Duration.Duration =>
  Duration.isZero(limit) ? Duration.infinity : limit

/**
 * The user that des runs as. In a container a user often has no entry in the password file; des starts all the same.
 */
const user = Effect.try(() => userInfo()).pipe(
  Effect.map(({ homedir, shell, username }) => ({ name: username, home: homedir, shell: shell ?? "/bin/sh" })),
  Effect.orElseSucceed(() => ({ name: String(process.getuid?.() ?? ""), home: "/", shell: "/bin/sh" }))
)

/** What every script gets, whatever its engine. */
export const shared = Effect.fnUntraced(function* (env: ReadonlyArray<readonly [string, string | undefined]>) {
  return {
    own: process.env,
    user: yield* user,
    extra: Object.fromEntries(
      env.flatMap(([name, value]) => {
        const text = value ?? process.env[name]
        return text === undefined ? [] : [[name, text] as const]
      })
    )
  }
})
