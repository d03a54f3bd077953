import { assert, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { describe } from "vitest"
import * as Endpoint from "../../src/endpoint/Endpoint.ts"

const unix = (path: string): Endpoint.Endpoint => ({ _tag: "Unix", path })
const tcp = (host: string, port: number, basePath = "", tls?: Endpoint.Tls): Endpoint.Endpoint => ({
  _tag: "Tcp",
  host,
  port,
  basePath,
  ...(tls === undefined ? {} : { tls })
})

const ssh = (parts: Omit<Extract<Endpoint.Endpoint, { _tag: "Ssh" }>, "_tag">): Endpoint.Endpoint => ({
  _tag: "Ssh",
  ...parts
})

describe("parse accepts", () => {
  const accepted: ReadonlyArray<readonly [input: string, endpoint: Endpoint.Endpoint]> = [
    ["unix:///run/user/1000/docker.sock", unix("/run/user/1000/docker.sock")],
    ["unix://", unix("/var/run/docker.sock")],
    ["  unix:///run/docker.sock\n", unix("/run/docker.sock")],
    ["unix:///with a space/%20?a=b#c:1", unix("/with a space/%20?a=b#c:1")],
    ["unix:///é/🐳.sock", unix("/é/🐳.sock")],
    ["tcp://10.0.0.1:2376", tcp("10.0.0.1", 2376)],
    ["tcp://docker.example.com", tcp("docker.example.com", 2375)],
    ["tcp://docker.example.com:", tcp("docker.example.com", 2375)],
    ["tcp://Docker.Example.COM:1234", tcp("docker.example.com", 1234)],
    ["tcp://", tcp("localhost", 2375)],
    ["tcp://:2376", tcp("localhost", 2376)],
    ["tcp:///base", tcp("localhost", 2375, "/base")],
    ["tcp://:2376/base", tcp("localhost", 2376, "/base")],
    ["tcp://h:80", tcp("h", 80)],
    ["tcp://h:80/base", tcp("h", 80, "/base")],
    ["tcp://h:443", tcp("h", 443)],
    ["tcp://h:65535", tcp("h", 65535)],
    ["tcp://h/", tcp("h", 2375)],
    ["tcp://h:2376//", tcp("h", 2376)],
    ["tcp://h:2376/a/b/", tcp("h", 2376, "/a/b")],
    ["tcp://h/a:80/b", tcp("h", 2375, "/a:80/b")],
    ["tcp://[::1]:2375", tcp("[::1]", 2375)],
    ["tcp://[::1]", tcp("[::1]", 2375)],
    ["tcp://[::1]:80", tcp("[::1]", 80)],
    ["tcp://[::1]/base", tcp("[::1]", 2375, "/base")],
    ["tcp://[2001:DB8:0:0:0:0:0:1]:2376/base/", tcp("[2001:db8::1]", 2376, "/base")],
    ["tcp://[::ffff:10.0.0.1]:2376", tcp("[::ffff:a00:1]", 2376)],
    ["/var/run/docker.sock", unix("/var/run/docker.sock")],
    ["h", tcp("h", 2375)],
    ["h:2376", tcp("h", 2376)],
    [":2376", tcp("localhost", 2376)],
    ["10.0.0.1:1/base", tcp("10.0.0.1", 1, "/base")],
    ["[::1]:1", tcp("[::1]", 1)],
    ["http://h", tcp("h", 80)],
    ["http://h:2375/base", tcp("h", 2375, "/base")],
    ["https://h", tcp("h", 443, "", { verify: true })],
    ["https://h:2376/base", tcp("h", 2376, "/base", { verify: true })],
    ["ssh://h", ssh({ host: "h" })],
    ["ssh://h/", ssh({ host: "h" })],
    ["ssh://h:/", ssh({ host: "h" })],
    ["ssh://me@h.example.com:2222", ssh({ user: "me", host: "h.example.com", port: 2222 })],
    ["ssh://me%40realm@h", ssh({ user: "me@realm", host: "h" })],
    ["ssh://My_Alias", ssh({ host: "My_Alias" })],
    ["ssh://me@[::1]:22", ssh({ user: "me", host: "::1", port: 22 })],
    ["ssh://h/run/user/1000/docker.sock", ssh({ host: "h", path: "/run/user/1000/docker.sock" })],
    ["ssh://h/with%20a%20space", ssh({ host: "h", path: "/with a space" })]
  ]

  for (const [input, endpoint] of accepted) {
    it(JSON.stringify(input), () => assert.deepStrictEqual(Endpoint.parse(input), Either.right(endpoint)))
  }
})

describe("parse refuses", () => {
  const refused: ReadonlyArray<readonly [input: string, why: string]> = [
    ["", "is empty"],
    ["  ", "is empty"],
    ["unix:/var/run/docker.sock", "has one / after its scheme, where two belong"],
    ["h:port", "has no valid host and port"],
    ["://h:2375", "names no scheme"],
    ["unix://docker.sock", "must hold an absolute path"],
    ["unix://./docker.sock", "must hold an absolute path"],
    ["unix:///run/\0/docker.sock", "must hold an absolute path"],
    ["tcp://h:65536", "has no valid host and port"],
    ["tcp://h:port", "has no valid host and port"],
    ["tcp://h:-1", "has no valid host and port"],
    ["tcp://h:1:2", "has no valid host and port"],
    ["tcp://a b:2375", "has no valid host and port"],
    ["tcp://[::1:2375", "has no valid host and port"],
    ["tcp://[::g]:2375", "has no valid host and port"],
    ["tcp://::1:2375", "has no valid host and port"],
    ["tcp://user@h:2375", "must not hold a user or a password"],
    ["tcp://user:word@h:2375", "must not hold a user or a password"],
    ["tcp://:word@h:2375", "must not hold a user or a password"],
    ["tcp://h:2375?a=b", "must not hold a query or a fragment"],
    ["tcp://h:2375/base#c", "must not hold a query or a fragment"],
    ["https://user@h", "must not hold a user or a password"],
    ["UNIX:///run/docker.sock", "has the scheme UNIX://, which des does not speak"],
    ["ssh://", "names no host"],
    ["ssh:///run/docker.sock", "names no host"],
    ["ssh://me@", "has no valid host and port"],
    ["ssh://h:port", "has no valid host and port"],
    ["ssh://me:word@h", "must not hold a password; ssh takes keys and agents"],
    ["ssh://h?a=b", "must not hold a query or a fragment"],
    ["ssh://h#a", "must not hold a query or a fragment"],
    ["ssh://h/%zz", "holds a % that is no escape"],
    ["ssh://-oProxyCommand=x", "names a host that ssh could take for an option or a command"],
    ["ssh://-oProxyCommand=x/", "names a host that ssh could take for an option or a command"],
    ["ssh://%2doProxyCommand=x", "names a host that ssh could take for an option or a command"],
    ["ssh://$(id)", "names a host that ssh could take for an option or a command"],
    ["ssh://a%20b", "names a host that ssh could take for an option or a command"],
    ["ssh://-oProxyCommand=x@h", "names a user that ssh could take for an option or a command"],
    ["ssh://%2Dl@h", "names a user that ssh could take for an option or a command"],
    ["ssh://`id`@h", "names a user that ssh could take for an option or a command"],
    ["ssh://a%0Ab@h", "names a user that ssh could take for an option or a command"],
    ["ssh://h/a%0Ab", "must not hold control characters"],
    ["npipe:////./pipe/docker_engine", "has the scheme npipe://, which des does not speak"],
    ["fd://", "has the scheme fd://, which des does not speak"]
  ]

  const shownInstead: Readonly<Record<string, string>> = {
    "tcp://user@h:2375": "tcp://***@h:2375",
    "tcp://user:word@h:2375": "tcp://***@h:2375",
    "tcp://:word@h:2375": "tcp://***@h:2375",
    "https://user@h": "https://***@h",
    "ssh://me:word@h": "ssh://me:***@h"
  }

  for (const [input, why] of refused) {
    it(`${JSON.stringify(input)} and says why, and what is accepted`, () => {
      const error = Endpoint.parse(input).pipe(Either.flip, Either.getOrThrow)
      assert.instanceOf(error, Endpoint.EndpointError)
      assert.strictEqual(error.reason, "Malformed")
      const shown = shownInstead[input] ?? input
      assert.strictEqual(error.input, shown)
      assert.strictEqual(
        error.message,
        `the endpoint ${JSON.stringify(shown)} ${why}; accepted are unix:///path/to/docker.sock, tcp://host[:port][/path], http:// and https:// in its place, and ssh://[user@]host[:port][/path/to/docker.sock]`
      )
    })
  }
})

describe("an endpoint with a password", () => {
  for (const input of [
    "tcp://user:s3cret@h:2375",
    "tcp://user:s3@cret@h:2375",
    "tcp://user:s3/cret@h:2375",
    "http://s3cret@h",
    "user:s3cret@h",
    "tcp:/user:s3cret@h",
    "ftp://user:s3cret@h",
    "ssh://user:s3cret@h",
    "ssh://user:s3:cret@h/run/docker.sock"
  ]) {
    it(`is refused without the password: ${input}`, () => {
      const error = Endpoint.parse(input, { source: "DOCKER_HOST" }).pipe(Either.flip, Either.getOrThrow)
      for (const shown of [error.message, error.input, JSON.stringify(error), String(error)]) {
        assert.notMatch(shown, /s3|cret/)
        assert.include(shown, "***@")
      }
    })
  }

  it("is not found in a path that has an @", () => {
    assert.deepStrictEqual(Either.getOrThrow(Endpoint.parse("unix:///run/a:b@c.sock")), {
      _tag: "Unix",
      path: "/run/a:b@c.sock"
    })
    const error = Endpoint.parse("unix://a:b@c").pipe(Either.flip, Either.getOrThrow)
    assert.strictEqual(error.input, "unix://a:b@c")
  })
})

describe("parse takes no other port than the one that is named", () => {
  // URL ends the port at each of these, or reads over them.
  for (const input of ["tcp://h:2376?", "tcp://h:2376#", "tcp://h:2376\\base", "tcp://h:23\n76", "tcp://h:23\t76"]) {
    it(JSON.stringify(input), () => {
      const endpoint = Endpoint.parse(input)
      if (Either.isLeft(endpoint)) return
      assert.propertyVal(endpoint.right, "port", 2376)
    })
  }
})

describe("parse in a context", () => {
  it("takes the default port of the context if the endpoint has none", () => {
    for (const [input, port] of [
      ["tcp://h", 443],
      ["tcp://h:1", 1],
      ["http://h", 80]
    ] as const) {
      assert.propertyVal(Either.getOrThrow(Endpoint.parse(input, { defaultPort: 443 })), "port", port)
    }
  })
})

describe("isExposed", () => {
  for (const [input, exposed] of [
    ["tcp://10.0.0.1:2375", true],
    ["http://h", true],
    ["tcp://128.0.0.1", true],
    ["tcp://127.0.0.1.example.com", true],
    ["tcp://localhost.example.com", true],
    ["tcp://[::2]", true],
    ["tcp://localhost", false],
    ["tcp://127.1.2.3", false],
    ["tcp://[::1]", false],
    ["tcp://[::ffff:127.0.0.1]", false],
    ["https://h", false],
    ["ssh://h", false],
    ["unix://", false]
  ] as const) {
    it(`${input} is ${exposed ? "exposed" : "not"}`, () => {
      assert.strictEqual(Endpoint.isExposed(Either.getOrThrow(Endpoint.parse(input))), exposed)
    })
  }
})

describe("dockerVariables", () => {
  it("have the host, and with TLS the verification and the folder of the files", () => {
    const files = { ca: "/c/ca.pem", cert: "/c/cert.pem", key: "/c/key.pem" }
    const over = (tls: Endpoint.Tls) =>
      Endpoint.dockerVariables({ _tag: "Tcp", host: "h", port: 2376, basePath: "", tls })
    assert.deepStrictEqual(Endpoint.dockerVariables(ssh({ user: "me", host: "h" })), { DOCKER_HOST: "ssh://me@h" })
    assert.deepStrictEqual(over({ verify: true, ...files }), {
      DOCKER_HOST: "tcp://h:2376",
      DOCKER_TLS_VERIFY: "1",
      DOCKER_CERT_PATH: "/c"
    })
    assert.deepStrictEqual(over({ verify: false, key: "/k/key.pem" }), {
      DOCKER_HOST: "tcp://h:2376",
      DOCKER_TLS: "1",
      DOCKER_CERT_PATH: "/k"
    })
    assert.deepStrictEqual(over({ verify: false }), { DOCKER_HOST: "tcp://h:2376", DOCKER_TLS: "1" })
  })
})

describe("format", () => {
  it("gives what DOCKER_HOST accepts", () => {
    assert.strictEqual(Endpoint.format(Endpoint.defaultEndpoint), "unix:///var/run/docker.sock")
    assert.strictEqual(Endpoint.format(tcp("h", 80)), "tcp://h:80")
    assert.strictEqual(Endpoint.format(tcp("[::1]", 2376, "/base")), "tcp://[::1]:2376/base")
  })

  const tcpText = FastCheck.tuple(
    FastCheck.oneof(
      FastCheck.domain(),
      FastCheck.ipV4(),
      FastCheck.ipV6().map((address) => `[${address}]`)
    ),
    FastCheck.option(FastCheck.integer({ min: 1, max: 65535 }), { nil: undefined }),
    FastCheck.webPath()
  ).map(([host, port, path]) => `tcp://${host}${port === undefined ? "" : `:${port}`}${path}`)
  const unixText = FastCheck.string({ unit: "binary" }).map((path) => `unix:///${path.replaceAll("\0", "")}`)

  const sshText = FastCheck.tuple(
    FastCheck.option(FastCheck.stringMatching(/^[A-Za-z0-9@_.:%][A-Za-z0-9@_.:%-]*$/), { nil: undefined }),
    FastCheck.oneof(
      FastCheck.domain(),
      FastCheck.ipV6().map((address) => `[${address}]`)
    ),
    FastCheck.option(FastCheck.integer({ min: 1, max: 65535 }), { nil: undefined }),
    FastCheck.webPath()
  ).map(([user, host, port, path]) => {
    const named = user === undefined ? host : `${encodeURIComponent(user)}@${host}`
    return `ssh://${named}${port === undefined ? "" : `:${port}`}${path}`
  })

  it.prop(
    "gives a text that parse reads as the same endpoint",
    [FastCheck.oneof(tcpText, unixText, sshText)],
    ([text]) => {
      const endpoint = Either.getOrThrow(Endpoint.parse(text))
      assert.deepStrictEqual(Endpoint.parse(Endpoint.format(endpoint)), Either.right(endpoint))
    }
  )

  it.prop(
    "gives a text with every part of the endpoint",
    [FastCheck.domain(), FastCheck.integer({ min: 1, max: 65535 }), FastCheck.constantFrom("", "/a", "/a/b-c")],
    ([host, port, basePath]) => {
      const endpoint = tcp(host.toLowerCase(), port, basePath)
      assert.deepStrictEqual(Endpoint.parse(Endpoint.format(endpoint)), Either.right(endpoint))
    }
  )
})
