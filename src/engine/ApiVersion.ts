/** The newest API whose events des knows (engine 29.6); moby `api/docs/CHANGELOG.md`. */
const newest = "1.55"

const minorOf = (version: string): number => Number(/^1\.(\d+)$/.exec(version)?.[1] ?? Number.NaN)

/** True if the text is a version of the API, such as `1.44`. */
export const isVersion = (text: string): boolean => !Number.isNaN(minorOf(text))

/** Chooses the newest version that both sides know, as the engine's own client does (moby `client/client.go`, negotiation). */
export const negotiate = (offered: string): string => (minorOf(offered) <= minorOf(newest) ? offered : newest)

/**
 * Explains why an engine refused the version of the API, and what to do (moby `daemon/server/middleware/version.go`). It gives undefined
 * for any other refusal. `pinned` is the version that DOCKER_API_VERSION names.
 */
export const explainRefusal = (said: string, pinned: string | undefined): string | undefined => {
  const [, asked, bound, known] =
    /client version (\d+\.\d+) is too (old|new)\. M\w+ supported API version is (\d+\.\d+)/.exec(said) ?? []
  if (asked === undefined) return undefined
  const what = `it knows API ${known} and ${bound === "old" ? "newer" : "older"}, and was asked for ${asked}`
  if (pinned !== undefined) {
    return `${what}, since DOCKER_API_VERSION says so; unset it, or name a version that it knows`
  }
  return `${what}, the newest that des knows; ${bound === "old" ? "a newer des is needed" : "its /_ping says otherwise"}`
}
