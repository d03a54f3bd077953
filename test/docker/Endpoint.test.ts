import { assert, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import { describe } from "vitest"
import * as Endpoint from "../../src/docker/Endpoint.ts"

const unix = (path: string): Endpoint.Endpoint => ({ _tag: "Unix", path })
const tcp = (host: string, port: number, basePath = ""): Endpoint.Endpoint => ({ _tag: "Tcp", host, port, basePath })

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
    ["tcp://[::ffff:10.0.0.1]:2376", tcp("[::ffff:a00:1]", 2376)]
  ]

  for (const [input, endpoint] of accepted) {
    it(JSON.stringify(input), () => assert.deepStrictEqual(Endpoint.parse(input), Either.right(endpoint)))
  }
})

describe("parse refuses", () => {
  const refused: ReadonlyArray<readonly [input: string, why: string]> = [
    ["", "names no scheme"],
    ["  ", "names no scheme"],
    ["/var/run/docker.sock", "names no scheme"],
    ["unix:/var/run/docker.sock", "names no scheme"],
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
    ["http://h:2375", "has the scheme http://, which des does not speak"],
    ["https://h:2376", "has the scheme https://, which des does not speak"],
    ["ssh://user@h", "has the scheme ssh://, which des does not speak"],
    ["npipe:////./pipe/docker_engine", "has the scheme npipe://, which des does not speak"],
    ["fd://", "has the scheme fd://, which des does not speak"]
  ]

  for (const [input, why] of refused) {
    it(`${JSON.stringify(input)} and says why, and what is accepted`, () => {
      const error = Endpoint.parse(input).pipe(Either.flip, Either.getOrThrow)
      assert.instanceOf(error, Endpoint.EndpointError)
      assert.strictEqual(error.reason, "Malformed")
      assert.strictEqual(error.input, input)
      assert.strictEqual(
        error.message,
        `the endpoint ${JSON.stringify(input)} ${why}; accepted are unix:///path/to/docker.sock and tcp://host[:port][/path]`
      )
    })
  }
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

describe("format", () => {
  it("is what DOCKER_HOST takes", () => {
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

  it.prop("gives a text that parse reads as the same endpoint", [FastCheck.oneof(tcpText, unixText)], ([text]) => {
    const endpoint = Either.getOrThrow(Endpoint.parse(text))
    assert.deepStrictEqual(Endpoint.parse(Endpoint.format(endpoint)), Either.right(endpoint))
  })

  it.prop(
    "and loses no part of it",
    [FastCheck.domain(), FastCheck.integer({ min: 1, max: 65535 }), FastCheck.constantFrom("", "/a", "/a/b-c")],
    ([host, port, basePath]) => {
      const endpoint = tcp(host.toLowerCase(), port, basePath)
      assert.deepStrictEqual(Endpoint.parse(Endpoint.format(endpoint)), Either.right(endpoint))
    }
  )
})
