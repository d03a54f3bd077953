/** Answers requests about des. It is loaded when des begins to listen. */

import type { IncomingMessage, ServerResponse } from "node:http"
import type * as HttpApp from "@effect/platform/HttpApp"
import * as HttpRouter from "@effect/platform/HttpRouter"
import * as HttpServerRequest from "@effect/platform/HttpServerRequest"
import * as HttpServerResponse from "@effect/platform/HttpServerResponse"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Address from "./Address.ts"
import type { Served } from "./Operate.ts"
import * as Page from "./Page.ts"
import * as Scrape from "./Scrape.ts"
import * as Status from "./Status.ts"

/** No answer is kept, guessed at, framed, or given to another page. */
const headers = {
  "Cache-Control": "no-store",
  "Content-Security-Policy": Page.contentSecurityPolicy,
  "Cross-Origin-Resource-Policy": "same-origin",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "X-Frame-Options": "DENY"
}

const encode = Schema.encodeSync(Status.Status)

const json = (value: unknown, status = 200) =>
  HttpServerResponse.text(`${JSON.stringify(value)}\n`, { status, contentType: "application/json" })

const router = ({ metrics, status }: Served["answers"]) =>
  HttpRouter.empty.pipe(
    HttpRouter.get(
      "/metrics",
      Effect.map(metrics, (text) => HttpServerResponse.text(text, { contentType: Scrape.contentType }))
    ),
    HttpRouter.get("/healthz", Effect.succeed(HttpServerResponse.text("ok\n"))),
    HttpRouter.get(
      "/readyz",
      Effect.map(status, ({ ready, reasons }) => json({ ready, reasons }, ready ? 200 : 503))
    ),
    HttpRouter.get(
      "/status",
      Effect.map(status, (found) => json(encode(found)))
    ),
    HttpRouter.get(
      "/",
      Effect.map(status, (found) =>
        HttpServerResponse.text(Page.render(found), { contentType: "text/html; charset=utf-8" })
      )
    )
  )

const isRead = ({ method }: HttpServerRequest.HttpServerRequest): boolean => method === "GET" || method === "HEAD"

const notFound = (request: HttpServerRequest.HttpServerRequest) =>
  isRead(request)
    ? HttpServerResponse.text("not found\n", { status: 404 })
    : HttpServerResponse.text("only GET is answered\n", { status: 405, headers: { Allow: "GET, HEAD" } })

const refused = HttpServerResponse.text(
  "this name is not one that des answers to: ask by address, or name the host in --listen\n",
  { status: 421 }
)

/** The whole application: the host is checked first, and every answer has the headers. */
export const app = ({ address, answers }: Served): HttpApp.Default =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
    Address.isAllowedHost(address, request.headers["host"])
      ? Effect.catchTag(router(answers), "RouteNotFound", () => Effect.succeed(notFound(request)))
      : Effect.succeed(refused)
  ).pipe(Effect.map(HttpServerResponse.setHeaders(headers)))

/** Answers requests of Node's server. */
export const makeHandler = (
  served: Served
): Effect.Effect<(request: IncomingMessage, response: ServerResponse) => void> =>
  NodeHttpServer.makeHandler(app(served))
