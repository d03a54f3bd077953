/** The scripts of a directory with what keeps each from running: what `des check` prints, and `des try` says. */

import * as Effect from "effect/Effect"
import * as Inventory from "../scripts/Inventory.ts"
import * as Listing from "../scripts/Listing.ts"
import * as RunAs from "../scripts/RunAs.ts"
import * as ScriptDirectory from "../scripts/ScriptDirectory.ts"
import * as ScriptOptions from "../scripts/ScriptOptions.ts"
import * as Trust from "../scripts/Trust.ts"

/**
 * A script with what the system says of it. `untrusted` says why it is not trusted, `noUser` why it cannot run as the user
 * that its head names.
 */
export interface Judged extends Inventory.Found {
  readonly untrusted: string | undefined
  readonly noUser: string | undefined
}

/** Why a script runs for no event at all; `undefined` if it can run. */
export const neverRuns = ({ findings, isEmpty, noUser, path, untrusted }: Judged): string | undefined =>
  isEmpty
    ? `${path} has only comments, so it is not started`
    : (findings.find(({ runs }) => !runs)?.message ??
      (untrusted === undefined ? undefined : `${path} is not trusted: ${untrusted}`) ??
      noUser)

/** Reads a script directory, whose path is absolute. */
export const read = Effect.fnUntraced(function* (directory: string, insecureScripts: boolean) {
  yield* ScriptDirectory.checkReadable(directory)
  const listing = Listing.read(directory)
  const trust = yield* Effect.provide(Trust.Trust, insecureScripts ? Trust.layerInsecure : Trust.layer({ directory }))
  const messageOf = <E extends { readonly message: string }>(checked: Effect.Effect<unknown, E>) =>
    Effect.match(checked, { onFailure: ({ message }) => message, onSuccess: () => undefined })
  const scripts = yield* Effect.forEach(
    Inventory.list(directory, listing.entries),
    Effect.fnUntraced(function* (script) {
      const user = script.options?.user
      const noUser = user === undefined ? undefined : yield* messageOf(RunAs.find(user))
      return {
        ...script,
        untrusted: yield* messageOf(trust.check(script.path)),
        noUser: noUser === undefined ? undefined : `${script.path} is never run: ${noUser}`
      } satisfies Judged
    })
  )
  return { listing, scripts }
})

/** The scripts that des looks at for an event, in their order. `why` says what keeps a script from running. */
export const forEvent = (
  scripts: ReadonlyArray<Judged>,
  event: {
    readonly type: string
    readonly verb: string
    readonly engine: string
    readonly attributes: Readonly<Record<string, string>>
  }
): ReadonlyArray<{ readonly script: Judged; readonly why: string | undefined }> =>
  Inventory.ofEvent(scripts, event.type, event.verb).map((script) => {
    const judged = { engine: event.engine, Actor: { Attributes: event.attributes } }
    const unmet = script.options === undefined ? undefined : ScriptOptions.whyNot(script.options, judged)
    return { script, why: neverRuns(script) ?? unmet }
  })
