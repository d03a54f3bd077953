import { assert, describe, it } from "vitest"
import * as Address from "../../src/operate/Address.ts"

const addressOf = (text: string): Address.Address => Address.parse(text) ?? assert.fail(`${text} is no address`)

describe("an address to listen at", () => {
  for (const [text, written = text] of [
    ["127.0.0.1:9475"],
    ["localhost:80"],
    ["LOCALHOST:80", "localhost:80"],
    ["[::1]:9475"],
    ["des.example.com:1"],
    ["unix:/run/des/http.sock"],
    ["unix:///run/des/http.sock", "unix:/run/des/http.sock"]
  ]) {
    it(`can be ${text}`, () => assert.strictEqual(Address.format(addressOf(text ?? "")), written))
  }

  for (const text of [
    "",
    "9475",
    ":9475",
    "127.0.0.1",
    "a b:1",
    "127.0.0.1:65536",
    "::1:9475",
    "unix:",
    "unix:x",
    "-e"
  ]) {
    it(`cannot be ${JSON.stringify(text)}`, () => assert.isUndefined(Address.parse(text)))
  }

  for (const [text, local] of [
    ["127.0.0.1:1", true],
    ["127.255.0.9:1", true],
    ["localhost:1", true],
    ["[::1]:1", true],
    ["unix:/x", true],
    ["0.0.0.0:1", false],
    ["[::]:1", false],
    ["10.0.0.1:1", false],
    ["127.0.0.1.example.com:1", false]
  ] as const) {
    it(`${text} can${local ? "not" : ""} be reached from other hosts`, () =>
      assert.strictEqual(Address.isLocal(addressOf(text)), local))
  }
})

describe("the host that a request names", () => {
  const at = (listen: string, header: string | undefined) => Address.isAllowedHost(addressOf(listen), header)

  for (const [listen, header, allowed] of [
    ["127.0.0.1:1", "127.0.0.1:1", true],
    ["127.0.0.1:1", "localhost:1", true],
    ["127.0.0.1:1", "LocalHost", true],
    ["127.0.0.1:1", "[::1]:1", true],
    ["127.0.0.1:1", "evil.example:1", false],
    ["127.0.0.1:1", "127.0.0.1.evil.example", false],
    ["127.0.0.1:1", "localhost.evil.example", false],
    ["127.0.0.1:1", "evil", false],
    ["127.0.0.1:1", "10.0.0.1", false],
    ["127.0.0.1:1", "", false],
    ["127.0.0.1:1", undefined, false],
    ["127.0.0.1:1", "localhost@evil.example", false],
    ["0.0.0.0:1", "10.0.0.1:1", true],
    ["0.0.0.0:1", "des:1", true],
    ["0.0.0.0:1", "evil.example", false],
    ["des.example.com:1", "des.example.com:1", true],
    ["des.example.com:1", "evil.example.com:1", false],
    ["unix:/x", "anything.example", true]
  ] as const) {
    it(`${header} is ${allowed ? "answered" : "refused"} at ${listen}`, () =>
      assert.strictEqual(at(listen, header), allowed))
  }
})
