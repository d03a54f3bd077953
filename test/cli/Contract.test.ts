import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import { describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assert } from "vitest"
import packageJson from "../../package.json" with { type: "json" }
import { parseLogfmt } from "../support/Logfmt.ts"
import * as Program from "../support/Program.ts"
import { record } from "../support/Record.ts"
import { type Sandbox, test } from "../support/Sandbox.ts"

const version = packageJson.version
const escape = "\u001b"

/** A feed with no records, so that a command line that is taken ends at once. */
const nothing = ["--from", "/dev/null"]

const assertUsageError = ({ code, stderr, stdout }: Program.Ended, says = ""): void => {
  assert.strictEqual(code, 2, stderr)
  assert.strictEqual(stdout, "")
  assert.notStrictEqual(stderr.trim(), "")
  assert.include(stderr, says)
}

describe("command line: options", () => {
  for (const flag of ["-h", "--help"]) {
    test(`${flag} prints the options and their defaults on stdout`, ({ des }) =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* des([flag])
        assert.strictEqual(code, 0)
        assert.strictEqual(stderr, "")
        const flags = ["-h", "--help", "-c", "--create", "-e", "URL", "-d", "DIR", "-v", "--verbose", "--version"]
        for (const text of [...flags, "--from", "--env", "--log-format", "--log-level"]) assert.include(stdout, text)
        for (const text of ["/etc/docker/events.d", "unix:///var/run/docker.sock"]) assert.include(stdout, text)
      }))
  }

  test("--help wins over every other option", ({ des, dir, exists }) =>
    Effect.gen(function* () {
      for (const args of [["-vh"], ["-h", "--nope"], ["-c", "-d", "new", "-h"], ["-d", dir, "--help"]]) {
        const { code, stdout } = yield* des(args)
        assert.strictEqual(code, 0)
        assert.include(stdout, "--create")
      }
      assert.isFalse(exists("new"))
    }))

  test("positional arguments are wrong usage", ({ des, dir }) =>
    Effect.gen(function* () {
      for (const args of [["foo"], [""], ["-"], ["--", "foo"], ["--", "--version"]]) {
        assertUsageError(yield* des(["-d", dir, ...nothing, ...args]))
      }
    }))

  for (const args of [["-v", "yes"], ["--verbose", "no"], ["--verbose=true"]]) {
    test(`an option without a value accepts none: ${args.join(" ")}`, ({ des, dir }) =>
      Effect.map(des(["-d", dir, ...nothing, ...args]), (ended) => assertUsageError(ended)))
  }

  test("an option without a value accepts none: -c no", ({ des, exists }) =>
    Effect.gen(function* () {
      assertUsageError(yield* des(["-d", "new", ...nothing, "-c", "no"]))
      assert.isFalse(exists("new"))
    }))

  test("des stays in the foreground: the started process itself runs the scripts", ({ dir, lines, script, start }) =>
    Effect.gen(function* () {
      script("container/start", "echo $PPID >parent")
      const des = yield* start(["-d", dir, "--from", "-"], { stdin: "open" })
      yield* des.write(`${record()}\n`)
      yield* des.until("the script", () => lines("parent").length > 0)
      assert.deepStrictEqual(lines("parent"), [String(des.pid)])
      yield* des.endInput
      assert.strictEqual((yield* des.ended).code, 0)
    }))
})

describe("command line: each of these spellings is accepted", () => {
  const spellings: Readonly<Record<string, (dir: string) => ReadonlyArray<string>>> = {
    "-v -d DIR": (dir) => ["-v", "-d", dir],
    "-vd DIR": (dir) => ["-vd", dir],
    "-vdDIR": (dir) => [`-vd${dir}`],
    "-vd=DIR": (dir) => [`-vd=${dir}`],
    "-dDIR -v": (dir) => [`-d${dir}`, "-v"],
    "-d=DIR -v": (dir) => [`-d=${dir}`, "-v"],
    "--directory DIR --verbose": (dir) => ["--directory", dir, "--verbose"],
    "--directory=DIR --verbose": (dir) => [`--directory=${dir}`, "--verbose"],
    "-vv -d DIR": (dir) => ["-vv", "-d", dir],
    "-v -v -d DIR": (dir) => ["-v", "-v", "-d", dir],
    "-d OTHER -d DIR -v, where the last one counts": (dir) => ["-d", "/nonexistent", "-d", dir, "-v"]
  }
  for (const [spelling, args] of Object.entries(spellings)) {
    test(spelling, ({ des, dir, script }) =>
      Effect.gen(function* () {
        script("container/start", "echo it runs")
        const { code, stderr } = yield* des([...args(dir), "--from", "-"], { stdin: record() })
        assert.strictEqual(code, 0, stderr)
        assert.include(stderr, "container/start web: it runs")
        assert.include(stderr, " - DEBUG - ")
      })
    )
  }

  for (const [spelling, args] of Object.entries({
    "-cv -d DIR": ["-cv", "-d", "new"],
    "-cvd DIR": ["-cvd", "new"],
    "-cdDIR": ["-cdnew"],
    "-cd=DIR": ["-cd=new"],
    "--create -d DIR": ["--create", "-d", "new"]
  })) {
    test(spelling, ({ des, exists }) =>
      Effect.gen(function* () {
        assert.strictEqual((yield* des(args)).code, 0)
        assert.isTrue(exists("new/container/start"))
      })
    )
  }

  test("-e=URL and -eURL", ({ des }) =>
    Effect.gen(function* () {
      for (const args of [["-e=bogus://"], ["-ebogus://"], ["-ve=bogus://"]]) {
        assertUsageError(yield* des(args), '"bogus://"')
      }
    }))
})

describe("command line: the default is", () => {
  test("-d /etc/docker/events.d", ({ des }) =>
    Effect.gen(function* () {
      // Said whether this machine has such a directory or not.
      const { stderr } = yield* des(["--from", "-"], { stdin: record({ Type: "nosuchtype", Action: "nosuchaction" }) })
      assert.include(stderr, "/etc/docker/events.d")
    }))

  test("-e unix:///var/run/docker.sock", ({ dir, start }) =>
    Effect.gen(function* () {
      // Said whether an engine runs on this machine or not.
      const des = yield* start(["-d", dir])
      yield* des.said("unix:///var/run/docker.sock")
      yield* des.kill("SIGTERM")
      assert.strictEqual((yield* des.ended).code, 143)
    }))

  test("-e unix:///var/run/docker.sock also if DOCKER_HOST is empty", ({ dir, start }) =>
    Effect.gen(function* () {
      const des = yield* start(["-d", dir], { env: { DOCKER_HOST: "" } })
      yield* des.said("unix:///var/run/docker.sock")
    }))
})

describe("command line: --version", () => {
  for (const args of [
    ["--version"],
    ["-v", "--version"],
    ["--version", "-v"],
    ["-c", "-d", "new", "--version"],
    ["--version", "--nope"],
    ["--help", "--version"],
    ["--log-format", "json", "--version"]
  ]) {
    test(`prints only the version and a newline on stdout: ${args.join(" ")}`, ({ des, exists }) =>
      Effect.gen(function* () {
        const { code, stderr, stdout } = yield* des(args)
        assert.deepStrictEqual({ code, stderr, stdout }, { code: 0, stderr: "", stdout: `${version}\n` })
        assert.isFalse(exists("new"))
      }))
  }
})

describe("command line: exit codes", () => {
  test("0 after help, the version, or -c", ({ des }) =>
    Effect.gen(function* () {
      for (const args of [["--help"], ["--version"], ["-c", "-d", "new"]]) {
        assert.strictEqual((yield* des(args)).code, 0)
      }
    }))

  test("at the end of a recorded feed: 1 if a script failed, whatever its own exit code is, and otherwise 0", (sandbox) =>
    Effect.gen(function* () {
      sandbox.script("container/start", "sleep 0.3; touch done; test -e good || exit 3")
      assert.strictEqual((yield* sandbox.feed([record()])).code, 1)
      assert.isTrue(sandbox.exists("done"))
      sandbox.write("good", "")
      assert.strictEqual((yield* sandbox.feed([record()])).code, 0)
    }))

  test("1 if the script directory is missing", ({ des, path }) =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* des(["-d", path("missing"), ...nothing])
      assert.strictEqual(code, 1)
      assert.strictEqual(stdout, "")
      assert.match(stderr, new RegExp(` - ERROR - .*${path("missing")} does not exist`))
    }))

  test("1 if the script directory is a file", ({ des, path, write }) =>
    Effect.gen(function* () {
      write("file", "")
      const { code, stderr } = yield* des(["-d", path("file"), ...nothing])
      assert.strictEqual(code, 1)
      assert.match(stderr, new RegExp(` - ERROR - .*${path("file")} is not a directory`))
    }))

  test("1 if -c finds an existing directory", ({ des, dir }) =>
    Effect.map(des(["-c", "-d", dir]), ({ code }) => assert.strictEqual(code, 1)))
})

describe("command line: usage errors exit with 2 and say why on stderr", () => {
  const errors: Readonly<Record<string, readonly [args: ReadonlyArray<string>, says?: string]>> = {
    "an unknown flag": [["--nope"], "--nope"],
    "an unknown short flag": [["-x"], "-x"],
    "a flag in the wrong case": [["-V"], "-V"],
    "an unknown letter behind a known one": [["-vx"]],
    "an unknown letter before a known one": [["-xv"]],
    "an empty DIR": [["-d", ""]],
    "an empty URL": [["-e", ""]],
    "a format that there is not": [["--log-format", "xml"], "text, logfmt or json"],
    "no number of jobs": [["--jobs", "0"], '--jobs "0": expected a whole number from 1 to 1024'],
    "no number at all": [["--jobs", "many"], '--jobs "many": expected a whole number from 1 to 1024'],
    "no number of retries": [["--retries", "-1"], "--retries"],
    "no whole number of retries": [["--retries=1.5"], '--retries "1.5": expected a whole number from 0 to 9999'],
    "no duration": [["--timeout", "10x"], '--timeout "10x": expected a number with ms, s, m, h or d, such as 30s'],
    "a level that there is not": [["--log-level", "loud"], "expected debug, info, warning, error or none"],
    "a shell that there is not": [["--completions", "csh"], "expected bash, zsh or fish"],
    "a misspelt option": [["--timout", "30s"], "did you mean --timeout?"],
    "--env with an empty name": [["--env", ""]],
    "--env with an empty name, attached": [["--env="]],
    "--env with a value and no name": [["--env", "=x"]]
  }
  for (const [name, [args, says]] of Object.entries(errors)) {
    test(name, ({ des, dir }) =>
      Effect.map(des(["-d", dir, ...nothing, ...args]), (ended) => assertUsageError(ended, says))
    )
  }

  for (const flags of ["-cx", "-xc", "-cvx"]) {
    test(`${flags}, an unknown letter beside -c, creates nothing`, ({ des, exists }) =>
      Effect.gen(function* () {
        const ended = yield* des([flags, "-d", "new"])
        assert.isFalse(exists("new"))
        assertUsageError(ended)
      }))
  }

  for (const flag of ["-d", "-e", "--from", "--env", "--log-format"]) {
    test(`${flag} without its value`, ({ des, dir }) =>
      Effect.gen(function* () {
        const ended = yield* des(["-d", dir, ...nothing, flag])
        assertUsageError(ended)
        // The flag is known; what is missing is its value.
        assert.notMatch(ended.stderr, /unknown/)
      }))
  }
})

describe("command line: a malformed endpoint exits with 2", () => {
  const bad = [
    "bogus://",
    "unix://relative",
    "ssh://-oProxyCommand=x",
    "ftp://host",
    "tcp://user:secret@host",
    "tcp://host:99999"
  ]

  const assertForms = (ended: Program.Ended): void => {
    assertUsageError(ended, "unix:///path/to/docker.sock")
    assert.include(ended.stderr, "tcp://host[:port]")
  }

  for (const url of bad) {
    test(`-e ${url}: stderr lists the accepted forms`, ({ des, dir }) =>
      Effect.map(des(["-d", dir, "-e", url]), assertForms))

    test(`DOCKER_HOST=${url}: stderr names the variable and lists the accepted forms`, ({ des, dir }) =>
      Effect.gen(function* () {
        const ended = yield* des(["-d", dir], { env: { DOCKER_HOST: url } })
        assertForms(ended)
        assert.include(ended.stderr, "DOCKER_HOST")
      }))
  }

  test("DOCKER_HOST is ignored with -e and with --from", ({ des, dir, start }) =>
    Effect.gen(function* () {
      const env = { DOCKER_HOST: "bogus://" }
      assert.strictEqual((yield* des(["-d", dir, ...nothing], { env })).code, 0)
      const watching = yield* start(["-d", dir, "-e", "unix:///nonexistent/docker.sock"], { env })
      yield* watching.said("unix:///nonexistent/docker.sock")
    }))
})

describe("signals", () => {
  const codes = { SIGINT: 130, SIGTERM: 143 } as const
  const signals = ["SIGINT", "SIGTERM"] as const

  for (const signal of signals) {
    test(`${signal} ends des with ${codes[signal]} while it waits for records`, ({ dir, start }) =>
      Effect.gen(function* () {
        const des = yield* start(["-d", dir, "--from", "-"], { stdin: "open" })
        yield* des.said("reading events")
        yield* des.kill(signal)
        const { code, signal: by } = yield* des.ended
        assert.deepStrictEqual({ code, by }, { code: codes[signal], by: null })
      }))

    test(`${signal} ends des with ${codes[signal]} while it waits for an engine that is away`, ({ dir, path, start }) =>
      Effect.gen(function* () {
        const des = yield* start(["-d", dir, "-e", `unix://${path("none.sock")}`])
        yield* des.said("WARNING")
        yield* des.kill(signal)
        assert.strictEqual((yield* des.ended).code, codes[signal])
      }))

    test(`${signal} ends des with ${codes[signal]}, and ends a running script and its children first`, ({
      dir,
      exists,
      lines,
      processes,
      script,
      start
    }) =>
      Effect.gen(function* () {
        script("container/start", "sleep 600 & echo $! >child; echo $$ >script; wait")
        script("container/die", "touch died")
        const des = yield* start(["-d", dir, "--from", "-", "--drain", "100ms"], { stdin: "open" })
        yield* des.write(`${record()}\n${record({ Action: "die" })}\n`)
        yield* des.until("the script", () => lines("script").length > 0)
        const pids = [...lines("script"), ...lines("child")].map(Number)
        assert.deepStrictEqual(
          pids.map((pid) => processes().includes(pid)),
          [true, true]
        )
        yield* des.kill(signal)
        assert.strictEqual((yield* des.ended).code, codes[signal])
        assert.deepStrictEqual(processes(), [])
        assert.isFalse(exists("died"), "no script starts after the signal")
      }))
  }

  /** A script that does this, at work in a des that was just told to end. */
  const stopped = (
    { dir, exists, script, start }: Sandbox,
    body: string,
    args: ReadonlyArray<string>,
    signal: NodeJS.Signals = "SIGTERM"
  ) =>
    Effect.gen(function* () {
      script("container/start", body)
      const des = yield* start(["-d", dir, "--from", "-", ...args], { stdin: "open" })
      yield* des.write(`${record()}\n`)
      yield* des.until("the script", () => exists("runs"))
      yield* des.kill(signal)
      return des
    })

  test("SIGTERM lets a script end that takes less than the drain time", (sandbox) =>
    Effect.gen(function* () {
      const des = yield* stopped(sandbox, "touch runs; sleep 1; echo the end; touch done", [])
      const { code, stderr } = yield* des.ended
      assert.strictEqual(code, 143)
      assert.isTrue(sandbox.exists("done"))
      assert.include(stderr, "container/start web: the end")
    }))

  test("after SIGTERM a script has time to clean up, and its output is still logged", (sandbox) =>
    Effect.gen(function* () {
      const clean = "trap 'echo cleaning; sleep 1; echo cleaned >&2; touch cleaned; exit 0' TERM"
      const des = yield* stopped(sandbox, `${clean}; touch runs; while :; do sleep 0.1; done`, ["--drain", "100ms"])
      const { code, stderr } = yield* des.ended
      assert.strictEqual(code, 143)
      assert.isTrue(sandbox.exists("cleaned"))
      assert.include(stderr, "container/start web: cleaned")
    }))

  test("a script that ignores SIGTERM is killed after the grace of 10 seconds", (sandbox) =>
    Effect.gen(function* () {
      const body = "trap '' TERM; touch runs; while :; do sleep 0.1; done"
      const des = yield* stopped(sandbox, body, ["--drain", "100ms"])
      const since = Date.now()
      assert.strictEqual((yield* des.ended).code, 143)
      assert.isAbove(Date.now() - since, 9000)
      assert.deepStrictEqual(sandbox.processes(), [])
    }))

  test("after a second signal des ends its scripts at once and leaves none behind", (sandbox) =>
    Effect.gen(function* () {
      const des = yield* stopped(sandbox, "touch runs; sleep 600", [], "SIGINT")
      yield* des.kill("SIGTERM")
      // Where both are pending either may come first.
      assert.include([130, 143], (yield* des.ended).code)
      assert.deepStrictEqual(sandbox.processes(), [])
    }))

  test("SIGHUP does not end des: the next event's script runs", ({ dir, lines, script, start }) =>
    Effect.gen(function* () {
      script("container/start", "echo run >>runs")
      const des = yield* start(["-d", dir, "--from", "-"], { stdin: "open" })
      yield* des.write(`${record()}\n`)
      yield* des.until("the first script", () => lines("runs").length === 1)
      yield* des.kill("SIGHUP")
      yield* des.write(`${record()}\n`)
      yield* des.until("the second script", () => lines("runs").length === 2)
      yield* des.endInput
      assert.strictEqual((yield* des.ended).code, 0)
    }))
})

describe("output is plain if stdout or stderr is not a terminal", () => {
  for (const env of [{}, { FORCE_COLOR: "1" }, { TERM: "xterm-256color" }]) {
    test(`for help, with ${JSON.stringify(env)}`, ({ des }) =>
      Effect.map(des(["--help"], { env }), ({ stdout }) => assert.notInclude(stdout, escape)))
  }

  test("for usage errors and logs", ({ des, dir }) =>
    Effect.gen(function* () {
      assert.notInclude((yield* des(["--nope"])).stderr, escape)
      assert.notInclude((yield* des(["-d", dir, "-v", ...nothing])).stderr, escape)
    }))
})

const script = "/usr/bin/script"
describe.skipIf(!Fs.existsSync(script))("colours appear only on a terminal", () => {
  const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

  /** Runs des at a terminal of its own; `redirect` is the shell's, such as `>file`. */
  const atTerminal = (
    { top }: Sandbox,
    args: ReadonlyArray<string>,
    env: Readonly<Record<string, string>> = {},
    redirect = ""
  ) =>
    Program.run(
      [
        script,
        "-qec",
        `${Program.des(...args)
          .map(quote)
          .join(" ")} ${redirect}`,
        "/dev/null"
      ],
      {
        cwd: top,
        env: { HOME: top, TERM: "xterm", SHELL: "/bin/sh", ...env }
      }
    )

  test("help is coloured", (sandbox) =>
    Effect.gen(function* () {
      const { code, stdout } = yield* atTerminal(sandbox, ["--help"])
      assert.strictEqual(code, 0)
      assert.include(stdout, escape)
    }))

  test("help is plain under NO_COLOR", (sandbox) =>
    Effect.gen(function* () {
      const { stdout } = yield* atTerminal(sandbox, ["--help"], { NO_COLOR: "1" })
      assert.include(stdout, "--create")
      assert.notInclude(stdout, escape)
    }))

  test("an empty NO_COLOR counts as unset", (sandbox) =>
    Effect.map(atTerminal(sandbox, ["--help"], { NO_COLOR: "" }), ({ stdout }) => assert.include(stdout, escape)))

  test("help is plain in a file, even if stderr is a terminal", (sandbox) =>
    Effect.gen(function* () {
      yield* atTerminal(sandbox, ["--help"], {}, ">help")
      assert.include(sandbox.read("help"), "--create")
      assert.notInclude(sandbox.read("help"), escape)
    }))

  test("a usage error is plain in a file, even if stdout is a terminal", (sandbox) =>
    Effect.gen(function* () {
      const { code } = yield* atTerminal(sandbox, ["--nope"], {}, "2>error")
      assert.strictEqual(code, 2)
      assert.include(sandbox.read("error"), "--nope")
      assert.notInclude(sandbox.read("error"), escape)
    }))

  test("the version and log lines are plain", (sandbox) =>
    Effect.gen(function* () {
      const { stdout } = yield* atTerminal(sandbox, ["--version"])
      assert.strictEqual(stdout.trim(), version)
      const logs = yield* atTerminal(sandbox, ["-d", sandbox.dir, ...nothing])
      assert.include(logs.stdout, "- docker-event-script - INFO - ")
      assert.notInclude(logs.stdout, escape)
    }))
})

describe("--from", () => {
  test("runs each record's script before the end of the feed", ({ dir, lines, script, start }) =>
    Effect.gen(function* () {
      script("container/start", 'echo "$ACTOR_ATTRIBUTES_NAME" >>names')
      const des = yield* start(["-d", dir, "--from", "-"], { stdin: "open" })
      yield* des.write(`${record({ attributes: { name: "one" } })}\n`)
      yield* des.until("the first script", () => lines("names").length === 1)
      yield* des.write(`${record({ attributes: { name: "two" } })}\n`)
      yield* des.until("the second script", () => lines("names").length === 2)
      assert.deepStrictEqual(lines("names"), ["one", "two"])
    }))

  test("reads a file to its end, also if the last line has no newline", ({ des, dir, lines, script, write }) =>
    Effect.gen(function* () {
      script("container/start", "echo run >>runs")
      write("feed.jsonl", `${record()}\n\n${record()}\r\n${record()}`)
      const { code, stderr, stdout } = yield* des(["-d", dir, "--from", "feed.jsonl"])
      assert.strictEqual(code, 0)
      assert.strictEqual(stdout, "")
      assert.notInclude(stderr, "WARNING")
      assert.deepStrictEqual(lines("runs"), ["run", "run", "run"])
    }))

  test("a missing file or a directory is an error that names it, with exit code 1", ({ des, dir }) =>
    Effect.gen(function* () {
      for (const file of ["missing.jsonl", dir]) {
        const { code, stderr } = yield* des(["-d", dir, "--from", file])
        assert.strictEqual(code, 1)
        assert.match(stderr, new RegExp(` - ERROR - .*${file}.*cannot be read`))
      }
    }))

  test("a FIFO is an error that says how to read it, and des does not wait for a writer", ({ des, dir, path }) =>
    Effect.gen(function* () {
      execFileSync("mkfifo", [path("fifo")])
      const { code, stderr } = yield* des(["-d", dir, "--from", path("fifo")])
      assert.strictEqual(code, 1)
      assert.match(stderr, / - ERROR - .*fifo cannot be read: .*it is a pipe.*--from -/)
    }))

  test("a line that is not an event is logged with its number, and the other events run", ({ feed, lines, script }) =>
    Effect.gen(function* () {
      script("container/start", "echo run >>runs")
      const bad = ["not json", "[]", "null", '{"Action":"start"}', '{"Type":"container"}', '{"Type":"","Action":"x"}']
      const { code, stderr } = yield* feed([record(), "", ...bad, record()])
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(lines("runs"), ["run", "run"])
      const numbers = [...stderr.matchAll(/ - WARNING - Skipped line (\d+) of stdin\b/g)].map(([, number]) => number)
      assert.deepStrictEqual(numbers, ["3", "4", "5", "6", "7", "8"])
    }))
})

describe("--env", () => {
  const shown = 'printf "%s\\n" "[$ONE]" "[${TWO-unset}]" >shown'

  test("each NAME=VALUE reaches scripts unchanged", ({ feed, lines, script }) =>
    Effect.gen(function* () {
      script("container/start", shown)
      yield* feed([record()], ["--env", "ONE=a=b 'c' $d", "--env=TWO="])
      assert.deepStrictEqual(lines("shown"), ["[a=b 'c' $d]", "[]"])
    }))

  test("NAME alone has des's own value, and is not set if des has none", ({ feed, lines, script }) =>
    Effect.gen(function* () {
      script("container/start", shown)
      yield* feed([record()], ["--env", "ONE", "--env", "TWO"], { env: { ONE: "own" } })
      assert.deepStrictEqual(lines("shown"), ["[own]", "[unset]"])
    }))

  test("no other variable of des reaches scripts", ({ feed, lines, script }) =>
    Effect.gen(function* () {
      script("container/start", shown)
      yield* feed([record()], [], { env: { ONE: "own", TWO: "own" } })
      assert.deepStrictEqual(lines("shown"), ["[]", "[unset]"])
    }))

  const events = ["ACTION", "TYPE", "STATUS", "ID", "FROM", "SCOPE", "TIME", "TIMENANO", "ACTOR_X", "EVENT_X", "DES_X"]
  for (const name of [...events, "1A", "A-B", "A B", "A.B", "Ä"]) {
    test(`${name} is refused, with and without a value`, ({ des, dir }) =>
      Effect.gen(function* () {
        assertUsageError(yield* des(["-d", dir, ...nothing, "--env", name]), name)
        assertUsageError(yield* des(["-d", dir, ...nothing, "--env", `${name}=value`]), name)
      }))
  }
})

describe("--log-format", () => {
  const hostile = "printf 'a \"b\" = \\\\ c\\tü\\033[31m\\n'; echo warn >&2; exit 4"

  test("json: each line is one object with timestamp, level and message", ({ dir, feed, script }) =>
    Effect.gen(function* () {
      script("container/start", hostile)
      const { lines } = yield* feed([record(), "bad"], ["--log-format", "json", "-v"])
      const logged = lines.map((line): Readonly<Record<string, unknown>> => JSON.parse(line))
      for (const { level, message, timestamp } of logged) {
        assert.isString(message)
        assert.isString(level)
        assert.isFalse(Number.isNaN(Date.parse(String(timestamp))))
      }
      const messages = logged.map(({ message }) => message)
      assert.include(messages, `Running script ${dir}/container/start`)
      assert.include(messages, `a "b" = \\ c\tü${escape}[31m`)
      const output = logged.find(({ message }) => message === "warn")
      assert.deepInclude(output, {
        "container.name": "web",
        "des.script": `${dir}/container/start`,
        "log.iostream": "stderr"
      })
      assert.deepStrictEqual(new Set(logged.map(({ level }) => level)), new Set(["INFO", "DEBUG", "WARN", "ERROR"]))
    }))

  test("logfmt: each line is pairs with timestamp, level and message", ({ dir, feed, script }) =>
    Effect.gen(function* () {
      script("container/start", hostile)
      const { lines } = yield* feed([record(), "bad"], ["--log-format", "logfmt", "-v"])
      const logged = lines.map(parseLogfmt)
      for (const { level, message, timestamp } of logged) {
        assert.isString(message)
        assert.isString(level)
        assert.isFalse(Number.isNaN(Date.parse(timestamp ?? "")))
      }
      const messages = logged.map(({ message }) => message)
      assert.include(messages, `Running script ${dir}/container/start`)
      assert.include(messages, `a "b" = \\ c\tü${escape}[31m`)
      const output = logged.find(({ message }) => message === "warn")
      assert.strictEqual(output?.["container.name"], "web")
      assert.strictEqual(output?.["des.script"], `${dir}/container/start`)
      assert.strictEqual(output?.["log.iostream"], "stderr")
    }))

  test("errors at the start have this format, too", ({ des, path }) =>
    Effect.gen(function* () {
      const { lines } = yield* des(["-d", path("missing"), ...nothing, "--log-format=json"])
      for (const line of lines) JSON.parse(line)
      assert.include(lines.at(-1) ?? "", "does not exist")
    }))
})

describe("--log-level", () => {
  test("hides lines below the level, at any place in the command line", ({ des, dir, script, write }) =>
    Effect.gen(function* () {
      script("container/start", "exit 3")
      write("feed.jsonl", record())
      for (const args of [
        ["-d", dir, "--from", "feed.jsonl", "--log-level", "error"],
        ["--log-level", "error", "-d", dir, "--from", "feed.jsonl"]
      ]) {
        const { code, lines, stderr } = yield* des(args)
        assert.strictEqual(code, 1, stderr)
        assert.lengthOf(lines, 1, stderr)
        assert.match(lines[0] ?? "", / - ERROR - .*container\/start.*Exit=3/)
      }
      assert.strictEqual((yield* des(["--log-level=none", "-v", "-d", dir, "--from", "feed.jsonl"])).stderr, "")
      assert.include((yield* des(["--log-level=debug", "-d", dir, "--from", "feed.jsonl"])).stderr, " - DEBUG - ")
    }))
})

describe("--completions", () => {
  /** What bash offers for a command line whose last word is being written. */
  const offered = ({ top }: Sandbox, ...words: ReadonlyArray<string>) =>
    Program.run(
      [
        "bash",
        "-c",
        `eval "$("$1" "$2" --completions bash)"; shift 2
        COMP_WORDS=(des "$@"); COMP_CWORD=$#; _des; printf '%s\\n' "\${COMPREPLY[@]}"`,
        "bash",
        ...Program.des(),
        ...words
      ],
      { cwd: top, env: { HOME: top } }
    ).pipe(Effect.map(({ stdout }) => stdout.trim().split("\n")))

  test("are read by bash, and complete the options of a command and their values", (sandbox) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* offered(sandbox, "-v", "--log-level", "w"), ["warning"])
      assert.deepStrictEqual(yield* offered(sandbox, "history", "--f"), ["--failed", "--follow"])
    }))

  test("zsh and fish get completions that name every command", ({ des }) =>
    Effect.gen(function* () {
      for (const shell of ["zsh", "fish"]) {
        const { code, stdout } = yield* des(["-v", "--completions", shell])
        assert.strictEqual(code, 0)
        for (const name of ["info", "history", "retry", "log-level"]) assert.include(stdout, name)
      }
    }))

  for (const args of [
    ["--help"],
    ["info", "--help"],
    ["--completions", "bash"],
    ["--completions", "zsh"],
    ["--completions", "fish"]
  ]) {
    test(`${args.join(" ")} shows nothing that des refuses`, ({ des }) =>
      Effect.gen(function* () {
        const { code, stdout } = yield* des(args)
        assert.strictEqual(code, 0)
        for (const refused of ["wizard", "trace", "fatal"]) assert.notInclude(stdout, refused)
      }))
  }
})
