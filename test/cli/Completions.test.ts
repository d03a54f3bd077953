/** The completions for bash, as bash gives them. Those for zsh and fish are in test/install/completions.test.ts. */

import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { describe, it } from "@effect/vitest"
import { afterAll, assert } from "vitest"
import { completed, grammars } from "../../src/cli/Cli.ts"
import * as Completions from "../../src/cli/Completions.ts"
import * as TempFolder from "../support/TempFolder.ts"

const folder = TempFolder.makeSync("completions")
afterAll(() => TempFolder.removeSync(folder))

/** Completes the end of each line of stdin. As in a terminal, = is a word of its own. */
const driver = `
source ./des.bash
while IFS= read -r line; do
  read -ra COMP_WORDS <<<"\${line//=/ = }"
  [[ $line != *' ' ]] || COMP_WORDS+=("")
  COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
  COMPREPLY=()
  _des 2>/dev/null
  echo "\${COMPREPLY[*]}"
done
`

/** What bash offers at the end of each of these lines. */
const offered = (lines: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => {
  Fs.writeFileSync(Path.join(folder, "des.bash"), Completions.make("bash", completed()))
  for (const [name, mode] of [
    ["die", 0o755],
    ["start", 0o755],
    ["$(touch run)", 0o755]
  ] as const) {
    Fs.mkdirSync(Path.join(folder, "events.d/container"), { recursive: true })
    Fs.writeFileSync(Path.join(folder, "events.d/container", name), "", { mode })
  }
  const output = execFileSync("bash", ["-c", driver], {
    cwd: folder,
    input: lines.map((line) => `${line}\n`).join(""),
    encoding: "utf8",
    env: { PATH: process.env["PATH"], DES_DIRECTORY: "events.d" }
  })
  return output.split("\n").map((line) => line.split(" ").filter((word) => word !== ""))
}

describe("the completions of bash", () => {
  it("complete commands, options, the words of an option, events, filters, scripts, files and directories", () => {
    const cases: ReadonlyArray<readonly [line: string, ...words: ReadonlyArray<string>]> = [
      ["des ", ...grammars.subcommands.keys()],
      ["des hi", "history"],
      ["des --log-l", "--log-level"],
      ["des history --f", "--failed", "--follow"],
      ["des -v --jobs 4 history --la", "--last"],
      ["des history ", "show"],
      ["des --log-level w", "warning"],
      ["des --log-format=l", "logfmt"],
      ["des info --log-format ", "text", "logfmt", "json"],
      ["des check --event volume/de", "volume/destroy"],
      ["des try container/st", "container/start", "container/stop"],
      ["des history --event=des/st", "des/start", "des/stop"],
      ["des events --filter ty", "type="],
      ["des events --filter type=con", "container", "config"],
      ["des events --filter type=container,ev", "container,event="],
      ["des events --filter type=container,event=di", "die", "disconnect", "disable", "disconnected"],
      ["des history --script container/", "container/die", "container/start"],
      ["des -d ev", "events.d"],
      ["des check ev", "events.d"],
      ["des --from des", "des.bash"],
      ["des --jobs "],
      ["des retry "]
    ]
    const words = offered(cases.map(([line]) => line))
    for (const [at, [line, ...expected]] of cases.entries()) {
      assert.deepStrictEqual([...(words[at] ?? [])].toSorted(), expected.toSorted(), line)
    }
  })

  it("run nothing that stands on the command line or in the name of a file", () => {
    offered(["des events --filter $(touch${IFS}run),ev", "des history --script ", "des --filter `touch${IFS}run`,ev"])
    assert.notInclude(Fs.readdirSync(folder), "run")
    assert.notInclude(Fs.readdirSync(Path.join(folder, "events.d")), "run")
  })
})

describe("the completions of each shell", () => {
  for (const shell of Completions.shells) {
    it(`name every command, option and event, and the command that installs them: ${shell}`, () => {
      const text = Completions.make(shell, completed())
      const names = [grammars.des, ...grammars.subcommands.values()].flatMap(({ options }) =>
        options.map(({ name }) => name)
      )
      for (const word of [...names, ...grammars.subcommands.keys(), "container/die", "des/failed", "label="]) {
        assert.include(text, word)
      }
      const [install = ""] = Completions.installation.split("; ").filter((line) => line.includes(` ${shell} `))
      assert.include(text.split("\n").slice(0, 2).join("\n"), install)
    })
  }
})
