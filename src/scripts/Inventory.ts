import type { Finding, ListedFile } from "./Findings.ts"
import * as Findings from "./Findings.ts"
import * as ScriptOptions from "./ScriptOptions.ts"
import * as ScriptText from "./ScriptText.ts"

/** A file that lies where des looks for scripts. */
export interface Found {
  readonly path: string
  /** The type of its events; `undefined` for every type. */
  readonly type: string | undefined
  /** The action of its events; `undefined` for every action. */
  readonly action: string | undefined
  /** The options as they are written in its head. */
  readonly written: string
  /** The options; `undefined` if they cannot be read. */
  readonly options: ScriptOptions.ScriptOptions | undefined
  /** True if it has only comments, so des does not start it. */
  readonly isEmpty: boolean
  readonly findings: ReadonlyArray<Finding>
}

type Place = Pick<Found, "type" | "action">

const found = (path: string, place: Place, entry: Extract<ListedFile, { readonly kind: "file" }>): Found => {
  const { head } = entry
  const options = ScriptOptions.parse(head, Buffer.byteLength(head) < ScriptText.headBytes)
  return {
    path,
    ...place,
    written: ScriptOptions.written(head),
    options: "line" in options ? undefined : options,
    isEmpty: entry.isExecutable && ScriptText.isEmpty(head),
    findings: Findings.ofFile(path, entry)
  }
}

/** A script, or a directory of scripts, which run in byte order. */
const scriptsAt = (path: string, place: Place, entry: ListedFile): ReadonlyArray<Found> => {
  if (entry.kind === "file") return [found(path, place, entry)]
  const parts = entry.entries.flatMap((part) => {
    const isScript = part.kind === "file" && Findings.isPartName(part.name) && Findings.looksLikeScript(part)
    return isScript ? [part] : []
  })
  return parts
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .map((part) => found(`${path}/${part.name}`, place, part))
}

/** The name that stands for every action of a type, and for every event. */
const every = "all"

/** The scripts in a script directory, each with the events that it runs for. */
export const list = (directory: string, listing: ReadonlyArray<ListedFile>): ReadonlyArray<Found> =>
  listing.flatMap((entry) => {
    const path = `${directory}/${entry.name}`
    if (entry.name === every) return scriptsAt(path, { type: undefined, action: undefined }, entry)
    if (entry.kind === "file" || !Findings.isName(entry.name)) return []
    return entry.entries
      .filter(({ name }) => Findings.isName(name))
      .flatMap((inner) => {
        const action = inner.name === every ? undefined : inner.name
        return scriptsAt(`${path}/${inner.name}`, { type: entry.name, action }, inner)
      })
  })

/** The scripts that des looks at for an event, in the order in which they run. */
export const ofEvent = <A extends Found>(scripts: ReadonlyArray<A>, type: string, action: string): ReadonlyArray<A> => {
  const at = (place: Place) => scripts.filter((script) => script.type === place.type && script.action === place.action)
  return [
    ...(action === every ? [] : at({ type, action })),
    ...at({ type, action: undefined }),
    ...at({ type: undefined, action: undefined })
  ]
}
