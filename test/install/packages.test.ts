/** The .deb and the .rpm: built from a clean clone, then installed, upgraded and removed in a booted system. */

import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { promisify } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { isProgram } from "../support/Engines.ts"
import * as Package from "../support/Package.ts"
import * as Systemd from "../support/Systemd.ts"

const missing = ["dpkg-deb", "rpmbuild"].filter((name) => !isProgram(name))
const reason = missing.length > 0 ? `not installed: ${missing.join(", ")}` : Systemd.unavailable()

if (reason !== undefined && process.env["DES_REQUIRE_ENGINES"] === "1") {
  describe("the packages", () => it("can be installed", () => assert.fail(reason)))
}

/** The booted system sees this folder of the repository. */
const repository = Path.join(import.meta.dirname, "..", "..")

/** Builds the packages of these versions, as a release would, and gives their folder. */
const build = (versions: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const top = Fs.mkdtempSync(Path.join(repository, "node_modules", ".packages-"))
      const clone = Path.join(top, "clone")
      Fs.mkdirSync(clone)
      Package.clone(clone)
      Package.install(clone)
      for (const version of versions) {
        const manifest = Path.join(clone, "package.json")
        const text = Fs.readFileSync(manifest, "utf8").replace(/"version": "[^"]*"/, `"version": "${version}"`)
        Fs.writeFileSync(manifest, text)
        await promisify(execFile)(Path.join(clone, "packaging/build.sh"), [top])
      }
      return top
    }),
    (top) => Effect.sync(() => Fs.rmSync(top, { recursive: true, force: true }))
  )

describe.skipIf(reason !== undefined)(`the packages${reason === undefined ? "" : ` (${reason})`}`, () => {
  it.scopedLive(
    "install, upgrade and remove des, and never enable it, change its settings or delete scripts and runs",
    () =>
      Effect.gen(function* () {
        const top = yield* build(["1.0.0", "1.0.1"])
        const { run, show, until } = yield* Systemd.boot
        const shell = (script: string) => run("env", "-C", "/", "sh", "-c", script)
        const said = (script: string) => Effect.map(shell(`exec 2>&1; ${script}`), ({ output }) => output)
        // The booted system has des and its unit already, for other tests.
        yield* shell(
          "rm /usr/local/bin/des /etc/systemd/system/des.service /etc/systemd/user/des.service; systemctl daemon-reload"
        )

        const kinds = [
          {
            install: `dpkg -i --ignore-depends=nodejs ${top}/docker-event-scripts_1.0.0_*.deb`,
            upgrade: `dpkg -i --ignore-depends=nodejs ${top}/docker-event-scripts_1.0.1_*.deb`,
            remove: "dpkg -P docker-event-scripts"
          },
          {
            install: `rpm -i --nodeps ${top}/docker-event-scripts-1.0.0-1.*.rpm`,
            upgrade: `rpm -U --nodeps ${top}/docker-event-scripts-1.0.1-1.*.rpm`,
            remove: "rpm -e docker-event-scripts"
          }
        ]
        for (const { install, remove, upgrade } of kinds) {
          const installed = yield* shell(install)
          assert.strictEqual(installed.code, 0, installed.output)
          assert.strictEqual(yield* said("des --version"), "1.0.0")
          assert.strictEqual(yield* said("systemctl is-enabled des"), "disabled")
          assert.strictEqual(yield* said("systemctl is-active des"), "inactive")
          const list =
            "ls /usr/share/bash-completion/completions/des /usr/share/man/man[17]/des*.gz /usr/lib/systemd/user/des.service"
          assert.strictEqual((yield* shell(list)).code, 0)
          const contrib =
            "cd /usr/share/doc/docker-event-scripts/contrib && ls grafana/des.json prometheus/des.rules.yml"
          assert.strictEqual((yield* shell(contrib)).code, 0)

          yield* shell("echo DES_JOBS=3 >>/etc/default/des; mkdir -p /etc/docker/events.d/des")
          yield* shell(
            "printf '#!/bin/sh\\necho ran\\n' >/etc/docker/events.d/des/start; chmod +x /etc/docker/events.d/des/start"
          )
          assert.strictEqual((yield* shell("systemctl enable --now des")).code, 0)
          const before = yield* show("MainPID")

          const upgraded = yield* shell(upgrade)
          assert.strictEqual(upgraded.code, 0, upgraded.output)
          assert.strictEqual(yield* said("des --version"), "1.0.1")
          yield* until("ActiveState", (state) => state === "active")
          assert.notStrictEqual(yield* show("MainPID"), before)
          assert.strictEqual(yield* said("systemctl is-enabled des"), "enabled")
          assert.include(yield* said("cat /etc/default/des"), "DES_JOBS=3")

          const removed = yield* shell(remove)
          assert.strictEqual(removed.code, 0, removed.output)
          assert.include(removed.output, "/var/lib/des is left. Delete it if you do not need it: rm -r /var/lib/des")
          assert.strictEqual(yield* said("systemctl is-active des"), "inactive")
          assert.strictEqual((yield* shell("ls /usr/bin/des /usr/lib/docker-event-scripts")).code, 2)
          const kept = "ls /etc/docker/events.d/des/start /var/lib/des/journal.sqlite"
          assert.strictEqual((yield* shell(kept)).code, 0)
          yield* shell("rm -r /etc/docker/events.d /var/lib/des /etc/default/des*")
        }
      }),
    300_000
  )
})
