import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import * as DockerEvent from "./DockerEvent.ts"
import * as Lines from "./Lines.ts"
import * as OwnEvent from "./OwnEvent.ts"
import * as SkippedLines from "./SkippedLines.ts"

export type { SkippedLine } from "./SkippedLines.ts"

/** application/json-seq puts this before every record (RFC 7464). */
const recordSeparator = "\u001e"

/** A feed that has decoded for so many milliseconds lets the sockets of other engines be read before it goes on. */
const turn = 10

/** Waits until what else is ready to be read or written had its turn; to yield to other fibers would not do that. */
const giveWay = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

type Decoded = Either.Either<DockerEvent.DockerEvent, SkippedLines.SkippedLine>

/** Decodes the lines of one feed. It counts them, so each line is decoded once and in order. */
const makeDecoder = (options: { readonly source: string; readonly engine?: string }) => {
  let number = 0
  // A flood is often one line again and again.
  let last = { text: "", fingerprint: "" }

  const fingerprintOf = (text: string): string => {
    if (last.text !== text) last = { text, fingerprint: Lines.fingerprintOf(text) }
    return last.fingerprint
  }

  const skipText = (text: string, why: () => string): Decoded => {
    const at = number
    return Either.left({
      get fingerprint() {
        return fingerprintOf(text)
      },
      get message() {
        return `Skipped line ${at} of ${options.source}, which is no event: ${why()}`
      }
    })
  }

  const skipTooLong = ({ bytes, fingerprint }: Extract<Lines.Line, { readonly _tag: "TooLong" }>): Decoded =>
    Either.left({
      fingerprint,
      message: `Skipped line ${number} of ${options.source}: it is ${bytes} bytes long, and des reads records of up to ${Lines.longestRecord} bytes; its scripts do not run`
    })

  const decodeText = (text: string): Decoded | undefined => {
    const record = text.startsWith(recordSeparator) ? text.slice(1) : text
    if (record.trim() === "") return undefined
    const decoded = DockerEvent.read(record, options.engine ?? "")
    if (Either.isLeft(decoded)) {
      const { path, why } = decoded.left
      return skipText(record, () => (path.length === 0 ? why() : `${path.join(".")}: ${why()}`))
    }
    if (decoded.right.Type === OwnEvent.type) return skipText(record, () => `the type ${OwnEvent.type} is des's own`)
    return Either.right(decoded.right)
  }

  return (line: Lines.Line): Decoded | undefined => {
    number++
    return line._tag === "TooLong" ? skipTooLong(line) : decodeText(line.text)
  }
}

/**
 * Reads a feed's bytes, cut wherever they like, as events. What is no event, what claims to be an event of des's own, and what
 * is longer than a record can be is skipped and reported; an empty line is nothing. The default report is a warning, for a
 * bounded number of lines a minute. `source` names the feed in the report, `engine` the engine that it is of (default: none).
 *
 * A flood takes no more than its share of the time: it gives way to other feeds.
 *
 * @since 1.0.0
 * @category combinators
 */
export const decodeRecords =
  (options: {
    readonly source: string
    readonly engine?: string
    readonly report?: (skipped: SkippedLines.SkippedLine) => Effect.Effect<void>
  }) =>
  <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<DockerEvent.DockerEvent, E, R> =>
    Stream.unwrapScoped(
      Effect.gen(function* () {
        const report = options.report ?? (yield* SkippedLines.makeLog(options.source))
        const splitter = Lines.makeSplitter()
        const decode = makeDecoder(options)
        let used = 0

        const decodeLines = (lines: Iterable<Lines.Line>) =>
          Effect.suspend(() => {
            const start = performance.now()
            const events: Array<DockerEvent.DockerEvent> = []
            const skipped: Array<SkippedLines.SkippedLine> = []
            for (const line of lines) {
              const decoded = decode(line)
              if (decoded === undefined) continue
              if (Either.isRight(decoded)) events.push(decoded.right)
              else skipped.push(decoded.left)
            }
            return Effect.map(Effect.forEach(skipped, report, { discard: true }), () => {
              used += performance.now() - start
              return Chunk.unsafeFromArray(events)
            })
          })

        const takeTurns = Effect.suspend(() => {
          if (used < turn) return Effect.void
          used = 0
          return giveWay
        })

        const decodeChunk = (chunk: Chunk.Chunk<Uint8Array>) =>
          Effect.zipLeft(decodeLines(splitter.pushAll(chunk)), takeTurns)

        const last = Stream.unwrap(Effect.map(decodeLines(splitter.end()), Stream.fromChunk))
        return Stream.mapChunksEffect(bytes, decodeChunk).pipe(
          Stream.catchAllCause((cause) => Stream.concat(last, Stream.failCause(cause))),
          Stream.concat(last)
        )
      })
    )
