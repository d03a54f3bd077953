import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import * as DockerEvent from "./DockerEvent.ts"
import * as Fingerprint from "./Fingerprint.ts"
import * as Lines from "./Lines.ts"
import * as OwnEvent from "./OwnEvent.ts"
import * as RecordHead from "./RecordHead.ts"
import * as SkippedLines from "./SkippedLines.ts"

export type { SkippedLine } from "./SkippedLines.ts"

/** The character before every record in application/json-seq (RFC 7464). */
const recordSeparator = "\u001e"

/** How long a feed may decode before other sockets are read, in milliseconds. */
const turnMillis = 10

/** How many lines are decoded before the skipped ones are reported. A skipped line takes memory until then. */
const linesAtOnce = 256

/** Lets every other socket that is ready be read or written first. To yield to other fibers would not do that. */
const giveWay = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** A line that is not an event. Its message is made on demand: in a flood only the first lines are logged. */
class SkippedText implements SkippedLines.SkippedLine {
  constructor(
    private readonly feed: FeedDecoder,
    private readonly line: number,
    private readonly text: string,
    private readonly why: () => string
  ) {}

  get fingerprint(): string {
    return this.feed.fingerprintOf(this.text)
  }

  get message(): string {
    return `Skipped line ${this.line} of ${this.feed.source}, which is not an event: ${this.why()}`
  }
}

/** Decodes the lines of one feed. It counts them, so each line is decoded once and in order. */
class FeedDecoder {
  private number = 0
  // A flood often repeats one line.
  private last = { text: "", fingerprint: "" }

  constructor(
    readonly source: string,
    private readonly engine: string
  ) {}

  fingerprintOf(text: string): string {
    if (this.last.text !== text) this.last = { text, fingerprint: Fingerprint.ofLine(text) }
    return this.last.fingerprint
  }

  /** Gives an event, a skipped line, the head of a record that is not wanted, or undefined for an empty line. */
  decode(line: Lines.Line): DockerEvent.DockerEvent | SkippedLines.SkippedLine | RecordHead.RecordHead | undefined {
    this.number++
    if (line._tag === "TooLong") return this.skipTooLong(line)
    return line._tag === "Cut" ? this.decodeCut(line.beginning) : this.decodeText(line.text)
  }

  private skipTooLong({ bytes, fingerprint }: Extract<Lines.Line, { readonly _tag: "TooLong" }>) {
    return {
      fingerprint,
      message: `Skipped line ${this.number} of ${this.source}: it is ${bytes} bytes long, and des reads records of up to ${Lines.longestRecord} bytes; its scripts do not run`
    }
  }

  private decodeCut(beginning: string) {
    return RecordHead.read(beginning, this.engine) ?? this.skip(beginning, () => "it was cut")
  }

  private decodeText(text: string) {
    const record = text.startsWith(recordSeparator) ? text.slice(1) : text
    if (record.trim() === "") return undefined
    const decoded = DockerEvent.read(record, this.engine)
    if (Either.isLeft(decoded)) {
      const { path, why } = decoded.left
      return this.skip(record, () => (path.length === 0 ? why() : `${path.join(".")}: ${why()}`))
    }
    if (decoded.right.Type === OwnEvent.type)
      return this.skip(record, () => `the type ${OwnEvent.type} is reserved for des's own events`)
    return decoded.right
  }

  private skip(record: string, why: () => string) {
    return new SkippedText(this, this.number, record, why)
  }
}

/**
 * Decodes the bytes of a feed into events. The bytes may be cut anywhere.
 *
 * These lines are skipped and reported: lines that are not events, lines that are too long, and records with the type of des's own
 * events. Empty lines are ignored. By default the report is a warning, for a bounded number of lines a minute. `source` names the feed in
 * the report. `engine` is the name of its engine (default: none). `lose` counts the large records of which only the head came, since nobody wants them (default: does nothing).
 *
 * A flood does not block other feeds: it pauses after each {@link turnMillis}.
 */
export const decodeRecords =
  (options: {
    readonly source: string
    readonly engine?: string
    readonly report?: (skipped: SkippedLines.SkippedLine) => Effect.Effect<void>
    readonly lose?: (record: RecordHead.RecordHead) => Effect.Effect<void>
  }) =>
  <E, R>(bytes: Stream.Stream<Uint8Array, E, R>): Stream.Stream<DockerEvent.DockerEvent, E, R> =>
    Stream.unwrapScoped(
      Effect.gen(function* () {
        const report = options.report ?? (yield* SkippedLines.makeLog(options.source))
        const { engine = "", lose = () => Effect.void } = options
        const splitter = Lines.makeSplitter()
        const feed = new FeedDecoder(options.source, engine)
        let used = 0

        /** Decodes some of the lines into `events` and reports the skipped ones. It gives true if there are more lines. */
        const decodeSome = (lines: Iterator<Lines.Line>, events: Array<DockerEvent.DockerEvent>) =>
          Effect.suspend(() => {
            const start = performance.now()
            const reports: Array<Effect.Effect<void>> = []
            let line = lines.next()
            for (let count = 1; line.done !== true; count++) {
              const decoded = feed.decode(line.value)
              if (decoded !== undefined) {
                if ("record" in decoded) events.push(decoded)
                else reports.push("message" in decoded ? report(decoded) : lose(decoded))
              }
              if (count === linesAtOnce) break
              line = lines.next()
            }
            const isMore = line.done !== true
            used += performance.now() - start
            return reports.length === 0 ? Effect.succeed(isMore) : Effect.as(runAll(reports), isMore)
          })

        const runAll = (reports: ReadonlyArray<Effect.Effect<void>>) =>
          Effect.suspend(() => {
            const start = performance.now()
            return Effect.map(Effect.all(reports, { discard: true }), () => {
              used += performance.now() - start
            })
          })

        const takeTurns = Effect.suspend(() => {
          if (used < turnMillis) return Effect.void
          used = 0
          return giveWay
        })

        // The schedule of Effect.repeat would cost more than the events of most chunks.
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
