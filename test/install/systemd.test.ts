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
        const { run, show } = yield* Systemd.boot
        assert.deepStrictEqual(yield* run("systemd-analyze", "verify", "/etc/systemd/system/des.service"), {
          code: 0,
          output: ""
        })
        assert.strictEqual((yield* run("des", "-c")).code, 0)
        // With Type=notify this returns when des is ready.
        assert.deepStrictEqual(yield* run("systemctl", "start", "des"), { code: 0, output: "" })
        assert.strictEqual(yield* show("ActiveState"), "active")
        assert.strictEqual(
          yield* show("StatusText"),
          "watching 0 of 1 engines; waiting for unix:///var/run/docker.sock"
        )
        assert.strictEqual((yield* run("stat", "-c", "%a", "/var/lib/des/journal.sqlite")).output, "600")
        assert.strictEqual((yield* run("stat", "-c", "%a", "/var/lib/des")).output, "700")
        assert.deepStrictEqual(yield* run("systemctl", "stop", "des"), { code: 0, output: "" })
        assert.strictEqual(yield* show("ActiveState"), "inactive")
        assert.strictEqual((yield* run("systemctl", "is-failed", "des")).output, "inactive")
      }),
    120_000
  )

  it.scopedLive(
    "lets running scripts end at a restart, comes back after kill -9, and is killed when it hangs",
    () =>
      Effect.gen(function* () {
        const { run, show, until } = yield* Systemd.boot
        yield* run("sh", "-c", hasty)
        yield* run(
          "sh",
          "-c",
          `mkdir -p /etc/docker/events.d/des && cat >/etc/docker/events.d/des/start <<'END' && chmod +x /etc/docker/events.d/des/start
#!/bin/sh
echo begin >>/root/runs
sleep 2
echo end >>/root/runs
END`
        )
        const runs = Effect.map(run("cat", "/root/runs"), ({ output }) => output.split("\n").join(" "))
        const mainPid = show("MainPID")

        yield* run("systemctl", "start", "des")
        yield* run("sh", "-c", "until test -s /root/runs; do sleep 0.1; done")
        assert.strictEqual((yield* run("systemctl", "restart", "des")).code, 0)
        assert.match(yield* runs, /^begin end/)
        assert.strictEqual(yield* show("NRestarts"), "0")

        yield* run("kill", "-9", yield* mainPid)
        yield* until("NRestarts", (restarts) => restarts === "1")
        yield* until("SubState", (state) => state === "running")

        yield* run("sh", "-c", "printf '[Service]\\nWatchdogSec=2\\n' >/run/systemd/system/des.service.d/watchdog.conf")
        yield* run("sh", "-c", "systemctl daemon-reload && systemctl restart des")
        const before = yield* mainPid
        // Two intervals: des says that it is alive.
        yield* run("sleep", "5")
        assert.strictEqual(yield* mainPid, before)
        yield* run("kill", "-STOP", before)
        yield* until("MainPID", (pid) => pid !== before && pid !== "0")
        yield* until("SubState", (state) => state === "running")
      }),
    120_000
  )

  it.scopedLive(
    "for rootless podman runs in the manager of a user",
    () =>
      Effect.gen(function* () {
        const { run } = yield* Systemd.boot
        // The manager of a user, as logind would start it.
        const as = ["runuser", "-u", "somebody", "--", "env", "XDG_RUNTIME_DIR=/run/somebody"]
        const own = (...command: ReadonlyArray<string>) => run(...as, "HOME=/home/somebody", ...command)
        yield* run("useradd", "--create-home", "somebody")
        yield* run("install", "-d", "-o", "somebody", "/run/somebody")
        const properties = ["User=somebody", "Delegate=yes", "Environment=XDG_RUNTIME_DIR=/run/somebody"]
        yield* run(
          "systemd-run",
          ...properties.map((property) => `--property=${property}`),
          "/lib/systemd/systemd",
          "--user"
        )
        yield* run("sh", "-c", "until test -S /run/somebody/systemd/private; do sleep 0.1; done")

        assert.strictEqual((yield* own("des", "-c", "-d", "/home/somebody/.config/des/events.d")).code, 0)
        assert.deepStrictEqual(yield* own("systemctl", "--user", "start", "des"), { code: 0, output: "" })
        const { output } = yield* own("systemctl", "--user", "show", "des", "--property=ActiveState,StatusText")
        assert.include(output, "ActiveState=active")
        assert.include(output, "watching 0 of 1 engines; waiting for unix:///run/somebody/podman/podman.sock")
        assert.include((yield* own("find", "/home/somebody", "-name", "journal.sqlite")).output, "/des/journal.sqlite")
        assert.deepStrictEqual(yield* own("systemctl", "--user", "stop", "des"), { code: 0, output: "" })
        assert.strictEqual((yield* own("systemctl", "--user", "is-failed", "des")).output, "inactive")
      }),
    120_000
  )

  it.scopedLive(
    "is started again while its disk is full, and runs once there is room",
    () =>
      Effect.gen(function* () {
        const { run, show, until } = yield* Systemd.boot
        yield* run("sh", "-c", hasty)
        yield* run("des", "-c")
        yield* run(
          "sh",
          "-c",
          "mkdir -p /var/lib/des && mount -t tmpfs -o size=1m,mode=700 none /var/lib/des && head -c 2m /dev/zero >/var/lib/des/filler"
        )
        yield* run("systemctl", "start", "--no-block", "des")
        yield* until("NRestarts", (restarts) => Number(restarts) >= 2)
        yield* run("rm", "/var/lib/des/filler")
        yield* until("SubState", (state) => state === "running")
        assert.match(yield* show("StatusText"), /^watching 0 of 1 engines/)
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
