import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Conninfo from "../../../src/journal/postgres/Conninfo.ts"

const service = `# of the team
[other]
host=elsewhere

[fleet]
host=db1,db2
port=5433
user = watcher
sslmode=require
`

const parse = (url: string, variables: Readonly<Record<string, string>> = {}) =>
  Conninfo.parse(url, {
    variables,
    read: (file) => (file === "/home/me/.pg_service.conf" ? service : undefined),
    home: "/home/me",
    user: "me"
  })

const found = (url: string, variables?: Readonly<Record<string, string>>) => Either.getOrThrow(parse(url, variables))

const refusal = (url: string, variables?: Readonly<Record<string, string>>) =>
  Either.getOrThrow(Either.flip(parse(url, variables))).message

describe("how a database is reached", () => {
  it("is what the URL says", () => {
    assert.deepStrictEqual(found("postgresql://des@db.example:5433/journal"), {
      hosts: [{ name: "db.example", port: 5433 }],
      user: "des",
      database: "journal",
      password: undefined,
      passfile: "/home/me/.pgpass",
      tls: { verify: "name", rootCertificate: undefined, certificate: undefined, key: undefined }
    })
  })

  it("is the socket of this host, with the name of the user, if nothing is said", () => {
    const { database, hosts, tls, user } = found("postgres://")
    assert.deepStrictEqual(
      [hosts, user, database, tls],
      [[{ name: "/var/run/postgresql", port: 5432 }], "me", "me", undefined]
    )
  })

  it("comes from variables, then from the service, then from the URL", () => {
    const variables = {
      PGHOST: "ignored",
      PGUSER: "ignored",
      PGDATABASE: "journal",
      PGPASSWORD: "secret",
      PGPASSFILE: "/p"
    }
    const info = found("postgresql://des@/?service=fleet&sslmode=verify-ca&sslrootcert=/ca.pem", variables)
    assert.deepStrictEqual(info, {
      hosts: [
        { name: "db1", port: 5433 },
        { name: "db2", port: 5433 }
      ],
      user: "des",
      database: "journal",
      password: "secret",
      passfile: "/p",
      tls: { verify: "authority", rootCertificate: "/ca.pem", certificate: undefined, key: undefined }
    })
  })

  for (const [url, hosts] of [
    ["postgresql://a,b/x", "a:5432 b:5432"],
    ["postgresql://a:1,b:2/x", "a:1 b:2"],
    ["postgresql://[::1]:6000/x", "::1:6000"],
    ["postgresql://%2Frun%2Fpg/x", "/run/pg:5432"],
    ["postgresql:///x?host=/run/pg&port=6000", "/run/pg:6000"]
  ] as const) {
    it(`has the hosts ${hosts} in ${url}`, () => {
      assert.strictEqual(
        found(url)
          .hosts.map(({ name, port }) => `${name}:${port}`)
          .join(" "),
        hosts
      )
    })
  }

  for (const [mode, url, verify] of [
    ["not encrypted", "postgresql://localhost/x", undefined],
    ["not encrypted", "postgresql://db/x?sslmode=disable", undefined],
    ["encrypted, with a checked name", "postgresql://db/x", "name"],
    ["encrypted", "postgresql://localhost/x?sslmode=require", "nothing"],
    ["encrypted, with a checked certificate", "postgresql://db/x?sslmode=require&sslrootcert=/ca", "authority"],
    ["encrypted, with a checked certificate", "postgresql://db/x?sslmode=verify-ca", "authority"]
  ] as const) {
    it(`is ${mode} for ${url}`, () => assert.strictEqual(found(url).tls?.verify, verify))
  }

  it("has no password in the URL, and says where it belongs", () => {
    for (const url of ["postgresql://des:hunter2@db/x", "postgresql://des@db/x?password=hunter2"]) {
      assert.include(refusal(url), "PGPASSFILE")
      assert.notInclude(refusal(url), "hunter2")
    }
  })

  it("is refused with what is wrong", () => {
    assert.include(refusal("postgresql://db/x?sslmode=prefer"), 'sslmode "prefer": expected disable, require')
    assert.include(refusal("postgresql://db/x?sslmod=require"), "sslmod is not a parameter that des knows")
    assert.include(refusal("postgresql://db:99999/x"), "a port from 1 to 65535")
    assert.include(refusal("postgresql://db/x?service=none"), "has no service [none]")
    assert.include(
      refusal("postgresql://db/x", { PGSERVICE: "fleet", PGSERVICEFILE: "/gone" }),
      "/gone (PGSERVICEFILE) cannot be read"
    )
  })

  it("is named without a password", () => {
    assert.strictEqual(
      Conninfo.format(found("postgresql://des@a,b:6000/x", { PGPASSWORD: "hunter2" })),
      "postgresql://des@a:5432,b:6000/x"
    )
  })
})

describe("a password file", () => {
  const info = found("postgresql://des@db/x")
  for (const [line, password] of [
    ["db:5432:x:des:secret", "secret"],
    ["*:*:*:*:any", "any"],
    ["db:5433:x:des:other", undefined],
    ["#db:5432:x:des:commented", undefined],
    ["db:5432:x:des:with\\:colon\\\\", "with:colon\\"],
    ["db:5432:y:des:no\ndb:*:x:*:second", "second"]
  ] as const) {
    it(`gives ${password ?? "no password"} for ${JSON.stringify(line)}`, () => {
      assert.strictEqual(Conninfo.passwordIn(line, info, info.hosts[0]), password)
    })
  }
})
