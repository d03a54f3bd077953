import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Arr from "effect/Array"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Function from "effect/Function"
import * as ProcessGroup from "../../scripts/ProcessGroup.ts"
import type { Script } from "../../scripts/ScriptDirectory.ts"
import { exitCode, type Outcome, outcomeName } from "../../scripts/ScriptRunner.ts"
import type { Earlier, Entry, JournalError, KeptRun } from "../Journal.ts"
import { withoutNul } from "../sql/Rows.ts"
import type * as Failure from "./Failure.ts"

interface EarlierRow {
  readonly id: number
  readonly script: string
  readonly attempt: number
  readonly began_at: number
  readonly pid: number | null
  readonly process_started: string | null
  readonly ended_at: number | null
  readonly exit: number | null
  readonly last: number
}

/** The text that the history keeps of a run. */
const textOf = (outcome: Outcome, output: string): string =>
  outcome._tag === "NotStarted" || outcome._tag === "Failed" ? outcome.message : output

/**
 * The runs of scripts, in the table `run`.
 *
 * - `begin`: records a run that begins now.
 * - `earlierOf`: returns what happened to an event's scripts before des was restarted, by their paths.
 * - `cutOff`: ends the runs of an event, or of one of its scripts, that outlived des.
 * - `noteDeaths`: marks the runs that des was starting when it crashed. It is called before any run begins.
 */
export interface RunLog {
  readonly begin: (entry: Entry, script: Script, attempt: number) => Effect.Effect<KeptRun, JournalError>
  readonly cutOff: (event: number, script?: string) => Effect.Effect<void, SqlError>
  readonly noteDeaths: Effect.Effect<void, SqlError>
  readonly earlierOf: (event: number) => Effect.Effect<Readonly<Record<string, Earlier>>, SqlError>
}

export const make = (safely: ReturnType<typeof Failure.explained>) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const [named] = yield* safely(sql<{ name: string }>`SELECT name FROM journal`)
    const variableOf = (run: number) => `${named?.name ?? ""}-${run}`

    const summarize = (runs: ReadonlyArray<EarlierRow>): Earlier => {
      const last = runs.find((run) => run.last === 1)
      return {
        attempts: Math.max(...runs.map(({ attempt }) => attempt)),
        settled: last === undefined ? undefined : last.exit === 0 ? "succeeded" : "failed",
        outlived: runs
          .filter(({ ended_at }) => ended_at === null)
          .map(({ began_at, id, pid, process_started }) => ({
            variable: `DES_RUN=${variableOf(id)}`,
            process: pid === null || process_started === null ? undefined : { pid, startedAt: process_started },
            began: began_at
          }))
      }
    }

    const earlierOf = Effect.fnUntraced(function* (event: number) {
      const runs = yield* sql<EarlierRow>`SELECT * FROM run WHERE event_id = ${event} ORDER BY id`
      const byScript = Object.entries(Arr.groupBy(runs, ({ script }) => script))
      return Object.fromEntries(byScript.map(([script, ofScript]) => [script, summarize(ofScript)]))
    })

    const cutOff = Effect.fnUntraced(function* (event: number, script?: string) {
      const now = yield* Clock.currentTimeMillis
      yield* sql`UPDATE run SET ended_at = ${now}, outcome = coalesce(outcome, 'cut off')
        WHERE event_id = ${event} AND ended_at IS NULL${script === undefined ? sql`` : sql` AND script = ${script}`}`
    })

    const begin = Effect.fnUntraced(function* (entry: Entry, script: Script, attempt: number) {
      const now = yield* Clock.currentTimeMillis
      if (entry.earlier[script.path] !== undefined) yield* safely(cutOff(entry.id, script.path))
      const row = { event_id: entry.id, script: script.path, attempt, began_at: now, last: 0 }
      const [inserted] = yield* safely(sql<{ id: number }>`INSERT INTO run ${sql.insert(row)} RETURNING id`)
      const id = inserted?.id ?? 0
      return {
        variables: { DES_RUN: variableOf(id) },
        started: (pid) => {
          const identity = ProcessGroup.identify(pid)
          return sql`UPDATE run SET pid = ${pid}, process_started = ${identity?.startedAt ?? null} WHERE id = ${id}`.pipe(
            safely,
            // This error is ignored. The process can also be found by its variable, and the next write fails as well.
            Effect.ignore
          )
        },
        ended: (outcome, output, last) =>
          Effect.flatMap(Clock.currentTimeMillis, (ended) =>
            safely(sql`UPDATE run SET ended_at = ${ended}, outcome = ${outcomeName(outcome)},
              exit = ${exitCode(outcome)}, output = ${withoutNul(textOf(outcome, output))}, last = ${last ? 1 : 0} WHERE id = ${id}`)
          ),
        skipped: (reason) =>
          Effect.flatMap(Clock.currentTimeMillis, (ended) =>
            safely(
              sql`UPDATE run SET ended_at = ${ended}, outcome = 'skipped', output = ${reason}, last = 1 WHERE id = ${id}`
            )
          ),
        interrupted: Effect.flatMap(Clock.currentTimeMillis, (ended) =>
          // This error is ignored. Without this note the run may look like a crash of des.
          Effect.ignore(safely(sql`UPDATE run SET ended_at = ${ended}, outcome = 'cut off' WHERE id = ${id}`))
        ),
        whileHeld: Function.identity
      } satisfies KeptRun
    })

    const noteDeaths = Effect.gen(function* () {
      const open = yield* sql<{ id: number }>`SELECT run.id AS id FROM event JOIN run ON run.event_id = event.id
        WHERE state = 'waiting' AND pid IS NULL AND ended_at IS NULL AND outcome IS NULL`
      for (const { id } of open) {
        // The process can still exist: des may have crashed just before it noted it.
        const [found] = ProcessGroup.find({ variable: `DES_RUN=${variableOf(id)}`, process: undefined })
        if (found === undefined) yield* sql`UPDATE run SET outcome = 'des died' WHERE id = ${id}`
        else
          yield* sql`UPDATE run SET pid = ${found.pid}, process_started = ${ProcessGroup.identify(found.pid)?.startedAt ?? null} WHERE id = ${id}`
      }
    })

    return { begin, earlierOf, cutOff, noteDeaths } satisfies RunLog
  })
