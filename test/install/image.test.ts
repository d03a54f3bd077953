/** The image of the Dockerfile: built and run by a real dockerd, on a base made of Debian's packages. */

import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeEngine } from "../support/DescribeEngine.ts"
import { dockerd } from "../support/Engines.ts"
import * as Package from "../support/Package.ts"
import { poll } from "../support/Poll.ts"
import * as TempFolder from "../support/TempFolder.ts"

const lines = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")

/** A tree with the programs that the image of Node has, as far as des and its build need them, as a tar file. */
const base = (dir: string): string => {
  const run = (command: string, ...args: ReadonlyArray<string>) => execFileSync(command, args, { encoding: "utf8" })
  const node = Fs.realpathSync(run("sh", "-c", "command -v node").trim())
  const npm = Path.dirname(Path.dirname(Fs.realpathSync(run("sh", "-c", "command -v npm").trim())))
  const linked = [...run("ldd", node).matchAll(/(\/\S+) \(0x/g)].map(([, file]) => file ?? "")
  // Native packages load parts of the C library that Node does not.
  const libraries = [
    ...linked,
    ...lines(run("dpkg", "-L", "libc6")).filter((file) => /\/lib[a-z_]+\.so\.\d+$/.test(file))
  ]
  const root = Path.join(dir, "base")
  Fs.mkdirSync(`${root}/bin`, { recursive: true })
  for (const folder of ["tmp", "usr/bin", "usr/lib", "etc", "root"])
    Fs.mkdirSync(`${root}/${folder}`, { recursive: true })
  for (const file of [...libraries, "/etc/ssl/certs/ca-certificates.crt"]) {
    Fs.mkdirSync(`${root}${Path.dirname(file)}`, { recursive: true })
    Fs.copyFileSync(file, `${root}${file}`)
  }
  run("cp", run("sh", "-c", "command -v busybox").trim(), `${root}/bin/busybox`)
  for (const name of lines(run("busybox", "--list"))) {
    if (name !== "busybox") Fs.symlinkSync("busybox", `${root}/bin/${name}`)
  }
  Fs.symlinkSync("/bin/env", `${root}/usr/bin/env`)
  run("cp", node, `${root}/usr/bin/node`)
  run("cp", "-a", npm, `${root}/usr/lib/npm`)
  Fs.symlinkSync("../lib/npm/bin/npm-cli.js", `${root}/usr/bin/npm`)
  Fs.writeFileSync(`${root}/etc/passwd`, "root:x:0:0:root:/root:/bin/sh\n")
  run("tar", "-C", root, "-cf", `${dir}/base.tar`, ".")
  return `${dir}/base.tar`
}

describeEngine("dockerd", () => {
  it.scopedLive(
    "the image of the Dockerfile runs scripts, turns healthy, stops in time, and keeps what it has accepted",
    () =>
      Effect.gen(function* () {
        // With vfs each step of a build copies the whole tree. overlay2 does not run everywhere.
        const engine = yield* Effect.orElse(dockerd({ args: ["--storage-driver=overlay2"] }), () => dockerd())
        const dir = yield* TempFolder.make("image")
        const { cli } = engine
        yield* cli(
          "import",
          "-c",
          "ENV PATH=/usr/bin:/bin NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt",
          base(dir),
          "base:test"
        )
        const clone = Path.join(dir, "clone")
        Fs.mkdirSync(clone)
        Package.clone(clone)
        yield* cli("build", "--network", "host", "--build-arg", "BASE=base:test", "-t", "des:test", clone)

        assert.strictEqual(yield* cli("run", "--rm", "--network", "none", "des:test", "--version"), "1.0.0\n")
        const config = JSON.parse(yield* cli("inspect", "--format", "{{json .Config}}", "des:test"))
        assert.strictEqual(config.User, "65532:65532")

        const events = Path.join(dir, "events.d/container")
        Fs.mkdirSync(events, { recursive: true })
        Fs.chmodSync(Path.dirname(events), 0o755)
        Fs.writeFileSync(Path.join(events, "create"), '#!/bin/sh\necho "made $ACTOR_ATTRIBUTES_NAME as $(id -u)"\n', {
          mode: 0o755
        })
        const group = String(Fs.statSync(engine.socket).gid)
        yield* cli(
          ...[
            "run",
            "-d",
            "-t",
            "--name",
            "des",
            "--network",
            "none",
            "--group-add",
            group,
            "-v",
            "state:/var/lib/des",
            "--health-interval",
            "1s"
          ],
          ...[
            "-v",
            `${engine.socket}:/var/run/docker.sock`,
            "-v",
            `${Path.dirname(events)}:/etc/docker/events.d:ro`,
            "des:test"
          ]
        )
        const logged = (text: string) =>
          poll(
            Effect.map(Effect.orDie(cli("logs", "des")), (log) => log.includes(text)),
            30_000
          )
        assert.isTrue(yield* logged("watching unix:///var/run/docker.sock"))
        yield* cli("create", "--name", "web", "--network", "none", "base:test", "true")
        assert.isTrue(yield* logged("made web as 65532"))

        const health = Effect.orDie(cli("inspect", "--format", "{{.State.Health.Status}}", "des"))
        assert.isTrue(
          yield* poll(
            Effect.map(health, (status) => status.trim() === "healthy"),
            60_000
          )
        )

        // After a restart des still knows the run.
        yield* cli("stop", "--time", "45", "des")
        assert.strictEqual((yield* cli("inspect", "--format", "{{.State.ExitCode}}", "des")).trim(), "143")
        yield* cli("start", "des")
        assert.match(yield* cli("exec", "des", "des", "history"), /container\/create .*web/)
      }),
    900_000
  )
})
