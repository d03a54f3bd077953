import * as Fs from "node:fs"
import * as Net from "node:net"
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { describe } from "vitest"
import * as Certificates from "../support/Certificates.ts"
import { describeEngine } from "../support/DescribeEngine.ts"
import { dockerd, type Engine } from "../support/Engines.ts"
import { poll } from "../support/Poll.ts"
import * as Program from "../support/Program.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"
import { shareEngine } from "../support/SharedEngine.ts"
import { freePort, type SshServer, sshServer } from "../support/SshServer.ts"

/** An engine and every way to it: its socket, TLS with client certificates, plain TCP, ssh, and contexts for all of them. */
interface Reachable {
  readonly engine: Engine
  readonly tls: string
  readonly plain: number
  readonly ssh: SshServer
  /** Folders of certificates: the client's, another authority's, one with the CA alone. */
  readonly mine: string
  readonly theirs: string
  readonly caAlone: string
  /** A configuration of the docker command, made by itself, with contexts and none of them current. */
  readonly config: string
  /** The major version of the docker command. */
  readonly client: number
}

/** A TCP port in front of a socket: dockerd speaks TLS on all its ports or on none. */
const portBefore = (socket: string): Effect.Effect<number, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<Net.Server>((resume) => {
      const server = Net.createServer((client) => {
        const engine = Net.connect(socket)
        client.pipe(engine)
        engine.pipe(client)
        client.on("error", () => engine.destroy())
        engine.on("error", () => client.destroy())
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  ).pipe(
    Effect.map((server) => {
      const address = server.address()
      return typeof address === "object" && address !== null ? address.port : 0
    })
  )

const docker = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) =>
  Program.run(["docker", ...args], { env })

const start = Effect.gen(function* () {
  const [own, other] = [yield* Certificates.authority, yield* Certificates.authority]
  const server = own.issue()
  const port = yield* freePort
  const engine = yield* dockerd({
    args: [
      ...["-H", `tcp://127.0.0.1:${port}`, "--tlsverify", "--tlscacert", `${server}/ca.pem`],
      ...["--tlscert", `${server}/cert.pem`, "--tlskey", `${server}/key.pem`]
    ]
  })
  const tls = `tcp://127.0.0.1:${port}`
  const plain = yield* portBefore(engine.socket)
  const ssh = yield* sshServer({ DOCKER_HOST: engine.endpoint })
  const [mine, theirs, caAlone] = [own.issue(), other.issue(), own.issue()]
  for (const name of ["cert.pem", "key.pem"]) Fs.rmSync(`${caAlone}/${name}`)
  Fs.copyFileSync(`${mine}/ca.pem`, `${theirs}/ca.pem`)

  const config = `${engine.dir}/contexts`
  Fs.mkdirSync(config)
  const files = `ca=${mine}/ca.pem,cert=${mine}/cert.pem,key=${mine}/key.pem`
  const contexts = {
    socket: `host=${engine.endpoint}`,
    tls: `host=${tls},${files}`,
    insecure: `host=${tls},cert=${mine}/cert.pem,key=${mine}/key.pem,skip-tls-verify=true`,
    "no-client": `host=${tls},ca=${mine}/ca.pem`,
    plain: `host=tcp://127.0.0.1:${plain}`,
    http: `host=http://127.0.0.1:${plain}`,
    ssh: "host=ssh://des-engine",
    gone: "host=unix:///nonexistent/docker.sock"
  }
  for (const [name, host] of Object.entries(contexts)) {
    const made = yield* docker(["context", "create", name, "--docker", host], { DOCKER_CONFIG: config })
    if (made.code !== 0) return yield* Effect.dieMessage(`context ${name}: ${made.stderr}`)
  }
  const client = Number(/version (\d+)\./.exec((yield* docker(["--version"], {})).stdout)?.[1])
  return { engine, tls, plain, ssh, mine, theirs, caAlone, config, client } satisfies Reachable
})

/** What decides on an engine: variables for both, and options, which docker has before its command. */
interface Setting {
  readonly by: string
  readonly env?: Readonly<Record<string, string>>
  readonly context?: string
  readonly host?: string
  /** The current context in the configuration. */
  readonly current?: string
  /** The docker command knows this since this version only. */
  readonly since?: number
}

const reached: Readonly<Record<string, (at: Reachable) => Setting>> = {
  "-e unix://": ({ engine }) => ({ by: "--endpoint", host: engine.endpoint }),
  "-e unix:// beside DOCKER_HOST": ({ engine }) => ({
    by: "--endpoint",
    host: engine.endpoint,
    env: { DOCKER_HOST: "unix:///nonexistent.sock" }
  }),
  "-e unix:// with TLS variables, which a socket does not need": ({ engine, mine }) => ({
    by: "--endpoint",
    host: engine.endpoint,
    env: { DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: mine },
    since: 23
  }),
  "-e tcp://": ({ plain }) => ({ by: "--endpoint", host: `tcp://127.0.0.1:${plain}` }),
  "-e HOST:PORT": ({ plain }) => ({ by: "--endpoint", host: `localhost:${plain}` }),
  "-e :PORT": ({ plain }) => ({ by: "--endpoint", host: `:${plain}` }),
  "-e ssh://": () => ({ by: "--endpoint", host: "ssh://des-engine" }),
  "DOCKER_HOST unix://": ({ engine }) => ({ by: "DOCKER_HOST", env: { DOCKER_HOST: engine.endpoint } }),
  "DOCKER_HOST with spaces around": ({ engine }) => ({
    by: "DOCKER_HOST",
    env: { DOCKER_HOST: ` ${engine.endpoint} ` }
  }),
  "DOCKER_HOST before DOCKER_CONTEXT and the current context": ({ engine }) => ({
    by: "DOCKER_HOST",
    env: { DOCKER_HOST: engine.endpoint, DOCKER_CONTEXT: "gone" },
    current: "gone"
  }),
  "DOCKER_HOST tcp://": ({ plain }) => ({ by: "DOCKER_HOST", env: { DOCKER_HOST: `tcp://127.0.0.1:${plain}` } }),
  "DOCKER_HOST tcp:// and DOCKER_TLS_VERIFY": ({ mine, tls }) => ({
    by: "DOCKER_HOST",
    env: { DOCKER_HOST: tls, DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: mine }
  }),
  "DOCKER_TLS_VERIFY=0, which verifies as any value": ({ mine, tls }) => ({
    by: "DOCKER_HOST",
    env: { DOCKER_HOST: tls, DOCKER_TLS_VERIFY: "0", DOCKER_CERT_PATH: mine }
  }),
  DOCKER_TLS: ({ mine, tls }) => ({
    by: "DOCKER_HOST",
    env: { DOCKER_HOST: tls, DOCKER_TLS: "1", DOCKER_CERT_PATH: mine }
  }),
  "TLS files in DOCKER_CONFIG": ({ mine, tls }) => ({
    by: "DOCKER_HOST",
    env: { DOCKER_HOST: tls, DOCKER_TLS_VERIFY: "1", DOCKER_CONFIG: mine }
  }),
  "DOCKER_HOST ssh://": ({ ssh }) => ({
    by: "DOCKER_HOST",
    env: { DOCKER_HOST: `ssh://root@127.0.0.1:${ssh.port}` }
  }),
  "DOCKER_HOST ssh:// with a socket": ({ engine }) => ({
    by: "DOCKER_HOST",
    env: { DOCKER_HOST: `ssh://des-engine${engine.socket}` },
    since: 23
  }),
  DOCKER_CONTEXT: () => ({ by: "DOCKER_CONTEXT", env: { DOCKER_CONTEXT: "tls" } }),
  "DOCKER_CONTEXT before the current context": () => ({
    by: "DOCKER_CONTEXT",
    env: { DOCKER_CONTEXT: "socket" },
    current: "gone"
  }),
  "the current context": () => ({ by: "currentContext", current: "tls" }),
  "--context with TLS": () => ({ by: "--context", context: "tls" }),
  "--context before DOCKER_HOST, DOCKER_CONTEXT and the current context": () => ({
    by: "--context",
    context: "socket",
    env: { DOCKER_HOST: "unix:///nonexistent.sock", DOCKER_CONTEXT: "gone" },
    current: "gone"
  }),
  "--context whose TLS is its own, whatever the variables say": ({ theirs }) => ({
    by: "--context",
    context: "tls",
    env: { DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: theirs }
  }),
  "--context without TLS beside TLS variables": ({ mine }) => ({
    by: "--context",
    context: "plain",
    env: { DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: mine }
  }),
  "--context that verifies nothing": () => ({ by: "--context", context: "insecure" }),
  "--context http://": () => ({ by: "--context", context: "http" }),
  "--context ssh://": () => ({ by: "--context", context: "ssh" }),
  "--context default, which is DOCKER_HOST": ({ engine }) => ({
    by: "DOCKER_HOST",
    context: "default",
    env: { DOCKER_HOST: engine.endpoint },
    current: "gone"
  })
}

const notReached: Readonly<Record<string, (at: Reachable) => Omit<Setting, "by"> & { readonly says: RegExp }>> = {
  "a context that does not exist": () => ({
    context: "nope",
    says: /the context "nope", which --context names, does not exist/
  }),
  "a current context that does not exist": () => ({
    current: "nope",
    says: /"nope", which .*\/config\.json names, does not/
  }),
  "--context beside -e": ({ engine }) => ({ context: "socket", host: engine.endpoint, says: /conflicting options/ }),
  "a context without the client's certificate": () => ({
    context: "no-client",
    says: /it wants a client's certificate; put cert\.pem and key\.pem into/
  }),
  "TLS without its CA": ({ tls }) => ({
    env: { DOCKER_HOST: tls, DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: "/nonexistent" },
    says: /\/nonexistent\/ca\.pem cannot be read: there is no such file/
  }),
  "TLS without the client's certificate": ({ caAlone, tls }) => ({
    env: { DOCKER_HOST: tls, DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: caAlone },
    says: /it wants a client's certificate/
  }),
  "another authority's client certificate": ({ theirs, tls }) => ({
    env: { DOCKER_HOST: tls, DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: theirs },
    says: /it does not accept this client's certificate, .*cert\.pem/
  }),
  "plain TCP where TLS is spoken": ({ tls }) => ({
    env: { DOCKER_HOST: tls },
    says: /it speaks TLS there; set DOCKER_TLS_VERIFY=1/
  }),
  "TLS where none is spoken": ({ mine, plain }) => ({
    env: { DOCKER_HOST: `tcp://127.0.0.1:${plain}`, DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: mine },
    says: /it speaks no TLS there/
  }),
  "an ssh host that nobody knows": () => ({
    host: "ssh://des-engine.invalid",
    says: /ssh ended: .*Could not resolve hostname/
  }),
  "an ssh port that nothing listens on": () => ({ host: "ssh://127.0.0.1:1", says: /ssh ended: .*Connection refused/ }),
  "an ssh user without a key there": ({ ssh }) => ({
    host: `ssh://nobody@127.0.0.1:${ssh.port}`,
    says: /ssh ended: .*Permission denied.*needs a key that the host accepts/
  }),
  "an ssh option in place of a host": () => ({ host: "ssh://-oProxyCommand=true", says: /option or a command/ }),
  "a pinned API that is too new": ({ engine }) => ({
    host: engine.endpoint,
    env: { DOCKER_API_VERSION: "1.99" },
    says: /it knows API 1\.\d+ and older, and was asked for 1\.99, since DOCKER_API_VERSION says so/
  }),
  "a pinned API that is too old": ({ engine }) => ({
    host: engine.endpoint,
    env: { DOCKER_API_VERSION: "1.1" },
    says: /it knows API 1\.\d+ and newer, and was asked for 1\.1,/
  })
}

describeEngine("dockerd", () => {
  const shared = shareEngine(start)

  const prepared = (at: Reachable, sandbox: Sandbox, setting: Omit<Setting, "by">) => {
    const config = sandbox.path("config")
    Fs.cpSync(at.config, config, { recursive: true })
    Fs.writeFileSync(`${config}/config.json`, JSON.stringify({ currentContext: setting.current ?? "" }))
    const env = {
      PATH: `${at.ssh.bin}:${process.env["PATH"]}`,
      HOME: sandbox.top,
      DOCKER_CONFIG: config,
      ...setting.env
    }
    const context = setting.context === undefined ? [] : ["--context", setting.context]
    const host = setting.host
    const version = docker(
      [...context, ...(host === undefined ? [] : ["-H", host]), "version", "--format", "{{.Server.Version}}"],
      env
    )
    const args = [...context, ...(host === undefined ? [] : ["-e", host])]
    return { env, args, version, info: sandbox.des(["info", "--json", ...args], { env, deadline: 60_000 }) }
  }

  const noSshIsLeft = (at: Reachable) =>
    Effect.gen(function* () {
      yield* poll(
        Effect.sync(() => at.ssh.clients().length === 0),
        5000
      )
      assert.deepStrictEqual(at.ssh.clients(), [])
    })

  describe("des info reaches everything that docker version reaches", () => {
    for (const [name, settingOf] of Object.entries(reached)) {
      test(name, (sandbox) =>
        Effect.gen(function* () {
          const at = yield* shared
          const setting = settingOf(at)
          const { info, version } = prepared(at, sandbox, setting)
          const [theirs, ours] = [yield* version, yield* info]
          assert.strictEqual(ours.code, 0, ours.stderr)
          const said = JSON.parse(ours.stdout)
          if ((setting.since ?? 0) <= at.client) {
            assert.strictEqual(theirs.code, 0, theirs.stderr)
            assert.strictEqual(said.version, theirs.stdout.trim())
          }
          assert.deepInclude(said, { engine: "docker", swarm: "inactive", feed: true })
          assert.strictEqual(said.found.by, setting.by)
          yield* noSshIsLeft(at)
        })
      )
    }
  })

  describe("des info does not reach what docker version does not reach, and says why", () => {
    for (const [name, settingOf] of Object.entries(notReached)) {
      test(name, (sandbox) =>
        Effect.gen(function* () {
          const at = yield* shared
          const setting = settingOf(at)
          const { info, version } = prepared(at, sandbox, setting)
          const [theirs, ours] = [yield* version, yield* info]
          assert.notStrictEqual(theirs.code, 0)
          assert.include([1, 2], ours.code)
          assert.strictEqual(ours.stdout, "")
          assert.match(ours.stderr, setting.says)
          yield* noSshIsLeft(at)
        })
      )
    }
  })

  describe("scripts reach the engine of their event", () => {
    const settings: Readonly<Record<string, (at: Reachable) => Omit<Setting, "by"> & { readonly variables: object }>> =
      {
        "a context with TLS files": ({ tls }) => ({
          context: "tls",
          variables: { DOCKER_HOST: tls, DOCKER_TLS_VERIFY: "1" }
        }),
        "TLS variables": ({ mine, tls }) => ({
          env: { DOCKER_HOST: tls, DOCKER_TLS: "1", DOCKER_CERT_PATH: mine },
          variables: { DOCKER_HOST: tls, DOCKER_TLS: "1", DOCKER_CERT_PATH: mine }
        }),
        "a context without TLS beside TLS variables": ({ plain, theirs }) => ({
          context: "plain",
          env: { DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: theirs },
          variables: { DOCKER_HOST: `tcp://127.0.0.1:${plain}` }
        }),
        "the current context, which is an ssh host": () => ({
          current: "ssh",
          env: { SSH_AUTH_SOCK: "/nonexistent/agent" },
          variables: { DOCKER_HOST: "ssh://des-engine", SSH_AUTH_SOCK: "/nonexistent/agent" }
        })
      }
    for (const [name, settingOf] of Object.entries(settings)) {
      test(name, (sandbox) =>
        Effect.gen(function* () {
          const at = yield* shared
          const setting = settingOf(at)
          const { args, env } = prepared(at, sandbox, setting)
          sandbox.script(
            "volume/create",
            `env | grep -E '^(DOCKER_|SSH_)' >variables; docker volume inspect --format '{{.Name}}' "$ACTOR_ID" >>asked 2>&1; touch done`
          )
          const des = yield* sandbox.start(["-d", sandbox.dir, ...args], { env })
          yield* des.said("watching")
          const volumes: Array<string> = []
          yield* Effect.addFinalizer(() => Effect.ignore(at.engine.cli("volume", "rm", ...volumes)))
          // The engine answers before it subscribes, so the first of them may be missed.
          const created = poll(
            Effect.map(Effect.orDie(at.engine.cli("volume", "create")), (volume) => {
              volumes.push(volume.trim())
              return sandbox.exists("done")
            }),
            20_000
          )
          assert.isTrue(yield* created)
          const variables = Object.fromEntries(
            sandbox
              .lines("variables")
              .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)])
          )
          const { DOCKER_CERT_PATH, DOCKER_CONFIG, ...others } = variables
          assert.strictEqual(DOCKER_CONFIG, sandbox.path("config"))
          const { DOCKER_CERT_PATH: expected, ...expectedOthers } = {
            DOCKER_CERT_PATH: undefined,
            ...setting.variables
          }
          assert.deepStrictEqual(others, expectedOthers)
          if (setting.context === "tls") assert.match(DOCKER_CERT_PATH ?? "", /\/contexts\/tls\/[0-9a-f]{64}\/docker$/)
          else assert.strictEqual(DOCKER_CERT_PATH, expected)
          assert.include(volumes, sandbox.lines("asked")[0])
          yield* des.kill("SIGTERM")
          assert.strictEqual((yield* des.ended).code, 143)
          yield* noSshIsLeft(at)
        })
      )
    }
  })

  describe("ssh", () => {
    test("a host with an unknown key is refused, and the message says what to do", (sandbox) =>
      Effect.gen(function* () {
        const at = yield* shared
        yield* Effect.addFinalizer(() => Effect.sync(() => at.ssh.setKnownHosts(at.ssh.knownHosts)))
        at.ssh.setKnownHosts("")
        const { info } = prepared(at, sandbox, { context: "ssh" })
        assert.match((yield* info).stderr, /Host key verification failed.*connect once with ssh as this user/)
      }))

    test("that ends is reported with its reason, and des connects again", (sandbox) =>
      Effect.gen(function* () {
        const at = yield* shared
        const { args, env } = prepared(at, sandbox, { context: "ssh" })
        // What is fixed at once is said to those who ask for it.
        const des = yield* sandbox.start(["-d", sandbox.dir, "--verbose", ...args], { env })
        yield* des.said("watching ssh://des-engine")
        at.ssh.endSessions()
        yield* des.said("ssh ended: ")
        yield* des.said("broke off: the connection was cut; des opens it again")
        yield* des.said("the feed of ssh://des-engine is open again")
      }))

    test("is gone when des is killed", (sandbox) =>
      Effect.gen(function* () {
        const at = yield* shared
        const { args, env } = prepared(at, sandbox, { context: "ssh" })
        const des = yield* sandbox.start(["-d", sandbox.dir, ...args], { env })
        yield* des.said("watching ssh://des-engine")
        assert.isNotEmpty(at.ssh.clients())
        yield* des.kill("SIGKILL")
        yield* noSshIsLeft(at)
      }))
  })
}, ["openssl", "ssh", "ssh-keygen", "sshd"])
