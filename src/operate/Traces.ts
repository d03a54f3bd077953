import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Tracer from "effect/Tracer"
import type { DockerEvent } from "../event/DockerEvent.ts"
import { eventFields } from "../event/EventName.ts"
import { type Entry, Journal, type KeptRun } from "../journal/Journal.ts"
import * as LogFields from "../LogFields.ts"
import type { Script } from "../scripts/ScriptDirectory.ts"
import { exitCode } from "../scripts/ScriptRunner.ts"

/** Of how many events that wait the time of acceptance is remembered. The span of an older one begins when it is taken. */
const mostWaiting = 10_000

/** The longest name of a span, in characters: an action can have any length. */
const longestName = 200

const keyOf = ({ engine, fingerprint }: DockerEvent): string => `${engine} ${fingerprint}`

const annotate = (span: Tracer.Span, attributes: Readonly<Record<string, unknown>>): void => {
  for (const [name, value] of Object.entries(attributes)) span.attribute(name, value)
}

const nameOf = (event: DockerEvent): string => {
  const { [LogFields.names.action]: action = "", [LogFields.names.type]: type = "" } = eventFields(event)
  return LogFields.cut(`${type}/${action}`, longestName)
}

/** What a script gets, so that what it does joins the trace (W3C Trace Context). */
const traceParent = ({ spanId, traceId }: Tracer.Span): string => `00-${traceId}-${spanId}-01`

/**
 * The same journal, which also makes spans: one for each event with scripts, from its acceptance to the end of its last script, and
 * in it one for each run.
 */
export const traced =
  (tracer: Tracer.Tracer) =>
  <E, R>(journal: Layer.Layer<Journal, E, R>): Layer.Layer<Journal, E, R> => {
    const acceptedAt = new Map<string, bigint>()
    const spans = new Map<number, Tracer.Span>()

    const beginEvent = ({ event, id }: Entry, now: bigint) => {
      const key = keyOf(event)
      const startTime = acceptedAt.get(key) ?? now
      acceptedAt.delete(key)
      const span = tracer.span(nameOf(event), Option.none(), Context.empty(), [], startTime, "consumer")
      annotate(span, eventFields(event))
      spans.set(id, span)
    }

    const beginRun = (entry: Entry, script: Script, attempt: number, kept: KeptRun, now: bigint): KeptRun => {
      const { event } = entry
      const parent = Option.fromNullable(spans.get(entry.id))
      const name = LogFields.cut(`run ${script.path}`, longestName)
      const span = tracer.span(name, parent, Context.empty(), [], now, "internal")
      const run = kept.variables["DES_RUN"]
      annotate(span, { ...eventFields(event), ...LogFields.make({ script: script.path, run, attempt }) })
      const end = (exit: Exit.Exit<unknown, unknown>) =>
        Effect.map(Clock.currentTimeNanos, (ended) => span.end(ended, exit))
      return {
        ...kept,
        variables: { ...kept.variables, TRACEPARENT: traceParent(span) },
        ended: (outcome, output, last) => {
          const code = exitCode(outcome)
          annotate(span, LogFields.make({ exit: code }))
          const exit = code === 0 ? Exit.void : Exit.fail(`exit ${code}`)
          return Effect.zipRight(end(exit), kept.ended(outcome, output, last))
        },
        skipped: (reason) => Effect.zipRight(end(Exit.fail("skipped")), kept.skipped(reason)),
        interrupted: Effect.zipRight(end(Exit.fail("interrupted")), kept.interrupted)
      }
    }

    return Layer.map(journal, (context) => {
      const { accept, begin, finish, take, ...others } = Context.get(context, Journal)
      return Context.make(Journal, {
        ...others,
        accept: (batch) =>
          Effect.flatMap(Clock.currentTimeNanos, (now) => {
            for (const { event } of batch.accepted) acceptedAt.set(keyOf(event), now)
            for (const oldest of acceptedAt.keys()) {
              if (acceptedAt.size <= mostWaiting) break
              acceptedAt.delete(oldest)
            }
            return accept(batch)
          }),
        take: (order) =>
          Effect.tap(take(order), (taken) =>
            Option.isNone(taken)
              ? Effect.void
              : Effect.map(Clock.currentTimeNanos, (now) => beginEvent(taken.value, now))
          ),
        begin: (entry, script, attempt) =>
          Effect.flatMap(Clock.currentTimeNanos, (now) =>
            Effect.map(begin(entry, script, attempt), (kept) => beginRun(entry, script, attempt, kept, now))
          ),
        finish: (id, result) =>
          Effect.flatMap(Clock.currentTimeNanos, (now) => {
            spans.get(id)?.end(now, result === "succeeded" ? Exit.void : Exit.fail("a script failed"))
            spans.delete(id)
            return finish(id, result)
          })
      })
    })
  }
