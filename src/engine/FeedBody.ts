import { IncomingMessage } from "node:http"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/** How many bytes of a feed are read ahead. Then the socket is paused, until they are taken. */
const readAhead = 1_048_576

/** What becomes of a piece of the feed as soon as it comes: what is left of it, or an error that ends the feed. */
type Pass<E> = (bytes: Uint8Array) => Uint8Array | E

/** Node's own answer, if the client is Node's. */
const nodeAnswer = (response: HttpClientResponse.HttpClientResponse): IncomingMessage | undefined => {
  const own = "original" in response ? (response.original as object) : response
  return "source" in own && own.source instanceof IncomingMessage ? own.source : undefined
}

/** Reads a readable stream of Node. Pieces that come together are one chunk. */
const fromNode = <E>(
  source: IncomingMessage,
  pass: Pass<E>,
  onError: (cause: unknown) => E
): Stream.Stream<Uint8Array, E> =>
  Stream.unwrapScoped(
    Effect.gen(function* () {
      let arrived: Array<Uint8Array> = []
      let size = 0
      let end: Option.Option<E> | undefined
      let wake: (() => void) | undefined
      const wakeUp = () => {
        wake?.()
        wake = undefined
      }
      const over = (reason: Option.Option<E>) => {
        end ??= reason
        wakeUp()
      }
      const onData = (bytes: Uint8Array) => {
        if (end !== undefined) return
        const passed = pass(bytes)
        if (!(passed instanceof Uint8Array)) return over(Option.some(passed))
        if (passed.length === 0) return
        arrived.push(passed)
        size += passed.length
        if (size >= readAhead) source.pause()
        // What else the socket has now belongs to the same chunk.
        if (arrived.length === 1) setImmediate(wakeUp)
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          source.on("error", (cause) => over(Option.some(onError(cause))))
          source.on("end", () => over(Option.none()))
          source.on("close", () => over(Option.some(onError(new Error("aborted")))))
          source.on("data", onData)
        }),
        () => Effect.sync(() => source.destroy())
      )
      const take: Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<E>> = Effect.suspend(() => {
        if (arrived.length > 0) {
          const pieces = Chunk.unsafeFromArray(arrived)
          arrived = []
          size = 0
          if (source.isPaused()) source.resume()
          return Effect.succeed(pieces)
        }
        if (end !== undefined) return Effect.fail(end)
        return Effect.zipRight(
          Effect.async<void>((resume) => {
            wake = () => resume(Effect.void)
          }),
          take
        )
      })
      return Stream.repeatEffectChunkOption(take)
    })
  )

/**
 * The body of a feed. Each piece passes `pass` as soon as it comes from the socket: what is left out there costs a small part of what
 * it costs as an element of a stream.
 */
export const read = <E>(
  response: HttpClientResponse.HttpClientResponse,
  pass: Pass<E>
): Stream.Stream<Uint8Array, E | HttpClientError.ResponseError> => {
  const failed = (cause: unknown) =>
    new HttpClientError.ResponseError({ request: response.request, response, reason: "Decode", cause })
  const source = nodeAnswer(response)
  return source === undefined
    ? Stream.mapEffect(response.stream, (bytes) => {
        const passed = pass(bytes)
        return passed instanceof Uint8Array ? Effect.succeed(passed) : Effect.fail(passed)
      })
    : fromNode<E | HttpClientError.ResponseError>(source, pass, failed)
}
