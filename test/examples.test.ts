import { execFileSync, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { isReserved } from "../src/scripts/Environment.ts"
import * as TempFolder from "./support/TempFolder.ts"

const examples = Path.join(import.meta.dirname, "..", "examples")

const files = Fs.readdirSync(examples, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => Path.relative(examples, Path.join(entry.parentPath, entry.name)))
  .sort()
const scripts = files.filter((file) => file.includes("/") && !/\.(?:md|jsonl|ts)$/.test(file))

/**
 * Programs that write down how they were called, and answer from files: `engine/running/ID` has what inspect says of a
 * container, `engine/unhealthy/ID` marks it as unhealthy, `engine/exited/ID` as one that the list has still though it
 * has ended. `engine/vanishing` takes a container away between the list and inspect, `engine/away` the whole engine.
 */
const stubs = {
  docker: `#!/bin/sh
top=$(dirname -- "$0")/..
printf '%s\\n' "docker $*" >>"$top/calls"
if [ -e "$top/engine/away" ]; then
  echo "Cannot connect to the Docker daemon" >&2
  exit 1
fi
case $1 in
ps)
  id='*'
  state=running
  for argument; do
    case $argument in
    id=*) id=\${argument#id=} ;;
    health=*) state=\${argument#health=} ;;
    esac
  done
  cd "$top/engine/$state" && for found in $id; do [ ! -e "$found" ] || echo "$found"; done
  ;;
container)
  [ "$2 $3" = "inspect --format" ] || exit 64
  format=$4
  shift 4
  for id; do
    if [ -e "$top/engine/vanishing" ]; then
      rm "$top/engine/running/$id" "$top/engine/vanishing"
    fi
    case $format in
    *'eq .State.Status "running"'*) [ ! -e "$top/engine/exited/$id" ] || continue ;;
    esac
    cat "$top/engine/running/$id" || exit 1
  done
  ;;
restart)
  rm "$top/engine/unhealthy/$2"
  ;;
esac
`,
  nginx: `#!/bin/sh
top=$(dirname -- "$0")/..
printf '%s\\n' "nginx $*" >>"$top/calls"
[ ! -e "$top/refuses $1" ] || { echo "nginx: refused" >&2; exit 1; }
`,
  curl: `#!/bin/sh
top=$(dirname -- "$0")/..
printf '%s\\n' "curl $*" >>"$top/calls"
cat /dev/fd/3 >"$top/config"
cat >"$top/body"
[ ! -e "$top/refuses" ] || exit 22
`,
  sendmail: `#!/bin/sh
top=$(dirname -- "$0")/..
printf '%s\\n' "sendmail $*" >>"$top/calls"
cat >"$top/mail"
[ ! -e "$top/refuses" ] || exit 75
`
}

type Variables = Readonly<Record<string, string>>

interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Sandbox {
  /** A path in it. */
  readonly path: (name: string) => string
  readonly read: (name: string) => string
  readonly write: (name: string, text: string, mode?: number) => void
  readonly exists: (name: string) => boolean
  readonly remove: (name: string) => void
  /** How the stubs were called so far, a line for each call. */
  readonly calls: () => ReadonlyArray<string>
  /** What an example left in its working directory. */
  readonly strays: () => ReadonlyArray<string>
  readonly run: (script: string, variables: Variables, record?: string) => Effect.Effect<Run>
}

const run = (script: string, cwd: string, env: Variables, record: string) =>
  Effect.async<Run>((resume) => {
    const child = spawn(script, [], { cwd, env })
    const output = { stdout: "", stderr: "" }
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output.stdout += text
    })
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output.stderr += text
    })
    // Most scripts do not read the record.
    child.stdin.on("error", () => undefined)
    child.stdin.end(record)
    child.on("error", (error) => resume(Effect.die(error)))
    child.on("close", (code) => resume(Effect.succeed({ code, ...output })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const sandbox = TempFolder.make("examples").pipe(
  Effect.map((top): Sandbox => {
    const path = (name: string) => Path.join(top, name)
    const read = (name: string) => Fs.readFileSync(path(name), "utf8")
    const exists = (name: string) => Fs.existsSync(path(name))
    const write = (name: string, text: string, mode = 0o644) => {
      Fs.mkdirSync(Path.dirname(path(name)), { recursive: true })
      Fs.writeFileSync(path(name), text)
      Fs.chmodSync(path(name), mode)
    }
    for (const dir of ["work", "engine/running", "engine/unhealthy"]) Fs.mkdirSync(path(dir), { recursive: true })
    for (const [name, text] of Object.entries(stubs)) write(`bin/${name}`, text, 0o755)
    return {
      path,
      read,
      write,
      exists,
      remove: (name) => Fs.rmSync(path(name)),
      calls: () => (exists("calls") ? read("calls").trimEnd().split("\n") : []),
      strays: () => Fs.readdirSync(path("work")),
      run: (script, variables, record = '{"Type":"container"}\n') =>
        run(
          Path.join(examples, script),
          path("work"),
          {
            PATH: `${path("bin")}:/usr/local/bin:/usr/bin:/bin`,
            HOME: path("work"),
            TMPDIR: top,
            DOCKER_HOST: "unix:///var/run/docker.sock",
            ...variables
          },
          record
        )
    }
  })
)

/** A container's ID, told apart by its first digits. */
const idOf = (digits: string) => digits.padEnd(64, "0")

const hostile: ReadonlyArray<string> = [
  "a.b|c",
  "../../x",
  "a b",
  "-rf",
  "'\"\\",
  "$(touch pwned)",
  "`touch pwned`",
  ";touch pwned;",
  "a\nb",
  "\n10.6.6.6 evil # des:1",
  "\u001b[2J\u001b]0;evil\u0007",
  "%s%n",
  "é",
  "x".repeat(300),
  "x[$(touch pwned)]"
]

describe("the files", () => {
  it("are executable scripts", () => {
    assert.isAbove(scripts.length, 15)
    for (const script of scripts) {
      const file = Path.join(examples, script)
      assert.isTrue(Fs.lstatSync(file).isFile(), `${script} is a link, which npm does not pack`)
      assert.isAbove(Fs.statSync(file).mode & 0o100, 0, `${script} is not executable`)
      assert.match(Fs.readFileSync(file, "utf8"), /^#!\/bin\/sh\n# \S/, script)
      execFileSync("sh", ["-n", file])
    }
  })

  it("are in the places where des looks for them", () => {
    for (const script of scripts) {
      const [, ...path] = script.split("/")
      for (const name of path) assert.match(name, /^[A-Za-z][A-Za-z0-9_-]{0,63}$|^[0-9]{2}-[a-z-]+$/, script)
      assert.isAtMost(path.length, 3, script)
    }
  })

  it("are in the README, with every variable and its default", () => {
    const rows = Fs.readFileSync(Path.join(examples, "README.md"), "utf8").split("\n")
    for (const script of scripts) {
      const [example = "", ...path] = script.split("/")
      const row = rows.find((line) => line.startsWith(`| [${example}](${example}) `)) ?? ""
      const listed = [path.join("/"), `${path[0]}/*`].filter((name) => row.includes(`\`${name}\``))
      assert.isNotEmpty(listed, script)
      const text = Fs.readFileSync(Path.join(examples, script), "utf8")
      for (const [, name = "", value = ""] of text.matchAll(/\$\{([A-Z]+_[A-Z_]+):-([^}]*)\}/g)) {
        if (name.startsWith("ACTOR_")) continue
        assert.include(row, `\`${name}\` (${value}`, script)
        assert.isFalse(isReserved(name), `${script}: des --env does not take ${name}`)
      }
    }
  })
})

describe("events.d", () => {
  const name = { ACTOR_ATTRIBUTES_NAME: "web" }
  const id = idOf("0123456789abcdef")
  const cases: ReadonlyArray<readonly [string, Variables, string]> = [
    ["container/create", { ...name, ACTOR_ATTRIBUTES_IMAGE: "alpine:3" }, "web was created from alpine:3"],
    ["container/start", name, "web is running"],
    ["container/start", { ...name, ACTOR_ATTRIBUTES_COM_EXAMPLE_ROLE: "shop" }, "web is running, its role is shop"],
    ["container/exec_start", { ...name, ACTION: "exec_start: sh -c echo a: b" }, "web executes: sh -c echo a: b"],
    ["container/health_status", { ...name, ACTION: "health_status: healthy" }, "web is healthy"],
    ["container/health_status", { ...name, ACTION: "health_status: unhealthy" }, "web is unhealthy"],
    ["container/health_status", { ...name, ACTION: "health_status", HEALTHSTATUS: "starting" }, "web is starting"],
    ["container/die", { ...name, ACTOR_ATTRIBUTES_EXITCODE: "0" }, "web ended with exit code 0, that is success"],
    [
      "container/die",
      { ...name, ACTOR_ATTRIBUTES_EXITCODE: "137" },
      "web ended with exit code 137, that is the signal KILL"
    ],
    [
      "container/die",
      { ...name, ACTOR_ATTRIBUTES_EXITCODE: "143" },
      "web ended with exit code 143, that is the signal TERM"
    ],
    ["container/die", { ...name, ACTOR_ATTRIBUTES_EXITCODE: "1" }, "web ended with exit code 1, that is a failure"],
    ["container/stop/10-first", name, "web was stopped, says the first of two scripts"],
    ["container/stop/20-second", name, "web was stopped, says the second"],
    ["container/exec_create", { ...name, ACTOR_ATTRIBUTES_EXECID: id }, "web is given a command, exec 0123456789ab"],
    ["container/exec_die", { ...name, ACTOR_ATTRIBUTES_EXITCODE: "2" }, "web has executed it, exit code 2"],
    ["container/kill", { ...name, ACTOR_ATTRIBUTES_SIGNAL: "15" }, "web was sent a signal, number 15"],
    ["container/kill", name, "web was sent a signal"],
    ["container/restart", name, "web was restarted"],
    ["container/pause", name, "web is paused"],
    ["container/unpause", name, "web goes on"],
    ["container/rename", { ...name, ACTOR_ATTRIBUTES_OLDNAME: "/shop" }, "shop is called web now"],
    ["container/rename", name, "a container is called web now"],
    ["container/destroy", name, "web is gone"],
    ["volume/create", { ACTOR_ID: "data", ACTOR_ATTRIBUTES_DRIVER: "nfs" }, "volume data was created, driver nfs"],
    ["volume/create", { ACTOR_ID: "data" }, "volume data was created, driver local"],
    ["volume/mount", { ACTOR_ID: "data", ACTOR_ATTRIBUTES_DESTINATION: "/srv" }, "volume data was mounted at /srv"],
    ["volume/unmount", { ACTOR_ID: "data" }, "volume data was unmounted"],
    ["volume/destroy", { ACTOR_ID: "data" }, "volume data is gone"],
    [
      "network/all",
      { ACTOR_ATTRIBUTES_NAME: "shop", ACTION: "connect", ACTOR_ATTRIBUTES_CONTAINER: id },
      "network shop: connect of container 0123456789ab"
    ],
    ["network/all", { ACTOR_ATTRIBUTES_NAME: "shop", ACTION: "create" }, "network shop: create"],
    ["image/all", { ...name, ACTION: "tag" }, "image web: tag, 21 bytes of JSON on stdin"],
    [
      "image/all",
      { ACTOR_ATTRIBUTES_NAME: `sha256:${id}`, ACTION: "delete" },
      "image sha256:0123456789ab: delete, 21 bytes of JSON on stdin"
    ]
  ]

  it.scopedLive("prints one line for each event", () =>
    Effect.gen(function* () {
      const { run } = yield* sandbox
      for (const [script, variables, line] of cases) {
        assert.deepStrictEqual(yield* run(`events.d/${script}`, variables), {
          code: 0,
          stdout: `${line}\n`,
          stderr: ""
        })
      }
      const tried = new Set(cases.map(([script]) => `events.d/${script}`))
      assert.sameMembers(
        [...tried],
        scripts.filter((script) => script.startsWith("events.d/"))
      )
    })
  )

  it.scopedLive("prints no control characters and runs no part of a value, whatever the values are", () =>
    Effect.gen(function* () {
      const { run, strays } = yield* sandbox
      const value = hostile.join("")
      for (const script of new Set(cases.map(([script]) => script))) {
        const names = new Set(cases.flatMap(([, variables]) => Object.keys(variables)))
        const { code, stdout, stderr } = yield* run(
          `events.d/${script}`,
          Object.fromEntries([...names].map((name) => [name, value]))
        )
        assert.strictEqual(code, 0, script)
        assert.match(stdout, /^[ -~]+\n$/, script)
        assert.strictEqual(stderr, "", script)
      }
      assert.deepStrictEqual(strays(), [])
    })
  )
})

describe("hosts", () => {
  const web = idOf("aa")
  const web2 = idOf("ab")
  const start = "hosts/container/start/hosts"
  const die = "hosts/container/die/hosts"
  const own = "127.0.0.1 localhost\n10.9.9.9 static db # mine\n"

  const at = (box: Sandbox, id: string): Variables => ({
    TYPE: "container",
    ACTION: "start",
    ACTOR_ID: id,
    HOSTS_FILE: box.path("hosts")
  })
  const starts = (box: Sandbox, id: string, name: string, ...addresses: ReadonlyArray<string>) =>
    box.write(
      `engine/running/${id}`,
      addresses.map((address) => `${id} ${JSON.stringify(address)} ${JSON.stringify(`/${name}`)}\n`).join("")
    )
  const line = (id: string, name: string, address: string) => `${address} ${name} # des:${id}\n`

  it.scopedLive("adds the address of each container that starts, and removes only those of containers that end", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      box.write("hosts", own, 0o640)
      starts(box, web, "web", "10.0.0.2", "", "fd00::2")
      starts(box, web2, "web2", "10.0.0.3")
      const reader = Fs.openSync(box.path("hosts"), "r")
      assert.deepStrictEqual(yield* box.run(start, at(box, web)), { code: 0, stdout: "", stderr: "" })
      assert.strictEqual(Fs.readFileSync(reader, "utf8"), own, "the file is replaced, not written over")
      Fs.closeSync(reader)
      assert.strictEqual((yield* box.run(start, at(box, web2))).code, 0)
      const webLines = line(web, "web", "10.0.0.2") + line(web, "web", "fd00::2")
      assert.strictEqual(box.read("hosts"), own + webLines + line(web2, "web2", "10.0.0.3"))
      box.remove(`engine/running/${web}`)
      assert.strictEqual((yield* box.run(die, at(box, web))).code, 0)
      assert.strictEqual(box.read("hosts"), own + line(web2, "web2", "10.0.0.3"))

      box.remove(`engine/running/${web2}`)
      assert.strictEqual((yield* box.run(die, at(box, web2))).code, 0)
      assert.strictEqual(box.read("hosts"), own)
      assert.strictEqual((Fs.statSync(box.path("hosts")).mode & 0o7777).toString(8), "640")
      assert.deepStrictEqual(Fs.readdirSync(box.path(".")).sort(), ["bin", "calls", "engine", "hosts", "work"])
    })
  )

  it.scopedLive("changes nothing when an event comes again, late, or in the wrong order", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      box.write("hosts", own)
      starts(box, web, "web", "10.0.0.2")
      starts(box, web2, "web2", "10.0.0.3")
      yield* box.run(start, at(box, web))
      yield* box.run(start, at(box, web2))
      const before = box.read("hosts")
      const { ino, mtimeMs } = Fs.statSync(box.path("hosts"))
      for (const [script, id] of [
        [start, web],
        [die, web],
        [start, idOf("dead")]
      ] as const) {
        assert.strictEqual((yield* box.run(script, at(box, id))).code, 0)
      }
      assert.strictEqual(box.read("hosts"), before)
      assert.deepInclude(Fs.statSync(box.path("hosts")), { ino, mtimeMs })
    })
  )

  it.scopedLive("replaces the line of a container that was restarted or renamed", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      box.write("hosts", own)
      starts(box, web, "web", "10.0.0.2")
      starts(box, web2, "web2", "10.0.0.3")
      yield* box.run(start, at(box, web))
      yield* box.run(start, at(box, web2))
      starts(box, web, "web", "10.0.0.7")
      yield* box.run(start, at(box, web))
      starts(box, web2, "shop", "10.0.0.3")
      yield* box.run("hosts/container/rename/hosts", at(box, web2))
      assert.strictEqual(box.read("hosts"), own + line(web, "web", "10.0.0.7") + line(web2, "shop", "10.0.0.3"))
    })
  )

  it.scopedLive("brings the whole file up to date when des is connected", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      const gone = line(idOf("cc"), "gone", "10.0.0.9")
      box.write("hosts", `127.0.0.1 localhost\n${gone}10.1.1.1 last`)
      starts(box, web, "web", "10.0.0.2")
      starts(box, web2, "web2", "")
      const connected = { TYPE: "des", ACTION: "connected", HOSTS_FILE: box.path("hosts") }
      assert.strictEqual((yield* box.run("hosts/des/connected/hosts", connected)).code, 0)
      assert.strictEqual(box.read("hosts"), `127.0.0.1 localhost\n${line(web, "web", "10.0.0.2")}10.1.1.1 last\n`)
    })
  )

  it.scopedLive(
    "removes a container that is still in the engine's list, and one that is removed during the inspect",
    () =>
      Effect.gen(function* () {
        const box = yield* sandbox
        const lines = line(web, "web", "10.0.0.2") + line(web2, "web2", "10.0.0.3")
        box.write("hosts", own + lines)
        starts(box, web, "web", "10.0.0.2")
        starts(box, web2, "web2", "10.0.0.3")
        box.write(`engine/exited/${web}`, "")
        assert.deepInclude(yield* box.run(die, at(box, web)), { code: 0 })
        assert.strictEqual(box.read("hosts"), own + line(web2, "web2", "10.0.0.3"))
        box.write("engine/vanishing", "")
        assert.deepInclude(yield* box.run(die, at(box, web2)), { code: 0 })
        assert.strictEqual(box.read("hosts"), own)
      })
  )

  it.scopedLive("loses no line when many containers start at once", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      box.write("hosts", own)
      const ids = Array.from({ length: 12 }, (_, index) => idOf(`f${index.toString(16)}1`))
      for (const [index, id] of ids.entries()) starts(box, id, `web${index}`, `10.0.0.${index}`)
      const runs = yield* Effect.all(
        ids.map((id) => box.run(start, at(box, id))),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(new Set(runs.map(({ code }) => code)), new Set([0]))
      assert.sameMembers(box.read("hosts").split("\n"), [
        ...own.split("\n"),
        ...ids.map((id, index) => line(id, `web${index}`, `10.0.0.${index}`).trimEnd())
      ])
    })
  )

  it.scopedLive("overwrites the file if it cannot be replaced, as a bind mount", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      box.write("hosts", own)
      box.write("bin/mv", "#!/bin/sh\nexit 1\n", 0o755)
      starts(box, web, "web", "10.0.0.2")
      const { ino } = Fs.statSync(box.path("hosts"))
      assert.strictEqual((yield* box.run(start, at(box, web))).code, 0)
      assert.strictEqual(box.read("hosts"), own + line(web, "web", "10.0.0.2"))
      assert.strictEqual(Fs.statSync(box.path("hosts")).ino, ino)
      assert.deepStrictEqual(Fs.readdirSync(box.path(".")).sort(), ["bin", "calls", "engine", "hosts", "work"])
    })
  )

  it.scopedLive("writes through a symbolic link", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      box.write("elsewhere/hosts", own)
      Fs.symlinkSync("elsewhere/hosts", box.path("hosts"))
      starts(box, web, "web", "10.0.0.2")
      assert.strictEqual((yield* box.run(start, at(box, web))).code, 0)
      assert.strictEqual(box.read("elsewhere/hosts"), own + line(web, "web", "10.0.0.2"))
      assert.isTrue(Fs.lstatSync(box.path("hosts")).isSymbolicLink())
    })
  )

  it.scopedLive("does not change the file if the engine does not answer", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      box.write("hosts", own + line(web, "web", "10.0.0.2"))
      box.write("engine/away", "")
      const { code, stderr } = yield* box.run(die, at(box, web))
      assert.strictEqual(code, 1)
      assert.include(stderr, "Cannot connect")
      assert.strictEqual(box.read("hosts"), own + line(web, "web", "10.0.0.2"))
    })
  )

  it.scopedLive("does not use a name that another line has, unless it has a suffix", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      box.write("hosts", own)
      starts(box, web, "LocalHost", "10.0.0.2")
      starts(box, web2, "mine", "10.0.0.3")
      const { code, stderr } = yield* box.run(start, at(box, web))
      assert.strictEqual(code, 0)
      assert.include(stderr, "LocalHost stands in another line")
      assert.strictEqual(box.read("hosts"), own)
      // What stands in a comment is no name.
      yield* box.run(start, at(box, web2))
      yield* box.run(start, { ...at(box, web), HOSTS_SUFFIX: ".docker" })
      assert.strictEqual(
        box.read("hosts"),
        own + line(web2, "mine", "10.0.0.3") + line(web, "LocalHost.docker", "10.0.0.2")
      )
    })
  )

  it.scopedLive("writes only valid names and addresses", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      box.write("hosts", own)
      for (const value of hostile.filter((value) => !/^x+$/.test(value))) {
        starts(box, web, value, "10.0.0.2")
        const { code, stderr } = yield* box.run(start, at(box, web))
        assert.strictEqual(code, 0, value)
        assert.match(stderr, /^hosts: the name of container a{2}0{62} cannot stand in a hosts file\n$/, value)
        starts(box, web, "web", value)
        assert.deepInclude(yield* box.run(start, at(box, web)), { code: 0 }, value)
        assert.strictEqual(box.read("hosts"), own, value)
      }
      assert.deepStrictEqual(box.strays(), [])
    })
  )

  it.scopedLive("refuses an invalid ID before it asks the engine", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      box.write("hosts", own)
      for (const id of [...hostile, "", "abc", `${"a".repeat(63)}g`, `${web}\n${web2}`]) {
        assert.deepInclude(yield* box.run(start, at(box, id)), {
          code: 1,
          stderr: "hosts: ACTOR_ID is no container ID\n"
        })
      }
      assert.deepStrictEqual(box.calls(), [])
      assert.strictEqual(box.read("hosts"), own)
    })
  )
})

describe("webhook", () => {
  const die = "webhook/container/die/webhook"
  const failed = { TYPE: "container", ACTION: "die", ACTOR_ATTRIBUTES_EXITCODE: "1" }
  const WEBHOOK_URL = "https://hooks.example.com/T0/secret?a=[1]"

  it.scopedLive("posts the unchanged record", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      const record = `${JSON.stringify({ Type: "container", label: hostile })}\n`
      const posts = [
        [die, failed],
        ["webhook/container/oom/webhook", { TYPE: "container", ACTION: "oom", ACTOR_ATTRIBUTES_EXITCODE: "0" }]
      ] as const
      for (const [script, variables] of posts) {
        assert.deepStrictEqual(yield* box.run(script, { ...variables, WEBHOOK_URL }, record), {
          code: 0,
          stdout: "",
          stderr: ""
        })
        assert.strictEqual(box.read("body"), record)
        assert.strictEqual(box.read("config"), `url = "${WEBHOOK_URL}"\n`)
        box.remove("body")
      }
      assert.deepStrictEqual(box.strays(), [])
    })
  )

  it.scopedLive("keeps the event and the address out of the command line, and bounds every attempt", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      for (const value of hostile) {
        const variables = { ACTOR_ID: value, ACTOR_ATTRIBUTES_NAME: value, ACTOR_ATTRIBUTES_EXITCODE: value }
        assert.deepInclude(yield* box.run(die, { ...failed, ...variables, WEBHOOK_URL }), { code: 0 })
      }
      assert.strictEqual(box.calls().length, hostile.length)
      assert.deepStrictEqual(
        [...new Set(box.calls())],
        [
          "curl --disable --config /dev/fd/3 --globoff --proto =http,https --silent --show-error --fail --max-time 10 --retry 3 --retry-connrefused --retry-max-time 60 --header Content-Type: application/json --data-binary @- --output /dev/null"
        ]
      )
      assert.deepStrictEqual(box.strays(), [])
    })
  )

  it.scopedLive("posts nothing for exit codes that are no failure", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      const quiet = { ...failed, WEBHOOK_URL, WEBHOOK_QUIET_CODES: "0 143 137" }
      assert.deepInclude(yield* box.run(die, { ...failed, WEBHOOK_URL, ACTOR_ATTRIBUTES_EXITCODE: "0" }), { code: 0 })
      assert.deepInclude(yield* box.run(die, { ...quiet, ACTOR_ATTRIBUTES_EXITCODE: "137" }), { code: 0 })
      assert.deepStrictEqual(box.calls(), [])
      for (const code of ["13", "1", "", "*", "0 143", "0x0"]) {
        assert.deepInclude(yield* box.run(die, { ...quiet, ACTOR_ATTRIBUTES_EXITCODE: code }), { code: 0 })
      }
      assert.strictEqual(box.calls().length, 6)
    })
  )

  it.scopedLive("fails if the address is missing or invalid, and if curl fails", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      const wrong = [
        "",
        "https://",
        "ftp://example.com/",
        "file:///etc/passwd",
        'http://x"',
        "http://x\\",
        "http://x y"
      ]
      for (const url of [...wrong, 'http://x\noutput = "pwned"', ...hostile]) {
        const { code, stderr } = yield* box.run(die, { ...failed, WEBHOOK_URL: url })
        assert.strictEqual(code, 1, url)
        assert.match(stderr, /^webhook: WEBHOOK_URL /, url)
      }
      assert.deepStrictEqual(box.calls(), [])
      box.write("refuses", "")
      assert.deepInclude(yield* box.run(die, { ...failed, WEBHOOK_URL }), { code: 22 })
    })
  )
})

/** The variables of a failure whose text strangers have written. */
const failureWith = (text: string): Variables => ({
  TYPE: "des",
  ACTION: "failed",
  ACTOR_ID: "/etc/docker/events.d/container/die",
  ACTOR_ATTRIBUTES_SCRIPT: "/etc/docker/events.d/container/die",
  ACTOR_ATTRIBUTES_EVENT: "container/die",
  ACTOR_ATTRIBUTES_ACTOR: "c0ffee",
  ACTOR_ATTRIBUTES_NAME: text,
  ACTOR_ATTRIBUTES_ATTEMPTS: "3",
  ACTOR_ATTRIBUTES_EXIT: "1",
  ACTOR_ATTRIBUTES_OUTPUT: text
})

describe("alert-mail", () => {
  const script = "alert-mail/des/failed/alert-mail"
  const to = (box: Sandbox) => ({ ALERT_MAIL: "ops@example.com", ALERT_SENDMAIL: box.path("bin/sendmail") })

  it.scopedLive("says which script failed, for which event, how, and how many failures had no mail", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      const variables = {
        ...failureWith("web"),
        ACTOR_ATTRIBUTES_OUTPUT: "first\nlast",
        DES_COALESCED: "7",
        DES_ENGINE: "east"
      }
      assert.deepStrictEqual(yield* box.run(script, { ...variables, ...to(box) }), { code: 0, stdout: "", stderr: "" })
      assert.deepStrictEqual(box.calls(), ["sendmail -i -- ops@example.com"])
      assert.deepStrictEqual(box.read("mail").split("\n"), [
        "To: ops@example.com",
        "Subject: des: /etc/docker/events.d/container/die failed",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=UTF-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        "script:    /etc/docker/events.d/container/die",
        "event:     container/die",
        "actor:     web c0ffee",
        "engine:    east",
        "exit code: 1, after 3 attempts (7 more failures before this one)",
        "",
        "The end of its output:",
        "",
        "first",
        "last",
        ""
      ])
    })
  )

  it.scopedLive("keeps text of strangers out of the head and the command line, and removes control characters", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      for (const text of [...hostile, "\nBcc: evil@example.com\n\nx", "\r\n.\r\nMAIL FROM:<x>", "é".repeat(2000)]) {
        assert.deepInclude(yield* box.run(script, { ...failureWith(text), ...to(box) }), { code: 0, stderr: "" }, text)
        const [head = "", ...body] = box.read("mail").split("\n\n")
        assert.strictEqual(head.split("\n").length, 5)
        assert.notMatch(head, /^Bcc/m)
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
        assert.notMatch(body.join(""), /[\0-\x08\x0b-\x1f\x7f]/)
        assert.isTrue(
          body
            .join("")
            .split("\n")
            .every((line) => Buffer.byteLength(line) < 998)
        )
      }
      assert.deepStrictEqual([...new Set(box.calls())], ["sendmail -i -- ops@example.com"])
      assert.deepStrictEqual(box.strays(), [])
    })
  )

  it.scopedLive("fails if the address is missing or invalid, and if sendmail fails", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      for (const address of ["", "ops", "-fx@example.com", "a@b c", "a@b\nBcc: c@d", ...hostile]) {
        const { code, stderr } = yield* box.run(script, { ...failureWith(""), ...to(box), ALERT_MAIL: address })
        assert.strictEqual(code, 1, address)
        assert.match(stderr, /^alert-mail: ALERT_MAIL /, address)
      }
      assert.deepStrictEqual(box.calls(), [])
      box.write("refuses", "")
      assert.deepInclude(yield* box.run(script, { ...failureWith(""), ...to(box) }), { code: 75 })
    })
  )
})

describe("alert-webhook", () => {
  const script = "alert-webhook/des/failed/alert-webhook"
  const ALERT_URL = "https://hooks.example.com/T0/secret?a=[1]"

  it.scopedLive("posts the unchanged record, and keeps it and the address out of the command line", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      for (const text of hostile) {
        const record = `${JSON.stringify({ Type: "des", Action: "failed", Actor: { Attributes: { output: text } } })}\n`
        const run = yield* box.run(script, { ...failureWith(text), ALERT_URL }, record)
        assert.deepStrictEqual(run, { code: 0, stdout: "", stderr: "" })
        assert.strictEqual(box.read("body"), record)
        assert.strictEqual(box.read("config"), `url = "${ALERT_URL}"\n`)
      }
      assert.deepStrictEqual(
        [...new Set(box.calls())],
        [
          "curl --disable --config /dev/fd/3 --globoff --proto =http,https --silent --show-error --fail --max-time 10 --retry 3 --retry-connrefused --retry-max-time 60 --header Content-Type: application/json --data-binary @- --output /dev/null"
        ]
      )
      assert.deepStrictEqual(box.strays(), [])
    })
  )

  it.scopedLive("fails if the address is missing or invalid, and if curl fails", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      for (const url of [
        "",
        "https://",
        "ftp://example.com/",
        'http://x"',
        "http://x\\",
        'http://x\noutput = "pwned"',
        ...hostile
      ]) {
        const { code, stderr } = yield* box.run(script, { ...failureWith(""), ALERT_URL: url })
        assert.strictEqual(code, 1, url)
        assert.match(stderr, /^alert-webhook: ALERT_URL /, url)
      }
      assert.deepStrictEqual(box.calls(), [])
      box.write("refuses", "")
      assert.deepInclude(yield* box.run(script, { ...failureWith(""), ALERT_URL }), { code: 22 })
    })
  )
})

describe("proxy", () => {
  const start = "proxy/container/start/proxy"
  const die = "proxy/container/die/proxy"
  const test = "nginx -t -q"
  const reload = "nginx -s reload"

  const at = (box: Sandbox): Variables => ({
    TYPE: "container",
    ACTION: "start",
    ACTOR_ATTRIBUTES_COM_EXAMPLE_VHOST: "web.example.com",
    PROXY_FILE: box.path("conf.d/des.conf")
  })
  const starts = (box: Sandbox, digits: string, vhost: string, port: string | null, ...addresses: Array<string>) =>
    box.write(
      `engine/running/${idOf(digits)}`,
      addresses
        .map((address) => `${idOf(digits)} ${[address, port, vhost].map((value) => JSON.stringify(value)).join(" ")}\n`)
        .join("")
    )
  const nginxCalls = (box: Sandbox) => box.calls().filter((call) => call.startsWith("nginx"))
  const served = (box: Sandbox) =>
    box
      .read("conf.d/des.conf")
      .split("\n")
      .filter((line) => /^(?:upstream| {2}server| {2}listen)/.test(line))
      .map((line) => line.trim())
  const prepared = Effect.tap(sandbox, (box) => Effect.sync(() => Fs.mkdirSync(box.path("conf.d"))))

  it.scopedLive("serves the containers with the label, and reloads only after a change", () =>
    Effect.gen(function* () {
      const box = yield* prepared
      starts(box, "aa", "web.example.com", null, "", "10.0.0.2", "10.1.0.2")
      starts(box, "ab", "web.example.com", "8080", "10.0.0.3")
      starts(box, "ac", "10", "", "10.0.0.4")
      starts(box, "ad", "10.0", null, "10.0.0.5")
      starts(box, "ae", "host.example.com", null, "")
      assert.deepStrictEqual(yield* box.run(start, at(box)), { code: 0, stdout: "", stderr: "" })
      assert.deepStrictEqual(served(box), [
        "upstream des_10 {",
        "server 10.0.0.4:80;",
        "listen 80;",
        "server_name 10;",
        "upstream des_10.0 {",
        "server 10.0.0.5:80;",
        "listen 80;",
        "server_name 10.0;",
        "upstream des_web.example.com {",
        "server 10.0.0.2:80;",
        "server 10.0.0.3:8080;",
        "listen 80;",
        "server_name web.example.com;"
      ])
      assert.deepStrictEqual(nginxCalls(box), [test, reload])
      assert.strictEqual((Fs.statSync(box.path("conf.d/des.conf")).mode & 0o777).toString(8), "644")

      assert.strictEqual((yield* box.run(start, at(box))).code, 0)
      assert.strictEqual((yield* box.run("proxy/des/connected/proxy", { ...at(box), TYPE: "des" })).code, 0)
      assert.deepStrictEqual(nginxCalls(box), [test, reload])

      for (const digits of ["aa", "ac", "ad"]) box.remove(`engine/running/${idOf(digits)}`)
      assert.strictEqual((yield* box.run(die, { ...at(box), ACTION: "die", PROXY_LISTEN: "8000" })).code, 0)
      assert.deepStrictEqual(served(box), [
        "upstream des_web.example.com {",
        "server 10.0.0.3:8080;",
        "listen 8000;",
        "server_name web.example.com;"
      ])
      assert.deepStrictEqual(nginxCalls(box), [test, reload, test, reload])
      assert.deepStrictEqual(Fs.readdirSync(box.path("conf.d")), ["des.conf", "des.conf.loaded"])
    })
  )

  it.scopedLive(
    "leaves out an ended container that is still in the engine's list, and one that is removed during the inspect",
    () =>
      Effect.gen(function* () {
        const box = yield* prepared
        starts(box, "aa", "web.example.com", null, "10.0.0.2")
        starts(box, "ab", "old.example.com", null, "10.0.0.3")
        starts(box, "a0", "gone.example.com", null, "10.0.0.4")
        box.write(`engine/exited/${idOf("ab")}`, "")
        box.write("engine/vanishing", "")
        assert.deepInclude(yield* box.run(start, at(box)), { code: 0 })
        assert.isFalse(box.exists(`engine/running/${idOf("a0")}`))
        assert.deepStrictEqual(
          served(box).filter((line) => line.startsWith("server_name")),
          ["server_name web.example.com;"]
        )
      })
  )

  it.scopedLive("does not ask the engine about a container without the label", () =>
    Effect.gen(function* () {
      const box = yield* prepared
      const without = { TYPE: "container", ACTION: "start", PROXY_FILE: box.path("conf.d/des.conf") }
      assert.strictEqual((yield* box.run(start, without)).code, 0)
      assert.deepStrictEqual(box.calls(), [])
    })
  )

  it.scopedLive("writes only valid host names, ports and addresses into the configuration", () =>
    Effect.gen(function* () {
      const box = yield* prepared
      starts(box, "aa", "web.example.com", null, "10.0.0.2")
      yield* box.run(start, at(box))
      const before = box.read("conf.d/des.conf")
      const names = [
        "",
        "a..b",
        ".a",
        "a.",
        "-a",
        "A.b",
        "*",
        "a_b",
        "a; } server { listen 1",
        "x.com {",
        "a".repeat(47)
      ]
      for (const value of [...hostile, ...names, '" "80" "evil.com', `x"\n${idOf("af")} "10.6.6.6" "80" "evil.com`]) {
        starts(box, "ab", value, null, "10.0.0.3")
        starts(box, "ac", "evil.com", value === "" ? "0" : value, "10.0.0.4")
        starts(box, "ad", "evil.com", null, value)
        const { code, stderr } = yield* box.run(start, { ...at(box), ACTOR_ATTRIBUTES_COM_EXAMPLE_VHOST: value || "x" })
        assert.strictEqual(code, 0, value)
        assert.strictEqual(stderr.match(/^proxy: container a[bc]0{62} is left out: /gm)?.length, 2, value)
        assert.strictEqual(box.read("conf.d/des.conf"), before, value)
      }
      for (const port of ["0", "65536", "99999999999999999999", "080", "8a", "-1", "80 81"]) {
        starts(box, "ac", "evil.com", port, "10.0.0.4")
        yield* box.run(start, at(box))
        assert.strictEqual(box.read("conf.d/des.conf"), before, port)
      }
      assert.deepStrictEqual(box.strays(), [])
    })
  )

  it.scopedLive("serves only names of PROXY_DOMAIN", () =>
    Effect.gen(function* () {
      const box = yield* prepared
      for (const [digits, vhost] of [
        ["aa", "example.com"],
        ["ab", "a.example.com"],
        ["ac", "badexample.com"],
        ["ad", "example.com.evil.org"],
        ["ae", "axexample.com"]
      ] as const) {
        starts(box, digits, vhost, null, "10.0.0.2")
      }
      yield* box.run(start, { ...at(box), PROXY_DOMAIN: "example.com" })
      assert.deepStrictEqual(
        served(box).filter((line) => line.startsWith("server_name")),
        ["server_name a.example.com;", "server_name example.com;"]
      )
    })
  )

  it.scopedLive("keeps the old configuration when nginx refuses the new one", () =>
    Effect.gen(function* () {
      const box = yield* prepared
      box.write("refuses -t", "")
      starts(box, "aa", "web.example.com", null, "10.0.0.2")
      const first = yield* box.run(start, at(box))
      assert.strictEqual(first.code, 1)
      assert.strictEqual(
        first.stderr,
        "nginx: refused\nproxy: nginx does not accept the new configuration; the old one is back\n"
      )
      assert.deepStrictEqual(Fs.readdirSync(box.path("conf.d")), [])

      box.remove("refuses -t")
      yield* box.run(start, at(box))
      const before = box.read("conf.d/des.conf")
      box.write("refuses -t", "")
      starts(box, "ab", "new.example.com", null, "10.0.0.3")
      assert.strictEqual((yield* box.run(start, at(box))).code, 1)
      assert.strictEqual(box.read("conf.d/des.conf"), before)
      assert.deepStrictEqual(Fs.readdirSync(box.path("conf.d")), ["des.conf", "des.conf.loaded"])
      assert.deepStrictEqual(nginxCalls(box), [test, test, reload, test])
    })
  )

  it.scopedLive("changes nothing if the engine does not answer", () =>
    Effect.gen(function* () {
      const box = yield* prepared
      starts(box, "aa", "web.example.com", null, "10.0.0.2")
      yield* box.run(start, at(box))
      const before = box.read("conf.d/des.conf")
      box.write("engine/away", "")
      const { code, stderr } = yield* box.run(die, at(box))
      assert.strictEqual(code, 1)
      assert.include(stderr, "Cannot connect")
      assert.strictEqual(box.read("conf.d/des.conf"), before)
      assert.deepStrictEqual(nginxCalls(box), [test, reload])
    })
  )

  it.scopedLive("reloads again if the last reload failed", () =>
    Effect.gen(function* () {
      const box = yield* prepared
      starts(box, "aa", "web.example.com", null, "10.0.0.2")
      box.write("refuses -s", "")
      assert.strictEqual((yield* box.run(start, at(box))).code, 1)
      box.remove("refuses -s")
      assert.strictEqual((yield* box.run(start, at(box))).code, 0)
      assert.deepStrictEqual(nginxCalls(box), [test, reload, test, reload])
    })
  )

  it.scopedLive("reloads once for two events at once", () =>
    Effect.gen(function* () {
      const box = yield* prepared
      starts(box, "aa", "web.example.com", null, "10.0.0.2")
      const runs = yield* Effect.all([box.run(start, at(box)), box.run(start, at(box))], { concurrency: 2 })
      assert.deepStrictEqual(
        runs.map(({ code }) => code),
        [0, 0]
      )
      assert.deepStrictEqual(nginxCalls(box), [test, reload])
    })
  )
})

describe("unhealthy", () => {
  const script = "unhealthy/container/health_status/restart-unhealthy"
  const id = idOf("aa")
  const at = (box: Sandbox): Variables => ({
    TYPE: "container",
    ACTION: "health_status: unhealthy",
    ACTOR_ID: id,
    ACTOR_ATTRIBUTES_COM_EXAMPLE_AUTORESTART: "true",
    AUTORESTART_DIR: box.path("state")
  })
  const restarts = (box: Sandbox) => box.calls().filter((call) => call.startsWith("docker restart"))

  it.scopedLive("restarts an unhealthy container once", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      box.write(`engine/unhealthy/${id}`, "")
      assert.deepStrictEqual(yield* box.run(script, at(box)), {
        code: 0,
        stdout: `restart-unhealthy: restarting container ${id}\n`,
        stderr: ""
      })
      assert.deepStrictEqual(yield* box.run(script, at(box)), { code: 0, stdout: "", stderr: "" })
      assert.deepStrictEqual(restarts(box), [`docker restart ${id}`])
      assert.strictEqual((Fs.statSync(box.path("state")).mode & 0o777).toString(8), "700")
    })
  )

  it.scopedLive("does nothing for a container that is healthy or has no label for it", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      box.write(`engine/unhealthy/${id}`, "")
      for (const variables of [
        { ACTION: "health_status: healthy" },
        { ACTION: "health_status" },
        { ACTION: "health_status", HEALTHSTATUS: "starting" },
        { ACTION: "health_status: unhealthy\n" },
        { ACTOR_ATTRIBUTES_COM_EXAMPLE_AUTORESTART: "" },
        { ACTOR_ATTRIBUTES_COM_EXAMPLE_AUTORESTART: "false" },
        ...hostile.map((value) => ({ ACTOR_ATTRIBUTES_COM_EXAMPLE_AUTORESTART: value })),
        ...hostile.map((value) => ({ ACTION: `health_status: ${value}` }))
      ]) {
        assert.deepStrictEqual(yield* box.run(script, { ...at(box), ...variables }), {
          code: 0,
          stdout: "",
          stderr: ""
        })
      }
      assert.deepStrictEqual(box.calls(), [])
      assert.isFalse(box.exists("state"))
      assert.deepStrictEqual(box.strays(), [])
    })
  )

  it.scopedLive("gives up after the limit of restarts in an hour, and begins again later", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      const state = `state/restarts-${id}`
      const now = Math.floor(Date.now() / 1000)
      // One of these is more than an hour old.
      box.write(state, `${now - 3700}\n${now - 3000}\n${now - 100}\n`)
      box.write(`engine/unhealthy/${id}`, "")
      assert.deepInclude(yield* box.run(script, at(box)), { code: 0 })
      assert.strictEqual(restarts(box).length, 1)
      assert.match(box.read(state), new RegExp(`^${now - 3000}\n${now - 100}\n[0-9]+\n$`))

      box.write(`engine/unhealthy/${id}`, "")
      const { code, stderr } = yield* box.run(script, at(box))
      assert.strictEqual(code, 1)
      assert.include(stderr, "is unhealthy again after 3 restarts in an hour")
      assert.strictEqual(restarts(box).length, 1)
      assert.deepInclude(yield* box.run(script, { ...at(box), AUTORESTART_MAX: "4" }), { code: 0 })
      assert.strictEqual(restarts(box).length, 2)
    })
  )

  it.scopedLive("counts a failed restart, too", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      box.write(`engine/unhealthy/${id}`, "")
      box.write("bin/docker", stubs.docker.replace("restart)\n", "restart)\n  exit 1\n"), 0o755)
      assert.deepInclude(yield* box.run(script, { ...at(box), AUTORESTART_MAX: "1" }), { code: 1 })
      assert.deepInclude(yield* box.run(script, { ...at(box), AUTORESTART_MAX: "1" }), { code: 1 })
      assert.strictEqual(restarts(box).length, 1)
    })
  )

  it.scopedLive("restarts once if the same event comes twice at once", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      box.write(`engine/unhealthy/${id}`, "")
      const runs = yield* Effect.all([box.run(script, at(box)), box.run(script, at(box))], { concurrency: 2 })
      assert.deepStrictEqual(
        runs.map(({ code }) => code),
        [0, 0]
      )
      assert.strictEqual(restarts(box).length, 1)
    })
  )

  it.scopedLive("forgets containers that were not restarted for a long time", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      const old = new Date(Date.now() - 49 * 3_600_000)
      for (const name of ["restarts-old", "other"]) {
        box.write(`state/${name}`, "1\n")
        Fs.utimesSync(box.path(`state/${name}`), old, old)
      }
      box.write(`state/restarts-${idOf("ab")}`, "1\n")
      yield* box.run(script, at(box))
      const left = [`restarts-${idOf("ab")}`, `restarts-${id}`, "other"]
      assert.sameMembers(Fs.readdirSync(box.path("state")), left)
    })
  )

  it.scopedLive("refuses an invalid ID", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      for (const value of [...hostile, "", "../state", `${id}\n`, `../${"a".repeat(61)}`]) {
        assert.deepInclude(yield* box.run(script, { ...at(box), ACTOR_ID: value }), { code: 1 })
      }
      assert.deepStrictEqual(box.calls(), [])
      assert.isFalse(box.exists("state"))
      assert.deepStrictEqual(box.strays(), [])
    })
  )
})

describe("log", () => {
  const script = "log/all/event-log"
  const prepared = Effect.tap(sandbox, (box) => Effect.sync(() => Fs.mkdirSync(box.path("log"))))
  const at = (box: Sandbox): Variables => ({ LOG_FILE: box.path("log/events") })

  it.scopedLive("keeps every record unchanged, readable only by its owner", () =>
    Effect.gen(function* () {
      const box = yield* prepared
      const records = hostile.map((label) => `${JSON.stringify({ label })}\n`)
      for (const record of records) {
        assert.deepStrictEqual(yield* box.run(script, at(box), record), { code: 0, stdout: "", stderr: "" })
      }
      assert.strictEqual(box.read("log/events"), records.join(""))
      assert.strictEqual((Fs.statSync(box.path("log/events")).mode & 0o777).toString(8), "600")
    })
  )

  it.scopedLive("begins a new file when the old one is too large, and keeps only the newest files", () =>
    Effect.gen(function* () {
      const box = yield* prepared
      for (const record of ["1", "2", "3", "4", "5", "6", "7"]) {
        const limits = { LOG_BYTES: "4", LOG_KEEP: "2" }
        assert.deepInclude(yield* box.run(script, { ...at(box), ...limits }, `${record}\n`), { code: 0 })
      }
      assert.deepStrictEqual(
        Fs.readdirSync(box.path("log")).map((name) => [name, box.read(`log/${name}`)]),
        [
          ["events", "7\n"],
          ["events.1", "5\n6\n"],
          ["events.2", "3\n4\n"]
        ]
      )
    })
  )

  it.scopedLive("loses no record if many come at once", () =>
    Effect.gen(function* () {
      const box = yield* prepared
      const records = Array.from({ length: 12 }, (_, index) => JSON.stringify({ index, text: "x".repeat(100_000) }))
      const limits = { LOG_BYTES: "250000", LOG_KEEP: "9" }
      yield* Effect.all(
        records.map((record) => box.run(script, { ...at(box), ...limits }, `${record}\n`)),
        { concurrency: "unbounded" }
      )
      const kept = Fs.readdirSync(box.path("log")).flatMap((name) => box.read(`log/${name}`).trimEnd().split("\n"))
      assert.sameMembers(kept, records)
    })
  )

  it.scopedLive("begins a new line after a record that was cut short", () =>
    Effect.gen(function* () {
      const box = yield* prepared
      box.write("log/events", '{"cut')
      yield* box.run(script, at(box), "{}\n")
      assert.strictEqual(box.read("log/events"), '{"cut\n{}\n')
    })
  )
})

describe("prune", () => {
  const script = "prune/image/untag/prune-images"
  const call = "docker image prune --force --filter until=24h"
  const at = (box: Sandbox): Variables => ({ TYPE: "image", ACTION: "untag", PRUNE_STAMP: box.path("stamp") })

  it.scopedLive("removes dangling images once a day, whatever event triggers it", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      for (const other of [script, "prune/image/tag/prune-images", "prune/image/pull/prune-images"]) {
        assert.deepStrictEqual(yield* box.run(other, at(box)), { code: 0, stdout: "", stderr: "" })
      }
      assert.deepStrictEqual(box.calls(), [call])
      box.write("stamp", `${Math.floor(Date.now() / 1000) - 86_500}\n`)
      yield* box.run("prune/image/pull/prune-images", at(box))
      yield* box.run("prune/image/tag/prune-images", { ...at(box), PRUNE_EVERY: "0", PRUNE_UNTIL: "1h30m" })
      assert.deepStrictEqual(box.calls(), [call, call, call.replace("24h", "1h30m")])
    })
  )

  it.scopedLive("removes them once for two events at once", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      // The first one does not end before the second one has.
      box.write(
        "bin/docker",
        stubs.docker.replace("case $1 in", 'until [ -e "$top/second" ]; do sleep 0.02; done\ncase $1 in'),
        0o755
      )
      const first = yield* Effect.fork(box.run(script, at(box)))
      yield* Effect.repeat(Effect.sleep("20 millis"), { until: () => box.calls().length > 0 })
      assert.deepStrictEqual(yield* box.run(script, at(box)), { code: 0, stdout: "", stderr: "" })
      box.write("second", "")
      assert.deepInclude(yield* Fiber.join(first), { code: 0 })
      assert.deepStrictEqual(box.calls(), [call])
    })
  )

  it.scopedLive("retries at the next event if the engine did not answer", () =>
    Effect.gen(function* () {
      const box = yield* sandbox
      box.write("engine/away", "")
      assert.deepInclude(yield* box.run(script, at(box)), { code: 1 })
      box.remove("engine/away")
      assert.deepInclude(yield* box.run(script, at(box)), { code: 0 })
      assert.deepStrictEqual(box.calls(), [call, call])
    })
  )
})
