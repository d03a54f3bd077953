import * as Fs from "node:fs"
import * as Path from "node:path"
import type * as FileSystem from "@effect/platform/FileSystem"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import * as Endpoint from "../../src/endpoint/Endpoint.ts"
import * as EndpointSearch from "../../src/endpoint/EndpointSearch.ts"
import { collectLogs } from "../support/Logs.ts"
import * as TempFolder from "../support/TempFolder.ts"

interface Home {
  readonly path: string
  /** Writes a file below `.docker`. */
  readonly write: (name: string, text: string) => void
  readonly find: (
    variables?: Readonly<Record<string, string>>,
    options?: { readonly endpoint?: string; readonly context?: string }
  ) => ReturnType<typeof EndpointSearch.find>
}

const home: Effect.Effect<Home, never, Scope.Scope> = Effect.map(TempFolder.make("search"), (path) => ({
  path,
  write: (name, text) => {
    Fs.mkdirSync(Path.dirname(`${path}/.docker/${name}`), { recursive: true })
    Fs.writeFileSync(`${path}/.docker/${name}`, text)
  },
  find: (variables = {}, options = {}) => EndpointSearch.find({ ...options, variables: { HOME: path, ...variables } })
}))

const searching = (
  name: string,
  body: (home: Home) => Effect.Effect<unknown, unknown, Scope.Scope | FileSystem.FileSystem>
) => it.scoped(name, () => Effect.provide(Effect.flatMap(home, body), NodeFileSystem.layer))

const parsed = (text: string) => Either.getOrThrow(Endpoint.parse(text))

const over = (text: string, tls: Endpoint.Tls): Endpoint.Endpoint => {
  const endpoint = parsed(text)
  return endpoint._tag === "Tcp" ? { ...endpoint, tls } : assert.fail(`${text} is no port`)
}

describe("without a context", () => {
  searching("the option comes first, then DOCKER_HOST, then the default", ({ find }) =>
    Effect.gen(function* () {
      const variables = { DOCKER_HOST: "tcp://h:1" }
      assert.deepInclude(yield* find(variables, { endpoint: "unix:///e.sock" }), {
        endpoint: parsed("unix:///e.sock"),
        source: { by: "--endpoint" }
      })
      assert.deepInclude(yield* find(variables), { endpoint: parsed("tcp://h:1"), source: { by: "DOCKER_HOST" } })
      for (const blank of ["", " "]) {
        assert.deepInclude(yield* find({ DOCKER_HOST: blank }), {
          endpoint: Endpoint.defaultEndpoint,
          source: { by: "default" }
        })
      }
    })
  )

  searching("an endpoint that cannot be read is reported with the option or variable that has it", ({ find }) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(find({ DOCKER_HOST: "ftp://h" }))
      assert.match(
        error.message,
        /^DOCKER_HOST: the endpoint "ftp:\/\/h" has the scheme ftp:\/\/, which des does not speak; /
      )
    })
  )

  searching("TLS variables alone mean port 2376 of this host", ({ find, path }) =>
    Effect.gen(function* () {
      const ca = `${path}/.docker/ca.pem`
      const at2376 = { _tag: "Tcp", host: "localhost", port: 2376, basePath: "" } as const
      assert.deepInclude(yield* find({ DOCKER_TLS_VERIFY: "1" }), {
        endpoint: { ...at2376, tls: { verify: true, ca } },
        source: { by: "default" }
      })
      assert.deepInclude(yield* find({ DOCKER_TLS: "1" }), { endpoint: { ...at2376, tls: { verify: false, ca } } })
    })
  )

  searching("the port is 2375 even with TLS, and the files of a client count if they exist", ({ find, path, write }) =>
    Effect.gen(function* () {
      const variables = { DOCKER_HOST: "tcp://h", DOCKER_TLS_VERIFY: "0" }
      const ca = `${path}/.docker/ca.pem`
      const { endpoint } = yield* find(variables)
      assert.deepStrictEqual(endpoint, over("tcp://h:2375", { verify: true, ca }))
      write("cert.pem", "")
      write("key.pem", "")
      const files = { ca, cert: `${path}/.docker/cert.pem`, key: `${path}/.docker/key.pem` }
      const { endpoint: withFiles } = yield* find(variables)
      assert.deepStrictEqual(withFiles, over("tcp://h:2375", { verify: true, ...files }))
      const { endpoint: elsewhere } = yield* find({ ...variables, DOCKER_CERT_PATH: "/elsewhere" })
      assert.deepStrictEqual(elsewhere, over("tcp://h:2375", { verify: true, ca: "/elsewhere/ca.pem" }))
    })
  )

  searching("http:// is plain and https:// is TLS, whatever the variables say", ({ find, path, write }) =>
    Effect.gen(function* () {
      const endpointOf = (text: string, variables = {}) =>
        Effect.map(find(variables, { endpoint: text }), ({ endpoint }) => endpoint)
      assert.deepStrictEqual(yield* endpointOf("http://h", { DOCKER_TLS_VERIFY: "1" }), parsed("http://h"))
      assert.deepStrictEqual(yield* endpointOf("https://h"), parsed("https://h"))
      write("ca.pem", "")
      const tls = { verify: true, ca: `${path}/.docker/ca.pem` }
      assert.deepStrictEqual(yield* endpointOf("https://h:2376"), over("tcp://h:2376", tls))
      assert.deepStrictEqual(
        yield* endpointOf("https://h:2376", { DOCKER_TLS: "1" }),
        over("tcp://h:2376", { ...tls, verify: false })
      )
    })
  )

  searching("TLS variables do not matter for a socket and for ssh", ({ find }) =>
    Effect.gen(function* () {
      for (const text of ["unix:///e.sock", "ssh://h"]) {
        const { endpoint } = yield* find({ DOCKER_TLS_VERIFY: "1" }, { endpoint: text })
        assert.deepStrictEqual(endpoint, parsed(text))
      }
    })
  )

  searching("the sockets of a user and of podman are named if the default socket does not exist", ({ find, path }) =>
    Effect.gen(function* () {
      const variables = { XDG_RUNTIME_DIR: path }
      const others = (named = {}) => Effect.map(find({ ...variables, ...named }), ({ otherSockets }) => otherSockets)
      Fs.mkdirSync(`${path}/podman`)
      for (const name of ["docker.sock", "podman/podman.sock"]) Fs.writeFileSync(`${path}/${name}`, "")
      const expected = [`${path}/docker.sock`, `${path}/podman/podman.sock`]
      const absent = !Fs.existsSync("/var/run/docker.sock")
      assert.deepStrictEqual((yield* others()).slice(0, 2), absent ? expected : [])
      assert.deepStrictEqual(yield* others({ DOCKER_HOST: "unix:///nonexistent.sock" }), [])
    })
  )
})

describe("with a context", () => {
  const meta = (name: string, docker: object): string =>
    JSON.stringify({ Name: name, Metadata: {}, Endpoints: { docker } })

  searching(
    "it is read from the store of the docker command, with keys in upper or lower case",
    ({ find, path, write }) =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(find({ DOCKER_CONTEXT: "prod" }))
        assert.match(error.message, /^the context "prod", which DOCKER_CONTEXT names, does not exist: there is no /)
        assert.include(error.message, `${path}/.docker/contexts/meta/6754af96`)
        const file = /contexts\/meta\/[0-9a-f]{64}\/meta\.json/.exec(error.message)?.[0] ?? ""
        write(file, `{"NAME":"prod","endpoints":{"docker":{"HOST":"tcp://h:1"}}}`)
        assert.deepInclude(yield* find({ DOCKER_CONTEXT: "prod" }), {
          endpoint: parsed("tcp://h:1"),
          source: { by: "DOCKER_CONTEXT", context: "prod" }
        })
        write("config.json", `{"CURRENTCONTEXT":"prod"}`)
        assert.deepInclude(yield* find(), { source: { by: "currentContext", context: "prod" } })
        assert.deepInclude(yield* find({ DOCKER_CONTEXT: "default" }), { source: { by: "default" } })

        const docker = (host: object) => Effect.sync(() => write(file, meta("prod", host)))
        const found = Effect.map(find(), ({ endpoint }) => endpoint)
        yield* docker({ Host: "tcp://h" })
        assert.deepStrictEqual(yield* found, parsed("tcp://h:80"))
        yield* docker({})
        assert.deepStrictEqual(yield* found, Endpoint.defaultEndpoint)
        yield* docker({ Host: "tcp://h", SkipTLSVerify: true })
        assert.deepStrictEqual(yield* found, over("tcp://h:443", { verify: false }))
        const tls = file.replace("/meta/", "/tls/").replace("meta.json", "docker/ca.pem")
        write(tls, "")
        yield* docker({ Host: "tcp://h:2376" })
        assert.deepStrictEqual(yield* found, over("tcp://h:2376", { verify: true, ca: `${path}/.docker/${tls}` }))

        for (const [text, why] of [
          ["no JSON", /cannot be read from .*: it is not JSON/],
          [`{"Name":"prod","Endpoints":{}}`, /names no engine in/],
          [`{"Name":"prod","Endpoints":{"kubernetes":{}}}`, /names no engine in/],
          ["[]", /names no engine in/],
          [meta("prod", { Host: "ftp://h" }), /^the context prod: the endpoint "ftp:\/\/h"/]
        ] as const) {
          write(file, text)
          assert.match((yield* Effect.flip(find())).message, why)
        }
      })
  )

  searching("the headers of the configuration count for every endpoint, if they are valid headers", ({ find, write }) =>
    Effect.gen(function* () {
      const HttpHeaders = { "X-Proxy": "a b", "X-Forged": "a\r\nb: c", "bad name": "x", "X-Number": 1 }
      write("config.json", JSON.stringify({ httpheaders: HttpHeaders }))
      for (const variables of [{}, { DOCKER_HOST: "tcp://h:1" }]) {
        assert.deepStrictEqual((yield* find(variables)).headers, { "X-Proxy": "a b" })
      }
    })
  )

  searching("a configuration that is not JSON gives a warning and no context", ({ find, write }) =>
    Effect.gen(function* () {
      const logs = collectLogs()
      write("config.json", "{")
      assert.deepInclude(yield* Effect.provide(find(), logs.layer), { source: { by: "default" } })
      assert.lengthOf(logs.lines, 1)
      assert.match(logs.lines[0] ?? "", /^WARN .*config\.json is not JSON/)
      for (const text of ["null", "[]", `{"currentContext":1}`, `{"currentContext":""}`, "{}"]) {
        write("config.json", text)
        assert.deepInclude(yield* find(), { source: { by: "default" } })
      }
    })
  )
})
