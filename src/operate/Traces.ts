import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import type { DockerEvent } from "../event/DockerEvent.ts"
import { eventFields } from "../event/EventName.ts"
import { type Accepted, type Entry, Journal, type KeptRun, type Result, type UnkeptEvent } from "../journal/Journal.ts"
import * as LogFields from "../LogFields.ts"
import type { Script } from "../scripts/ScriptDirectory.ts"
import { exitCode } from "../scripts/ScriptRunner.ts"

/** How many spans of events are open. An event beyond has no span, and each of its runs is a trace. */
const mostOpenSpans = 10_000

/** The longest name of a span, in characters: an action can have any length. */
const longestName = 200

const annotate = (span: Tracer.Span, attributes: Readonly<Record<string, unknown>>): void => {
  for (const [name, value] of Object.entries(attributes)) span.attribute(name, value)
}

const nameOf = (event: DockerEvent): string => {
  const { [LogFields.names.action]: action = "", [LogFields.names.type]: type = "" } = eventFields(event)
  return LogFields.cut(`${type}/${action}`, longestName)
}

/** What a script gets, so that what it does joins the trace (W3C Trace Context). */
const traceParent = ({ spanId, traceId }: Tracer.Span): string => `00-${traceId}-${spanId}-01`

/** The span as log lines name it. With the span itself, Effect would add each log line to it, also debug lines. */
const named = ({ spanId, traceId }: Tracer.Span): Tracer.ExternalSpan => Tracer.externalSpan({ spanId, traceId })

const exitOf = (result: Result) => (result === "succeeded" ? Exit.void : Exit.fail("a script failed"))

const end = (span: Tracer.Span, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  Effect.map(Clock.currentTimeNanos, (now) => span.end(now, exit))

/** Begins the span of an event that was accepted so many nanoseconds after 1970. */
const beginEvent = (tracer: Tracer.Tracer, event: DockerEvent, startTime: bigint): Tracer.Span => {
  const span = tracer.span(nameOf(event), Option.none(), Context.empty(), [], startTime, "consumer")
  annotate(span, eventFields(event))
  return span
}

/** A run that begins, as its span says it. */
interface Begun {
  readonly event: DockerEvent
  readonly script: Script
  readonly attempt: number
  readonly parent: Tracer.Span | undefined
}

/** The same run with a span, which ends when the run has ended. */
const withSpan = (
  tracer: Tracer.Tracer,
  kept: KeptRun,
  { attempt, event, parent, script }: Begun,
  now: bigint
): KeptRun => {
  const name = LogFields.cut(`run ${script.path}`, longestName)
  const span = tracer.span(name, Option.fromNullable(parent), Context.empty(), [], now, "internal")
  const run = kept.variables["DES_RUN"]
  annotate(span, { ...eventFields(event), ...LogFields.make({ script: script.path, run, attempt }) })
  return {
    ...kept,
    variables: { ...kept.variables, TRACEPARENT: traceParent(span) },
    span: named(span),
    ended: (outcome, output, last) => {
      const code = exitCode(outcome)
      annotate(span, LogFields.make({ exit: code }))
      const exit = code === 0 ? Exit.void : Exit.fail(`exit ${code}`)
      return Effect.zipRight(end(span, exit), kept.ended(outcome, output, last))
    },
    skipped: (reason) => Effect.zipRight(end(span, Exit.fail("skipped")), kept.skipped(reason)),
    interrupted: Effect.zipRight(end(span, Exit.fail("interrupted")), kept.interrupted)
  }
}

/**
 * The same journal, which also makes spans: one for each event with scripts, from its acceptance to the end of its last script, and
 * in it one for each run. At the end of the layer, the spans of events that are not finished end, too.
 */
export const traced =
  (tracer: Tracer.Tracer) =>
  <E, R>(journal: Layer.Layer<Journal, E, R>): Layer.Layer<Journal, E, R> => {
    const spans = new Map<number, Tracer.Span>()

    const run = <E2>(begin: Effect.Effect<KeptRun, E2>, begun: Begun): Effect.Effect<KeptRun, E2> =>
      Effect.flatMap(Clock.currentTimeNanos, (now) => Effect.map(begin, (kept) => withSpan(tracer, kept, begun, now)))

    const taken = ({ acceptedAt, event, id }: Entry): Effect.Effect<void> =>
      Effect.gen(function* () {
        if (spans.size >= mostOpenSpans) return
        // The clock of nanoseconds is another one than that of milliseconds, and can be ahead of it.
        const waited = Math.max(0, Math.round((yield* Clock.currentTimeMillis) - acceptedAt))
        const now = yield* Clock.currentTimeNanos
        spans.set(id, beginEvent(tracer, event, now - BigInt(waited) * 1_000_000n))
      })

    const finished = (id: number, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
      Effect.suspend(() => {
        const span = spans.get(id)
        spans.delete(id)
        return span === undefined ? Effect.void : end(span, exit)
      })

    const unkept = ({ event }: Accepted, plain: UnkeptEvent): Effect.Effect<UnkeptEvent> =>
      Effect.map(Clock.currentTimeNanos, (now) => {
        const parent = beginEvent(tracer, event, now)
        return {
          begin: (script) => run(plain.begin(script), { event, script, attempt: 1, parent }),
          finish: (result) => Effect.zipRight(end(parent, exitOf(result)), plain.finish(result))
        }
      })

    const observed = Layer.map(journal, (context) => {
      const plain = Context.get(context, Journal)
      return Context.make(Journal, {
        ...plain,
        take: (order) => Effect.tap(plain.take(order), Option.match({ onNone: () => Effect.void, onSome: taken })),
        begin: (entry, script, attempt) =>
          run(plain.begin(entry, script, attempt), {
            event: entry.event,
            script,
            attempt,
            parent: spans.get(entry.id)
          }),
        unkept: (accepted) => Effect.flatMap(plain.unkept(accepted), (found) => unkept(accepted, found)),
        finish: (id, result) => Effect.zipRight(finished(id, exitOf(result)), plain.finish(id, result))
      })
    })
    const endAll = Effect.suspend(() =>
      Effect.forEach([...spans.keys()], (id) => finished(id, Exit.fail("interrupted")), { discard: true })
    )
    return Layer.merge(observed, Layer.scopedDiscard(Effect.addFinalizer(() => endAll)))
  }
