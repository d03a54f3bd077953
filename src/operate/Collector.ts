/** How des speaks to a collector of OpenTelemetry: within bounds, and saying once that it fails. */

import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import * as HashMap from "effect/HashMap"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"

/** How many requests of one signal are open at the same time. */
const mostOpen = 4

/** How many batches of one signal are being sent or wait for it. */
const mostBatches = 128

/** How many bytes these batches have. */
const mostWaiting = 16_777_216

/** Why a batch was not taken. */
const reasonOf = (error: HttpClientError.HttpClientError | { readonly late: string }): string => {
  if ("late" in error) return error.late
  if (error._tag === "ResponseError") return `it answers with the status ${error.response.status}`
  return error.cause instanceof Error ? error.cause.message : error.reason
}

/**
 * What is sent, where to, and within which time in milliseconds. `dropped` returns how many spans or log lines did not fit into the request
 * that is sent now.
 */
export interface Sent {
  readonly what: "traces" | "logs"
  readonly url: string
  readonly timeout: number
  readonly dropped: () => number
}

/** A URL without what may be secret: name, password and query. */
const placeOf = (url: string): string => {
  const { origin, pathname } = new URL(url)
  return `${origin}${pathname}`
}

/**
 * The same client for one signal. A batch is tried for the timeout in all, then it is dropped. If the batches are more than the collector
 * takes, the newest are dropped. The first failure after a success is a warning, and so is the first success after a failure.
 */
export const bounded =
  ({ dropped, timeout, url, what }: Sent) =>
  (client: HttpClient.HttpClient): Effect.Effect<HttpClient.HttpClient> =>
    Effect.gen(function* () {
      const turns = yield* Effect.makeSemaphore(mostOpen)
      const place = placeOf(url)
      const waiting = { batches: 0, bytes: 0 }
      let isFailing = false
      let isCut = false

      const warn = (message: string) =>
        // The exporter annotates its lines with names that nobody can use.
        Effect.locally(Effect.logWarning(message), FiberRef.currentLogAnnotations, HashMap.empty())

      const failed = (why: string) =>
        Effect.suspend(() => {
          if (isFailing) return Effect.void
          isFailing = true
          return warn(`the collector at ${place} does not take ${what}: ${why}; des drops them until it does`)
        })

      const worked = Effect.suspend(() => {
        if (!isFailing) return Effect.void
        isFailing = false
        return warn(`the collector at ${place} takes ${what} again`)
      })

      const sayCut = Effect.suspend(() => {
        const count = dropped()
        const wasCut = isCut
        isCut = count > 0
        return wasCut || !isCut
          ? Effect.void
          : warn(
              `${count} of the ${what} for the collector at ${place} are dropped, since one request has no room for them`
            )
      })

      // An answer that nobody reads would hold its connection.
      const attempts = HttpClient.transform(client, (attempt) =>
        Effect.tap(attempt, ({ stream }) => Effect.ignore(Stream.runDrain(stream)))
      ).pipe(HttpClient.filterStatusOk, HttpClient.retryTransient({ schedule: Schedule.spaced("1 second"), times: 3 }))
      return HttpClient.transform(attempts, (sending, request) => {
        // The exporter retries what may pass. All retries were made here, so the error says that it cannot pass.
        const givenUp = (why: string) =>
          new HttpClientError.RequestError({ request, reason: "Encode", description: why })
        const sent = turns
          .withPermits(1)(sending)
          .pipe(
            Effect.timeoutFail({
              duration: timeout,
              onTimeout: () => ({ late: `it does not answer within ${Duration.format(Duration.millis(timeout))}` })
            }),
            Effect.mapError(reasonOf),
            Effect.tapError(failed),
            Effect.mapError(givenUp),
            Effect.zipLeft(worked)
          )
        const bytes = request.body.contentLength ?? 0
        return Effect.suspend(() => {
          if (waiting.batches >= mostBatches || waiting.bytes + bytes > mostWaiting) {
            const why = `${waiting.batches} batches wait for it, with ${waiting.bytes} bytes`
            return Effect.zipRight(failed(why), givenUp(why))
          }
          waiting.batches++
          waiting.bytes += bytes
          return Effect.ensuring(
            Effect.zipRight(sayCut, sent),
            Effect.sync(() => {
              waiting.batches--
              waiting.bytes -= bytes
            })
          )
        })
      })
    })
