import { dirname } from "node:path"
import * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { eventName } from "../../event/EventName.ts"

/** How often des may die while it handles one event itself, before that event is set aside. */
const mostDeaths = 2

/**
 * Finds the events that des died of.
 *
 * des handles an event itself when it reads it from the journal, and from the begin of a run until the script's process
 * has started. What happens later, while the script runs, is not the event's doing: a long run is met by every kill and power cut. A
 * death in the first step leaves a row in `handling`, a death in the second one a run without a process.
 *
 * - `begin`: at the start of des, sets aside what it died of twice, and says so.
 * - `whileReading`: reads an event of an earlier life.
 * - `enter`: waits until a run of an event may begin, and gives the effect that says that its script has started, or never
 *   will. An event that des died of once begins alone, so that a second death is its own and no neighbour's.
 */
export interface Quarantine {
  readonly begin: Effect.Effect<void, SqlError>
  readonly whileReading: <A>(event: number, read: Effect.Effect<A>) => Effect.Effect<A, SqlError>
  readonly enter: (event: number) => Effect.Effect<Effect.Effect<void>>
}

/** More runs than ever begin beside each other (`--jobs`). */
const everyRun = 1_000_000

/** Lets the runs of suspects begin alone, and all others beside each other. */
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
      // Nearly always: des has not died.
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

    /** A run that had a process was no death, and ends the count. */
    const suspects = sql<SuspectRow>`SELECT * FROM (SELECT id, coalesce(times, 0) + (
        SELECT count(*) FROM run WHERE run.event_id = event.id AND outcome = 'des died' AND NOT EXISTS (
          SELECT 1 FROM run AS later WHERE later.event_id = event.id AND later.id > run.id AND later.pid IS NOT NULL
        )) AS deaths
      FROM event LEFT JOIN handling ON handling.event_id = event.id WHERE state = 'waiting') AS counted
      WHERE deaths > 0 ORDER BY id`

    /** One run for each script, which `des history` shows and `des retry` takes. */
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
      const name = eventName({ Type: row.type, Action: row.action, Actor: { ID: row.actor, Attributes: {} } })
      yield* Effect.logError(
        `${name}: quarantined, its scripts do not run: des died ${deaths} times while it read this event or started its scripts. Please report it. To run them again: des retry --state ${directory} ${runs.join(" ")}`
      )
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
