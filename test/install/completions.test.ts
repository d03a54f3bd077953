/** The completions for zsh and fish, as these shells give them. */

import { execFileSync, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { describe, it } from "@effect/vitest"
import { afterAll, assert } from "vitest"
import { completed } from "../../src/cli/Cli.ts"
import * as Completions from "../../src/cli/Completions.ts"
import * as TempFolder from "../support/TempFolder.ts"

const folder = TempFolder.makeSync("shells")
afterAll(() => TempFolder.removeSync(folder))

const isInstalled = (shell: string): boolean =>
  process.env["DES_REQUIRE_ENGINES"] === "1" || spawnSync(shell, ["-c", "true"]).status === 0

const env = { PATH: process.env["PATH"], HOME: folder, TERM: "dumb", DES_DIRECTORY: Path.join(folder, "events.d") }

Fs.mkdirSync(Path.join(folder, "events.d/container"), { recursive: true })
Fs.writeFileSync(Path.join(folder, "events.d/container/die"), "")

const cases: ReadonlyArray<readonly [line: string, ...words: ReadonlyArray<string>]> = [
  ["des hi", "history"],
  ["des history --f", "--failed", "--follow"],
  ["des --log-level w", "warning"],
  ["des history --event container/st", "container/start", "container/stop"],
  ["des try container/di", "container/die"],
  ["des events --filter type=con", "type=config", "type=container"],
  ["des history --script cont", "container/die"],
  ["des history ", "show"]
]

describe.skipIf(!isInstalled("fish"))("the completions of fish", () => {
  it("complete commands, options and values", () => {
    const script = Path.join(folder, "des.fish")
    Fs.writeFileSync(script, Completions.make("fish", completed()))
    for (const [line, ...words] of cases) {
      const output = execFileSync("fish", ["-c", `source $argv[1]; complete -C $argv[2]`, script, line], {
        env,
        encoding: "utf8"
      })
      const offered = output.split("\n").flatMap((row) => (row === "" ? [] : row.split("\t").slice(0, 1)))
      assert.deepStrictEqual(offered.toSorted(), words.toSorted(), line)
    }
  })
})

/** Completes a line in a terminal of its own, and prints what each completion function offers. */
const driver = `
zmodload zsh/zpty
zpty z 'zsh -f -i'
zpty -w z "PS1='>'; fpath=($1 \\$fpath); autoload -U compinit; compinit -u -D; bindkey '^I' complete-word"
zpty -w z 'compadd() { typeset -a hits; [[ \${@[1,(i)(-|--)]} == *-(O|A|D)\\ * ]] || { builtin compadd -A hits "$@"; for hit in $hits; do echo "OFFERED:$hit:"; done }; builtin compadd "$@" }; _after() { echo THE""END }; comppostfuncs=(_after)'
zpty -w z 'echo REA""DY'
zpty -r z out '*READY*'
zpty -w -n z "$2"$'\\t'
zpty -r z out '*THEEND*'
print -r -- "$out"
zpty -d z
`

describe.skipIf(!isInstalled("zsh"))("the completions of zsh", () => {
  it("complete commands, options and values", () => {
    Fs.writeFileSync(Path.join(folder, "_des"), Completions.make("zsh", completed()))
    for (const [line, ...words] of cases) {
      const output = execFileSync("zsh", ["-c", driver, "zsh", folder, line], {
        env,
        encoding: "utf8",
        timeout: 60_000
      })
      const offered = Array.from(output.matchAll(/OFFERED:([^:\s]+):/g), ([, word = ""]) => word)
      assert.deepStrictEqual([...new Set(offered)].toSorted(), words.toSorted(), line)
    }
  })
})
