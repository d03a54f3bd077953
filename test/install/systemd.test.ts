/** The unit of contrib/systemd, under a real systemd. */

import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Systemd from "../support/Systemd.ts"

const reason = Systemd.unavailable()

if (reason !== undefined && process.env["DES_REQUIRE_ENGINES"] === "1") {
  describe("systemd", () => it("can be booted", () => assert.fail(reason)))
}

/** Tries come one after the other at once; how many there may be is the unit's own. */
const hasty =
  "mkdir -p /run/systemd/system/des.service.d && printf '[Service]\\nRestartSec=50ms\\n' >/run/systemd/system/des.service.d/hasty.conf && systemctl daemon-reload"

describe.skipIf(reason !== undefined)(`the systemd unit${reason === undefined ? "" : ` (${reason})`}`, () => {
  it.scopedLive(
    "is stopped without having failed, and keeps its journal in /var/lib/des",
    () =>
      Effect.gen(function* () {
        const { run, show, until } = yield* Systemd.boot
        assert.deepStrictEqual(yield* run("systemd-analyze", "verify", "/etc/systemd/system/des.service"), {
          code: 0,
          output: ""
        })
        assert.strictEqual((yield* run("des", "-c")).code, 0)
        yield* run("systemctl", "start", "des")
        yield* until("ActiveState", (state) => state === "active")
        yield* run("sh", "-c", "until test -s /var/lib/des/journal.sqlite; do sleep 0.1; done")
        assert.strictEqual((yield* run("stat", "-c", "%a", "/var/lib/des")).output, "700")
        assert.deepStrictEqual(yield* run("systemctl", "stop", "des"), { code: 0, output: "" })
        assert.strictEqual(yield* show("ActiveState"), "inactive")
        assert.strictEqual((yield* run("systemctl", "is-failed", "des")).output, "inactive")
      }),
    120_000
  )

  it.scopedLive(
    "is started again and again while its script directory is missing, and runs once it is there",
    () =>
      Effect.gen(function* () {
        const { run, show, until } = yield* Systemd.boot
        yield* run("sh", "-c", hasty)
        yield* run("systemctl", "start", "des")
        yield* until("NRestarts", (restarts) => Number(restarts) >= 8)
        yield* run("des", "-c")
        yield* until("SubState", (state) => state === "running")
        const restarts = yield* show("NRestarts")
        yield* run("sh", "-c", "until test -s /var/lib/des/journal.sqlite; do sleep 0.1; done; sleep 2")
        assert.strictEqual(yield* show("SubState"), "running")
        assert.isAtMost(Number(yield* show("NRestarts")) - Number(restarts), 1)
      }),
    120_000
  )

  it.scopedLive(
    "is not started again after wrong usage, which no other start would fix",
    () =>
      Effect.gen(function* () {
        const { run, show, until } = yield* Systemd.boot
        yield* run("sh", "-c", hasty)
        yield* run(
          "sh",
          "-c",
          "sed -i 's/^ExecStart=.*/& --nope/' /etc/systemd/system/des.service && systemctl daemon-reload"
        )
        yield* run("systemctl", "start", "des")
        yield* until("ActiveState", (state) => state === "failed")
        assert.strictEqual(yield* show("ExecMainStatus"), "2")
        assert.strictEqual(yield* show("NRestarts"), "0")
      }),
    120_000
  )
})
