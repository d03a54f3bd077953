import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describe } from "vitest"
import { poll } from "../support/Poll.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"

/** The environment with an ssh command that is this shell script. */
const withSsh = (sandbox: Sandbox, body: string) => {
  sandbox.write("bin/ssh", `#!/bin/sh\n${body}\n`, 0o755)
  return { PATH: `${sandbox.path("bin")}:${process.env["PATH"]}` }
}

describe("ssh, played by a script", () => {
  for (const [url, expected] of [
    ["ssh://h", ["-o", "ConnectTimeout=30", "-T", "--", "h", "docker", "system", "dial-stdio"]],
    [
      "ssh://me@h:2222",
      ["-l", "me", "-p", "2222", "-o", "ConnectTimeout=30", "-T", "--", "h", "docker", "system", "dial-stdio"]
    ],
    [
      "ssh://me@h/it's $(here)",
      [
        ...["-l", "me", "-o", "ConnectTimeout=30", "-T", "--", "h"],
        ...["docker", `'--host=unix:///it'\\''s $(here)'`, "system", "dial-stdio"]
      ]
    ]
  ] as const) {
    test(`${url} is called as the docker command does`, (sandbox) =>
      Effect.gen(function* () {
        const env = withSsh(sandbox, `printf '%s\\n' "$@" >arguments; echo no >&2; exit 255`)
        const { code, stderr } = yield* sandbox.des(["info", "-e", url], { env })
        assert.strictEqual(code, 1)
        assert.match(stderr, /ssh ended: no\n$/)
        assert.deepStrictEqual(sandbox.lines("arguments"), expected)
      }))
  }

  test("the text of another host is cut, and cannot control a terminal", (sandbox) =>
    Effect.gen(function* () {
      const env = withSsh(sandbox, `printf '\\033[31mred\\nforged\\r' >&2; yes | head -c 3000000 >&2; exit 1`)
      const { lines, stderr } = yield* sandbox.des(["info", "-e", "ssh://h"], { env })
      assert.lengthOf(lines, 1)
      assert.include(stderr, "ssh ended: \\u001b[31mred, forged")
      assert.isBelow(stderr.length, 1500)
    }))

  test("an ssh that writes nothing is reported with its exit code", (sandbox) =>
    Effect.gen(function* () {
      const { stderr } = yield* sandbox.des(["info", "-e", "ssh://h"], { env: withSsh(sandbox, "exit 7") })
      assert.match(stderr, /ssh ended: exit code 7\n$/)
    }))

  test("des does not wait for an ssh that leaves its stderr open to another process", (sandbox) =>
    Effect.gen(function* () {
      const env = withSsh(sandbox, "setsid sleep 100000 & echo no >&2; exit 255")
      const { stderr } = yield* sandbox.des(["info", "-e", "ssh://h"], { env, deadline: 8000 })
      assert.match(stderr, /ssh ended: no\n$/)
    }))

  test("a missing ssh is reported", (sandbox) =>
    Effect.gen(function* () {
      const { code, stderr } = yield* sandbox.des(["info", "-e", "ssh://h"], { env: { PATH: sandbox.path("bin") } })
      assert.strictEqual(code, 1)
      assert.match(stderr, /ssh cannot be started: .*install openssh-client/)
    }))

  test("an ssh that does not answer and ignores SIGTERM ends with des", (sandbox) =>
    Effect.gen(function* () {
      const env = withSsh(sandbox, "trap '' TERM; echo started >&2; touch started; sleep 100000")
      const des = yield* sandbox.start(["-d", sandbox.dir, "-e", "ssh://h"], { env })
      yield* des.until("ssh", () => sandbox.exists("started"))
      yield* des.kill("SIGTERM")
      assert.strictEqual((yield* des.ended).code, 143)
      assert.deepStrictEqual(sandbox.processes(), [])
    }))

  test("an ssh that reads its input to the end ends if des is killed", (sandbox) =>
    Effect.gen(function* () {
      const env = withSsh(sandbox, "touch started; cat >/dev/null")
      const des = yield* sandbox.start(["-d", sandbox.dir, "-e", "ssh://h"], { env })
      yield* des.until("ssh", () => sandbox.exists("started"))
      yield* des.kill("SIGKILL")
      yield* des.ended
      yield* poll(
        Effect.sync(() => sandbox.processes().length === 0),
        5000
      )
      assert.deepStrictEqual(sandbox.processes(), [])
    }))
})
