import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as TestClock from "effect/TestClock"
import * as Attempts from "../../src/dispatch/Attempts.ts"
import * as Stop from "../../src/dispatch/Stop.ts"
import * as Journal from "../../src/journal/Journal.ts"
import * as Environment from "../../src/scripts/Environment.ts"
import type { Script } from "../../src/scripts/ScriptDirectory.ts"
import * as ScriptDirectory from "../../src/scripts/ScriptDirectory.ts"
import * as ScriptOptions from "../../src/scripts/ScriptOptions.ts"
import { defaultBounds, Outcome } from "../../src/scripts/ScriptRunner.ts"
import * as Trust from "../../src/scripts/Trust.ts"
import * as Testing from "../../src/testing.ts"
import { describeRoot } from "../support/DescribeRoot.ts"
import { collectLogs } from "../support/Logs.ts"
import * as Program from "../support/Program.ts"
import { record } from "../support/Record.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"
import { makeScripts } from "../support/Scripts.ts"

const nobody = 65_534
const somebody = 1000

/** The lines with this level, without the time. */
const said = ({ lines }: Program.Ended, level: string): ReadonlyArray<string> =>
  lines.flatMap((line) => {
    const [before, message] = line.split(` - ${level} - `)
    return message !== undefined && before?.endsWith("docker-event-script") ? [message] : []
  })

const ran = (ended: Program.Ended): ReadonlyArray<string> =>
  said(ended, "INFO").flatMap((message) => message.match(/^Running script (\S+) \(.*\)$/)?.slice(1) ?? [])

/** Does what a line of the log says, as somebody who pastes it into a shell, but nothing to what is not the test's own. */
const paste = (line: string): void => {
  const command = /; (ch(?:own|mod) \S+ \S*\/des-sandbox-\S+) fixes it/.exec(line)?.[1]
  assert.isDefined(command, line)
  execFileSync("sh", ["-c", command ?? ""])
}

describeRoot("des, as root", () => {
  test("does not run an untrusted script, says why and what to do, and runs the others", (sandbox) =>
    Effect.gen(function* () {
      const { dir, feed, script } = sandbox
      const [bad, good] = [Path.join(dir, "container/start/10-bad"), Path.join(dir, "container/start/20-good")]
      script("container/start/10-bad", "echo bad ran")
      script("container/start/20-good", "echo good ran")
      script("container/all", "echo all ran")
      Fs.chownSync(bad, nobody, nobody)
      const refused = yield* feed([record(), record({ id: "2" })])
      assert.strictEqual(refused.code, 0)
      const reason = `${bad} belongs to user ${nobody}, who could change it; chown root ${bad} fixes it`
      const line = `Script ${bad} is not run, since it is not trusted: ${reason}`
      assert.deepStrictEqual(said(refused, "ERROR"), [line])
      assert.deepStrictEqual(said(refused, "WARNING"), [])
      const others = [good, Path.join(dir, "container/all")]
      assert.deepStrictEqual(ran(refused), [...others, ...others])
      assert.notInclude(refused.stderr, "bad ran")
      paste(line)
      const fixed = yield* feed([record()])
      assert.deepStrictEqual(said(fixed, "ERROR"), [])
      assert.deepStrictEqual(ran(fixed), [bad, ...others])
    }))

  test("runs nothing of a type's directory that others can write to, and runs the rest", ({ dir, feed, script }) =>
    Effect.gen(function* () {
      script("container/start", "echo ran")
      script("all", "echo ran")
      Fs.chmodSync(`${dir}/container`, 0o777)
      const refused = yield* feed([record()])
      assert.strictEqual(refused.code, 0)
      assert.deepStrictEqual(said(refused, "ERROR"), [
        `Script ${dir}/container/start is not run, since it is not trusted: ${dir}/container can be written by everybody; chmod o-w ${dir}/container fixes it`
      ])
      assert.deepStrictEqual(ran(refused), [`${dir}/all`])
    }))

  test("says once that a directory of scripts is not trusted, and nothing about the files in it", (sandbox) =>
    Effect.gen(function* () {
      const { dir, feed, script } = sandbox
      for (const name of ["10-a", "20-b", "30-c"]) script(`container/start/${name}`, "echo ran")
      const place = `${dir}/container/start`
      Fs.chmodSync(place, 0o777)
      const refused = yield* feed([record()])
      assert.deepStrictEqual(said(refused, "ERROR"), [
        `Script ${place} is not run, since it is not trusted: ${place} can be written by everybody; chmod o-w ${place} fixes it`
      ])
      assert.deepStrictEqual(ran(refused), [])
      paste(said(refused, "ERROR")[0] ?? "")
      assert.strictEqual(ran(yield* feed([record()])).length, 3)
    }))

  for (const [name, above] of [
    ["script directory", ""],
    ["directory above it", "/.."]
  ] as const) {
    test(`does not start with an untrusted ${name}, until that is corrected`, ({ dir, feed, script }) =>
      Effect.gen(function* () {
        script("container/start", "echo ran")
        const place = Path.join(dir, above)
        Fs.chownSync(place, 0, nobody)
        Fs.chmodSync(place, 0o775)
        const refused = yield* feed([record()])
        assert.strictEqual(refused.code, 1)
        const reason = `${place} can be written by group ${nobody}; chmod g-w ${place} fixes it`
        assert.deepStrictEqual(said(refused, "ERROR"), [
          `the script directory ${dir} is not trusted: ${reason}, and --insecure-scripts turns this check off`
        ])
        assert.deepStrictEqual(ran(refused), [])
        paste(refused.stderr)
        const fixed = yield* feed([record()])
        assert.strictEqual(fixed.code, 0, fixed.stderr)
        assert.deepStrictEqual(ran(fixed), [`${dir}/container/start`])
      }))
  }

  test("runs whatever anybody wrote with --insecure-scripts, with a warning at the start", ({ dir, feed, script }) =>
    Effect.gen(function* () {
      script("container/start", "echo ran", 0o777)
      for (const place of ["/container/start", "/container", ""]) Fs.chownSync(`${dir}${place}`, nobody, nobody)
      Fs.chmodSync(dir, 0o777)
      const ended = yield* feed([record()], ["--insecure-scripts"])
      assert.strictEqual(ended.code, 0)
      assert.deepStrictEqual(ran(ended), [`${dir}/container/start`])
      assert.include(ended.stderr, "container/start web: ran")
      assert.match(ended.lines[0] ?? "", / - WARNING - --insecure-scripts: /)
      assert.deepStrictEqual(said(ended, "ERROR"), [])
      assert.strictEqual((yield* feed([record()])).code, 1)
    }))

  test("checks for every event: a corrected script runs, and one that others can write to does not, without a restart", (sandbox) =>
    Effect.gen(function* () {
      const { dir, script, start } = sandbox
      script("container/start", "echo run $ACTOR_ID")
      script("container/die", "echo ended $ACTOR_ID")
      const des = yield* start(["-d", dir, "--from", "-"], { stdin: "open" })
      const send = (id: string, Action = "start") => des.write(`${record({ id, Action })}\n`)
      yield* send("1")
      yield* des.said("start web: run 1")
      Fs.chmodSync(`${dir}/container/start`, 0o757)
      yield* send("2")
      yield* des.said(`chmod o-w ${dir}/container/start fixes it`)
      Fs.chmodSync(`${dir}/container/start`, 0o755)
      yield* send("3")
      yield* des.said("start web: run 3")
      yield* des.endInput
      assert.notInclude((yield* des.ended).stderr, "run 2")
    }))
})

test("a relative DIR is resolved once: after the working directory was moved, scripts at that path do not run", ({
  path,
  script,
  start,
  write
}) =>
  Effect.gen(function* () {
    script("container/start", "echo checked")
    Fs.mkdirSync(path("work"))
    Fs.renameSync(path("events.d"), path("work/d"))
    const des = yield* start(["-d", "d", "--from", "-"], { stdin: "open", cwd: path("work") })
    yield* des.write(`${record()}\n`)
    yield* des.said("start web: checked")

    // Another's directory stands where des was started, and des's own is a stranger's by now.
    Fs.renameSync(path("work"), path("moved"))
    write("moved/d/container/start", "#!/bin/sh\necho moved\n", 0o755)
    write("moved/d/container/die", "#!/bin/sh\necho moved\n", 0o755)
    write("work/d/container/die", "#!/bin/sh\necho 'at the same path'\n", 0o755)
    yield* des.write(`${record()}\n${record({ Action: "die" })}\n`)
    yield* des.said("at the same path")
    yield* des.endInput
    const { stderr } = yield* des.ended
    assert.notInclude(stderr, "moved\n")
    assert.strictEqual(stderr.split("Running script ").length, 3)
    assert.include(stderr, `Running script ${path("work")}/d/container/die`)
  }))

describeRoot("des, as another user than root", () => {
  /** Runs the program as an ordinary user, who may not read the folder that it is in. */
  const feed = ({ dir, path, top }: Sandbox, records: ReadonlyArray<string>) => {
    Fs.chmodSync(top, 0o755)
    Fs.copyFileSync(Program.bin, path("des.mjs"))
    const become = ["setpriv", `--reuid=${somebody}`, `--regid=${somebody}`, "--clear-groups"]
    return Program.run([...become, process.execPath, path("des.mjs"), "-d", dir, "--from", "-"], {
      stdin: records.map((text) => `${text}\n`).join(""),
      cwd: top,
      env: { HOME: top }
    })
  }

  const trusted = {
    create: { is: "its own", uid: somebody, gid: somebody, mode: 0o755 },
    start: { is: "root's", uid: 0, gid: 0, mode: 0o755 },
    die: { is: "its own and its primary group's", uid: somebody, gid: somebody, mode: 0o775 },
    stop: { is: "root's and its primary group's", uid: 0, gid: somebody, mode: 0o775 },
    kill: { is: "its own and the group root's", uid: somebody, gid: 0, mode: 0o775 }
  }

  const refused = {
    pause: { uid: nobody, gid: nobody, mode: 0o755, says: `belongs to user ${nobody}`, command: `chown ${somebody}` },
    unpause: { uid: nobody, gid: somebody, mode: 0o775, says: "belongs to user", command: `chown ${somebody}` },
    rename: { uid: somebody, gid: nobody, mode: 0o775, says: `by group ${nobody}`, command: "chmod g-w" },
    resize: { uid: 0, gid: nobody, mode: 0o775, says: `by group ${nobody}`, command: "chmod g-w" },
    update: { uid: somebody, gid: somebody, mode: 0o757, says: "by everybody", command: "chmod o-w" }
  }

  const makeAll = (
    { dir, script }: Sandbox,
    actions: Readonly<Record<string, { uid: number; gid: number; mode: number }>>
  ) => {
    for (const [action, { gid, mode, uid }] of Object.entries(actions)) {
      const file = `${dir}/container/${action}`
      script(`container/${action}`, "id -u")
      Fs.chownSync(file, uid, gid)
      Fs.chmodSync(file, mode)
    }
    return Object.keys(actions).map((Action) => record({ Action }))
  }

  test("trusts files of its own and of root, also if its primary group or root's can write to them", (sandbox) =>
    Effect.gen(function* () {
      const { dir } = sandbox
      const records = makeAll(sandbox, trusted)
      for (const [place, uid] of [
        [`${dir}/container`, somebody],
        [dir, 0]
      ] as const) {
        Fs.chownSync(place, uid, somebody)
        Fs.chmodSync(place, 0o775)
      }
      const ended = yield* feed(sandbox, records)
      assert.deepStrictEqual({ code: ended.code, errors: said(ended, "ERROR") }, { code: 0, errors: [] })
      for (const [action, { is }] of Object.entries(trusted)) {
        assert.include(ended.stderr, `container/${action} web: ${somebody}`, `${action} is ${is}`)
      }
    }))

  test("refuses files that its primary group can write to if other users have that group", (sandbox) =>
    Effect.gen(function* () {
      const { dir, path, script, top } = sandbox
      // The group nogroup: /etc/passwd has more than one user with it, and des's user is none of them.
      script("container/start", "id -u")
      const file = `${dir}/container/start`
      Fs.chownSync(file, somebody, nobody)
      Fs.chmodSync(file, 0o775)
      Fs.chmodSync(top, 0o755)
      Fs.copyFileSync(Program.bin, path("des.mjs"))
      const become = ["setpriv", `--reuid=${somebody}`, `--regid=${nobody}`, "--clear-groups"]
      const ended = yield* Program.run([...become, process.execPath, path("des.mjs"), "-d", dir, "--from", "-"], {
        stdin: record(),
        cwd: top,
        env: { HOME: top }
      })
      assert.deepStrictEqual(ran(ended), [])
      assert.include(
        said(ended, "ERROR")[0],
        `${file} can be written by group ${nobody}, where des's user is not alone; chmod g-w ${file} fixes it`
      )
    }))

  test("refuses files that others can change, until the command of the log is run", (sandbox) =>
    Effect.gen(function* () {
      const { dir } = sandbox
      const records = makeAll(sandbox, refused)
      const ended = yield* feed(sandbox, records)
      assert.strictEqual(ended.code, 0)
      assert.deepStrictEqual(ran(ended), [])
      const errors = said(ended, "ERROR")
      for (const [at, [action, { command, says }]] of Object.entries(refused).entries()) {
        const file = `${dir}/container/${action}`
        assert.include(errors[at], `Script ${file} is not run, since it is not trusted: ${file} `)
        assert.include(errors[at], says)
        assert.include(errors[at], `; ${command} ${file} fixes it`)
        paste(errors[at] ?? "")
      }
      assert.strictEqual(errors.length, records.length)
      const fixed = yield* feed(sandbox, records)
      assert.deepStrictEqual(said(fixed, "ERROR"), [])
      assert.strictEqual(ran(fixed).length, records.length)
    }))

  test("does not start with another user's script directory", (sandbox) =>
    Effect.gen(function* () {
      makeAll(sandbox, trusted)
      Fs.chownSync(sandbox.dir, nobody, somebody)
      const ended = yield* feed(sandbox, [])
      assert.strictEqual(ended.code, 1)
      assert.include(said(ended, "ERROR")[0], `; chown ${somebody} ${sandbox.dir} fixes it`)
    }))
})

/** Trusts what it is asked about so many times, and nothing after that. */
const trustTimes = (times: number) => {
  let asked = 0
  const check = (path: string) =>
    Effect.suspend(() =>
      asked++ < times
        ? Effect.void
        : new Trust.UntrustedError({
            reason: "Owner",
            path,
            detail: "belongs to user 7",
            fix: "chown root it fixes it"
          })
    )
  return Layer.succeed(Trust.Trust, { check })
}

const event = Testing.makeEvent()

const attempts = (retries: number) =>
  Attempts.make({
    base: {},
    engines: {},
    bounds: defaultBounds,
    retries,
    begin: () => Effect.succeed(Journal.unkept),
    kernel: Environment.defaultLimits,
    report: () => Effect.void
  })

const entryOf = (script: Script): Journal.Entry => ({
  id: 1,
  acceptedAt: 0,
  event,
  scripts: [script],
  earlier: {},
  coalesced: {}
})

const runs = Effect.flatMap(Testing.RecordedRuns, ({ all }) => all)

describe("a script that others can change since its look-up", () => {
  const script = { path: "/d/container/start", options: ScriptOptions.none }
  const due = { script, entry: entryOf(script), coalesced: 0 }

  it.effect("is not run", () => {
    const logs = collectLogs()
    return Effect.gen(function* () {
      const { run } = yield* attempts(0)
      yield* run(due, yield* Stop.make({ drain: 0, hurry: Effect.never }))
      assert.deepStrictEqual(yield* runs, [])
      const errors = logs.lines.filter((line) => line.startsWith("ERROR"))
      assert.strictEqual(errors.length, 1)
      assert.match(errors[0] ?? "", /^ERROR Script \/d\/container\/start Failed! /)
      assert.include(errors[0], "/d/container/start belongs to user 7; chown root it fixes it")
    }).pipe(Effect.provide([Testing.layerRecorder(), trustTimes(0), NodeFileSystem.layer, logs.layer]))
  })

  it.effect("is not retried after its first run failed", () => {
    const failing = Testing.layerRecorder(() => Outcome.Exited({ code: 1, message: "" }))
    return Effect.gen(function* () {
      const { run } = yield* attempts(3)
      const running = yield* Effect.fork(run(due, yield* Stop.make({ drain: 0, hurry: Effect.never })))
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(running)
      assert.deepStrictEqual(
        (yield* runs).map(({ environment }) => environment["DES_ATTEMPT"]),
        ["1", "2"]
      )
    }).pipe(Effect.provide([failing, trustTimes(2), NodeFileSystem.layer, collectLogs().layer]))
  })

  for (const [name, change] of [
    ["the script", (path: string) => Fs.chmodSync(path, 0o757)],
    ["a directory above it", (path: string) => Fs.chmodSync(Path.join(path, "../.."), 0o757)]
  ] as const) {
    it.scopedLive(`is not run: ${name}`, () => {
      const logs = collectLogs()
      return Effect.gen(function* () {
        const directory = yield* makeScripts({
          "container/start": "#!/bin/sh\nexit\n",
          "container/die": "#!/bin/sh\nexit\n"
        })
        yield* Effect.gen(function* () {
          const scripts = yield* ScriptDirectory.ScriptDirectory
          const { run } = yield* attempts(0)
          const [script] = yield* scripts.find("container", "start")
          if (script === undefined) return assert.fail("no script was found")
          change(script.path)
          yield* run(
            { script, entry: entryOf(script), coalesced: 0 },
            yield* Stop.make({ drain: 0, hurry: Effect.never })
          )
        }).pipe(Effect.provide(ScriptDirectory.layer({ directory })), Effect.provide(Trust.layer({ directory })))
        assert.deepStrictEqual(yield* runs, [])
        assert.match(logs.lines.at(-1) ?? "", /^ERROR Script .*\/container\/start Failed! /)
        assert.include(logs.lines.at(-1), "can be written by everybody; chmod o-w ")
      }).pipe(Effect.provide([Testing.layerRecorder(), NodeFileSystem.layer, logs.layer]))
    })
  }
})

describe("the head of a script that changed since its look-up", () => {
  const head = (text: string) => `#!/bin/sh\n${text}\nexit\n`

  for (const [what, before, after, refusal] of [
    ["is obeyed if it got a user", "", "# des: user=nobody-here", "user=nobody-here: "],
    ["is obeyed if it lost its user", "# des: user=nobody-here", "", undefined],
    ["keeps the script from running if it is wrong now", "", "# des: usr=www-data", "its head is wrong: line 2: "]
  ] as const) {
    it.scopedLive(what, () => {
      const logs = collectLogs()
      return Effect.gen(function* () {
        const directory = yield* makeScripts({ "container/start": head(before) })
        yield* Effect.gen(function* () {
          const scripts = yield* ScriptDirectory.ScriptDirectory
          const [script] = yield* scripts.find("container", "start")
          if (script === undefined) return assert.fail("no script was found")
          Fs.writeFileSync(script.path, head(after))
          const { run } = yield* attempts(0)
          yield* run(
            { script, entry: entryOf(script), coalesced: 0 },
            yield* Stop.make({ drain: 0, hurry: Effect.never })
          )
        }).pipe(Effect.provide(ScriptDirectory.layer({ directory })), Effect.provide(Trust.layerInsecure))
        const errors = logs.lines.filter((line) => line.startsWith("ERROR"))
        assert.lengthOf(yield* runs, refusal === undefined ? 1 : 0)
        assert.lengthOf(errors, refusal === undefined ? 0 : 1)
        assert.include(errors[0] ?? "", refusal ?? "")
      }).pipe(Effect.provide([Testing.layerRecorder(), NodeFileSystem.layer, logs.layer]))
    })
  }
})
