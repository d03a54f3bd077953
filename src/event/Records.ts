import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Stream from "effect/Stream"
import * as DockerEvent from "./DockerEvent.ts"
import * as OwnEvent from "./OwnEvent.ts"

/**
 * A line of a feed that is no event, and the sentence that says where it was and why.
 *
 * @since 1.0.0
 * @category models
 */
export interface Skipped {
  readonly record: string
  readonly message: string
}

const explain = (error: ParseResult.ParseError): string =>
  ParseResult.ArrayFormatter.formatErrorSync(error)
    .map(({ message, path }) => (path.length === 0 ? message : `${path.join(".")}: ${message}`))
    .join("; ")

/** application/json-seq puts this before every record (RFC 7464). */
const recordSeparator = "\u001e"

/**
 * Reads a feed's bytes, split wherever they like, as events. What is no event is skipped and reported (default: a
 * warning), and so is one that claims to be des's own; an empty line is nothing. `source` names the feed in that report,
 * `engine` the engine that it is of (default: none).
 *
 * @since 1.0.0
 * @category combinators
 */
export const decodeRecords =
  (options: {
    readonly source: string
    readonly engine?: string
    readonly report?: (skipped: Skipped) => Effect.Effect<void>
  }) =>
  <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<DockerEvent.DockerEvent, E, R> =>
    Stream.suspend(() => {
      const report = options.report ?? (({ message }: Skipped) => Effect.logWarning(message))
      let line = 0
      const decodeChunk = (lines: Chunk.Chunk<string>) => {
        const events: Array<DockerEvent.DockerEvent> = []
        const skipped: Array<Skipped> = []
        for (const text of lines) {
          line++
          const record = text.startsWith(recordSeparator) ? text.slice(1) : text
          if (record.trim() === "") continue
          const decoded = DockerEvent.decode(record, options.engine)
          const why = Either.isLeft(decoded)
            ? explain(decoded.left)
            : decoded.right.Type === OwnEvent.type
              ? `the type ${OwnEvent.type} is des's own`
              : undefined
          if (why === undefined) events.push(Either.getOrThrow(decoded))
          else {
            skipped.push({
              record,
              message: `Skipped line ${line} of ${options.source}, which is no event: ${why}`
            })
          }
        }
        return Effect.as(Effect.forEach(skipped, report, { discard: true }), Chunk.unsafeFromArray(events))
      }
      return bytes.pipe(Stream.decodeText(), Stream.splitLines, Stream.mapChunksEffect(decodeChunk))
    })
