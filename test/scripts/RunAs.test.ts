import * as Fs from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Passwd from "../../src/scripts/Passwd.ts"
import * as RunAs from "../../src/scripts/RunAs.ts"
import { describeRoot } from "../support/DescribeRoot.ts"
import * as Program from "../support/Program.ts"
import { record } from "../support/Record.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"

describe("the name of a user", () => {
  it("begins with a letter or _, and is at most 32 characters long", () => {
    for (const name of ["web", "www-data", "_apt", "a.b", "Web2", "x".repeat(32)])
      assert.isTrue(Passwd.isName(name), name)
    for (const name of [
      "",
      "-u",
      "--",
      "0",
      "1000",
      "0x0",
      "+1",
      " web",
      "web ",
      "web\n",
      "a/b",
      "a:b",
      "wéb",
      "x".repeat(33)
    ])
      assert.isFalse(Passwd.isName(name), JSON.stringify(name))
  })
})

describe("an entry of the password file", () => {
  const passwd = "root:x:0:0:root:/root:/bin/sh\n# web:x:1:1::/:\nweb:x:4242:4343:Web,,,:/srv/web:/bin/sh\nbare:x:1:2\n"

  it("is that of the whole name", () => {
    const web = { name: "web", uid: 4242, gid: 4343, home: "/srv/web" }
    assert.deepStrictEqual(RunAs.entryOf(passwd, "web"), web)
    assert.deepStrictEqual(RunAs.entryOf(passwd, "bare"), { name: "bare", uid: 1, gid: 2, home: "/" })
    for (const name of ["we", "webs", "WEB", "x", "4242"]) assert.isUndefined(RunAs.entryOf(passwd, name), name)
  })

  it("is none if its numbers are none, or would leave the user as it is", () => {
    for (const [uid, gid] of [
      ["", "1"],
      ["1", ""],
      ["-1", "1"],
      ["4294967295", "1"],
      ["1", "4294967295"],
      ["99999999999", "1"],
      ["1x", "1"],
      ["0x1", "1"]
    ]) {
      assert.isUndefined(RunAs.entryOf(`a:x:${uid}:${gid}::/:/bin/sh\n`, "a"), `${uid}:${gid}`)
    }
  })
})

describe("a look-up that fails", () => {
  it("means that there is no such user if getent exits with 2", () => {
    assert.isUndefined(RunAs.failedLookup({ code: 2, killed: false }))
  })

  for (const [what, error, reason] of [
    [
      "getent is missing",
      { code: "ENOENT" },
      "the program getent is missing; install it, or add the user to /etc/passwd"
    ],
    ["getent takes too long", { code: undefined, killed: true }, "getent did not answer within 5s"],
    ["getent prints too much", { code: "ERR_CHILD_PROCESS_STDIO_MAXBUFFER", killed: true }, "getent printed too much"],
    ["getent fails", { code: 3, killed: false }, "getent failed (3)"],
    ["getent dies", { code: undefined, killed: false }, "getent failed (a signal ended it)"]
  ] as const) {
    it(`says nothing about the user if ${what}`, () => assert.deepStrictEqual(RunAs.failedLookup(error), { reason }))
  }
})

describe("a script with user=", () => {
  const entry = { name: "web", uid: 4242, gid: 4343, home: "/srv/web" }
  const launcher = "/usr/bin/setpriv"

  it("runs if des is root, the user exists and setpriv is there", () => {
    const user = RunAs.decide("web", { isRoot: true, entry, launcher })
    assert.deepStrictEqual(user, { ...entry, launcher })
    assert.deepStrictEqual(RunAs.command({ ...entry, launcher }, "/d/script"), [
      launcher,
      "--reuid=4242",
      "--regid=4343",
      "--init-groups",
      "--",
      "/d/script"
    ])
    assert.deepStrictEqual(RunAs.variables({ ...entry, launcher }), { HOME: "/srv/web", USER: "web", LOGNAME: "web" })
  })

  for (const [what, situation, says] of [
    [
      "des is not root",
      { isRoot: false, entry, launcher },
      "user=web: only root can run a script as another user; run des as root, or"
    ],
    [
      "there is no such user",
      { isRoot: true, entry: undefined, launcher },
      "user=web: there is no such user; correct the name, or"
    ],
    [
      "the user could not be looked up",
      { isRoot: true, entry: { reason: "the directory service is down" }, launcher },
      "user=web could not be looked up: the directory service is down"
    ],
    [
      "setpriv is missing",
      { isRoot: true, entry, launcher: undefined },
      "user=web: the program setpriv is missing; install util-linux"
    ]
  ] as const) {
    it(`does not run if ${what}, and the message says what to do`, () => {
      const refusal = RunAs.decide("web", situation)
      assert.isString(refusal)
      assert.include(refusal, says)
    })
  }
})

describeRoot("the program, with a user web of the group extra", () => {
  /** Runs a command with other password and group files, which only it and its children see. */
  const amongUsers = (sandbox: Sandbox, args: ReadonlyArray<string>, stdin = "") => {
    Fs.chmodSync(sandbox.top, 0o755)
    sandbox.write("passwd", "root:x:0:0::/root:/bin/sh\nweb:x:4242:4343::/srv/web:/bin/sh\n")
    sandbox.write("group", "root:x:0:\nweb:x:4343:\nextra:x:4444:web\n")
    const become = `mount --bind passwd /etc/passwd && mount --bind group /etc/group && exec "$@"`
    return Program.run(["unshare", "-m", "sh", "-c", become, "sh", ...Program.des(...args)], {
      stdin,
      cwd: sandbox.top,
      env: { HOME: sandbox.top }
    })
  }

  test("runs a script as this user, which can do with its input and outputs what others can, and ends it in time", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script(
        "container/start",
        '# des: user=web\nid\necho "$HOME $USER $LOGNAME"\ncat /dev/stdin\necho out >/dev/stdout\necho err >/dev/stderr\nexit 3'
      )
      sandbox.write("events.d/container/stop", "# des: user=web\necho without a first line\n", 0o755)
      sandbox.script("container/die", "# des: user=webs\necho never")
      sandbox.script("container/kill", '# des: user=web timeout=300ms\nsleep 600 & echo "pid $!"; wait')
      const records = ["start", "stop", "die", "kill"].map((Action) => record({ Action }))
      const args = ["-d", sandbox.dir, "--from", "-", "--grace", "1s"]
      const { lines, stderr } = yield* amongUsers(sandbox, args, records.map((text) => `${text}\n`).join(""))
      const said = (name: string) => lines.flatMap((line) => line.split(` - INFO - container/${name} web: `).slice(1))
      assert.sameMembers(
        [...said("start")],
        ["uid=4242(web) gid=4343(web) groups=4343(web),4444(extra)", "/srv/web web web", records[0], "out", "err"]
      )
      assert.include(stderr, `Script ${sandbox.dir}/container/start Failed! Exit=3 Message="err"`)
      assert.deepStrictEqual(said("stop"), ["without a first line"])
      assert.notInclude(stderr, "never")
      const refusal = "user=webs: there is no such user; correct the name, or create the user"
      assert.include(stderr, `container/die Failed! Exit=127 NotStarted Message="${refusal}"`)
      assert.include(stderr, `container/kill Failed! Exit=124 TimedOut=0.3s`)
      const [, pid = ""] = /pid (\d+)/.exec(stderr) ?? []
      assert.isFalse(Fs.existsSync(`/proc/${pid}/cmdline`) && Fs.readFileSync(`/proc/${pid}/cmdline`, "utf8") !== "")

      const check = yield* amongUsers(sandbox, ["check", sandbox.dir])
      assert.strictEqual(check.code, 1)
      assert.include(check.stdout, `problem: ${sandbox.dir}/container/die is never run: ${refusal}`)
      assert.match(check.stdout, /container\/start +runs +user=web\n/)
      assert.include(check.stdout, "4 scripts, 1 problem")
    }))
})
