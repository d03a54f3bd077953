/** The image of the Dockerfile: built and run by a real dockerd, on a base made of Debian's packages. */

import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { describeEngine } from "../support/DescribeEngine.ts"
import { dockerd, type Engine } from "../support/Engines.ts"
import * as Package from "../support/Package.ts"
import { poll } from "../support/Poll.ts"
import * as TempFolder from "../support/TempFolder.ts"

const repository = Path.join(import.meta.dirname, "..", "..")

const lines = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")

const run = (command: string, ...args: ReadonlyArray<string>) => execFileSync(command, args, { encoding: "utf8" })

const programOf = (name: string): string => Fs.realpathSync(run("sh", "-c", `command -v ${name}`).trim())

/** Copies files into a tree, to the same paths. */
const copyInto = (root: string, files: ReadonlyArray<string>): void => {
  for (const file of files) {
    Fs.mkdirSync(`${root}${Path.dirname(file)}`, { recursive: true })
    Fs.copyFileSync(file, `${root}${file}`)
  }
}

/** The libraries that a program is linked with. */
const librariesOf = (program: string): ReadonlyArray<string> =>
  [...run("ldd", program).matchAll(/(\/\S+) \(0x/g)].map(([, file]) => file ?? "")

const pack = (root: string): string => {
  run("tar", "-C", root, "-cf", `${root}.tar`, ".")
  return `${root}.tar`
}

/** A tree with the programs that the image of Node has, as far as des and its build need them, as a tar file. */
const base = (dir: string): string => {
  const node = programOf("node")
  const npm = Path.dirname(Path.dirname(programOf("npm")))
  // Native packages load parts of the C library that Node does not.
  const more = lines(run("dpkg", "-L", "libc6")).filter((file) => /\/lib[a-z_]+\.so\.\d+$/.test(file))
  const root = Path.join(dir, "base")
  Fs.mkdirSync(`${root}/bin`, { recursive: true })
  for (const folder of ["tmp", "usr/bin", "usr/lib", "etc", "root"])
    Fs.mkdirSync(`${root}/${folder}`, { recursive: true })
  copyInto(root, [...librariesOf(node), ...more, "/etc/ssl/certs/ca-certificates.crt"])
  run("cp", programOf("busybox"), `${root}/bin/busybox`)
  for (const name of lines(run("busybox", "--list"))) {
    if (name !== "busybox") Fs.symlinkSync("busybox", `${root}/bin/${name}`)
  }
  Fs.symlinkSync("/bin/env", `${root}/usr/bin/env`)
  run("cp", node, `${root}/usr/bin/node`)
  run("cp", "-a", npm, `${root}/usr/lib/npm`)
  Fs.symlinkSync("../lib/npm/bin/npm-cli.js", `${root}/usr/bin/npm`)
  Fs.writeFileSync(`${root}/etc/passwd`, "root:x:0:0:root:/root:/bin/sh\n")
  return pack(root)
}

/** Debian's HAProxy with its libraries, as a tar file. */
const haproxy = (dir: string): string => {
  const program = programOf("haproxy")
  const root = Path.join(dir, "haproxy")
  copyInto(root, [program, ...librariesOf(program)])
  Fs.chmodSync(`${root}${program}`, 0o755)
  return pack(root)
}

/** A script directory whose script says which container was made. */
const scriptsIn = (dir: string): string => {
  const events = Path.join(dir, "events.d/container")
  Fs.mkdirSync(events, { recursive: true })
  Fs.chmodSync(Path.dirname(events), 0o755)
  Fs.writeFileSync(Path.join(events, "create"), '#!/bin/sh\necho "made $ACTOR_ATTRIBUTES_NAME as $(id -u)"\n', {
    mode: 0o755
  })
  return Path.dirname(events)
}

const groupOf = ({ socket }: Engine): string => String(Fs.statSync(socket).gid)

/** Waits until the health of a container is good. */
const turnsHealthy = ({ cli }: Engine, container: string) =>
  poll(
    Effect.map(
      Effect.orDie(cli("inspect", "--format", "{{.State.Health.Status}}", container)),
      (status) => status.trim() === "healthy"
    ),
    60_000
  )

/** What a private engine has instead of the machine's paths. The health is looked at sooner. */
const override = ({ socket }: Engine, events: string, services: ReadonlyArray<string>) => ({
  services: {
    des: {
      volumes: [
        `${events}:/etc/docker/events.d:ro`,
        ...(services.includes("proxy") ? [] : [`${socket}:/var/run/docker.sock`])
      ],
      healthcheck: { interval: "1s" }
    },
    ...(services.includes("proxy") ? { proxy: { volumes: [`${socket}:/var/run/docker.sock`] } } : {})
  }
})

/** Brings a compose file up, sees a script run and health turn good, and takes it down. */
const bringUp = (
  engine: Engine,
  {
    dir,
    events,
    file,
    services
  }: {
    readonly dir: string
    readonly events: string
    readonly file: string
    readonly services: ReadonlyArray<string>
  }
) =>
  Effect.gen(function* () {
    const { cli, endpoint } = engine
    const paths = Path.join(dir, `${file}.json`)
    Fs.writeFileSync(paths, JSON.stringify({ version: "3.9", ...override(engine, events, services) }))
    const project = `test${services.length}`
    const compose = (...args: ReadonlyArray<string>) =>
      execFileSync(
        "docker-compose",
        ["--project-name", project, "--file", Path.join(repository, file), "--file", paths, ...args],
        {
          encoding: "utf8",
          stdio: ["ignore", "pipe", "pipe"],
          env: { PATH: process.env["PATH"], HOME: dir, DOCKER_HOST: endpoint, DOCKER_GID: groupOf(engine) }
        }
      )
    const logged = (text: string) =>
      poll(
        Effect.sync(() => compose("logs", "--no-color").includes(text)),
        60_000
      )
    const containers = Effect.map(
      cli("ps", "--all", "--filter", `label=com.docker.compose.project=${project}`, "--format", "{{.Names}}"),
      lines
    )

    compose("up", "--detach", "--no-build")
    const reached = services.includes("proxy") ? "tcp://proxy:2375" : "unix:///var/run/docker.sock"
    assert.isTrue(yield* logged(`watching ${reached}`), compose("logs", "--no-color"))
    yield* cli("create", "--name", `web-${project}`, "--network", "none", "base:test", "true")
    assert.isTrue(yield* logged(`made web-${project} as 65532`), compose("logs", "--no-color"))
    assert.isTrue(yield* turnsHealthy(engine, `${project}_des_1`))
    assert.sameMembers(
      [...(yield* containers)],
      services.map((service) => `${project}_${service}_1`)
    )
    const began = Date.now()
    compose("down", "--volumes")
    assert.isBelow(Date.now() - began, 45_000)
    assert.deepStrictEqual(yield* containers, [])
    assert.notInclude(yield* cli("volume", "ls", "--quiet"), project)
  })

describeEngine("dockerd", () => {
  it.scopedLive(
    "the image of the Dockerfile runs scripts, turns healthy, stops in time, and keeps what it has accepted, also as the compose files start it, with a proxy, too",
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
        const dockerfile = Fs.readFileSync(Path.join(clone, "Dockerfile"), "utf8")
        assert.match(dockerfile, /^ARG BASE=node:22\.\S+@sha256:[0-9a-f]{64}$/m)
        yield* cli("build", "--network", "host", "--build-arg", "BASE=base:test", "-t", "des:test", clone)

        assert.strictEqual(yield* cli("run", "--rm", "--network", "none", "des:test", "--version"), "1.0.0\n")
        const config = JSON.parse(yield* cli("inspect", "--format", "{{json .Config}}", "des:test"))
        assert.strictEqual(config.User, "65532:65532")

        const events = scriptsIn(dir)
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
            groupOf(engine),
            "-v",
            "state:/var/lib/des",
            "--health-interval",
            "1s"
          ],
          ...["-v", `${engine.socket}:/var/run/docker.sock`, "-v", `${events}:/etc/docker/events.d:ro`, "des:test"]
        )
        const logged = (text: string) =>
          poll(
            Effect.map(Effect.orDie(cli("logs", "des")), (log) => log.includes(text)),
            30_000
          )
        assert.isTrue(yield* logged("watching unix:///var/run/docker.sock"))
        yield* cli("create", "--name", "web", "--network", "none", "base:test", "true")
        assert.isTrue(yield* logged("made web as 65532"))

        assert.isTrue(yield* turnsHealthy(engine, "des"))

        // After a restart des still knows the run.
        yield* cli("stop", "--time", "45", "des")
        assert.strictEqual((yield* cli("inspect", "--format", "{{.State.ExitCode}}", "des")).trim(), "143")
        yield* cli("start", "des")
        assert.match(yield* cli("exec", "des", "des", "history"), /container\/create .*web/)
        yield* cli("rm", "--force", "--volumes", "des")
        const images = Path.join(dir, "images.tar")
        yield* cli("tag", "des:test", "des:latest")
        yield* cli("save", "--output", images, "des:latest", "base:test")

        // The compose files need networks, which an engine may make in its own network namespace.
        const args = ["--storage-driver=overlay2", "--iptables=true"]
        const connected = yield* Effect.orElse(dockerd({ ownNetwork: true, args }), () =>
          dockerd({ ownNetwork: true, args: args.slice(1) })
        )
        yield* connected.cli("load", "--input", images)
        const command = ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
        const changes = [
          `CMD ${JSON.stringify(command)}`,
          "USER 99:99",
          `ENV PATH=${Path.dirname(programOf("haproxy"))}`
        ]
        const changing = changes.flatMap((change) => ["--change", change])
        yield* connected.cli("import", ...changing, haproxy(dir), "haproxy:3.0-alpine")
        yield* bringUp(connected, { dir, events, file: "compose.yaml", services: ["des"] })
        yield* bringUp(connected, { dir, events, file: "compose.proxy.yaml", services: ["des", "proxy"] })
      }),
    900_000
  )
}, ["docker-compose", "haproxy", "iptables", "unshare"])
