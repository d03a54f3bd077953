import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import * as DockerEvent from "./DockerEvent.ts"
import * as Fingerprint from "./Fingerprint.ts"
import * as Lines from "./Lines.ts"
import * as OwnEvent from "./OwnEvent.ts"
import * as SkippedLines from "./SkippedLines.ts"

export type { SkippedLine } from "./SkippedLines.ts"

/** application/json-seq puts this before every record (RFC 7464). */
const recordSeparator = "\u001e"

/** A feed that has decoded for so many milliseconds lets the sockets of other engines be read before it goes on. */
const turn = 10

/** So many lines are decoded before those that were skipped are reported: each of them takes memory until then. */
const linesAtOnce = 256

/** Waits until what else is ready to be read or written had its turn; to yield to other fibers would not do that. */
const giveWay = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** A line that is no event. What is said of it is made on demand: of a flood only the first lines are shown. */
class SkippedText implements SkippedLines.SkippedLine {
  constructor(
    private readonly feed: Feed,
    private readonly line: number,
    private readonly text: string,
    private readonly why: () => string
  ) {}

  get fingerprint(): string {
    return this.feed.fingerprintOf(this.text)
  }

  get message(): string {
    return `Skipped line ${this.line} of ${this.feed.source}, which is no event: ${this.why()}`
  }
}

/** Decodes the lines of one feed. It counts them, so each line is decoded once and in order. */
class Feed {
  private number = 0
  // A flood is often one line again and again.
  private last = { text: "", fingerprint: "" }

  constructor(
    readonly source: string,
    private readonly engine: string
  ) {}

  fingerprintOf(text: string): string {
    if (this.last.text !== text) this.last = { text, fingerprint: Fingerprint.ofLine(text) }
    return this.last.fingerprint
  }

  /** An event, a line that is skipped, or nothing where the line is empty. */
  decode(line: Lines.Line): DockerEvent.DockerEvent | SkippedLines.SkippedLine | undefined {
    this.number++
    return line._tag === "TooLong" ? this.skipTooLong(line) : this.decodeText(line.text)
  }

  private skipTooLong({ bytes, fingerprint }: Extract<Lines.Line, { readonly _tag: "TooLong" }>) {
    return {
      fingerprint,
      message: `Skipped line ${this.number} of ${this.source}: it is ${bytes} bytes long, and des reads records of up to ${Lines.longestRecord} bytes; its scripts do not run`
    }
  }

  private decodeText(text: string) {
    const record = text.startsWith(recordSeparator) ? text.slice(1) : text
    if (record.trim() === "") return undefined
    const decoded = DockerEvent.read(record, this.engine)
    if (Either.isLeft(decoded)) {
      const { path, why } = decoded.left
      return this.skip(record, () => (path.length === 0 ? why() : `${path.join(".")}: ${why()}`))
    }
    if (decoded.right.Type === OwnEvent.type) return this.skip(record, () => `the type ${OwnEvent.type} is des's own`)
    return decoded.right
  }

  private skip(record: string, why: () => string) {
    return new SkippedText(this, this.number, record, why)
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
        const feed = new Feed(options.source, options.engine ?? "")
        let used = 0

        /** Decodes some of the lines into `events`, reports what it skipped, and says whether there are more. */
        const decodeSome = (lines: Iterator<Lines.Line>, events: Array<DockerEvent.DockerEvent>) =>
          Effect.suspend(() => {
            const start = performance.now()
            const skipped: Array<SkippedLines.SkippedLine> = []
            let line = lines.next()
            for (let count = 1; line.done !== true; count++) {
              const decoded = feed.decode(line.value)
              if (decoded !== undefined) {
                if ("record" in decoded) events.push(decoded)
                else skipped.push(decoded)
              }
              if (count === linesAtOnce) break
              line = lines.next()
            }
            const isMore = line.done !== true
            used += performance.now() - start
            return skipped.length === 0 ? Effect.succeed(isMore) : Effect.as(reportAll(skipped), isMore)
          })

        const reportAll = (skipped: ReadonlyArray<SkippedLines.SkippedLine>) =>
          Effect.suspend(() => {
            const start = performance.now()
            return Effect.map(Effect.forEach(skipped, report, { discard: true }), () => {
              used += performance.now() - start
            })
          })

        const takeTurns = Effect.suspend(() => {
          if (used < turn) return Effect.void
          used = 0
          return giveWay
        })

        // Not by Effect.repeat, whose schedule costs more than the events of most chunks.
        const decodeLines = (lines: Iterator<Lines.Line>) =>
          Effect.suspend(() => {
            const events: Array<DockerEvent.DockerEvent> = []
            const rest: Effect.Effect<Chunk.Chunk<DockerEvent.DockerEvent>> = Effect.flatMap(
              decodeSome(lines, events),
              (isMore) => Effect.zipRight(takeTurns, isMore ? rest : Effect.succeed(Chunk.unsafeFromArray(events)))
            )
            return rest
          })

        const last = Stream.unwrap(Effect.map(decodeLines(splitter.end()), Stream.fromChunk))
        return Stream.mapChunksEffect(bytes, (pieces) => decodeLines(splitter.pushAll(pieces))).pipe(
          Stream.catchAllCause((cause) => Stream.concat(last, Stream.failCause(cause))),
          Stream.concat(last)
        )
      })
    )
