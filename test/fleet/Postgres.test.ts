import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describePostgres, postgres } from "../support/Postgres.ts"

describePostgres("a private PostgreSQL", () => {
  it.scopedLive("has after a crash what was committed, and runs on after a restart", () =>
    Effect.gen(function* () {
      const server = yield* postgres()
      yield* server.psql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)")
      yield* server.kill9
      assert.isTrue(yield* Effect.isFailure(server.psql("SELECT 1")))
      yield* server.start
      assert.strictEqual((yield* server.psql("SELECT n FROM kept")).trim(), "1")
      yield* server.stop
      yield* server.start
      assert.strictEqual((yield* server.psql("SELECT n FROM kept")).trim(), "1")
    })
  )
})
