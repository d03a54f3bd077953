import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { afterAll, beforeAll } from "vitest"
import * as Conninfo from "../../src/journal/postgres/Conninfo.ts"
import * as JournalPostgres from "../../src/journal/postgres/JournalPostgres.ts"
import { journalContract } from "../support/JournalContract.ts"
import { describePostgres, type Postgres, postgres } from "../support/Postgres.ts"

describePostgres("with a private PostgreSQL", () => {
  const scope = Effect.runSync(Scope.make())
  let server: Postgres
  beforeAll(async () => {
    server = await Effect.runPromise(Scope.extend(postgres(), scope))
  })
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))

  journalContract("in PostgreSQL", {
    isDurable: true,
    place: Effect.gen(function* () {
      const url = yield* server.freshUrl
      const info = Either.getOrThrow(Conninfo.parse(url, { ...Conninfo.surroundings(), variables: {} }))
      return ({ engines, keep, maxAge }) =>
        JournalPostgres.layer({
          info,
          node: "one",
          directory: "/d",
          keep,
          maxAge,
          jobs: 100,
          watches: true,
          runs: true,
          ...(engines === undefined ? {} : { engines })
        })
    })
  })
})
