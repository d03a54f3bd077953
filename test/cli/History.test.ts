/** des history, as a sysadmin reads it. The journal itself is in State.test.ts. */

import { describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assert } from "vitest"
import * as Program from "../support/Program.ts"
import { record } from "../support/Record.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"

const history = (sandbox: Sandbox, ...args: ReadonlyArray<string>) =>
  sandbox.des(["history", "--state", sandbox.path("state"), ...args])

/** The numbers of the runs that these options select. */
const idsOf = (sandbox: Sandbox, ...args: ReadonlyArray<string>) =>
  Effect.map(history(sandbox, ...args, "--json"), ({ code, stderr, stdout }) => {
    assert.strictEqual(code, 0, stderr)
    return stdout.split("\n").flatMap((line): ReadonlyArray<number> => (line === "" ? [] : [JSON.parse(line).id]))
  })

/** Four events, and five runs: the third event has two scripts. */
const live = (sandbox: Sandbox, args: ReadonlyArray<string> = []) => {
  sandbox.script("container/start", 'echo "out of $ACTOR_ATTRIBUTES_NAME"; [ "$ACTOR_ATTRIBUTES_NAME" != bad ]')
  sandbox.script("container/die/10-a", "exit 0")
  sandbox.script("container/die/20-b", "exit 0")
  const records = [
    record({ id: "aaa111", attributes: { name: "web" } }),
    record({ id: "bbb222", attributes: { name: "bad" } }),
    record({ id: "aaa111", attributes: { name: "web" }, Action: "die" }),
    record({ id: "ccc333", attributes: {} })
  ]
  return sandbox.feed(records, ["--state", sandbox.path("state"), ...args])
}

describe("des history", () => {
  test("selects runs by script, event, actor, and the newest of them", (sandbox) =>
    Effect.gen(function* () {
      yield* live(sandbox)
      for (const [args, ids] of [
        [[], [1, 2, 3, 4, 5]],
        [
          ["--script", "container/start"],
          [1, 2, 5]
        ],
        [["--script", "10-a"], [3]],
        [["--script", "0-a"], []],
        [["--script", `${sandbox.dir}/container/die/20-b`], [4]],
        [
          ["--event", "container/die"],
          [3, 4]
        ],
        [["--event", "container/di"], []],
        [
          ["--actor", "web"],
          [1, 3, 4]
        ],
        [["--actor", "bbb"], [2]],
        [["--actor", "we"], []],
        [
          ["--last", "2"],
          [4, 5]
        ],
        [["--last", "1", "--actor", "web", "--event", "container/start"], [1]],
        [
          ["--last", "9"],
          [1, 2, 3, 4, 5]
        ],
        [["--failed"], [2]]
      ] as const) {
        assert.deepStrictEqual(yield* idsOf(sandbox, ...args), [...ids], args.join(" "))
      }
      const { stdout } = yield* history(sandbox, "--last", "2")
      const [heads, , last] = stdout.split("\n").map((line) => line.split(/ {2,}/))
      assert.deepStrictEqual(heads?.slice(3, 6), ["ACTOR", "NAME", "SCRIPT"])
      assert.deepStrictEqual(last?.slice(3, 5), ["ccc333", "-"])
    }))

  test("lists as failed what failed in the end, and not attempts that a retry has fixed", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", 'test "$DES_ATTEMPT" = 2 || test -e good')
      const state = ["--state", sandbox.path("state")]
      yield* sandbox.feed([record()], [...state, "--retries", "1"])
      assert.deepStrictEqual(yield* idsOf(sandbox), [1, 2])
      assert.deepStrictEqual(yield* idsOf(sandbox, "--failed"), [])
      yield* sandbox.feed([record({ id: "other" })], state)
      assert.deepStrictEqual(yield* idsOf(sandbox, "--failed"), [3])
      sandbox.write("good", "")
      yield* sandbox.des(["retry", ...state, "3"])
      yield* sandbox.feed([], state)
      assert.deepStrictEqual(yield* idsOf(sandbox), [1, 2, 3, 4])
      assert.deepStrictEqual(yield* idsOf(sandbox, "--failed"), [])
    }))

  test("names what it cannot take", (sandbox) =>
    Effect.gen(function* () {
      yield* live(sandbox)
      for (const [args, code, says] of [
        [["shw", "1"], 2, '"shw 1": expected show ID, with the number of a run, such as des history show 12'],
        [["show"], 2, '"show": expected show ID'],
        [["show", "1", "--follow"], 2, "conflicting options: --follow prints a list, and show prints one run"],
        [["show", "x"], 2, '"show x": expected show ID'],
        [["--last", "0"], 2, '--last "0": expected a whole number from 1 to 1000000'],
        [["--event", "die"], 2, '--event "die": expected TYPE/ACTION'],
        [["show", "77"], 1, "the journal has no run 77; des history lists all runs"]
      ] as const) {
        const ended = yield* history(sandbox, ...args)
        assert.strictEqual(ended.code, code, ended.stderr)
        assert.include(ended.stderr, says)
      }
    }))
})

describe("des history --follow", () => {
  test("prints the newest runs, and each run when it ends, whichever des runs it, until it is ended", (sandbox) =>
    Effect.gen(function* () {
      yield* live(sandbox)
      const args = ["history", "--state", sandbox.path("state"), "-f", "--last", "2", "--json"]
      const des = yield* Program.start(["sh", "-c", 'exec "$@" >out', "sh", ...Program.des(...args)], {
        cwd: sandbox.top
      })
      const ids = () => sandbox.lines("out").map((line): number => JSON.parse(line).id)
      yield* des.until("the last two runs", () => ids().length === 2)
      yield* sandbox.feed([record({ id: "later" })], ["--state", sandbox.path("state")])
      yield* des.until("the run of another des", () => ids().length === 3)
      yield* des.kill("SIGINT")
      assert.strictEqual((yield* des.ended).code, 130)
      assert.deepStrictEqual(ids(), [4, 5, 6])
    }))
})

describe("des history show", () => {
  test("prints the run, its attempts, its output, the event's variables and the record", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", "echo out; echo 'two\u001b[31m' >&2; exit $((4 - DES_ATTEMPT))")
      yield* sandbox.feed([record()], ["--state", sandbox.path("state"), "--retries", "1"])
      const { code, stderr, stdout } = yield* history(sandbox, "show", "2")
      assert.deepStrictEqual({ code, stderr }, { code: 0, stderr: "" })
      const lines = stdout.split("\n")
      for (const line of [
        "run:      2",
        "event:    container/start",
        "actor:    web (467730e17a0a)",
        `script:   ${sandbox.dir}/container/start`,
        "attempt:  2",
        "exit:     2",
        "  out",
        "  two\\u001b[31m",
        "  ACTION=start",
        "  ACTOR_ATTRIBUTES_NAME=web",
        "  DES_ATTEMPT=2",
        "  TIMENANO=1795453740123456789",
        `  ${record()}`
      ]) {
        assert.include(lines, line)
      }
      assert.match(stdout, /^ {2}DES_RUN=[0-9a-f]{16}-2$/m)
      assert.match(
        stdout,
        /attempts:\n {2}1: run 1, [\d :-]+, exit 3, [\d.]+s\n {2}2: run 2, [\d :-]+, exit 2, [\d.]+s\n/
      )
      const shown = JSON.parse((yield* history(sandbox, "show", "1", "--json")).stdout)
      assert.deepInclude(shown, { id: 1, exit: 3, name: "web", record: record() })
      assert.lengthOf(shown.attempts, 2)
    }))
})
