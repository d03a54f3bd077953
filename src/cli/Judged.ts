/** The scripts of a directory with what keeps each from running: what `des check` prints, and `des try` says. */

import * as Effect from "effect/Effect"
import * as Inventory from "../scripts/Inventory.ts"
import * as Listing from "../scripts/Listing.ts"
import * as ScriptDirectory from "../scripts/ScriptDirectory.ts"
import * as ScriptOptions from "../scripts/ScriptOptions.ts"
import * as Trust from "../scripts/Trust.ts"

/** A script with what the disk says of it. `untrusted` says why it is not trusted. */
export interface Judged extends Inventory.Found {
  readonly untrusted: string | undefined
}

/** Why a script runs for no event at all; `undefined` if it can run. */
export const neverRuns = ({ findings, isEmpty, path, untrusted }: Judged): string | undefined =>
  isEmpty
    ? `${path} has only comments, so it is not started`
    : (findings.find(({ runs }) => !runs)?.message ??
      (untrusted === undefined ? undefined : `${path} is not trusted: ${untrusted}`))

/** Reads a script directory, whose path is absolute. */
export const read = Effect.fnUntraced(function* (directory: string, insecureScripts: boolean) {
  yield* ScriptDirectory.checkReadable(directory)
  const listing = Listing.read(directory)
  const trust = yield* Effect.provide(Trust.Trust, insecureScripts ? Trust.layerInsecure : Trust.layer({ directory }))
  const scripts = yield* Effect.forEach(Inventory.list(directory, listing.entries), (script) =>
    Effect.match(trust.check(script.path), {
      onFailure: ({ message }): Judged => ({ ...script, untrusted: message }),
      onSuccess: (): Judged => ({ ...script, untrusted: undefined })
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
