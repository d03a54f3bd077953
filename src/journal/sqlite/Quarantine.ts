import { dirname } from "node:path"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { eventFields, eventName } from "../../event/EventName.ts"

/** How often des may crash while it handles an event itself. Then the event is set aside. */
const mostDeaths = 2

/**
 * Finds events that make des crash, and sets them aside.
 *
 * des itself handles an event in two steps: when it reads the event from the journal, and from the beginning of a run until
 * the script's process has started. A crash later, while the script runs, is not caused by the event: a long run is
 * there at every kill and power cut. A crash in the first step leaves a row in `handling`. A crash in the second step
 * leaves a run without a process.
 *
 * - `begin`: runs at the start of des. Sets aside the events at which des crashed twice, and logs them.
 * - `whileReading`: reads an event from before the restart of des, and notes that it does.
 * - `enter`: waits until a run of an event may begin. Returns an effect that must run when the script has started or
 *   never will. After one crash, the runs of that event begin alone, so that a second crash is not blamed on another
 *   event.
 */
export interface Quarantine {
  readonly begin: Effect.Effect<void, SqlError>
  readonly whileReading: <A>(event: number, read: Effect.Effect<A>) => Effect.Effect<A, SqlError>
  readonly enter: (event: number) => Effect.Effect<Effect.Effect<void>>
}

/** More runs than can ever begin at the same time (`--jobs`). */
const everyRun = 1_000_000

/** Lets the runs of suspects begin alone, and all other runs at the same time. */
const makeDoor = Effect.gen(function* () {
  const door = yield* Effect.makeSemaphore(1)
  const beginning = yield* Effect.makeSemaphore(everyRun)
  const suspects = new Set<number>()

  const once = (leave: Effect.Effect<unknown>) => {
    let left = false
    return Effect.suspend(() => {
      if (left) return Effect.void
      left = true
      return Effect.asVoid(leave)
    })
  }

  const enter = (event: number) =>
    Effect.suspend(() => {
      // This is the usual case: des has not crashed.
      if (suspects.size === 0) return Effect.succeed(Effect.void)
      if (!suspects.has(event)) {
        return Effect.as(door.withPermits(1)(beginning.take(1)), once(beginning.release(1)))
      }
      const leave = Effect.sync(() => void suspects.delete(event)).pipe(
        Effect.zipRight(beginning.release(everyRun)),
        Effect.zipRight(door.release(1))
      )
      return Effect.as(Effect.zipRight(door.take(1), beginning.take(everyRun)), once(leave))
    })

  return { suspects, enter }
})

interface SuspectRow {
  readonly id: number
  readonly deaths: number
}

interface QuarantinedRow {
  readonly engine: string
  readonly type: string
  readonly action: string
  readonly actor: string
  readonly scripts: string
}

export const make = (options: {
  readonly file: string
  readonly noteDeaths: Effect.Effect<void, SqlError>
}): Effect.Effect<Quarantine, never, SqlClient.SqlClient> =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const door = yield* makeDoor
    const directory = dirname(options.file)

    /** The waiting events at which des crashed, and how often. A later run that got a process resets the count. */
    const suspects = sql<SuspectRow>`SELECT * FROM (SELECT id, coalesce(times, 0) + (
        SELECT count(*) FROM run WHERE run.event_id = event.id AND outcome = 'des died' AND NOT EXISTS (
          SELECT 1 FROM run AS later WHERE later.event_id = event.id AND later.id > run.id AND later.pid IS NOT NULL
        )) AS deaths
      FROM event LEFT JOIN handling ON handling.event_id = event.id WHERE state = 'waiting') AS counted
      WHERE deaths > 0 ORDER BY id`

    /** Sets an event aside. Each of its scripts gets a run, which `des history` shows and `des retry` can queue. */
    const setAside = Effect.fnUntraced(function* ({ deaths, id }: SuspectRow) {
      const now = yield* Clock.currentTimeMillis
      const [row] = yield* sql<QuarantinedRow>`SELECT engine, type, action, actor, scripts FROM event WHERE id = ${id}`
      if (row === undefined) return
      const settled = yield* sql<{ script: string }>`SELECT script FROM run WHERE event_id = ${id} AND last = 1`
      const scripts: ReadonlyArray<{ readonly path: string }> = JSON.parse(row.scripts)
      const open = scripts.filter(({ path }) => settled.every(({ script }) => script !== path))
      const runs: Array<number> = []
      for (const { path } of open) {
        const [last] = yield* sql<{ attempt: number }>`SELECT coalesce(max(attempt), 0) AS attempt FROM run
          WHERE event_id = ${id} AND script = ${path}`
        const [run] = yield* sql<{ id: number }>`INSERT INTO run ${sql.insert({
          event_id: id,
          script: path,
          attempt: (last?.attempt ?? 0) + 1,
          began_at: now,
          ended_at: now,
          outcome: "quarantined",
          output: `des died ${deaths} times while it read this event or started its scripts`,
          last: 1
        })} RETURNING id`
        if (run !== undefined) runs.push(run.id)
      }
      yield* sql`UPDATE event SET state = 'quarantined' WHERE id = ${id}`
      yield* sql`DELETE FROM handling WHERE event_id = ${id}`
      const { action, actor, engine, type } = row
      const event = { Type: type, Action: action, Actor: { ID: actor, Attributes: {} }, engine }
      yield* Effect.logError(
        `${eventName(event)}: quarantined, its scripts do not run: des died ${deaths} times while it read this event or started its scripts. Please report it. To run them again: des retry --state ${directory} ${runs.join(" ")}`
      ).pipe(Effect.annotateLogs(eventFields(event)))
    })

    const begin = Effect.gen(function* () {
      yield* options.noteDeaths
      for (const suspect of yield* suspects) {
        if (suspect.deaths >= mostDeaths) yield* setAside(suspect)
        else door.suspects.add(suspect.id)
      }
    })

    const whileReading = <A>(event: number, read: Effect.Effect<A>) =>
      sql`INSERT INTO handling ${sql.insert({ event_id: event, times: 1 })}
        ON CONFLICT (event_id) DO UPDATE SET times = handling.times + 1`.pipe(
        Effect.zipRight(read),
        Effect.zipLeft(sql`DELETE FROM handling WHERE event_id = ${event}`)
      )

    return { begin, whileReading, enter: door.enter }
  })
