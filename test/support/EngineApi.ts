import * as Http from "node:http"
import * as Effect from "effect/Effect"
import { type Engine, EngineError } from "./Engines.ts"

/** Sends an engine what its command line client cannot: any JSON. Gives the body of the answer; an answer that is no success is an error. */
export const post = (engine: Engine, path: string, body: unknown = {}): Effect.Effect<string, EngineError> =>
  Effect.async((resume) => {
    const failed = (reason: string) => resume(Effect.fail(new EngineError({ message: `POST ${path}: ${reason}` })))
    const request = Http.request(
      {
        socketPath: engine.socket,
        path,
        method: "POST",
        agent: false,
        headers: { "Content-Type": "application/json" }
      },
      (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("error", (error) => failed(error.message))
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString("utf8")
          if ((response.statusCode ?? 0) < 300) resume(Effect.succeed(text))
          else failed(`${response.statusCode} ${text.trim()}`)
        })
      }
    )
    request.on("error", (error) => failed(error.message))
    request.end(JSON.stringify(body))
    return Effect.sync(() => request.destroy())
  })
