import * as SqlClient from "@effect/sql/SqlClient"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { eventName } from "../../event/EventName.ts"
import type { Script } from "../../scripts/ScriptDirectory.ts"
import { exitCode, type Outcome, outcomeName } from "../../scripts/ScriptRunner.ts"
import type { Entry, JournalError, KeptRun } from "../Journal.ts"
import { withoutNul } from "../sql/Rows.ts"
import type { Claims } from "./Claims.ts"
import * as Failure from "./Failure.ts"
import type { Member } from "./Member.ts"
import { patiently } from "./Patience.ts"
import { nowMillis } from "./Release.ts"

/** The text that the history keeps of a run. */
const textOf = (outcome: Outcome, output: string): string =>
  outcome._tag === "NotStarted" || outcome._tag === "Failed" ? outcome.message : output

/** The runs of scripts on this node, in the table `run`. A run is written only under the claim of its event. */
export const make = (options: {
  readonly database: string
  readonly node: string
  readonly member: Member
  readonly claims: Pick<Claims, "claimOf" | "drop" | "ran">
}) =>
  Effect.gen(function* () {
    const { claims, database, member, node } = options
    const sql = yield* SqlClient.SqlClient
    const safely = patiently(database)
    const [named] = yield* safely(sql<{ name: string }>`SELECT name FROM journal`)

    const begin = Effect.fnUntraced(function* (
      entry: Entry,
      script: Script,
      attempt: number
    ): Effect.fn.Return<KeptRun, JournalError> {
      const what = `${eventName(entry.event)}: ${script.path}`
      const claim = Option.getOrUndefined(claims.claimOf(entry.id))
      if (claim === undefined) return yield* Failure.takenOver(what)
      const { actor, member: of, token } = claim
      const [row] = yield* safely(
        sql<{ id: number }>`WITH held AS (
            SELECT token FROM lane
            WHERE engine = ${actor.engine} AND type = ${actor.type} AND actor = ${actor.actor}
              AND node = ${of.id} AND token = ${token} FOR SHARE
          )
          INSERT INTO run (event_id, script, attempt, began_at, last, node, member, token)
          SELECT ${claim.event}, ${script.path}, ${attempt}, ${nowMillis(sql)}, 0, ${node}, ${of.id}, held.token FROM held
          ON CONFLICT (event_id, script, attempt, token) DO UPDATE SET began_at = excluded.began_at
          RETURNING id`
      )
      if (row === undefined) {
        yield* claims.drop(entry.id)
        return yield* Failure.takenOver(what)
      }
      const { id } = row
      const name = `${named?.name ?? ""}-${id}`
      const lost = Failure.takenOver(what)
      member.guard.begin(id, `DES_RUN=${name}`)
      const end = Effect.sync(() => member.guard.end(id))

      return {
        variables: { DES_RUN: name, DES_NODE: node, DES_TOKEN: String(token) },
        started: (pid) => {
          member.guard.process(id, pid)
          // An error is ignored: the guard knows the process. Nobody reads the script's output before this is over, so it is not long.
          return sql`UPDATE run SET pid = ${pid} WHERE id = ${id} AND ended_at IS NULL`.pipe(
            safely,
            Effect.interruptible,
            Effect.disconnect,
            Effect.timeout(1000),
            Effect.ignore
          )
        },
        ended: (outcome, output, last) => {
          claims.ran(entry.id, output)
          const written = sql`UPDATE run SET ended_at = ${nowMillis(sql)}, outcome = ${outcomeName(outcome)},
            exit = ${exitCode(outcome)}, output = ${withoutNul(textOf(outcome, output))}, last = ${last ? 1 : 0}
            WHERE id = ${id} AND ended_at IS NULL`
          member.late.set(id, written)
          return safely(written).pipe(
            Effect.asVoid,
            Effect.ensuring(Effect.sync(() => void member.late.delete(id))),
            (writing) => Effect.zipRight(end, writing)
          )
        },
        skipped: (reason) => {
          claims.ran(entry.id, reason)
          return Effect.zipRight(
            end,
            Effect.asVoid(
              safely(sql`UPDATE run SET ended_at = ${nowMillis(sql)}, outcome = 'skipped', output = ${reason}, last = 1
                WHERE id = ${id} AND ended_at IS NULL`)
            )
          )
        },
        // Without this note the run is cut off when the node leaves.
        interrupted: sql`UPDATE run SET ended_at = ${nowMillis(sql)}, outcome = 'cut off'
            WHERE id = ${id} AND ended_at IS NULL`.pipe(
          Failure.caught,
          Effect.interruptible,
          Effect.disconnect,
          Effect.timeout(1000),
          Effect.ignore,
          Effect.zipRight(end)
        ),
        whileHeld: (work) =>
          Effect.suspend(() =>
            of.isHeld() ? Effect.raceFirst(work, Effect.zipRight(Deferred.await(of.lost), lost)) : lost
          ).pipe(
            // A node that stood still may learn that the script has ended before it learns that its lease has.
            Effect.filterOrFail(
              () => of.isHeld(),
              () => lost
            )
          )
      }
    })

    return { begin }
  })
