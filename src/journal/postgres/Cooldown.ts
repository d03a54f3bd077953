import { createHash } from "node:crypto"
import type * as SqlClient from "@effect/sql/SqlClient"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import type { Journal, JournalError } from "../Journal.ts"

/** Strangers choose a part of it, so it can be longer than an index allows. */
const shortened = (key: string): string => createHash("sha256").update(key).digest("base64")

/**
 * When des asks again if another node began the cooldown at the same moment, in milliseconds. The statement does not see the row of that
 * node yet, but the next one does.
 */
const soon = 10

/** Makes `cool` of the journal: the cooldowns that have begun are in the table `pace`. */
export const make =
  (
    sql: SqlClient.SqlClient,
    safely: <A>(statement: Effect.Effect<A, SqlError>) => Effect.Effect<A, JournalError>
  ): Journal["Type"]["cool"] =>
  (key, { cooldown, isAgain }) => {
    const name = shortened(key)
    return Effect.map(
      safely(sql<{ left: number }>`WITH begun AS (
          INSERT INTO pace (key, until) VALUES (${name}, clock_timestamp() + ${cooldown} * interval '1 millisecond')
          ON CONFLICT (key) DO UPDATE SET until = excluded.until
            WHERE pace.until <= clock_timestamp() OR ${isAgain ? 1 : 0} = 1
          RETURNING key
        )
        SELECT CASE WHEN EXISTS (SELECT FROM begun) THEN 0 ELSE coalesce((
          SELECT greatest(1, ceil(extract(epoch FROM until - clock_timestamp()) * 1000)) FROM pace WHERE key = ${name}
        ), ${soon}) END AS left`),
      ([row]) => row?.left ?? soon
    )
  }
