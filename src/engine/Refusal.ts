import { STATUS_CODES } from "node:http"
import * as Either from "effect/Either"
import * as BoundedJson from "../BoundedJson.ts"
import * as ApiVersion from "./ApiVersion.ts"

/** How many characters of an error are shown: from an engine's own message, and from the text of any other server. */
const shownMessage = 500
const shownText = 200

const oneLine = (text: string, most: number): string => text.slice(0, most).replaceAll(/\s+/g, " ").trim()

/** True if a body is a web page, as a proxy sends it. A web page does not belong in a log. */
export const isWebPage = (body: string): boolean => /^\s*</.test(body)

/** How a message calls a web page that came instead of an answer. */
export const webPage = "a web page, so a proxy or another server answered"

/** The message of an engine's error (moby `api/types/error_response.go`). */
const messageOf = (body: string): string | undefined => {
  const json = BoundedJson.parse(body)
  if (Either.isLeft(json) || typeof json.right !== "object" || json.right === null) return undefined
  const message: unknown = Object(json.right)["message"]
  return typeof message === "string" ? message : undefined
}

/** The error text of the engine or of a proxy, in one short line. It says what to do, if that is known. */
const explain = (body: string, pinned: string | undefined): string => {
  if (isWebPage(body)) return `(${webPage})`
  const message = messageOf(body)
  const said = message === undefined ? oneLine(body, shownText) : oneLine(message, shownMessage)
  // Go's net/http/server.go.
  if (said.includes("Client sent an HTTP request to an HTTPS server")) {
    return "it speaks TLS there; set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder of its certificates"
  }
  return ApiVersion.explainRefusal(said, pinned) ?? said
}

/** Describes an error answer in one line: its status and its text. `body` may be cut. */
export const describe = (answer: {
  readonly status: number
  readonly body: string
  readonly pinned: string | undefined
}): string => {
  const said = explain(answer.body, answer.pinned)
  const name = STATUS_CODES[answer.status] ?? ""
  const detail = said === "" ? name : isWebPage(answer.body) ? `${name} ${said}`.trim() : said
  return `${answer.status} ${detail}`.trim()
}
