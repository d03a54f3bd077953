/** The options of a des that shares its journal, as somebody meets them who gives them wrongly. No database is needed. */

import { describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assert } from "vitest"
import { test } from "../support/Sandbox.ts"

const url = "postgresql://des@127.0.0.1:9/des"

describe("the options of a journal that several des share", () => {
  test("are refused with what to do instead", (sandbox) =>
    Effect.gen(function* () {
      for (const [args, message] of [
        [["--node", "a"], "--node is for a journal that several des share: add --state postgresql://…"],
        [["--state", url, "--node", "a b"], '--node "a b": expected a name of letters, digits, dots, - and _'],
        [
          ["--state", url, "-e", "a=tcp://h:1", "--watch-only", "--run-only"],
          "conflicting options: --watch-only and --run-only"
        ],
        [
          ["--state", url, "-e", "unix:///docker.sock"],
          "unix:///docker.sock is another engine on each host: give it a name"
        ],
        [["--state", "postgresql://des:hunter2@db/des", "-e", "a=tcp://h:1"], "write it into the file of PGPASSFILE"]
      ] as const) {
        const { code, stderr } = yield* sandbox.des(["-d", sandbox.dir, ...args])
        assert.strictEqual(code, 2, stderr)
        assert.include(stderr, message)
        assert.notInclude(stderr, "hunter2")
      }
    }))

  test("have SQL that prepares a database, for psql", (sandbox) =>
    Effect.gen(function* () {
      const { code, stdout } = yield* sandbox.des([
        "state",
        "init",
        "--print",
        "--state",
        'postgresql://o"k@db/jour%20nal'
      ])
      assert.strictEqual(code, 0)
      assert.include(stdout, 'CREATE ROLE "o""k" LOGIN NOSUPERUSER')
      assert.include(stdout, 'ALTER ROLE "o""k" IN DATABASE "jour nal" SET search_path = "o""k";')
      assert.strictEqual((yield* sandbox.des(["state", "init"])).code, 2)
    }))
})
